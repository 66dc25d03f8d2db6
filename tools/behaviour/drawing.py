"""Drawing prompt pairs from a behaviour's definition: the same pairs for the same seed, on every machine."""

from __future__ import annotations

import itertools
import random
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from lakatos.tools.behaviour.definition import Definition
from lakatos.tools.behaviour.markup import Filler, Rendered, evaluate, parse_markup
from lakatos.tools.behaviour.pairs import SPLITS, PromptPair, Split
from lakatos.tools.behaviour.templates import GivenPair, Template, all_differ
from lakatos.tools.errors import UserError
from lakatos.tools.records import content_hash

PROMPT_GENERATOR = 1  # raised where the same behaviour and seed come to give other prompts
_REDRAWS = 10_000  # as many draws in a row without a new pair, and the space counts as exhausted

Draw = tuple[str, Rendered, Rendered, str, str]  # template id, clean, corrupted, answer, wrong
T = TypeVar("T")


class Exhausted(UserError):
    """A behaviour has no further distinct prompt pair to give."""


def stream(
    definition: Definition,
    digest: str,
    seed: int,
    split: Split,
    family: str | None,
    per_template: int | None,
    without: Collection[str] = (),
) -> Iterator[PromptPair]:
    """Distinct pairs without end, as `Behaviour.stream` says; `digest` is the behaviour's hash, part of every uid."""
    rng = random.Random(f"{seed}:{_checked(split)}" + (f":{family}" if family is not None else ""))
    templates = definition.templates_in(split, family)
    if per_template is not None and per_template < 1:
        raise UserError(f"per_template = {per_template}: a block is of one pair at least")
    of_family, pairs = f" of the family {family!r}" if family else "", _Pairs(definition, digest, without)
    if per_template is None:
        yield from pairs.new(draws_of(definition, rng, split, templates))
        raise Exhausted(
            f"{definition.name} has only {pairs.drawn} distinct {split} pairs{of_family}{pairs.beside}, and more were "
            f"asked for: ask for fewer, or add {'pairs' if definition.pairs else 'templates or fillers'} to the file"
        )
    given = dict.fromkeys(pair.template for pair in definition.pairs.of(split)) if definition.pairs else {}
    ids = [*given] if definition.pairs else [template.id for template in templates]
    left = [name for name in sorted(ids, key=lambda _: rng.random()) if name not in without]
    for name in left:
        block = list(itertools.islice(pairs.new(draws_of(definition, rng, split, templates, only=name)), per_template))
        yield from block
        if len(block) < per_template:
            raise Exhausted(
                f"{definition.name}: the template {name!r} has only {len(block)} distinct {split} pairs"
                f"{pairs.beside}, and {per_template} were asked for: ask for fewer, or add to the file"
            )
    beside = _beside(len(ids) - len(left))
    raise Exhausted(
        f"{definition.name} has {len(left)} {split} templates{of_family}{beside}, and {per_template} pairs of each "
        "are all drawn: ask for fewer pairs or for more of each template, or add templates to the file"
    )


class _Pairs:
    """The pairs of a definition, each once.

    Args:
        without: uids that are passed over.
    """

    def __init__(self, definition: Definition, digest: str, without: Collection[str]) -> None:
        self.drawn = 0
        self._passed = set[str]()  # since `new` was called
        self._definition, self._digest = definition, digest
        self._without, self._seen = frozenset(without), set[str]()

    def new(self, draws: Iterable[Draw]) -> Iterator[PromptPair]:
        """Of the drawn pairs those that never came before; ends when nothing new comes."""
        repeats, self._passed = 0, set()
        for draw in draws:
            pair = made_pair(self._definition.kind, self._digest, *draw)
            if pair.uid in self._without:
                self._passed.add(pair.uid)
                repeats += 1
            elif pair.uid in self._seen:
                repeats += 1
            else:
                repeats = 0
                self._seen.add(pair.uid)
                self.drawn += 1
                yield pair
            if repeats > _REDRAWS:
                return

    @property
    def beside(self) -> str:
        """How many were passed over."""
        return _beside(len(self._passed))


def _beside(passed: int) -> str:
    return f" beside {passed} that are passed over" if passed else ""


def draws_of(
    definition: Definition,
    rng: random.Random,
    split: Split,
    templates: Sequence[Template],
    only: str | None = None,
) -> Iterator[Draw]:
    """Of all templates, or of `only` this one. Each given pair comes once; generated ones never end."""
    if definition.pairs is None:
        return _generated(definition, rng, split, [t for t in templates if only in (None, t.id)])
    return _given(rng, [pair for pair in definition.pairs.of(split) if only in (None, pair.template)])


def _given(rng: random.Random, pairs: Sequence[GivenPair]) -> Iterator[Draw]:
    for pair in sorted(pairs, key=lambda _: rng.random()):
        clean, corrupted = (parse_markup(text).render({}) for text in (pair.clean, pair.corrupted))
        yield pair.template, clean, corrupted, pair.answer, pair.wrong


def _generated(definition: Definition, rng: random.Random, split: Split, templates: list[Template]) -> Iterator[Draw]:
    while True:
        template = _pick(rng, templates)
        markup, values = parse_markup(template.text), _values(definition, rng, split)
        clean = markup.render(values | _derived(definition.clean, values))
        if definition.kind == "text":
            yield template.id, clean, ("", {}), "", ""
            continue
        corrupted = markup.render(values | _derived(definition.corrupted, values))
        answer, wrong = (parse_markup(text or "").render(values)[0] for text in (definition.answer, definition.wrong))
        yield template.id, clean, corrupted, answer, wrong


def _values(definition: Definition, rng: random.Random, split: Split) -> dict[str, Filler]:
    for _ in range(_REDRAWS):
        left = {kind: list(lists.of(split)) for kind, lists in definition.fillers.items()}
        values = {name: _pick(rng, left[kind], remove=True) for name, kind in sorted(definition.draw.items())}
        if all(all_differ(evaluate(item, values) for item in group) for group in definition.distinct):
            return values
    raise UserError(f"distinct: no draw of {split} fillers satisfies {definition.distinct}; add some that differ")


def made_pair(
    kind: str, digest: str, template: str, clean: Rendered, corrupted: Rendered, answer: str, wrong: str
) -> PromptPair:
    """A draw as a pair; its uid is of the behaviour's digest and its texts. Raises UserError where it asks nothing."""
    where = f"{clean[0]!r} (template {template})"
    if kind == "pairs" and answer == wrong:
        raise UserError(f"answer and wrong are both {answer!r} in {where}: use `distinct` to keep them apart")
    if kind == "pairs" and clean[0] == corrupted[0]:
        raise UserError(f"clean and corrupted are the same text {where}: make them differ")
    if not clean[0].strip():
        raise UserError(f"template {template} renders to an empty prompt")
    texts = (clean[0], corrupted[0], answer, wrong)
    return PromptPair(content_hash([digest, *texts])[7:23], template, *texts, clean[1], corrupted[1])


def _derived(formats: Mapping[str, str], values: Mapping[str, Filler]) -> dict[str, Filler]:
    return {name: parse_markup(text).render(values)[0] for name, text in formats.items()}


def _pick(rng: random.Random, items: list[T], remove: bool = False) -> T:
    index = int(rng.random() * len(items))
    return items.pop(index) if remove else items[index]


def _checked(split: str) -> str:
    if split not in SPLITS:
        raise UserError(f"there is no split {split!r}: it is 'exploration' or 'confirmation'")
    return split
