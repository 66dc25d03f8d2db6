"""The constants of a test that every module of the project agrees on."""

from __future__ import annotations

from typing import Final

FRACTIONS: Final = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99)
BATCH: Final = 16
MIN_EXPLORATION: Final = 64
MIN_FOR_FUTILITY: Final = 64
FUTILE_BELOW: Final = 0.2
PER_TEMPLATE: Final = 2  # prompts whose mean is one bet, where templates are the unit
TEMPLATES_DIFFER: Final = 0.1  # intraclass correlation on exploration pairs from which on templates are the unit
ENOUGH_TEMPLATES: Final = 64  # ... if there are so many: fewer bets confirm hardly anything (docs/evidence.md)
MAX_CLIP_RATE: Final = 0.02
