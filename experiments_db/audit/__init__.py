"""Stored prompts, run again on the model that measured them.

remeasure  which prompts are drawn, and what came of it
measured   the numbers that are in the log, and how each can be measured again
"""

from __future__ import annotations

from lakatos.experiments_db.audit.remeasure import SURE, Remeasured, document, remeasure

__all__ = ["SURE", "Remeasured", "document", "remeasure"]
