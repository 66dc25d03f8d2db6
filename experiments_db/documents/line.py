"""One hypothesis as a flat row. Its fields are the columns of tables, files and the index, and say their types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, NamedTuple, get_args, get_type_hints

from lakatos.experiments_db.documents.record import Document
from lakatos.experiments_db.log import Entry
from lakatos.experiments_db.verdict import Interval
from lakatos.tools.statistics import BATCH, TEMPLATES_DIFFER

UNSELECTED: Final = 0.95  # level of intervals that were not selected for being confirmed


class Kept(NamedTuple):
    """A field that the index keeps in a column."""

    filters: bool = False  # a query may ask for its value
    sorts: bool = False  # a query may order by it


@dataclass(frozen=True)
class Line(Document):
    """One hypothesis, with what is known of it."""

    id: Annotated[int, Kept()]  # number of the hypothesis
    slot: Annotated[int, Kept(sorts=True)]  # 1, 2, ... in the order of registration
    run: Annotated[int, Kept(filters=True, sorts=True)]
    state: Annotated[str, Kept(filters=True, sorts=True)]
    text: str  # the claim in one line
    kind: Annotated[str, Kept(filters=True, sorts=True)]
    group: Annotated[int, Kept(filters=True)]  # slot of the first of the claims that overlap
    reading: str | None  # what its battery reads
    of_these_templates: int | None  # how many it speaks of, where they differ and are few
    role: str  # main, rival, null
    components: tuple[str, ...]
    behaviour: Annotated[str, Kept(filters=True, sorts=True)]
    model: Annotated[str, Kept(filters=True, sorts=True)]
    proposer: Annotated[str, Kept(filters=True, sorts=True)]
    effect: Annotated[float | None, Kept(sorts=True)]  # mean of the main line, in `unit`
    unit: str | None
    low: float | None
    high: float | None
    level: float | None  # of the interval low .. high
    fraction: Annotated[float | None, Kept(sorts=True)]  # effect as a fraction of the gap
    gap: float
    margin: float  # smallest effect of interest, as a fraction of the gap
    predicted: float | None  # by its proposer, as a fraction of the gap
    weakest: str | None  # the line that the e-value is of
    e: Annotated[float | None, Kept(sorts=True)]
    p: Annotated[float | None, Kept(sorts=True)]
    n: Annotated[int, Kept(sorts=True)]  # prompts
    stop: Annotated[str | None, Kept(sorts=True)]
    error: str | None  # of a test that crashed
    flagged: bool  # clipping may hide something
    forwards: Annotated[float, Kept(sorts=True)]
    registered_at: Annotated[str, Kept(sorts=True)]
    claim_hash: Annotated[str, Kept()]
    contradicted_by: Annotated[int | None, Kept()]
    replicated_by: Annotated[int | None, Kept()]
    review: Annotated[str | None, Kept(sorts=True)]  # its standing

    @classmethod
    def of(cls, entry: Entry) -> Line:
        """The row of a hypothesis."""
        effect = entry.evidence.effect if entry.evidence else None
        interval = entry.selected or (Interval(effect.low, effect.high, UNSELECTED) if effect else None)
        claim = entry.claim.tested
        return cls(
            id=entry.id,
            slot=entry.slot,
            run=entry.run_id,
            state=entry.state,
            text=entry.text,
            kind=entry.claim.kind,
            group=entry.judgement.group,
            reading=entry.reading,
            of_these_templates=entry.prediction.templates if few_templates(entry) else None,
            role=entry.prediction.role,
            components=claim.components,
            behaviour=entry.behaviour,
            model=entry.prediction.model,
            proposer=entry.proposer,
            effect=effect.mean if effect else None,
            unit=effect.unit if effect else None,
            low=interval.low if interval else None,
            high=interval.high if interval else None,
            level=interval.level if interval else None,
            fraction=effect.mean / entry.battery.gap if effect and claim.of_gap else None,
            gap=entry.battery.gap,
            margin=entry.battery.lines[0].delta / entry.battery.gap,
            predicted=entry.prediction.predicted,
            weakest=_weakest(entry),
            e=entry.evidence.e if entry.evidence else None,
            p=entry.evidence.p if entry.evidence else None,
            n=entry.evidence.n if entry.evidence else BATCH * entry.batches,
            stop=entry.evidence.stop if entry.evidence else None,
            error=entry.evidence.error if entry.evidence else None,
            flagged=any(line.flagged for line in entry.evidence.lines if line.decides) if entry.evidence else False,
            forwards=entry.forwards,
            registered_at=entry.registered_at,
            claim_hash=entry.claim_hash,
            contradicted_by=entry.judgement.contradicted_by,
            replicated_by=entry.judgement.replicated_by,
            review=entry.standing,
        )

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Line:
        """A row that was written by `row`."""
        return cls(**{**row, "components": tuple(row["components"])})

    def row(self) -> dict[str, Any]:
        """JSON-ready."""
        return {name: getattr(self, name) for name in COLUMNS} | {"components": list(self.components)}


_KEPT: Final = {
    name: kept
    for name, hint in get_type_hints(Line, include_extras=True).items()
    for kept in getattr(hint, "__metadata__", ())
}
_HINTS: Final = get_type_hints(Line)
COLUMNS: Final = tuple(_HINTS)
TYPES: Final[dict[str, type]] = {  # bool, int, float or str; the only list is of str
    name: next(iter(get_args(hint)), hint) for name, hint in _HINTS.items()
}
LACKING: Final = frozenset(name for name, hint in _HINTS.items() if type(None) in get_args(hint))  # may be None
KEPT: Final = tuple(_KEPT)
FILTERS: Final = tuple(name for name, kept in _KEPT.items() if kept.filters)
SORTS: Final = tuple(name for name, kept in _KEPT.items() if kept.sorts)


def entry_line(entry: Entry) -> dict[str, Any]:
    """One hypothesis as a flat row, JSON-ready."""
    return Line.of(entry).row()


def _weakest(entry: Entry) -> str | None:
    """The line of the battery that the e-value is of; None before the test has finished."""
    lines = [line for line in entry.evidence.lines if line.decides] if entry.evidence else []
    return min(lines, key=lambda line: line.e).name if lines else None


def few_templates(entry: Entry) -> bool:
    """Whether templates differ and are too few to be bet on, so that the verdict is about these."""
    correlation, unit = entry.battery.intraclass_correlation, entry.battery.unit
    return unit == "prompt" and correlation is not None and correlation > TEMPLATES_DIFFER
