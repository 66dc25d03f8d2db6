"""One hypothesis whole: what was claimed, the lines of its battery, every prompt with its numbers, what people said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lakatos.experiments_db.documents.against import against
from lakatos.experiments_db.documents.line import Line, few_templates
from lakatos.experiments_db.documents.record import Document
from lakatos.experiments_db.log import Entry, Review, Tested, reading, to_data
from lakatos.experiments_db.store import Store
from lakatos.tools.claim import Part
from lakatos.tools.evidence import Evidence, e_process, parts_of


@dataclass(frozen=True)
class ReviewLine(Document):
    """What somebody said of a hypothesis."""

    id: int
    hypothesis_id: int
    at: str
    author: str
    decision: str
    score: int | None
    reason: str
    blind: bool

    @classmethod
    def of(cls, review: Review) -> ReviewLine:
        """The row of a review."""
        return cls(*(getattr(review, name) for name in cls.__dataclass_fields__))


@dataclass(frozen=True)
class BatchLine(Document):
    """A batch of a test."""

    number: int  # 0, 1, ...
    drawn_at: str
    e_after: float  # the e-value when it had been measured
    engine: str
    forwards: float


@dataclass(frozen=True)
class StreamLine(Document):
    """A stream of prompts that a claim was tested on."""

    id: int
    opened_at: str
    nonce: str
    claims: int  # that share it


@dataclass(frozen=True)
class ExtensionLine(Document):
    """More prompts for a test that had ended."""

    begun: int  # prompts that had been used
    pairs: int  # and so many more


@dataclass(frozen=True)
class Explored(Document):
    """The main effect on the exploration pairs that the battery's constants come from: seen before registration."""

    mean: float
    effects: tuple[float, ...]  # of each pair
    templates: tuple[str, ...]


@dataclass(frozen=True)
class PromptLine(Document):
    """One prompt of a test, with the number of each run and each line's effect."""

    uid: str
    template: str
    said: Mapping[str, str]  # clean, corrupted, answer, wrong
    measured: Mapping[str, float]  # by the names of runs
    effects: Mapping[str, float]  # by the names of lines, the main one first

    @property
    def main(self) -> float:
        """The effect on the first line of the battery."""
        return float(next(iter(self.effects.values())))

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: what the prompt says stands beside its numbers."""
        numbers = {"measured": dict(self.measured), "effects": dict(self.effects)}
        return {"uid": self.uid, "template": self.template, **self.said, **numbers}


@dataclass(frozen=True)
class HypothesisDocument(Line):
    """One hypothesis whole."""

    scope: str  # what a verdict speaks of, in words
    rationale: str  # its proposer's prose
    record: Mapping[str, Any]  # the frozen record, as it was hashed
    reviews: tuple[ReviewLine, ...]
    evidence: Evidence | None  # None before the test has finished
    batches: tuple[BatchLine, ...]
    streams: tuple[StreamLine, ...]
    extensions: tuple[ExtensionLine, ...]
    against: tuple[Mapping[str, Any], ...]  # its rivals, on the prompts of both
    e_path: tuple[float, ...]  # the e-value after each bet
    explored: Explored
    runs: tuple[str, ...]  # names of the runs that are shown of a prompt
    prompts: tuple[PromptLine, ...]


def hypothesis_document(store: Store, entry: Entry) -> HypothesisDocument:
    """One hypothesis whole: the frozen record, every line of its battery, every prompt with its numbers."""
    with reading(f"hypotheses row {entry.id}, or what belongs to it,"):
        return _whole(store, entry)


def _whole(store: Store, entry: Entry) -> HypothesisDocument:
    prompts = store.prompts(entry.id)
    data = to_data(prompts)
    parts = parts_of(entry.claim, entry.battery, data.values) if prompts else []
    batches = store.batches(entry.id)
    return HypothesisDocument(
        **vars(Line.of(entry)),
        scope=scope(entry),
        rationale=entry.rationale,
        record=entry.prediction.record(),
        reviews=tuple(ReviewLine.of(r) for r in store.reviews([entry.id])),
        evidence=entry.evidence,
        batches=tuple(BatchLine(b.number, b.drawn_at, b.e_after, b.engine, b.forwards) for b in batches),
        streams=_streams(store, entry),
        extensions=tuple(ExtensionLine(begun, pairs) for begun, pairs in entry.extensions),
        against=tuple(against(store, entry)),
        e_path=tuple(e_process(entry.claim, entry.battery, data).tolist()) if prompts else (),
        explored=_explored(store, entry),
        runs=tuple(entry.claim.tested.shown(entry.battery.matched)) if prompts else (),
        prompts=tuple(_prompt(prompt, place, parts) for place, prompt in enumerate(prompts)),
    )


def _prompt(prompt: Tested, place: int, parts: list[Part]) -> PromptLine:
    effects = {part.name: float(part.effect[place]) for part in parts}
    return PromptLine(prompt.uid, prompt.template, prompt.prompt, prompt.measured, effects)


def _streams(store: Store, entry: Entry) -> tuple[StreamLine, ...]:
    """The streams of prompts that a claim was tested on, and how many claims shared each."""
    own = [stream for stream in store.streams() if entry.claim_hash in stream.members]
    return tuple(StreamLine(s.id, s.at, s.nonce, len(s.members)) for s in own)


def _explored(store: Store, entry: Entry) -> Explored:
    seen = store.calibration(entry.id)
    main = parts_of(entry.claim, entry.battery, seen.values)[0]
    return Explored(float(main.effect.mean()), tuple(main.effect.tolist()), tuple(seen.templates))


def scope(entry: Entry) -> str:
    """What a verdict speaks of: prompts of which kind, and of which templates."""
    battery, templates = entry.battery, entry.prediction.templates
    corpus, family = entry.prediction.corpus, entry.claim.family
    if corpus is not None:
        return f"the {corpus.pairs} pairs of a given list, and nothing beyond it"
    where = f"the family {family}" if family else "the behaviour"
    if battery.unit == "template":
        return f"templates like the {templates} of {where}: each is one bet"
    if few_templates(entry):
        few = "effects differ by template, and there are too few to bet on"
        return f"prompts of these {templates} templates of {where}; {few}"
    return f"prompts like those of {where}"
