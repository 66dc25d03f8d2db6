"""The variants of a synthetic log's claims: numbers beneath them, drawn once and shared by many claims."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

import numpy as np

from lakatos.tools.behaviour import Behaviour, load_behaviour
from lakatos.tools.claim import CLAIM, AnyClaim
from lakatos.tools.evidence import Battery, Data, conclude, crashed, fixed, gaps
from lakatos.tools.statistics import BATCH

BATCHES = (6, 6, 6, 7)  # of a test, in turn: 100 prompts on average
MOST = BATCH * max(BATCHES)  # prompts of a test
VARIANTS = 8  # of each kind: what its effects are like
KINDS: tuple[dict[str, Any], ...] = (
    {"kind": "node_effect"},
    {"kind": "node_effect", "intervention": "noising"},
    {"kind": "necessity"},
    {"kind": "mediation", "receivers": ["a40.h3"]},
    {"kind": "no_effect"},
    {"kind": "attention_role", "attends_from": "END", "attends_to": "IO"},
)

Row = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """What claims of one kind have in common: the numbers beneath them."""

    battery: Battery
    measures: list[str]
    calibration: str
    evidence: dict[int, Row]  # by number of batches
    crash: Row


def pool(raw: sqlite3.Connection, rng: np.random.Generator) -> list[Variant]:
    """Variants of every kind, and their prompts as a table."""
    raw.execute(
        "CREATE TABLE pool (variant INTEGER, number INTEGER, place INTEGER, uid TEXT, template TEXT, prompt TEXT, "
        "measured TEXT, PRIMARY KEY (variant, number, place)) WITHOUT ROWID"
    )
    behaviour = load_behaviour("ioi")
    found = []
    for number in range(len(KINDS) * VARIANTS):
        kind, strength = KINDS[number // VARIANTS], (0.0, 0.0, 0.05, 0.1, 0.4, 0.8, 1.5, -0.3)[number % VARIANTS]
        claim = CLAIM.validate_python({**kind, "components": ["a9.h6"]})
        found.append(_variant(raw, rng, number, claim, strength, behaviour))
    return found


def _variant(
    raw: sqlite3.Connection,
    rng: np.random.Generator,
    number: int,
    claim: AnyClaim,
    strength: float,
    behaviour: Behaviour,
) -> Variant:
    matched = {"random": ("a8.h1", "a10.h2", "a9.h9"), "positions": ("S1", "S2", "rest")}
    explored = _measured(rng, claim, matched, 64, strength)
    unigram = {"plain_text": 6.0} if claim.tested.needs_controls else {}
    gap, control_gaps = gaps(explored, unigram)
    battery = fixed(claim, Battery.draft(gap, control_gaps, matched), Data(explored, ("t1", "t2") * 32), MOST, 20)
    pairs = behaviour.sample(MOST, number, split="confirmation")
    values = _measured(rng, claim, matched, MOST, strength)
    raw.executemany(
        "INSERT INTO pool VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            (
                *(number, k // BATCH, k % BATCH, pair.uid, pair.template),
                json.dumps({name: getattr(pair, name) for name in ("clean", "corrupted", "answer", "wrong")}),
                json.dumps({name: float(column[k]) for name, column in values.items()}),
            )
            for k, pair in enumerate(pairs)
        ),
    )
    evidence = {}
    for batches in set(BATCHES):
        some = {name: column[: BATCH * batches] for name, column in values.items()}
        data = Data(some, tuple(pair.template for pair in pairs[: BATCH * batches]))
        shown = conclude(claim, battery, 4000.0, data, str(number)).model_dump(mode="json")
        evidence[batches] = shown | {"stop": "exhausted" if shown["stop"] == "interrupted" else shown["stop"]}
    calibration = {"values": {k: v.tolist() for k, v in explored.items()}, "templates": [], "unigram": unigram}
    crash = crashed("RuntimeError: out of memory", n=96).model_dump(mode="json")
    return Variant(battery, sorted(values), json.dumps(calibration), evidence, crash)


def _measured(rng: np.random.Generator, claim: AnyClaim, matched: Any, n: int, strength: float) -> dict[str, Any]:
    """What the runs of a battery might show on n prompts: gap 4, effects of `strength` times that."""
    if claim.kind == "attention_role":
        shares = {f"attention.{name}": rng.uniform(0, 0.2, n) for name in matched["positions"]}
        return {"attention.IO": np.clip(rng.normal(0.1 + strength / 2, 0.1, n), 0, 1), **shares}
    corrupted = rng.normal(-2, 0.5, n)
    values = {"clean": corrupted + 4 + rng.normal(0, 0.5, n), "corrupted": corrupted}
    for arm in claim.arms(matched):
        moved = 4 * strength * (not arm.name.startswith("random")) + rng.normal(0, 0.4, n)
        values[arm.name] = corrupted + moved if arm.base == "corrupted" else values["clean"] - moved
    if claim.tested.needs_controls:
        values["control.plain_text.clean"] = rng.normal(3, 0.3, n)
        values["control.plain_text.intervened"] = values["control.plain_text.clean"] + rng.normal(0.02, 0.05, n)
    return {name: np.round(column, 6) for name, column in values.items()}


def shares(n: int) -> list[float]:
    """Weak variants are the most."""
    weights = [1.0 if k % VARIANTS in (0, 1, 2, 3, 7) else 0.3 for k in range(n)]
    return [x / sum(weights) for x in weights]
