"""Testing what is registered, batch by batch; each batch is in the log before the next is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from lakatos.agent.run.context import Context
from lakatos.experiments_db.log import Entry, prompt_rows, to_data
from lakatos.experiments_db.verdict import State
from lakatos.tools.claim import control_names
from lakatos.tools.evidence import Data, Evidence, conclude, crashed, e_process, run_tests, stopped
from lakatos.tools.experiment import Draw, MeasuredDraw, Member, measure_draws
from lakatos.tools.statistics import BATCH


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
        run.watcher.say(_line(_by_itself(entry, evidence)))


@dataclass(frozen=True)
class _Drawn:
    """A measured draw, and when it was drawn."""

    measured: MeasuredDraw
    at: str

    def data(self, place: int, /) -> Data | Exception:
        return self.measured.data(place)


def _test(run: Context, entry: Entry) -> Evidence:
    claim, battery, threshold = entry.claim, entry.battery, entry.prediction.threshold
    stored, effects = run.store.batches(entry.id), run.store.effects(entry.id)
    spent = run.store.run(run.run_id).forwards
    wanted = control_names(claim, run.behaviour)
    controls = [control for control in run.controls if control.name in wanted]

    members = [Member(claim, battery)]

    def measured(numbers: range, _alive: Sequence[int]) -> list[_Drawn]:
        at, seed = run.store.time(), partial(run.store.seed, entry.seed_key)
        draws = [Draw.of(members, run.behaviour, controls, number, seed) for number in numbers]
        return [_Drawn(draw, at) for draw in measure_draws(draws, members, run.model)]

    def keep(drawn: _Drawn, _alive: Sequence[int], data: Sequence[Sequence[Data]]) -> None:
        nonlocal spent
        (so_far,), found = data, drawn.measured
        e = float(e_process(claim, battery, Data.join(so_far))[-1])
        run.store.add_batch(
            entry.id,
            prompt_rows(entry.claim_hash, found.prompts, so_far[-1].values),
            number=found.draw.number,
            seed=str(found.draw.seeds["pairs"]),
            drawn_at=drawn.at,
            e_after=e,
            engine=found.engines[0],
            forwards=found.forwards,
            seconds=found.seconds,
        )
        spent += found.forwards
        run.watcher.testing(entry.text, BATCH * len(so_far), battery.n_max, e, spent)
        run.check_limits()

    run.watcher.testing(entry.text, len(effects), battery.n_max, stored[-1].e_after if stored else 1.0, spent)
    done = [to_data([x for x in effects if x.batch_id == batch.id]) for batch in stored]
    stops = partial(stopped, claim, battery, threshold)
    (end,) = run_tests([stops], measured, keep, [done], first=len(done))
    if isinstance(end, Exception):
        return crashed(f"{type(end).__name__}: {end}", n=len(run.store.effects(entry.id)))
    return conclude(claim, battery, threshold, run.store.data(entry.id), entry.claim_hash)


def _by_itself(entry: Entry, evidence: Evidence) -> Entry:
    """A hypothesis as its own evidence leaves it. What the study says of it is not asked for after every test."""
    alone = evidence.stop != "crashed" and evidence.e >= entry.prediction.threshold
    state: State = "confirmed" if alone else "inconclusive"
    return replace(entry, evidence=evidence, judgement=replace(entry.judgement, state=state))


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
