"""What a correction says of a family of hypotheses: pure functions of what the log says. No SQL.

slots      a hypothesis as a correction sees it, and what the correction says of it
verdict    the official one: confirmed, refuted, inconclusive;  groups: claims that overlap
views      every other correction over the same hypotheses
intervals  of confirmed claims, adjusted for selection
"""

from __future__ import annotations

from lakatos.experiments_db.verdict.groups import OVERLAP, groups
from lakatos.experiments_db.verdict.intervals import interval, selected_level
from lakatos.experiments_db.verdict.slots import STATES, Interval, Judgement, Slot, State
from lakatos.experiments_db.verdict.verdict import OFFICIAL, confirmed, corrected, judge
from lakatos.experiments_db.verdict.views import FAMILIES, Corrected, check, correct, family_of

__all__ = [
    "FAMILIES",
    "OFFICIAL",
    "OVERLAP",
    "STATES",
    "Corrected",
    "Interval",
    "Judgement",
    "Slot",
    "State",
    "check",
    "confirmed",
    "correct",
    "corrected",
    "family_of",
    "groups",
    "interval",
    "judge",
    "selected_level",
]
