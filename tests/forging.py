"""Numbers that nobody measured, told so that everything in the log follows from them."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
from tampering import rechain, unguarded

from lakatos.experiments_db import open_store
from lakatos.experiments_db.log import Share, stream_key
from lakatos.tools.claim import control_names
from lakatos.tools.evidence import Data, conclude, e_process, split_values, stopped
from lakatos.tools.experiment import Draw, Member
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
    prompts, batches = store.prompts(entry.id), store.batches(entry.id)
    columns = {name: np.array([p.measured[name] for p in prompts]) for name in prompts[0].measured}
    changed, templates = bent(columns), tuple(p.template for p in prompts)
    done = []
    with unguarded(db) as raw:
        for batch in batches:
            if stopped(claim, battery, threshold, done):
                raw.execute("DELETE FROM batches WHERE id = ?", (batch.id,))
                continue
            own = [k for k, p in enumerate(prompts) if p.batch == batch.number]
            done.append(Data({n: v[own] for n, v in changed.items()}, tuple(templates[k] for k in own)))
            e_after = float(e_process(claim, battery, Data.join(done))[-1])
            _, told = split_values(claim, done[-1].values)
            cells = (e_after, json.dumps({n: v.tolist() for n, v in sorted(told.items())}), batch.id)
            raw.execute("UPDATE batches SET e_after = ?, own = ? WHERE id = ?", cells)
        drop_empty_draws(raw)
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


def drop_empty_draws(raw):
    """Draws that no claim takes any more."""
    empty = "SELECT id FROM draws WHERE id NOT IN (SELECT draw_id FROM batches WHERE draw_id IS NOT NULL)"
    raw.execute(f"DELETE FROM prompts WHERE draw_id IN ({empty})")
    raw.execute(f"DELETE FROM draws WHERE id IN ({empty})")


def forge_at_the_front_door(store, run, entry, behaviour, controls, tokenizer):
    """A registered claim gets invented numbers for the right prompts, through the log's own functions."""
    claim, battery, threshold = entry.claim, entry.battery, entry.prediction.threshold
    invented = bent(store.calibration(entry.id).values)
    stream = store.open_stream([entry.claim_hash])
    wanted = [c for c in controls if c.name in control_names(claim, behaviour)]
    seed = partial(store.seed, stream_key(stream.members, stream.nonce))
    done: list[Data] = []
    while stopped(claim, battery, threshold, done) is None:
        drawn_at, number = store.time(), len(done)
        pairs = Draw.of([Member(claim, battery)], behaviour, wanted, number, seed).draw(tokenizer).prompts.pairs
        values = {name: column[:BATCH] for name, column in invented.items()}
        done.append(Data(values, tuple(pair.template for pair in pairs)))
        common, own = split_values(claim, values)
        e = float(e_process(claim, battery, Data.join(done))[-1])
        share = Share(entry.id, number, own, e, engine="suffix", forwards=1.0, seconds=1.0)
        store.add_draw(stream, number, drawn_at, pairs, common, [share])
    store.freeze(entry.id, conclude(claim, battery, threshold, store.data(entry.id), entry.claim_hash))
