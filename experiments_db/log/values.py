"""Per-prompt numbers as they are stored, and as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from lakatos.experiments_db.log import tables as m
from lakatos.tools.behaviour import PromptPair
from lakatos.tools.evidence import Data, Values


def from_values(values: Values, place: int) -> dict[str, float]:
    """One prompt's numbers, to be stored."""
    return {name: float(column[place]) for name, column in values.items()}


def prompt_rows(claim_hash: str, pairs: Iterable[PromptPair], values: Values) -> list[dict[str, Any]]:
    """The prompts of a measured batch as `Log.add_batch` takes them.

    Args:
        values: name -> [n] the numbers of the prompts, in their order.
    """
    return [
        {
            "claim_hash": claim_hash,
            "place": place,
            "uid": pair.uid,
            "template": pair.template,
            "prompt": {name: getattr(pair, name) for name in ("clean", "corrupted", "answer", "wrong")},
            "measured": from_values(values, place),
        }
        for place, pair in enumerate(pairs)
    ]


def to_data(effects: Sequence[m.Effect | sa.Row[Any]]) -> Data:
    """Stored per-prompt numbers as arrays: of rows with a template and what was measured."""
    names = effects[0].measured if effects else {}
    values: Values = {name: np.array([effect.measured[name] for effect in effects], dtype=float) for name in names}
    return Data(values, tuple(effect.template for effect in effects))


def explored_data(calibration: Mapping[str, Any]) -> Data:
    """The exploration numbers that a claim's constants come from, as they are stored with the claim."""
    values = {name: np.array(column, dtype=float) for name, column in calibration["values"].items()}
    return Data(values, tuple(calibration["templates"]))


def rerun_data(prompts: Sequence[Mapping[str, Any]]) -> Data:
    """The numbers of a re-run's prompts."""
    names = prompts[0]["measured"] if prompts else {}
    values: Values = {name: np.array([prompt["measured"][name] for prompt in prompts], dtype=float) for name in names}
    return Data(values, tuple(prompt["template"] for prompt in prompts))
