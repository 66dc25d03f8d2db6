"""Per-prompt numbers as they are stored, and as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lakatos.experiments_db.log import tables as m
from lakatos.tools.behaviour import PromptPair
from lakatos.tools.evidence import Data, Prediction, Unit, Values, join_values


def from_values(values: Values, place: int) -> dict[str, float]:
    """One prompt's numbers, to be stored."""
    return {name: float(column[place]) for name, column in values.items()}


@dataclass(frozen=True)
class Tested:
    """One prompt of one test, with the number of each run of the claim's battery."""

    batch: int  # of the claim's test: 0, 1, ...
    place: int  # in the batch
    uid: str
    template: str
    prompt: dict[str, str]  # clean, corrupted, answer, wrong
    measured: dict[str, float]  # by the names of the claim's record


@dataclass(frozen=True)
class Rows:
    """The rows that hold the prompts of tests; those of a draw or a batch in the order of their places."""

    draws: Mapping[int, m.Draw]
    prompts: Mapping[int, Sequence[m.Prompt]]  # by draw
    effects: Mapping[int, Sequence[m.Effect]]  # by batch, in logs of before streams

    def tested(self, prediction: Prediction, batches: Iterable[m.Batch]) -> list[Tested]:
        """The prompts of a claim's batches, which come in order. Raises LookupError: a row or a number is missing."""
        return [prompt for batch in batches for prompt in self._of(prediction, batch)]

    def _of(self, prediction: Prediction, batch: m.Batch) -> Iterator[Tested]:
        if batch.draw_id is None:
            for e in self.effects.get(batch.id, ()):
                yield Tested(batch.number, e.place, e.uid, e.template, e.prompt, e.measured)
            return
        common, own = (_arrays(stored) for stored in (self.draws[batch.draw_id].common, batch.own or {}))
        values = join_values(prediction.claim, prediction.measures, common, own)
        for p in self.prompts.get(batch.draw_id, ()):
            yield Tested(batch.number, p.place, p.uid, p.template, p.prompt, from_values(values, p.place))


def passed_over(unit: Unit, bet: Iterable[tuple[str, str]]) -> frozenset[str]:
    """What a stream leaves out, because its claims have bet on it: prompts, or templates where these are bet on.

    Args:
        bet: uid and template of each prompt.
    """
    return frozenset(template if unit == "template" else uid for uid, template in bet)


def _arrays(stored: Mapping[str, Sequence[float]]) -> Values:
    return {name: np.array(column, dtype=float) for name, column in stored.items()}


def columns(values: Values) -> dict[str, list[float]]:
    """Numbers of some prompts, to be stored: a list for each name."""
    return {name: [float(x) for x in column] for name, column in sorted(values.items())}


def texts(pair: PromptPair) -> dict[str, str]:
    """What of a pair is stored."""
    return {name: getattr(pair, name) for name in ("clean", "corrupted", "answer", "wrong")}


def to_data(effects: Sequence[Tested]) -> Data:
    """Stored per-prompt numbers as arrays."""
    names = effects[0].measured if effects else {}
    values: Values = {name: np.array([effect.measured[name] for effect in effects], dtype=float) for name in names}
    return Data(values, tuple(effect.template for effect in effects))


def explored_data(calibration: Mapping[str, Any]) -> Data:
    """The exploration numbers that a claim's constants come from, as they are stored with the claim."""
    return Data(_arrays(calibration["values"]), tuple(calibration["templates"]))


def rerun_data(prompts: Sequence[Mapping[str, Any]]) -> Data:
    """The numbers of a re-run's prompts."""
    names = prompts[0]["measured"] if prompts else {}
    values: Values = {name: np.array([prompt["measured"][name] for prompt in prompts], dtype=float) for name in names}
    return Data(values, tuple(prompt["template"] for prompt in prompts))
