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
from collections.abc import Collection, Iterator
from typing import Self

from pydantic import model_validator

from lakatos.tools.behaviour import drawing
from lakatos.tools.behaviour.checks import check_definition
from lakatos.tools.behaviour.definition import Definition
from lakatos.tools.behaviour.markup import parse_markup
from lakatos.tools.behaviour.pairs import SPLITS, PromptPair, PromptPairs, Split
from lakatos.tools.errors import UserError
from lakatos.tools.records import content_hash

_NOT_HASHED = {"name", "version", "question", "selected_because", "considered", "changelog", "controls"}


class Behaviour(Definition):
    """A question about a model plus a generator of clean/corrupted prompt pairs. One YAML file; see docs."""

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

    def templates_of(self, split: Split, family: str | None = None) -> list[str]:
        """The ids of the templates that pairs come from, each once."""
        if self.pairs is not None:
            return sorted({pair.template for pair in self.pairs.of(split)})
        return [template.id for template in self.templates_in(split, family)]

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
        self,
        seed: int,
        split: Split,
        family: str | None = None,
        per_template: int | None = None,
        without: Collection[str] = (),
    ) -> Iterator[PromptPair]:
        """Distinct pairs without end, the same for the same arguments; the template is drawn anew for each.

        Args:
            family: draw from this family's templates instead; split="confirmation" only.
            per_template: draw in blocks of so many pairs of one template: each template once, in an order shuffled
                by the seed, and then no more. A bet on the mean of a block is a bet on a template.
            without: uids of pairs that are passed over as if they had been drawn already, and, where pairs come in
                blocks, ids of templates.

        Uses only `Random.random`, whose sequence Python promises to keep. Raises Exhausted when nothing new
        comes; with a small space that matters: draws without replacement are not independent. Raises UserError for a
        split or family that is not there.
        """
        return drawing.stream(self, self.hash, seed, split, family, per_template, without)

    def sample(
        self,
        n: int,
        seed: int = 0,
        split: Split = "exploration",
        skip: int = 0,
        family: str | None = None,
        per_template: int | None = None,
        without: Collection[str] = (),
    ) -> PromptPairs:
        """Pairs skip .. skip + n of the stream; batch i of a test is `sample(16, seed, split, skip=16 * i)`."""
        if n < 0 or skip < 0:
            raise UserError(f"n = {n} and skip = {skip}: neither can be negative")
        pairs = tuple(itertools.islice(self.stream(seed, split, family, per_template, without), skip, skip + n))
        return PromptPairs(pairs, self.name, self.hash, self.bos, self.kind, split, seed, family)

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_definition(self)
        return self
