"""What is true of an embedded program: which parts it uses, what they read, and what taking each of them away does.

Parts and connections are read off the compiled weights (`structure`), and what an intervention does is computed by the
interpreter: an operation is given the values that it has on another prompt, and the program is run. No transformer is
asked, so one can be held against the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lakatos.tools.behaviour import Behaviour, PromptPair, draw_donors
from lakatos.tools.model.rasp.compiling import Compiled
from lakatos.tools.model.rasp.describing import in_words
from lakatos.tools.model.rasp.embedding import ANSWER
from lakatos.tools.model.rasp.expressions import MIXED, Sop, Value, Values, evaluate
from lakatos.tools.model.rasp.placing import Placement, every_component
from lakatos.tools.model.rasp.programs import Program
from lakatos.tools.model.rasp.structure import computed_by, edges_of, needed
from lakatos.tools.model.rasp.vocabulary import vocabulary
from lakatos.tools.model.wording import word_tokenizer

Reading = Literal["specific", "redundant", "inert"]
NECESSARY = 0.15  # of the gap, lost by resample ablation of a part: the program cannot do without it
_PAIRS = 256


class RaspTruth(NamedTuple):
    """What is true of an embedded program. Components as text; heads and MLPs only."""

    computes: dict[str, str]  # component that is used -> what it computes
    inert: tuple[str, ...]  # whatever is done to them, nothing happens to the behaviour
    edges: tuple[tuple[str, str], ...]  # sender, receiver: "m0", "a1.h0.q"; "a0.h0", "a1.g0.k"; "a1.h0", "logits"
    reading: dict[str, Reading]  # every component -> what a necessity battery should say of it
    loses: dict[str, float]  # component that is used -> fraction of the gap that its resample ablation takes away
    restores: dict[str, float]  # the same -> fraction that its clean activation brings back on the corrupted prompt

    @property
    def used(self) -> tuple[str, ...]:
        return tuple(self.computes)

    @property
    def circuit(self) -> tuple[str, ...]:
        """The smallest set that keeps the behaviour when all else is replaced: every part that is used and needed."""
        return tuple(part for part in self.used if self.reading[part] == "specific")


class Prediction(NamedTuple):
    """Logit differences that the program gives; nan where symbols would be mixed and it has no answer."""

    clean: NDArray[np.float64]  # [n]
    corrupted: NDArray[np.float64]  # [n]
    ablated: NDArray[np.float64]  # [n]: clean, with a donor's values of the operations
    restored: NDArray[np.float64]  # [n]: corrupted, with the clean values of the operations

    @property
    def gap(self) -> float:
        return float(np.nanmean(self.clean - self.corrupted))


def truth_of(compiled: Compiled, placement: Placement, behaviour: Behaviour, seed: int = 0) -> RaspTruth:
    """The truth of a program placed so; what is lost is predicted on confirmation prompts drawn with the seed."""
    names, program = placement.names, compiled.program
    pairs = behaviour.sample(_PAIRS, seed, "confirmation")
    donors = draw_donors(behaviour, pairs, word_tokenizer(vocabulary(program).words), seed + 1)
    parts = dict(zip(names, computed_by(compiled), strict=True))
    loses, restores = {}, {}
    for name, computed in parts.items():
        found = predict(program, computed, list(pairs), list(donors))
        loses[name] = float(np.nanmean(found.clean - found.ablated)) / found.gap
        restores[name] = float(np.nanmean(found.restored - found.corrupted)) / found.gap
    inert = tuple(c for c in every_component() if c not in names)
    used = {names[i] for i in needed(compiled)}
    reading: dict[str, Reading] = dict.fromkeys(inert, "inert")
    reading |= {n: "specific" if n in used and loses[n] >= NECESSARY else "redundant" for n in names}
    computes = {name: "; ".join(map(in_words, computed)) for name, computed in parts.items()}
    return RaspTruth(computes, inert, _edges(compiled, names), reading, loses, restores)


def predict(
    program: Program, computed: Sequence[Sop], pairs: Sequence[PromptPair], donors: Sequence[PromptPair]
) -> Prediction:
    """What interventions on some operations do, by the interpreter.

    Args:
        computed: operations whose values are replaced.
        donors: one for each pair, of as many tokens.
    """
    rows = []
    for pair, donor in zip(pairs, donors, strict=True):
        clean, corrupted, other = (_symbols(program, text) for text in (pair.clean, pair.corrupted, donor.clean))
        taken = {sop: evaluate(sop, other) for sop in computed}
        brought = {sop: evaluate(sop, clean) for sop in computed}
        runs: list[tuple[list[str | None], dict[Sop, Values]]] = [
            (clean, {}),
            (corrupted, {}),
            (clean, taken),
            (corrupted, brought),
        ]
        rows.append([_difference(program, evaluate(program.expression, *run)[-1], pair) for run in runs])
    return Prediction(*np.array(rows).T)


def _symbols(program: Program, text: str) -> list[str | None]:
    return [word if word in program.alphabet else None for word in text.split()]


def _difference(program: Program, value: Value | None, pair: PromptPair) -> float:
    """Logits of the answer minus those of the wrong one."""
    if value == MIXED:
        return np.nan
    word = None if value is None else f" {program.word(value)}"
    return ANSWER * ((word == pair.answer) - (word == pair.wrong))


def _edges(compiled: Compiled, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    found = []
    for edge in edges_of(compiled):
        if edge.receiver is None:
            found.append((names[edge.sender], "logits"))
            continue
        receiver = names[edge.receiver]
        if edge.input in ("k", "v"):  # keys and values belong to a group, which here is a head
            receiver = receiver.replace(".h", ".g")
        found.append((names[edge.sender], receiver if edge.input == "mlp" else f"{receiver}.{edge.input}"))
    return tuple(found)
