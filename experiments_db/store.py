"""A study: its log, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import sqlalchemy as sa

from lakatos.experiments_db.log import Counts, Entry, Log, Reader, open_engine
from lakatos.experiments_db.verdict import Interval, Judgement, Slot, interval, judge, selected_level
from lakatos.tools.behaviour import Behaviour, most_pairs
from lakatos.tools.errors import NotThere, UserError
from lakatos.tools.statistics import BATCH, PER_TEMPLATE

DEFAULT_ALPHA = 0.05
STUDY = "main"
_LONGEST = 200  # characters of a study's name


class StudyReader(Reader):
    """A study's log with the verdicts that follow from it."""

    @contextmanager
    def snapshot(self) -> Iterator[StudyReader]:
        """A reader of the same study that sees the log as it is now, whatever is appended meanwhile."""
        with self._moment() as connection:
            reader = StudyReader(self.engine, connection)
            reader.study = self.study
            yield reader

    def judgements(
        self, slots: Sequence[Slot] | None = None, grouped: Mapping[int, int] | None = None
    ) -> dict[int, Judgement]:
        """Where each hypothesis of the study stands, by id; see `verdict.judge`."""
        return judge(self.slots() if slots is None else slots, self.study.alpha, self.claims, grouped)

    def hypotheses(self, run_id: int | None = None) -> list[Entry]:
        """Every registered hypothesis of the study (or of one run), in slot order, with its official state."""
        return self._judged(run_id=run_id)

    def hypothesis(self, key: str) -> Entry:
        """One hypothesis by its number or by the beginning of its claim hash.

        Raises:
            UserError: none, or several.
        """
        short = key.removeprefix("sha256:")
        found = self.with_number(int(key)) if key.isdigit() and len(key) < 10 else []
        if not found and len(short) >= 4:
            found = self.with_hash(short)
        if len(found) > 1:
            raise UserError(f"{len(found)} hypotheses match {key!r}; `lakatos log` lists their numbers and hashes.")
        if not found:
            raise NotThere(
                f"There is no hypothesis {key!r} here; `lakatos log` lists them; "
                "of a hash give four characters or more."
            )
        return self._judged(found)[0]

    def counts(self, run_id: int | None = None) -> Counts:
        """Denominators of a run, or of the whole study: how much was tried, and what came of it."""
        return self.counted(self.judgements(), run_id)

    def interval(self, entry: Entry, level: float) -> Interval | None:
        """A confirmed claim's interval at this level (see `verdict.selected_level`); None for other claims."""
        if entry.state != "confirmed":
            return None
        return interval(entry.claim, entry.battery, self.data(entry.id), level)

    def _judged(self, ids: Sequence[int] | None = None, run_id: int | None = None) -> list[Entry]:
        judged = self.judgements()
        level = selected_level(judged.values(), self.study.alpha)
        return [replace(e, selected=self.interval(e, level)) for e in self.entries(judged, ids, run_id)]


class Store(StudyReader, Log):
    """A study: reads its log, appends to it, and says what follows from it."""

    def __init__(
        self,
        engine: sa.Engine,
        study: str | None = None,
        create: bool = True,
        alpha: float = DEFAULT_ALPHA,
        secret_seed: str | None = None,
        planned: int | None = None,
    ) -> None:
        super().__init__(engine)
        known = self.studies()
        if study is None and len(known) > 1 and STUDY not in known:
            raise UserError(f"{engine.url} has the studies {', '.join(known)}: name one with --study.")
        name = study or (known[0] if len(known) == 1 else STUDY)
        if name not in known and not create:  # who only reads must not found a study: its secret would be another's
            has = f"it has {', '.join(known)}" if known else "nothing has been begun in it"
            raise UserError(f"{engine.url} has no study {name!r}; {has}.")
        self.study = self.found(name, alpha, secret_seed, planned) if name not in known else self.study_named(name)

    def extension(self, entry: Entry, pairs: int) -> int:
        """How many further pairs a test may have that ended without a confirmation; `extend` appends it.

        Args:
            pairs: how many more it may use.

        Returns:
            As many of them as there are to draw, in whole batches.

        Raises:
            UserError: it is confirmed, has crashed or not ended; or there are no further prompts.
        """
        who = f"Hypothesis {entry.id}"
        if entry.state == "confirmed":
            raise UserError(f"{who} is confirmed: its evidence is frozen for good. `lakatos rerun` tests it again.")
        if entry.evidence is None:
            raise UserError(f"{who} has not been tested to its end: `lakatos run --resume` goes on.")
        if entry.crashed:
            raise UserError(f"{who} crashed: a crash stays what it is, and its slot is spent.")
        more = min(pairs, self._left(entry, pairs)) // BATCH * BATCH
        if more < BATCH:
            raise UserError(f"{who} needs at least {BATCH} more pairs, and there are none that it has not used.")
        return more

    def extend(self, entry: Entry, pairs: int) -> None:
        """Append that a test may go on, by as many pairs as `extension` gives it."""
        assert entry.evidence is not None
        self.add_extension(entry.id, entry.evidence.n, pairs)

    def _left(self, entry: Entry, pairs: int) -> int:
        """How many of so many further pairs there are to draw for a test."""
        assert entry.evidence is not None
        run, n = self.run_row(entry.run_id), entry.evidence.n
        behaviour = Behaviour.model_validate(run.behaviour_definition)
        sources = [(behaviour, entry.claim.family)]
        sources += [(Behaviour.model_validate(run.controls[name]), None) for name in entry.prediction.controls]
        left = min(most_pairs(source, n + pairs, family) for source, family in sources) - n
        if entry.battery.unit == "template":
            left = min(left, PER_TEMPLATE * (entry.prediction.templates - entry.evidence.templates))
        if entry.prediction.corpus is not None:  # more than half of a list would use it up
            left = min(left, entry.prediction.corpus.pairs // 2 - n)
        return left

    def every_study(self) -> list[Store]:
        """Every study of the database, oldest first."""
        return [Store(self.engine, name) for name in self.studies()]

    def verify(self, progress: Callable[[int, int], None] = lambda _done, _of: None) -> list[str]:
        """Re-derive everything from rows; the lies found, [] where there are none (see `verify`)."""
        from lakatos.experiments_db.verify import verify

        return verify(self.engine, progress)


def every_study(url: str) -> list[Store]:
    """The studies of a database, oldest first. Raises UserError: there is no such database."""
    engine = open_engine(url, create=False)
    return [Store(engine, name) for name in Reader(engine).studies()]


def new_study(url: str, name: str, *, alpha: float = DEFAULT_ALPHA, planned: int | None = None) -> Store:
    """Begin a study in a database, making the database if need be.

    Args:
        url: a path or a SQLAlchemy URL.
        planned: how many hypotheses it plans to register: these share most of alpha (see `slot_weights`).

    Raises:
        UserError: the study is there already, its name is none, or alpha or the plan is out of range.
    """
    if not name.strip() or len(name) > _LONGEST or not name.isprintable():
        raise UserError(f"A study's name has 1 to {_LONGEST} printable characters.")
    if not 0 < alpha <= 0.5:
        raise UserError(f"alpha, the false discovery rate, is above 0 and at most 0.5; {alpha:g} is not.")
    if planned is not None and planned < 1:
        raise UserError(f"A study plans for at least one hypothesis, not for {planned}.")
    engine = open_engine(url)
    if name in Reader(engine).studies():
        raise UserError(f"There is a study {name!r} already, and its plan is fixed; `lakatos study list` shows it.")
    return Store(engine, name, alpha=alpha, planned=planned)


def open_store(
    url: str,
    *,
    study: str | None = None,
    run: int | None = None,
    create: bool = True,
    alpha: float = DEFAULT_ALPHA,
    secret_seed: str | None = None,
) -> Store:
    """Open a database, making it if need be.

    Args:
        url: a path or a SQLAlchemy URL.
        study: the family over which error is controlled; by default `main`, or the only one that there is.
        run: open the study of this run instead.
        create: whether to make a database, or a study, that does not exist.
        alpha: the false discovery rate of a new study; an existing one keeps its own.
        secret_seed: derive a new study's secret from this instead of drawing it. Then whoever knows the seed can
            know the confirmation prompts beforehand; the log says so.

    Raises:
        UserError: no such study; or see `lakatos.experiments_db.log.open_engine`.
    """
    engine = open_engine(url, create=create)
    if run is not None:
        own = Reader(engine).study_of(run)
        if study not in (None, own):
            raise UserError(f"Run {run} is of the study {own}, not of {study}.")
        study = own
    return Store(engine, study, create, alpha, secret_seed)
