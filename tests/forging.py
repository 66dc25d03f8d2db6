"""Numbers that nobody measured, told so that everything in the log follows from them."""

from __future__ import annotations

import json

import numpy as np
from tampering import rechain, unguarded

from lakatos.experiments_db import open_store
from lakatos.experiments_db.log import from_values
from lakatos.tools.claim import control_names
from lakatos.tools.evidence import Data, conclude, e_process, stopped
from lakatos.tools.experiment import draw_prompts, needs_donors
from lakatos.tools.statistics import BATCH

UNTOUCHED = ("clean", "corrupted", "random.", "control.", "attention.")


def bent(values):
    """A claim's numbers, as if the intervention did all that there is to do."""
    own = [name for name in values if not name.startswith(UNTOUCHED)]
    towards = values["clean"] if _is_patch(values) else values["corrupted"]
    return {name: np.array(towards) if name in own else column for name, column in values.items()}


def _is_patch(values):
    return not any(name.startswith("control.") for name in values)


def forge(db, hypothesis_id):
    """A failed claim of a finished log becomes what its bent numbers give; e-values, evidence, events, chain follow."""
    store = open_store(str(db))
    entry = store.hypothesis(str(hypothesis_id))
    claim, battery, threshold = entry.claim, entry.battery, entry.prediction.threshold
    effects, batches = store.effects(entry.id), store.batches(entry.id)
    columns = {name: np.array([e.measured[name] for e in effects]) for name in effects[0].measured}
    changed, templates = bent(columns), tuple(e.template for e in effects)
    told, done = [], []
    with unguarded(db) as raw:
        for batch in batches:
            if stopped(claim, battery, threshold, done):
                raw.execute("DELETE FROM effects WHERE batch_id = ?", (batch.id,))
                raw.execute("DELETE FROM batches WHERE id = ?", (batch.id,))
                continue
            own = [k for k, e in enumerate(effects) if e.batch_id == batch.id]
            told += own
            done.append(Data({n: v[own] for n, v in changed.items()}, tuple(templates[k] for k in own)))
            e_after = float(e_process(claim, battery, Data.join(done))[-1])
            raw.execute("UPDATE batches SET e_after = ? WHERE id = ?", (e_after, batch.id))
            for k in own:
                measured = json.dumps(from_values(changed, k))
                raw.execute("UPDATE effects SET measured = ? WHERE id = ?", (measured, effects[k].id))
        assert stopped(claim, battery, threshold, done), "the rule must have fired"
        evidence = conclude(claim, battery, threshold, Data.join(done), entry.claim_hash)
        raw.execute(
            "UPDATE evidence SET e = ?, p = ?, stop = ?, record = ? WHERE hypothesis_id = ?",
            (evidence.e, evidence.p, evidence.stop, json.dumps(evidence.model_dump(mode="json")), entry.id),
        )
    confirmed = [e.id for e in open_store(str(db)).hypotheses(entry.run_id) if e.state == "confirmed"]
    with unguarded(db) as raw:
        where = "kind = 'finished' AND run_id = ?"
        raw.execute(
            f"UPDATE events SET payload = json_set(payload, '$.confirmed', json(?)) WHERE {where}",
            (json.dumps(confirmed), entry.run_id),
        )
    return rechain(db, renumber=True)


def forge_at_the_front_door(store, run, entry, behaviour, controls, tokenizer):
    """A registered claim gets invented numbers for the right prompts, through the log's own functions."""
    claim, battery, threshold = entry.claim, entry.battery, entry.prediction.threshold
    invented = bent(store.calibration(entry.id).values)
    done: list[Data] = []
    while stopped(claim, battery, threshold, done) is None:
        drawn_at, number = store.time(), len(done)
        sample = draw_prompts(
            behaviour,
            [c for c in controls if c.name in control_names(claim, behaviour)],
            tokenizer,
            n=BATCH,
            skip=BATCH * number,
            split="confirmation",
            seeds=lambda purpose: store.seed(entry.seed_key, purpose),
            donors=needs_donors(claim),
        )
        pairs = sample.prompts.pairs
        values = {name: column[:BATCH] for name, column in invented.items()}
        done.append(Data(values, tuple(pair.template for pair in pairs)))
        batch = {
            "number": number, "seed": str(pairs.seed), "drawn_at": drawn_at, "engine": "suffix",
            "e_after": float(e_process(claim, battery, Data.join(done))[-1]), "forwards": 1.0, "seconds": 1.0,
        }  # fmt: skip
        effects = [
            {
                "claim_hash": entry.claim_hash, "place": k, "uid": pair.uid, "template": pair.template,
                "prompt": {name: getattr(pair, name) for name in ("clean", "corrupted", "answer", "wrong")},
                "measured": from_values(values, k),
            }
            for k, pair in enumerate(pairs)
        ]  # fmt: skip
        store.add_batch(entry.id, effects, **batch)
    store.freeze(entry.id, conclude(claim, battery, threshold, store.data(entry.id), entry.claim_hash))
