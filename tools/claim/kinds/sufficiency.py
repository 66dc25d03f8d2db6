"""A circuit: with every head and MLP outside of it ablated, the behaviour stays, and not so with other circuits."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any, Literal

import numpy as np
from pydantic import Field

from lakatos.tools.claim.base import (
    ABLATION,
    METRIC,
    REPLACED_BY,
    THRESHOLD,
    Gauge,
    Matched,
    Part,
    Scores,
    SearchedClaim,
    Values,
    split,
)
from lakatos.tools.claim.kinds.circuit import CircuitClaim
from lakatos.tools.claim.measures import CIRCUIT, CLEAN, Arm, of_match
from lakatos.tools.claim.opponents import anywhere, distinct
from lakatos.tools.claim.schema import Offer, Schema, claim_form, ref
from lakatos.tools.claim.vocabulary import LEAST_RANDOM
from lakatos.tools.claim.words import Phrase, count, fraction, percent
from lakatos.tools.component import Shape, canonical

DEFAULT_FAITHFULNESS = 0.8
SHUFFLES = 4  # searches on shuffled labels, of which the best circuit counts


class Sufficiency(CircuitClaim, SearchedClaim):
    """A circuit: with every head and MLP outside of it ablated, the behaviour stays, and not so with other circuits.

    The others are random circuits of the same size, and the best of those that the same search (attribution patching)
    finds when answers are shuffled: any search finds some subnetwork. The bound from above refuses a "circuit" that
    does the task better than the model, which then works otherwise (Shi et al. 2024, "Hypothesis testing the circuit
    hypothesis").
    """

    synonyms = ("circuit",)
    example = "m0 + a9.h6 sufficient for ioi (resample, logit_diff, >= 10% of gap, >= 80% of model)"
    phrases = (Phrase("sufficient for"),)
    options = (
        ABLATION,
        METRIC,
        THRESHOLD,
        fraction("faithfulness", ">=", "model"),
        count("matched_random", LEAST_RANDOM, "random"),
    )
    most = 200
    of_gap = False  # the main effect is what is left beyond a share of the model's metric

    kind: Literal["sufficiency"] = "sufficiency"
    faithfulness: float = Field(
        DEFAULT_FAITHFULNESS, gt=0, le=1, description="share of the model's metric that the circuit keeps"
    )
    matched_random: int = Field(
        LEAST_RANDOM, ge=LEAST_RANDOM, le=8, description="how many random circuits it must beat"
    )

    def arms(self, matched: Matched) -> tuple[Arm, ...]:
        others = [
            (of_match(k, role), split(text)) for role in ("random", "shuffled") for k, text in enumerate(matched[role])
        ]
        found = [(CIRCUIT, self.components), *others]
        return tuple(Arm(name, components, self.ablation, keep=True) for name, components in found)

    def parts(self, gauge: Gauge, values: Values) -> list[Part]:
        circuit, model = values[CIRCUIT], values[CLEAN]
        delta, tau = self.threshold * gauge.gap, self.faithfulness
        parts = [
            Part(
                "keeps the behaviour",
                circuit - tau * model,
                0.0,
                f"{self.unit} beyond {100 * tau:.4g} % of the model's",
            ),
            Part("not beyond the model", (2 - tau) * model - circuit, 0.0, self.unit),
        ]
        for k in range(len(gauge.matched["random"])):
            parts.append(Part(f"beyond random circuit {k}", circuit - values[of_match(k)], delta, self.unit))
        for k in range(len(gauge.matched["shuffled"])):
            lost = circuit - values[of_match(k, "shuffled")]
            parts.append(Part("beyond the shuffled search", lost, delta, self.unit))
        return parts

    def draw(self, rng: random.Random, shape: Shape) -> dict[str, tuple[str, ...]]:
        own = set(self.components)
        return {"random": distinct(self.matched_random, lambda: anywhere(rng, self.parsed(), shape), own)}

    def found_by_search(self, scores: Scores, seed: str) -> list[Arm]:
        circuits = shuffled_circuits(self, scores, seed)
        return [Arm(of_match(k, "shuffled"), circuit, self.ablation, keep=True) for k, circuit in enumerate(circuits)]

    def in_words(self, behaviour: str) -> str:  # noqa: ARG002
        return (
            f"With every head and MLP but {self.where} replaced by {REPLACED_BY[self.ablation]}, at least "
            f"{percent(self.faithfulness)} of the {self.metric_in_words} stays, and at least {self.amount} more than "
            "with random circuits of this size or with what the same search finds for shuffled answers."
        )

    @classmethod
    def schemas(cls, offer: Offer) -> dict[str, Schema]:  # noqa: ARG003
        fields = {"components": ref("circuit"), "ablation": ref("ablation"), "faithfulness": ref("faithfulness")}
        return {cls.name(): claim_form(cls.name(), **fields, threshold=ref("threshold"))}


def shuffled_circuits(claim: Sufficiency, scores: Scores, seed: str) -> list[tuple[str, ...]]:
    """What the same search finds where labels mean nothing: circuits of the claim's size from shuffled answers.

    The search takes the nodes of largest mean attribution. Shuffling swaps answer and wrong at random in each pair; as
    both metrics change sign with that, so do the pair's attributions.
    """
    rng = np.random.Generator(np.random.PCG64(int.from_bytes(seed.encode(), "big") % 2**63))
    members = claim.parsed()
    wanted: dict[tuple[str, Any], int] = defaultdict(int)
    for member in members:
        wanted[member.kind, member.position] += 1
    n = len(next(iter(scores.values())))
    found = []
    for _ in range(SHUFFLES):
        signs = rng.integers(0, 2, n) * 2.0 - 1.0
        circuit: list[str] = []
        for (kind, position), size in wanted.items():
            like = [c for c in scores if (c.kind, c.position) == (kind, position)]
            ranked = sorted(like, key=lambda c: (-float((signs * scores[c]).mean()), str(c)))
            circuit += [str(c) for c in ranked[:size]]
        found.append(canonical(tuple(circuit)))
    return list(dict.fromkeys(circuit for circuit in found if circuit != claim.components))
