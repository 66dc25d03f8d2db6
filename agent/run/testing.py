"""Testing what is registered: claims about the same prompts share a stream of them, each ends by its own rule.

Each draw is in the log before the next is drawn, and a claim's evidence as soon as its rule has stopped its test.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from lakatos.agent.run.attending import attend
from lakatos.agent.run.context import Context
from lakatos.experiments_db.log import Entry, Share, Stream, Tested, stream_key, to_data
from lakatos.experiments_db.verdict import State
from lakatos.tools.claim import control_names
from lakatos.tools.errors import UserError
from lakatos.tools.evidence import (
    Data,
    Evidence,
    conclude,
    crashed,
    e_process,
    looks_ahead,
    run_tests,
    stopped,
)
from lakatos.tools.experiment import Draw, MeasuredDraw, Member, measure_draws
from lakatos.tools.statistics import BATCH


def test_registered(run: Context) -> None:
    """Test every registered hypothesis of this run whose evidence is not frozen; extend those that the run may."""
    finish_tests(run)
    more = run.config.extend
    lack = [e for e in run.entries() if _lacked_pairs(e)] if more is not None else []
    for entry in lack:
        with suppress(UserError):  # there are no further prompts
            run.store.extend(entry, run.store.extension(entry, more or 0))
    if lack:
        finish_tests(run)


def _lacked_pairs(entry: Entry) -> bool:
    """Whether a test ended for want of pairs, as its rule was registered."""
    ended = entry.evidence is not None and entry.evidence.stop == "exhausted"
    return ended and entry.state != "confirmed" and not entry.extensions


def finish_tests(run: Context, only: Collection[int] | None = None) -> None:
    """Test hypotheses of this run whose evidence is not frozen, all or only these."""
    entries = [e for e in run.entries() if only is None or e.id in only]
    pending = [e for e in entries if e.evidence is None]
    if not pending:
        return
    run.load()
    tested = len(entries) - len(pending)
    run.check_limits(tested)
    most = run.config.max_tests
    for stream, members in _streams(run, pending if most is None else pending[: most - tested]):
        run.watcher.phase("testing", tested, len(entries))
        _test(_Tests(run, stream, members, run.store.passed_over(stream)))
        tested += len(members)
    if tested < len(entries):
        run.check_limits(tested)


def _streams(run: Context, pending: Sequence[Entry]) -> Iterator[tuple[Stream, list[Entry]]]:
    """The streams that claims have already, then new ones for all others. A new one is opened when it is asked for."""
    opened = run.store.streams()
    begun: dict[int, list[Entry]] = defaultdict(list)
    waiting: dict[tuple[str | None, str], list[Entry]] = defaultdict(list)
    for entry in pending:
        own = [k for k, stream in enumerate(opened) if entry.claim_hash in stream.members]
        if len(own) > len(entry.extensions):
            begun[own[-1]].append(entry)
        else:
            waiting[entry.claim.family, entry.battery.unit].append(entry)
    for k, members in sorted(begun.items()):
        yield opened[k], members
    for members in waiting.values():
        yield run.store.open_stream([entry.claim_hash for entry in members]), members


@dataclass(frozen=True)
class _Tests:
    """The tests of claims that share a stream."""

    run: Context
    stream: Stream
    entries: list[Entry]
    without: frozenset[str]  # what the stream passes over

    def members(self, places: Sequence[int]) -> list[Member]:
        return [Member(self.entries[k].claim, self.entries[k].battery) for k in places]

    def draws(self, numbers: range, members: Sequence[Member]) -> list[Draw]:
        run = self.run
        seed = partial(run.store.seed, stream_key(self.stream.members, self.stream.nonce))
        names = {name for member in members for name in control_names(member.claim, run.behaviour)}
        controls = [control for control in run.controls if control.name in names]
        return [Draw.of(members, run.behaviour, controls, number, seed, without=self.without) for number in numbers]

    def stops(self, place: int, so_far: Sequence[Data]) -> str | None:
        entry = self.entries[place]
        return stopped(entry.claim, entry.battery, entry.prediction.threshold, so_far, entry.reach)

    def ahead(self, place: int, so_far: Sequence[Data]) -> int:
        """How many draws are measured at once: on a CPU that is no faster (see benchmarks/RESULTS.md)."""
        if str(self.run.model.cfg.device).startswith("cpu"):
            return 1
        entry = self.entries[place]
        return looks_ahead(entry.claim, entry.battery, entry.prediction.threshold, so_far, entry.reach)

    def e(self, place: int, so_far: Sequence[Data]) -> float:
        entry = self.entries[place]
        return float(e_process(entry.claim, entry.battery, Data.join(so_far))[-1]) if so_far else 1.0

    def share(self, place: int, so_far: Sequence[Data], found: MeasuredDraw, among: int, of: int) -> Share:
        entry, own = self.entries[place], found.own[among]
        assert not isinstance(own, Exception)
        return Share(
            hypothesis_id=entry.id,
            number=len(so_far) - 1,
            own=own,
            e_after=self.e(place, so_far),
            engine=found.engines[among],
            forwards=found.forwards / of,
            seconds=found.seconds / of,
        )

    def freeze(self, place: int, evidence: Evidence) -> None:
        self.run.store.freeze(self.entries[place].id, evidence)
        self.tell(place, evidence)

    def tell(self, place: int, evidence: Evidence) -> None:
        self.run.watcher.say(_line(_by_itself(self.entries[place], evidence)))

    def show(self, places: Sequence[int], data: Sequence[Sequence[Data]], spent: float) -> None:
        first = self.entries[places[0]]
        text = first.text if len(places) == 1 else f"{len(places)} claims on the same prompts"
        n = max(BATCH * len(so_far) for so_far in data)
        best = max(self.e(k, so_far) for k, so_far in zip(places, data, strict=True))
        self.run.watcher.testing(text, n, max(self.entries[k].reach.most for k in places), best, spent)


@dataclass(frozen=True)
class _Drawn:
    """A measured draw, and when it was drawn."""

    measured: MeasuredDraw
    at: str

    def data(self, place: int, /) -> Data | Exception:
        return self.measured.data(place)


def _test(tests: _Tests) -> None:
    run, entries = tests.run, tests.entries
    done = [_batches(run.store.prompts(entry.id)) for entry in entries]
    spent = run.store.run(run.run_id).forwards
    over = set[int]()  # whose evidence is frozen

    def measured(numbers: range, alive: Sequence[int]) -> list[_Drawn]:
        at, members = run.store.time(), tests.members(alive)
        return [_Drawn(draw, at) for draw in measure_draws(tests.draws(numbers, members), members, run.model)]

    def keep(drawn: _Drawn, alive: Sequence[int], data: Sequence[Sequence[Data]]) -> None:
        nonlocal spent
        found, so_far = drawn.measured, dict(zip(alive, data, strict=True))
        died = {k: own for k, own in zip(alive, found.own, strict=True) if isinstance(own, Exception)}
        crashes = {k: _crashed(error, so_far[k]) for k, error in died.items()}
        going = [(place, k) for place, k in enumerate(alive) if k not in died]
        shares = [tests.share(k, so_far[k], found, place, len(going)) for place, k in going]
        frozen = {entries[k].id: evidence for k, evidence in crashes.items()}
        run.store.add_draw(tests.stream, found.draw.number, drawn.at, found.prompts, found.common, shares, frozen)
        spent += found.forwards
        for k, evidence in crashes.items():
            tests.tell(k, evidence)
        ended = {k: _concluded(entries[k], so_far[k]) for _, k in going if tests.stops(k, so_far[k])}
        for k, evidence in ended.items():
            tests.freeze(k, evidence)
        over.update(crashes, ended)
        tests.show(alive, data, spent)
        attend(run)
        run.check_limits()

    tests.show(range(len(entries)), done, spent)
    ends = run_tests(
        [partial(tests.stops, k) for k in range(len(entries))],
        measured,
        keep,
        done,
        run.store.drawn(tests.stream.id),
        tests.ahead,
    )
    for k, end in enumerate(ends):
        if k not in over:  # it had ended before this process began, or every test died of one draw
            so_far = _batches(run.store.prompts(entries[k].id))
            tests.freeze(k, _crashed(end, so_far) if isinstance(end, Exception) else _concluded(entries[k], so_far))


def _batches(prompts: Sequence[Tested]) -> list[Data]:
    """The data of each batch of a test, in order."""
    by_batch: dict[int, list[Tested]] = defaultdict(list)
    for prompt in prompts:
        by_batch[prompt.batch].append(prompt)
    return [to_data(own) for own in by_batch.values()]


def _crashed(error: Exception, so_far: Sequence[Data]) -> Evidence:
    return crashed(f"{type(error).__name__}: {error}", n=sum(map(len, so_far)))


def _concluded(entry: Entry, so_far: Sequence[Data]) -> Evidence:
    threshold, data = entry.prediction.threshold, Data.join(so_far)
    return conclude(entry.claim, entry.battery, threshold, data, entry.claim_hash, entry.reach)


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
