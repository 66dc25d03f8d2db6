"""A large log that looks like a real one, written in bulk: what reading, indexing and browsing are timed on.

Claims are of six kinds, about heads and MLPs of a model of 48 layers and 25 heads; their batteries, effects and
evidence come from `lakatos.tools.evidence`, drawn once for each of a few dozen variants (`synthetic_variants.py`). What
is beneath hypotheses is taken from these: prompts and their numbers, calibrations, evidence (its e-value a little
changed, so that no two are alike). Every batch has prompts of its own, in the form that logs had before claims shared
streams: reading knows both. The guards are off while rows are written, digests are not those of the rows, and
the ledger has one entry for a thousand claims: `lakatos verify` would complain of all that.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from synthetic_variants import BATCHES, KINDS, MOST, VARIANTS, Row, Variant, pool, shares

from lakatos.experiments_db import open_store
from lakatos.experiments_db.log import GENESIS
from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.log.migrations.guards import APPEND_ONLY, statements
from lakatos.tools.behaviour import load_behaviour
from lakatos.tools.claim import CLAIM, AnyClaim, NodeEffect, atoms, claim_fields
from lakatos.tools.multiplicity import slot_weights, success_threshold
from lakatos.tools.records import content_hash

LAYERS, HEADS = 48, 25
STRONG = 6  # a variant of node effects that is confirmed
CHUNK = 1000  # claims in one ledger entry
MODELS = ("gpt2-xl", "pythia-1.4b", "smollm2-135m", "llama-3.2-1b", "qwen3-0.6b")
BEHAVIOURS = ("ioi", "greater_than", "induction", "capital_of", "subject_verb", "successor", "antonym", "docstring")
PROPOSERS = ("llm", "llm", "attribution", "random", "file")
AUTHORS = ("Ada", "Grace", "Emmy")
WORDS = ["attribution", "ranks", "it", "first", "name", "mover", "inhibition", "induction", "copies", "answer", "late"]
WORDS += ["suppresses", "subject", "reads", "residual", "stream", "writes", "logits", "backup", "earlier", "rival"]

About = tuple[str, str, str, str]  # behaviour, its hash, weights, model


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
    variants = pool(raw, rng)
    _runs(raw, rng, store.study.id, runs)
    hashes = sorted(content_hash(number) for number in range(tests))  # in order: an index is appended to, not searched
    claims = Claims(raw, rng, variants, store.study.id, slot_weights(tests))
    kept = raw.execute("SELECT behaviour, behaviour_hash, weights, model FROM runs ORDER BY id").fetchall()
    for start in range(1, tests + 1, CHUNK):
        ids = range(start, min(start + CHUNK, tests + 1))
        for number in ids:
            run = 1 + (number - 1) * runs // tests
            claims.write(number, run, kept[run - 1], hashes[number - 1])
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


@dataclass
class Claims:
    """Proposals and all that follows of them, written one after another."""

    raw: sqlite3.Connection
    rng: np.random.Generator
    variants: list[Variant]
    study: int
    weights: NDArray[np.float64]  # of slots
    strong: dict[About, NodeEffect] = field(default_factory=dict)  # the newest that is confirmed

    def write(self, number: int, run: int, about: About, identity: str) -> None:
        """A proposal, its hypothesis, its batches and its evidence; every tenth proposal is refused."""
        which = int(self.rng.choice(len(self.variants), p=shares(len(self.variants))))
        claim = self._claim(which, about)
        record = self._record(claim, self.variants[which], number, about, identity)
        self._hypothesis(claim, record, number, run, self.variants[which].calibration)
        n_batches = BATCHES[number % len(BATCHES)]
        first = 1 + sum(BATCHES) * ((number - 1) // 4) + sum(BATCHES[(1 + k) % 4] for k in range((number - 1) % 4))
        self.raw.executemany(
            "INSERT INTO batches (id, hypothesis_id, number, seed, drawn_at, e_after, engine, forwards, seconds, at, "
            f"digest) VALUES (?, ?, ?, '1', '{_DRAWN}', 1.5, ?, 52.8, 0.5, '{_AT}', 'sha256:none')",
            [(first + k, number, k, f"{which} suffix") for k in range(n_batches)],
        )
        if number <= len(self.weights) - 20:  # the last run is still testing
            self._evidence(self.variants[which], number, n_batches)

    def _claim(self, which: int, about: About) -> AnyClaim:
        """A claim of a variant's kind; sometimes the opposite of what the study has confirmed, of which nothing is."""
        claim = _drawn(self.rng, KINDS[which // VARIANTS])
        if which == STRONG and isinstance(claim, NodeEffect):
            self.strong[about] = claim
        elif which == 0 and about in self.strong and self.rng.random() < 0.3:
            turned = {"supports": "opposes", "opposes": "supports"}[self.strong[about].direction]
            return self.strong[about].model_copy(update={"direction": turned})
        return claim

    def _record(self, claim: AnyClaim, variant: Variant, number: int, about: About, identity: str) -> Row:
        """What is registered."""
        behaviour, behaviour_hash, weights, model = about
        weight = float(self.weights[number - 1])
        return {
            "claim": claim_fields(claim),
            "behaviour": behaviour,
            "behaviour_hash": behaviour_hash,
            "model": model,
            "weights": weights,
            "shape": {"n_layers": LAYERS, "n_heads": HEADS, "n_key_value_heads": HEADS, "d_mlp": 6400},
            "role": "null" if claim.kind == "no_effect" else "main",
            "predicted": round(float(self.rng.normal(0.2, 0.1)), 3),
            "battery": variant.battery.model_dump(mode="json"),
            "measures": variant.measures,
            "controls": {},
            "cap": MOST,
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

    def _hypothesis(self, claim: AnyClaim, record: Row, number: int, run: int, calibration: str) -> None:
        """A proposal that was registered; after every ninth, one that was refused as its duplicate."""
        place = number + (number - 1) // 9
        proposed = {"claim": record["claim"]}
        _insert(self.raw, m.Proposal, id=place, run_id=run, round=1, place=place, proposal=proposed)
        _insert(
            self.raw,
            m.HypothesisRow,
            id=number,
            study_id=self.study,
            run_id=run,
            proposal_id=place,
            claim_hash=record["seed_commitment"],
            slot=number,
            registered_at=_AT,
            kind=claim.kind,
            behaviour=record["behaviour"],
            behaviour_hash=record["behaviour_hash"],
            weights=record["weights"],
            subject="+".join(claim.tested.components),
            atoms=list(atoms(claim, HEADS)),
            record=record,
            rationale=" ".join(self.rng.choice(WORDS, 14)) + ".",
            calibration=calibration,
            forwards=64.0,
            seconds=0.5,
        )
        if number % 9 == 0:
            twice = {"claim": "twice"}
            _insert(self.raw, m.Proposal, id=place + 1, run_id=run, round=1, place=place + 1, proposal=twice)
            refusal = {"kind": "duplicate", "reason": f"registered already, as hypothesis {number}"}
            _insert(self.raw, m.Refusal, proposal_id=place + 1, duplicate_of=number, **refusal)

    def _evidence(self, variant: Variant, number: int, batches: int) -> None:
        """What a variant shows after so many batches, its e-value and p-value a little changed."""
        shown = variant.crash if number % 97 == 0 else variant.evidence[batches]
        e = shown["e"] * float(np.exp(self.rng.normal(0, 0.5)))
        p = float(np.clip(shown["p"] * np.exp(self.rng.normal(0, 0.3)), 1e-5, 1))
        frozen = shown | {"e": e, "p": p}
        _insert(self.raw, m.EvidenceRow, id=number, hypothesis_id=number, e=e, p=p, stop=shown["stop"], record=frozen)


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
