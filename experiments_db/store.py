"""A study: its log, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import sqlalchemy as sa

from lakatos.experiments_db.log import Counts, Entry, Log, Reader, open_engine
from lakatos.experiments_db.verdict import Interval, Judgement, Slot, interval, judge, selected_level
from lakatos.tools.errors import NotThere, UserError

DEFAULT_ALPHA = 0.05
STUDY = "main"


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
    ) -> None:
        super().__init__(engine)
        known = self.studies()
        if study is None and len(known) > 1 and STUDY not in known:
            raise UserError(f"{engine.url} has the studies {', '.join(known)}: name one with --study.")
        name = study or (known[0] if len(known) == 1 else STUDY)
        if name not in known and not create:  # who only reads must not found a study: its secret would be another's
            has = f"it has {', '.join(known)}" if known else "nothing has been begun in it"
            raise UserError(f"{engine.url} has no study {name!r}; {has}.")
        self.study = self.found(name, alpha, secret_seed) if name not in known else self.study_named(name)

    def every_study(self) -> list[Store]:
        """Every study of the database, oldest first."""
        return [Store(self.engine, name) for name in self.studies()]

    def verify(self, progress: Callable[[int, int], None] = lambda _done, _of: None) -> list[str]:
        """Re-derive everything from rows; the lies found, [] where there are none (see `verify`)."""
        from lakatos.experiments_db.verify import verify

        return verify(self.engine, progress)


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
