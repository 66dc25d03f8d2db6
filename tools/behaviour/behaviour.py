"""A behaviour: a question about a model, and a generator of prompt pairs that can answer it.

A pair is one *clean* prompt, on which the model should prefer `answer` over `wrong`, and one *corrupted* prompt of as
many tokens, on which it should not. What differs between the two is what the behaviour is about, so that patching
one run into the other locates it. Named positions mark where: `[NAME:...]` in a template is a span, and the position
is the last token of that span; `END`, the last token of the prompt, always exists.

A behaviour is a versioned YAML file, never code; `markup.py` says what its templates may hold.

Exploration and confirmation share neither template nor filler entity, so a confirmed claim has survived a change of
both. A family is a further list of templates, with the fillers of confirmation: nothing draws from it but a claim that
names it, which asks whether what was found holds for prompts of another form. What this does not give: the fillers of
a split are one list, so a claim is about prompts *like these*, and with few templates it is they, not the prompts, that
are the unit of generalisation.
"""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal, Self, TypeVar

from pydantic import Field, model_validator

from lakatos.tools.behaviour.markup import Filler, Rendered, entity, evaluate, listed, parse_markup, plain
from lakatos.tools.behaviour.pairs import SPLITS, PromptPair, PromptPairs, Split
from lakatos.tools.behaviour.templates import BySplit, GivenPair, Template, all_differ, check_positions, check_templates
from lakatos.tools.errors import UserError
from lakatos.tools.records import Frozen, content_hash

_GENERATOR = {"fillers", "draw", "distinct", "clean", "corrupted", "answer", "wrong", "families"}
_NOT_HASHED = {"name", "version", "question", "selected_because", "considered", "changelog", "controls"}
PROMPT_GENERATOR = 1  # raised where the same behaviour and seed come to give other prompts
_REDRAWS = 10_000  # as many draws in a row without a new pair, and the space counts as exhausted


_Draw = tuple[str, Rendered, Rendered, str, str]  # template id, clean, corrupted, answer, wrong


class Exhausted(UserError):
    """A behaviour has no further distinct prompt pair to give."""


T = TypeVar("T")


class Behaviour(Frozen):
    """A question about a model plus a generator of clean/corrupted prompt pairs. One YAML file; see docs."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="the file's stem, by convention")
    version: int = Field(ge=1, description="raised with every change to the prompts")
    kind: Literal["pairs", "text"] = Field(default="pairs", description="text: a control that has no answers")
    question: str = Field(description="what is asked about the model, in a sentence")
    selected_because: str = Field(description="why this behaviour, and what is known of it")
    considered: list[str] = Field(default=[], description="what else was looked at, and why it was dropped")
    changelog: list[str] = Field(default=[], description="one line a version")
    bos: str | None = Field(default=None, description='prepended as one token: a text, "model", or nothing')
    fillers: dict[str, BySplit[Filler]] = Field(default={}, description="kind -> split -> strings or records")
    draw: dict[str, str] = Field(default={}, description="variable -> filler kind; none twice in a pair")
    distinct: list[list[str]] = Field(default=[], description="expressions whose values differ within a pair")
    clean: dict[str, str] = Field(default={}, description="derived variable -> format string, when clean")
    corrupted: dict[str, str] = Field(default={}, description="the same variables in the corrupted prompt")
    answer: str | None = Field(default=None, description="format string; the token that clean should prefer")
    wrong: str | None = Field(default=None, description="format string; the token it is compared with")
    templates: BySplit[Template] | None = Field(default=None, description="id and text of each template")
    families: dict[str, list[Template]] = Field(default={}, description="name -> templates for claims that name it")
    pairs: BySplit[GivenPair] | None = Field(default=None, description="in place of templates: every pair")
    controls: list[str] = Field(default=["plain_text"], description="behaviours that measure specificity")

    @property
    def finite(self) -> bool:
        """Whether the pairs are a given list, so that claims are about that list and not beyond it."""
        return self.pairs is not None

    @property
    def hash(self) -> str:
        """sha256 over all that makes the prompts; name, prose, version and controls are left out."""
        content = self.model_dump(exclude=_NOT_HASHED if self.families else _NOT_HASHED | {"families"})
        for kind, lists in self.fillers.items():  # a record's fields are ordered, and sorted keys would lose it
            for split in SPLITS:
                content["fillers"][kind][split] = [
                    filler if isinstance(filler, str) else list(filler.items()) for filler in lists.of(split)
                ]
        return content_hash(content)

    @property
    def named_positions(self) -> list[str]:
        """The positions that every prompt has, in order, and "END"."""
        names = [parse_markup(text).names for split in SPLITS for text in self.texts(split).values()]
        return [name for name in names[0] if all(name in others for others in names)] + ["END"]

    @property
    def origins(self) -> list[tuple[Split, str | None]]:
        """All that pairs can be drawn from: either split's own templates or pairs (None), then the families."""
        return [(split, None) for split in SPLITS] + [("confirmation", family) for family in self.families]

    def texts(self, split: Split, family: str | None = None) -> dict[str, str]:
        """What the clean prompts are rendered from: template id, or pair number -> text with markup."""
        if self.pairs is not None:
            return {f"pair {i}": pair.clean for i, pair in enumerate(self.pairs.of(split))}
        return {template.id: template.text for template in self._templates(split, family)}

    def templates_of(self, split: Split, family: str | None = None) -> list[str]:
        """The ids of the templates that pairs come from, each once."""
        if self.pairs is not None:
            return sorted({pair.template for pair in self.pairs.of(split)})
        return [template.id for template in self._templates(split, family)]

    def frames(self, family: str | None = None) -> int:
        """From how many templates confirmation prompts come; 1 for a given list, which is no sample of templates."""
        return 1 if self.finite else len(self.templates_of("confirmation", family))

    def answers(self, split: Split, limit: int = 20_000) -> list[str]:
        """Every text that `answer` or `wrong` can become, sorted; [] where there are more than `limit`."""
        if self.pairs is not None:
            return sorted({text for pair in self.pairs.of(split) for text in (pair.answer, pair.wrong)})
        found: set[str] = set()
        for markup in (parse_markup(text) for text in (self.answer, self.wrong) if text):
            variables = sorted({expression.partition(".")[0] for expression in markup.variables})
            fillers = [self.fillers[self.draw[variable]].of(split) for variable in variables]
            if math.prod(map(len, fillers)) > limit:
                return []
            for values in itertools.product(*fillers):
                found.add(markup.render(dict(zip(variables, values, strict=True)))[0])
        return sorted(found)

    def stream(
        self, seed: int, split: Split, family: str | None = None, per_template: int | None = None
    ) -> Iterator[PromptPair]:
        """Distinct pairs without end, the same for the same arguments; the template is drawn anew for each.

        Args:
            family: draw from this family's templates instead; split="confirmation" only.
            per_template: draw in blocks of so many pairs of one template: each template once, in an order shuffled
                by the seed, and then no more. A bet on the mean of a block is a bet on a template.

        Uses only `Random.random`, whose sequence Python promises to keep. Raises Exhausted when nothing new
        comes; with a small space that matters: draws without replacement are not independent. Raises UserError for a
        split or family that is not there.
        """
        rng = random.Random(f"{seed}:{_checked(split)}" + (f":{family}" if family is not None else ""))
        templates = self._templates(split, family)
        if per_template is not None and per_template < 1:
            raise UserError(f"per_template = {per_template}: a block is of one pair at least")
        of_family, seen = f" of the family {family!r}" if family else "", set[str]()
        if per_template is None:
            yield from self._distinct(self._draws(rng, split, templates), seen)
            raise Exhausted(
                f"{self.name} has only {len(seen)} distinct {split} pairs{of_family}, and more were asked for: "
                f"ask for fewer, or add {'pairs' if self.pairs else 'templates or fillers'} to the file"
            )
        ids = dict.fromkeys(pair.template for pair in self.pairs.of(split)) if self.pairs else [t.id for t in templates]
        for name in sorted(ids, key=lambda _: rng.random()):
            draws = self._draws(rng, split, templates, only=name)
            block = list(itertools.islice(self._distinct(draws, seen), per_template))
            yield from block
            if len(block) < per_template:
                raise Exhausted(
                    f"{self.name}: the template {name!r} has only {len(block)} distinct {split} pairs, and "
                    f"{per_template} were asked for: ask for fewer, or add to the file"
                )
        raise Exhausted(
            f"{self.name} has {len(ids)} {split} templates{of_family}, and {per_template} pairs of each are all drawn: "
            "ask for fewer pairs or for more of each template, or add templates to the file"
        )

    def sample(
        self,
        n: int,
        seed: int = 0,
        split: Split = "exploration",
        skip: int = 0,
        family: str | None = None,
        per_template: int | None = None,
    ) -> PromptPairs:
        """Pairs skip .. skip + n of the stream; batch i of a test is `sample(16, seed, split, skip=16 * i)`."""
        if n < 0 or skip < 0:
            raise UserError(f"n = {n} and skip = {skip}: neither can be negative")
        pairs = tuple(itertools.islice(self.stream(seed, split, family, per_template), skip, skip + n))
        return PromptPairs(pairs, self.name, self.hash, self.bos, self.kind, split, seed, family)

    def _templates(self, split: Split, family: str | None) -> list[Template]:
        """Of a split, or of a family; [] where pairs are given. Raises UserError."""
        if family is None:
            return self.templates.of(split) if self.templates else []
        if family not in self.families:
            raise UserError(f"{self.name} has no family {family!r}; its families are: {listed(self.families)}")
        if split != "confirmation":
            raise UserError(f"the family {family!r} takes no part in exploration: draw it with split='confirmation'")
        return self.families[family]

    def _distinct(self, draws: Iterable[_Draw], seen: set[str]) -> Iterator[PromptPair]:
        """The drawn pairs that are not among the seen, to which they are added; ends when nothing new comes."""
        digest, repeats = self.hash, 0
        for draw in draws:
            pair = self._pair(digest, *draw)
            repeats = repeats + 1 if pair.uid in seen else 0
            if repeats == 0:
                seen.add(pair.uid)
                yield pair
            if repeats > _REDRAWS:
                return

    def _draws(
        self, rng: random.Random, split: Split, templates: Sequence[Template], only: str | None = None
    ) -> Iterator[_Draw]:
        """Of all templates, or of `only` this one. Each given pair comes once; generated ones never end."""
        if self.pairs is None:
            return self._drawn(rng, split, [t for t in templates if only in (None, t.id)])
        return self._given(rng, [pair for pair in self.pairs.of(split) if only in (None, pair.template)])

    def _given(self, rng: random.Random, pairs: Sequence[GivenPair]) -> Iterator[_Draw]:
        for pair in sorted(pairs, key=lambda _: rng.random()):
            clean, corrupted = (parse_markup(text).render({}) for text in (pair.clean, pair.corrupted))
            yield pair.template, clean, corrupted, pair.answer, pair.wrong

    def _drawn(self, rng: random.Random, split: Split, templates: list[Template]) -> Iterator[_Draw]:
        while True:
            template = _pick(rng, templates)
            markup, values = parse_markup(template.text), self._values(rng, split)
            clean = markup.render(values | _derived(self.clean, values))
            if self.kind == "text":
                yield template.id, clean, ("", {}), "", ""
                continue
            corrupted = markup.render(values | _derived(self.corrupted, values))
            answer, wrong = (parse_markup(text or "").render(values)[0] for text in (self.answer, self.wrong))
            yield template.id, clean, corrupted, answer, wrong

    def _values(self, rng: random.Random, split: Split) -> dict[str, Filler]:
        for _ in range(_REDRAWS):
            left = {kind: list(lists.of(split)) for kind, lists in self.fillers.items()}
            values = {name: _pick(rng, left[kind], remove=True) for name, kind in sorted(self.draw.items())}
            if all(all_differ(evaluate(item, values) for item in group) for group in self.distinct):
                return values
        raise UserError(f"distinct: no draw of {split} fillers satisfies {self.distinct}; add some that differ")

    def _pair(
        self, digest: str, template: str, clean: Rendered, corrupted: Rendered, answer: str, wrong: str
    ) -> PromptPair:
        where = f"{clean[0]!r} (template {template})"
        if self.kind == "pairs" and answer == wrong:
            raise UserError(f"answer and wrong are both {answer!r} in {where}: use `distinct` to keep them apart")
        if self.kind == "pairs" and clean[0] == corrupted[0]:
            raise UserError(f"clean and corrupted are the same text {where}: make them differ")
        if not clean[0].strip():
            raise UserError(f"template {template} renders to an empty prompt")
        texts = (clean[0], corrupted[0], answer, wrong)
        return PromptPair(content_hash([digest, *texts])[7:23], template, *texts, clean[1], corrupted[1])

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.templates is None) == (self.pairs is None):
            raise UserError("templates: give either `templates` or `pairs`, and not both")
        if self.kind == "text" and (self.answer or self.wrong or self.corrupted or self.pairs):
            raise UserError("kind: a text behaviour has templates only; remove answer, wrong, corrupted and pairs")
        if self.templates is not None:
            self._check_generator(self.templates)
        if self.pairs is not None:
            if unused := [name for name in _GENERATOR if getattr(self, name)]:
                raise UserError(f"{min(unused)}: not used where `pairs` are given; remove it")
            self.pairs.check_disjoint("pairs", lambda pair: plain(pair.clean))
        for split, family in self.origins:
            draws = self._draws(random.Random(0), split, self._templates(split, family))
            draws = draws if self.pairs else itertools.islice(draws, 32)
            with _blaming(f"a sample of the {f'family {family}' if family else f'{split} split'}"):
                for draw in draws:
                    self._pair("", *draw)
        return self

    def _check_generator(self, templates: BySplit[Template]) -> None:
        if self.kind == "pairs" and (self.answer is None or self.wrong is None):
            raise UserError(f"{'wrong' if self.answer else 'answer'}: missing; a format string such as ' {{io}}'")
        if self.kind == "pairs" and self.clean.keys() != self.corrupted.keys():
            raise UserError(
                f"corrupted: defines {listed(self.corrupted)}, clean defines {listed(self.clean)}; "
                "both must define the same variables"
            )
        for name in self.clean.keys() & self.draw.keys():
            raise UserError(f"clean.{name}: is drawn as well; give the derived variable another name")
        for variable, kind in self.draw.items():
            if kind not in self.fillers:
                raise UserError(f"draw.{variable}: no fillers of kind {kind!r}; there are {listed(self.fillers)}")
            wanted = list(self.draw.values()).count(kind)
            if wanted > min(len(self.fillers[kind].of(split)) for split in SPLITS):
                raise UserError(f"fillers.{kind}: {wanted} variables draw from it, and one split has fewer entries")
        for kind, lists in self.fillers.items():
            if {} in [*lists.exploration, *lists.confirmation]:
                raise UserError(f"fillers.{kind}: holds an empty record; give it fields, or remove it")
            lists.check_disjoint(f"fillers.{kind}", entity)
        own = {split: templates.of(split) for split in SPLITS}
        check_templates(own | {f"families.{name}": family for name, family in self.families.items()})
        for split in SPLITS:
            self._check_expressions(split, f"templates.{split}", own[split])
        for name, family in self.families.items():
            if not re.match(r"^[a-z][a-z0-9_]*$", name) or not family:
                raise UserError(f"families.{name}: a name such as 'distant', and at least one template")
            self._check_expressions("confirmation", f"families.{name}", family)
            check_positions(name, family, self.named_positions)

    def _check_expressions(self, split: Split, where: str, templates: list[Template]) -> None:
        """Every expression is defined for every filler, and only templates carry named positions."""
        sides = {"clean": self.clean, "corrupted": self.corrupted}
        formats = {f"{side}.{name}": text for side, texts in sides.items() for name, text in texts.items()}
        formats |= {"answer": self.answer or "", "wrong": self.wrong or ""}
        derived = dict.fromkeys(self.clean, "?")
        for field, text in formats.items():
            with _blaming(field):
                if parse_markup(text).names:
                    raise UserError("only templates have named positions; write '[[' for the character")
                self._try(parse_markup(text).variables, split, {})
        for group in self.distinct:
            with _blaming("distinct"):
                self._try(group, split, {})
        for template in templates:
            with _blaming(f"{where}.{template.id}"):
                self._try(parse_markup(template.text).variables, split, derived)

    def _try(self, expressions: Iterable[str], split: Split, derived: Mapping[str, str]) -> None:
        for expression in expressions:
            variable = expression.partition(".")[0]
            if variable not in self.draw:
                evaluate(expression, dict.fromkeys(self.draw, "?") | dict(derived))
                continue
            for filler in self.fillers[self.draw[variable]].of(split):
                evaluate(expression, {variable: filler})


@contextmanager
def _blaming(where: str) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def _derived(formats: Mapping[str, str], values: Mapping[str, Filler]) -> dict[str, Filler]:
    return {name: parse_markup(text).render(values)[0] for name, text in formats.items()}


def _pick(rng: random.Random, items: list[T], remove: bool = False) -> T:
    index = int(rng.random() * len(items))
    return items.pop(index) if remove else items[index]


def _checked(split: str) -> str:
    if split not in SPLITS:
        raise UserError(f"there is no split {split!r}: it is 'exploration' or 'confirmation'")
    return split
