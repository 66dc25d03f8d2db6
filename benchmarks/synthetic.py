"""A large log that looks like a real one, written in bulk: what reading, indexing and browsing are timed on.

Claims are of six kinds, about heads and MLPs of a model of 48 layers and 25 heads; their batteries, effects and
evidence come from `lakatos.tools.evidence`, drawn once for each of a few dozen variants. What is beneath hypotheses is
taken from these: prompts and their numbers, calibrations, evidence (its e-value a little changed, so that no two are
alike). The guards are off while rows are written, digests are not those of the rows, and the ledger has one entry for a
thousand claims: `lakatos verify` would complain of all that.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lakatos.experiments_db import open_store
from lakatos.experiments_db.log import GENESIS
from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.log.migrations.guards import APPEND_ONLY, statements
from lakatos.tools.behaviour import Behaviour, load_behaviour
from lakatos.tools.claim import CLAIM, AnyClaim, NodeEffect, atoms, claim_fields
from lakatos.tools.evidence import Battery, Data, conclude, crashed, fixed, gaps
from lakatos.tools.multiplicity import slot_weights, success_threshold
from lakatos.tools.records import content_hash
from lakatos.tools.statistics import BATCH

LAYERS, HEADS = 48, 25
BATCHES = (6, 6, 6, 7)  # of a test, in turn: 100 prompts on average
VARIANTS = 8  # of each kind: what its effects are like
STRONG = 6  # a variant of node effects that is confirmed
CHUNK = 1000  # claims in one ledger entry
MODELS = ("gpt2-xl", "pythia-1.4b", "smollm2-135m", "llama-3.2-1b", "qwen3-0.6b")
BEHAVIOURS = ("ioi", "greater_than", "induction", "capital_of", "subject_verb", "successor", "antonym", "docstring")
PROPOSERS = ("llm", "llm", "attribution", "random", "file")
AUTHORS = ("Ada", "Grace", "Emmy")
KINDS: tuple[dict[str, Any], ...] = (
    {"kind": "node_effect"},
    {"kind": "node_effect", "intervention": "noising"},
    {"kind": "necessity"},
    {"kind": "mediation", "receivers": ["a40.h3"]},
    {"kind": "no_effect"},
    {"kind": "attention_role", "attends_from": "END", "attends_to": "IO"},
)
WORDS = ["attribution", "ranks", "it", "first", "name", "mover", "inhibition", "induction", "copies", "answer", "late"]
WORDS += ["suppresses", "subject", "reads", "residual", "stream", "writes", "logits", "backup", "earlier", "rival"]

Row = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """What claims of one kind have in common: the numbers beneath them."""

    battery: Battery
    measures: list[str]
    calibration: str
    evidence: dict[int, Row]  # by number of batches
    crash: Row


def write(path: Path, tests: int, runs: int, progress: Callable[[int, int], None]) -> None:
    """Make the database: `tests` hypotheses with 100 prompts each on average, in `runs` runs."""
    part = path.with_suffix(".part")
    for end in ("", "-wal", "-shm", "-journal"):
        Path(f"{part}{end}").unlink(missing_ok=True)
    store = open_store(str(part), secret_seed="synthetic")
    store.engine.dispose()
    raw = sqlite3.connect(part, isolation_level=None)
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1000000", "locking_mode = EXCLUSIVE"):
        raw.execute(f"PRAGMA {pragma}")
    for (trigger,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        raw.execute(f"DROP TRIGGER {trigger}")
    rng = np.random.default_rng(0)
    raw.execute("BEGIN")
    variants = _pool(raw, rng)
    _runs(raw, rng, store.study.id, runs)
    hashes = sorted(content_hash(number) for number in range(tests))  # in order: an index is appended to, not searched
    shares = slot_weights(tests)
    strong: dict[Any, NodeEffect] = {}
    kept = raw.execute("SELECT behaviour, behaviour_hash, weights, model FROM runs ORDER BY id").fetchall()
    for start in range(1, tests + 1, CHUNK):
        ids = range(start, min(start + CHUNK, tests + 1))
        for number in ids:
            run = 1 + (number - 1) * runs // tests
            _claim(raw, rng, variants, store.study.id, number, run, kept[run - 1], hashes[number - 1], shares, strong)
        raw.execute(_EFFECTS, (ids[0], ids[-1]))
        _ledger(raw, ids)
        progress(ids[-1], tests)
    _reviews(raw, rng, tests)
    raw.execute("DROP TABLE pool")
    for statement in statements("sqlite", APPEND_ONLY):
        raw.execute(statement)
    raw.execute("COMMIT")
    raw.execute("ANALYZE")
    raw.close()
    part.rename(path)


# -- what is shared by many claims -----------------------------------------------------------------------------------


def _pool(raw: sqlite3.Connection, rng: np.random.Generator) -> list[Variant]:
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
    most = BATCH * max(BATCHES)
    matched = {"random": ("a8.h1", "a10.h2", "a9.h9"), "positions": ("S1", "S2", "rest")}
    explored = _measured(rng, claim, matched, 64, strength)
    unigram = {"plain_text": 6.0} if claim.tested.needs_controls else {}
    gap, control_gaps = gaps(explored, unigram)
    battery = fixed(claim, Battery.draft(gap, control_gaps, matched), Data(explored, ("t1", "t2") * 32), most, 20)
    pairs = behaviour.sample(most, number, split="confirmation")
    values = _measured(rng, claim, matched, most, strength)
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


# -- rows ------------------------------------------------------------------------------------------------------------

_AT = "2026-01-01T00:00:00.000000+00:00"
_DRAWN = "2026-01-01T00:00:01.000000+00:00"
_EFFECTS = f"""
INSERT INTO effects (at, digest, batch_id, claim_hash, place, uid, template, prompt, measured)
SELECT '{_AT}', 'sha256:none', b.id, h.claim_hash, p.place, p.uid, p.template, p.prompt, p.measured
FROM hypotheses h CROSS JOIN batches b ON b.hypothesis_id = h.id
CROSS JOIN pool p ON p.variant = CAST(b.engine AS INTEGER) AND p.number = b.number
WHERE h.id BETWEEN ? AND ?
"""


def _insert(raw: sqlite3.Connection, table: type[m.Row], **values: Any) -> None:
    row = {"at": _AT, "digest": "sha256:none", **values}
    marks = ", ".join("?" * len(row))
    packed = [json.dumps(value) if isinstance(value, dict | list) else value for value in row.values()]
    raw.execute(f"INSERT INTO {table.__tablename__} ({', '.join(row)}) VALUES ({marks})", packed)


def _runs(raw: sqlite3.Connection, rng: np.random.Generator, study: int, runs: int) -> None:
    known = {name: load_behaviour(name) for name in BEHAVIOURS}
    controls = {"plain_text": load_behaviour("plain_text").model_dump(mode="json")}
    for number in range(1, runs + 1):
        behaviour, model = known[BEHAVIOURS[number % len(BEHAVIOURS)]], MODELS[number % len(MODELS)]
        _insert(
            raw,
            m.Run,
            id=number,
            study_id=study,
            behaviour=behaviour.name,
            behaviour_hash=behaviour.hash,
            behaviour_definition=behaviour.model_dump(mode="json"),
            controls=controls,
            model=model,
            weights=content_hash(model),
            proposer=PROPOSERS[int(rng.integers(len(PROPOSERS)))],
            seed=str(number),
            config={"hypotheses": 200},
            environment={"python": "3.11"},
        )
        for kind in ("started", "finished") if number < runs else ("started",):
            _insert(raw, m.Event, run_id=number, kind=kind, payload={}, forwards=100.0, seconds=1.0)


def _claim(
    raw: sqlite3.Connection,
    rng: np.random.Generator,
    variants: list[Variant],
    study: int,
    number: int,
    run: int,
    about: tuple[str, str, str, str],
    identity: str,
    weights_of: NDArray[np.float64],
    strong: dict[Any, NodeEffect],
) -> None:
    """A proposal, its hypothesis, its batches and its evidence; every tenth proposal is refused."""
    behaviour, behaviour_hash, weights, model = about
    which = int(rng.choice(len(variants), p=_shares(len(variants))))
    variant, n_batches = variants[which], BATCHES[number % len(BATCHES)]
    claim = _drawn(rng, KINDS[which // VARIANTS])
    if which == STRONG and isinstance(claim, NodeEffect):
        strong[about] = claim
    elif which == 0 and about in strong and rng.random() < 0.3:  # nothing is found of what the study has confirmed
        turned = {"supports": "opposes", "opposes": "supports"}[strong[about].direction]
        claim = strong[about].model_copy(update={"direction": turned})
    weight = float(weights_of[number - 1])
    n_max = BATCH * max(BATCHES)
    record = {
        "claim": claim_fields(claim),
        "behaviour": behaviour,
        "behaviour_hash": behaviour_hash,
        "model": model,
        "weights": weights,
        "shape": {"n_layers": LAYERS, "n_heads": HEADS, "n_key_value_heads": HEADS, "d_mlp": 6400},
        "role": "null" if claim.kind == "no_effect" else "main",
        "predicted": round(float(rng.normal(0.2, 0.1)), 3),
        "battery": variant.battery.model_dump(mode="json"),
        "measures": variant.measures,
        "controls": {},
        "cap": n_max,
        "templates": 20,
        "corpus": None,
        "nonce": f"{number:032x}",
        "family": "main",
        "alpha": 0.05,
        "slot": number,
        "weight": weight,
        "threshold": success_threshold(weight, 0.05),
        "seed_commitment": identity,
    }
    place = number + (number - 1) // 9
    _insert(raw, m.Proposal, id=place, run_id=run, round=1, place=place, proposal={"claim": record["claim"]})
    _insert(
        raw,
        m.HypothesisRow,
        id=number,
        study_id=study,
        run_id=run,
        proposal_id=place,
        claim_hash=identity,
        slot=number,
        registered_at=_AT,
        kind=claim.kind,
        behaviour=behaviour,
        behaviour_hash=behaviour_hash,
        weights=weights,
        subject="+".join(claim.tested.components),
        atoms=list(atoms(claim, HEADS)),
        record=record,
        rationale=" ".join(rng.choice(WORDS, 14)) + ".",
        calibration=variant.calibration,
        forwards=64.0,
        seconds=0.5,
    )
    if number % 9 == 0:
        _insert(raw, m.Proposal, id=place + 1, run_id=run, round=1, place=place + 1, proposal={"claim": "twice"})
        refusal = {"kind": "duplicate", "reason": f"registered already, as hypothesis {number}"}
        _insert(raw, m.Refusal, proposal_id=place + 1, duplicate_of=number, **refusal)
    first = 1 + sum(BATCHES) * ((number - 1) // 4) + sum(BATCHES[(1 + k) % 4] for k in range((number - 1) % 4))
    raw.executemany(
        "INSERT INTO batches (id, hypothesis_id, number, seed, drawn_at, e_after, engine, forwards, seconds, at, "
        f"digest) VALUES (?, ?, ?, '1', '{_DRAWN}', 1.5, ?, 52.8, 0.5, '{_AT}', 'sha256:none')",
        [(first + k, number, k, f"{which} suffix") for k in range(n_batches)],
    )
    if number > len(weights_of) - 20:
        return  # the last run is still testing
    shown = variant.crash if number % 97 == 0 else variant.evidence[n_batches]
    e = shown["e"] * float(np.exp(rng.normal(0, 0.5)))
    p = float(np.clip(shown["p"] * np.exp(rng.normal(0, 0.3)), 1e-5, 1))
    frozen = shown | {"e": e, "p": p}
    _insert(raw, m.EvidenceRow, id=number, hypothesis_id=number, e=e, p=p, stop=shown["stop"], record=frozen)


def _shares(n: int) -> list[float]:
    """Weak variants are the most."""
    weights = [1.0 if k % VARIANTS in (0, 1, 2, 3, 7) else 0.3 for k in range(n)]
    return [x / sum(weights) for x in weights]


def _drawn(rng: np.random.Generator, kind: Row) -> AnyClaim:
    """A claim of this kind about one to three heads or MLPs; a thirtieth of them on another prompt family."""
    attention = kind["kind"] == "attention_role"
    layers = sorted(rng.choice(LAYERS - 10, 1 if attention else int(rng.integers(1, 4)), replace=False).tolist())
    ends = ("",) if attention else ("", "@END", "@S2", "@IO")
    components = []
    for layer in layers:
        name = f"m{layer}" if not attention and rng.random() < 0.15 else f"a{layer}.h{int(rng.integers(HEADS))}"
        components.append(name + ends[int(rng.integers(len(ends)))])
    fields = {**kind, "components": components, "threshold": round(float(rng.uniform(0.05, 0.2)), 3)}
    if kind["kind"] in ("node_effect", "mediation") and rng.random() < 0.2:
        fields["direction"] = "opposes"
    if rng.random() < 1 / 30:
        fields = {"kind": "generalisation", "parent": fields, "family": "distant"}
    return CLAIM.validate_python(fields)


def _reviews(raw: sqlite3.Connection, rng: np.random.Generator, tests: int) -> None:
    said = ("accept", "dispute", "replicate", "retract", "score")
    for number in rng.choice(np.arange(1, tests + 1), min(tests, max(tests // 50, 1)), replace=False).tolist():
        decision = said[int(rng.integers(len(said)))]
        score = int(rng.integers(1, 6)) if decision == "score" else None
        author = AUTHORS[int(rng.integers(len(AUTHORS)))]
        words = {"author": author, "decision": decision, "score": score, "reason": "Looked at it.", "blind": False}
        _insert(raw, m.Review, hypothesis_id=number, **words)


def _ledger(raw: sqlite3.Connection, ids: range) -> None:
    """One entry that names some hypotheses, chained to the one before."""
    last = raw.execute("SELECT id, entry_hash FROM ledger ORDER BY id DESC LIMIT 1").fetchone() or (0, GENESIS)
    rows = [["hypotheses", number, "sha256:none"] for number in ids]
    entry = m.LedgerEntry(id=last[0] + 1, rows=rows, previous=last[1])
    row = (entry.id, json.dumps(rows), entry.previous, entry.compute_hash())
    raw.execute('INSERT INTO ledger (id, "rows", previous, entry_hash) VALUES (?, ?, ?, ?)', row)
