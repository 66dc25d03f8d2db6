"""Testing what is registered, batch by batch; each batch is in the log before the next is drawn."""

from __future__ import annotations

import time
from collections.abc import Sequence

from lakatos.agent.run.context import Context
from lakatos.experiments_db import models as m
from lakatos.experiments_db.reading import to_data
from lakatos.experiments_db.records import Entry
from lakatos.experiments_db.store import StoreError, from_values
from lakatos.tools.claim import control_names
from lakatos.tools.errors import UserError
from lakatos.tools.evidence import Evidence, conclude, crashed
from lakatos.tools.experiment import Measurement, Sample, draw_prompts, needs_donors, run_experiment
from lakatos.tools.statistics import BATCH

# What a test may die of: then that is its evidence. Errors of the log itself are not among them.
TEST_FAILURES = (ArithmeticError, RuntimeError, ValueError, MemoryError, LookupError, TypeError, UserError)


def test_registered(run: Context) -> None:
    """Test every registered hypothesis of this run whose evidence is not frozen, in slot order."""
    entries = run.entries()
    pending = [e for e in entries if e.evidence is None]
    tested = len(entries) - len(pending)
    if pending:
        run.load()
    for number, entry in enumerate(pending):
        run.check_limits(tested + number)
        run.watcher.phase("testing", tested + number, tested + len(pending))
        evidence = _test(run, entry)
        run.store.freeze(entry.id, evidence)
        judged = run.store.hypothesis(str(entry.id))
        run.watcher.say(_line(judged))


def _test(run: Context, entry: Entry) -> Evidence:
    claim, battery, threshold = entry.claim, entry.battery, float(entry.record["threshold"])
    stored = run.store.batches(entry.id)
    effects = run.store.effects(entry.id)
    spent = run.store.run(run.run_id).forwards
    drawn_at, began = run.store.time(), time.monotonic()

    def draw(number: int) -> Sample:
        nonlocal drawn_at, began
        drawn_at, began = run.store.time(), time.monotonic()
        wanted = control_names(claim, run.behaviour)
        return draw_prompts(
            run.behaviour,
            [c for c in run.controls if c.name in wanted],
            run.model.tokenizer,
            n=BATCH,
            skip=BATCH * number,
            split="confirmation",
            seeds=lambda purpose: run.store.seed(entry.seed_key, purpose),
            donors=needs_donors(claim),
            family=claim.family,
            unit=battery.unit,
        ).on(run.model.bridge)

    def keep(number: int, sample: Sample, measured: Measurement, e: float) -> None:
        nonlocal spent
        run.store.add_batch(
            m.Batch(
                hypothesis_id=entry.id,
                number=number,
                seed=str(sample.runs.pairs.seed),
                drawn_at=drawn_at,
                e_after=e,
                engine=measured.engine,
                forwards=measured.forwards,
                seconds=time.monotonic() - began,
            ),
            _effect_rows(entry, sample, measured),
        )
        spent += measured.forwards
        run.watcher.testing(entry.text, BATCH * (number + 1), battery.n_max, e, spent)
        run.check_limits()

    run.watcher.testing(entry.text, len(effects), battery.n_max, stored[-1].e_after if stored else 1.0, spent)
    done = [to_data([x for x in effects if x.batch_id == batch.id]) for batch in stored]
    try:
        run_experiment(claim, battery, threshold, run.model.bridge, draw, done, keep)
    except StoreError:
        raise
    except TEST_FAILURES as error:
        return crashed(f"{type(error).__name__}: {error}", n=len(run.store.effects(entry.id)))
    return conclude(claim, battery, threshold, run.store.data(entry.id), entry.claim_hash)


def _effect_rows(entry: Entry, sample: Sample, measured: Measurement) -> Sequence[m.Effect]:
    return [
        m.Effect(
            claim_hash=entry.claim_hash,
            place=place,
            uid=pair.uid,
            template=pair.template,
            prompt={"clean": pair.clean, "corrupted": pair.corrupted, "answer": pair.answer, "wrong": pair.wrong},
            measured=from_values(measured.values, place),
        )
        for place, pair in enumerate(sample.runs.pairs)
    ]


def _line(entry: Entry) -> str:
    evidence = entry.evidence
    assert evidence is not None
    if entry.crashed:
        return f"{entry.slot:>3}  crashed       {entry.text}: {evidence.error}"
    effect = evidence.effect
    figures = f"{effect.mean:+.3f} {effect.unit} " if effect else ""
    reading = f" ({entry.reading})" if entry.reading else ""
    return (
        f"{entry.slot:>3}  {entry.state:<12}  {entry.text}: {figures}e={evidence.e:.3g} n={evidence.n} {evidence.stop}"
        + reading
    )
