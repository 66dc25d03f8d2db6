"""What a re-run showed, per prompt."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, NamedTuple

from lakatos.experiments_db.log import rerun_data
from lakatos.experiments_db.regression.file import HypothesisFile
from lakatos.tools.claim import AnyClaim
from lakatos.tools.evidence import Battery, Data, Decision, Tolerance, effects_of


class TemplateFound(NamedTuple):
    """The effect of one line on the prompts of one template."""

    template: str
    n: int
    mean: float  # raw units, not clipped


@dataclass(frozen=True)
class Outcome:
    """What a re-run showed. `decision` has the outcome and every line of the battery."""

    hypothesis: HypothesisFile
    decision: Decision
    alpha: float  # how often a true claim fails
    pairs: int  # the most prompts it might use
    exhausted: bool  # the behaviour had no more prompts to give
    n: int  # prompts used
    seed: int
    members: tuple[str, ...]  # hashes of all claims on these prompts, which come from the seed and from them
    model: str
    weights: str
    environment: dict[str, Any]
    prompts: tuple[dict[str, Any], ...]  # uid, template and measured numbers of each
    forwards: float
    seconds: float

    @property
    def outcome(self) -> str:
        """held, failed or undecided."""
        return self.decision.outcome

    @property
    def same_weights(self) -> bool:
        """Whether these are the weights that the claim was confirmed of."""
        return self.weights == self.hypothesis.model.weights

    @property
    def telling(self) -> Tolerance:
        """The line that says most: the first that failed, else the main effect's."""
        pairs = zip(self.hypothesis.tolerance, self.decision.lines, strict=True)
        return next((t for t, found in pairs if found.outcome == "failed"), self.hypothesis.tolerance[0])

    @property
    def templates(self) -> list[TemplateFound]:
        """The effect of the telling line by template, the smallest first."""
        return by_template(self.hypothesis.typed, self.hypothesis.battery, rerun_data(self.prompts), self.telling.line)


def by_template(claim: AnyClaim, battery: Battery, data: Data, line: str) -> list[TemplateFound]:
    """The effect of a line by template, the smallest first."""
    gathered: dict[str, list[float]] = defaultdict(list)
    for template, effect in zip(data.templates, effects_of(claim, battery, data)[line], strict=True):
        gathered[template].append(float(effect))
    found = [TemplateFound(name, len(own), sum(own) / len(own)) for name, own in gathered.items()]
    return sorted(found, key=lambda t: t.mean)
