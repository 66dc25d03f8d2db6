"""A confirmed claim, tested again: fresh prompts, its whole registered battery, a sequential decision.

What may have been lost is in `tolerance.py` of evidence, how it is decided, with which errors, in `retest.py`. Prompts
come from a seed of the re-run's own, out of the same generator as the confirmation's: the templates and fillers that
exploration never saw. Everything a re-run showed is in its `Outcome`, per prompt.
"""

from __future__ import annotations

import math
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lakatos.experiments_db.log import from_values, rerun_data, rerun_seed
from lakatos.experiments_db.regression.file import HypothesisFile, read
from lakatos.tools.behaviour import Exhausted
from lakatos.tools.claim import AnyClaim
from lakatos.tools.environment import environment
from lakatos.tools.errors import UserError
from lakatos.tools.evidence import (
    ALPHA,
    MOST_PAIRS,
    Battery,
    Data,
    Decision,
    Tolerance,
    Values,
    decide,
    effects_of,
    fail_bar,
    run_tests,
)
from lakatos.tools.statistics import BATCH

if TYPE_CHECKING:
    from lakatos.tools.experiment import MeasuredDraw
    from lakatos.tools.model import LoadedModel

Progress = Callable[[int, int], None]


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


def rerun(
    hypothesis: HypothesisFile | str | Path,
    model: LoadedModel | str | None = None,
    *,
    device: str = "cpu",
    alpha: float | None = None,
    max_pairs: int | None = None,
    seed: int | None = None,
    progress: Progress = lambda _done, _of: None,
) -> Outcome:
    """Test a confirmed claim again on fresh prompts.

    Args:
        hypothesis: what `hypothesis_file.read` gives, or the file's path.
        model: a loaded model, or a name as in `load_model`; by default the one that the claim was confirmed of.
        device: of a model that is loaded here.
        alpha: how often a true claim may fail; by default the file's own.
        max_pairs: the most prompts; by default as many as are planned, and at most `MOST_PAIRS`.
        seed: of the prompts; a random one by default. The same seed gives the same prompts.
        progress: is told prompts so far, and of how many at most.

    Raises:
        UserError: the file or the model cannot be read, or the model has not what the claim is about, or gives numbers
            that are not finite.
    """
    from lakatos.tools.model import load_model

    file = hypothesis if isinstance(hypothesis, HypothesisFile) else read(hypothesis)
    level = file.alpha if alpha is None else alpha
    most = pairs_to_use(file, level, max_pairs)
    key = secrets.randbits(63) if seed is None else seed
    loaded = load_model(model or file.model.name, device=device) if model is None or isinstance(model, str) else model
    _check_fits(file, loaded)
    began = time.monotonic()
    batches, exhausted = _batches(file, loaded, level, most, key, progress)
    data = Data.join([data for _, data in batches])
    progress(len(data), most)
    return Outcome(
        hypothesis=file,
        decision=decide(file.tolerance, effects_of(file.typed, file.battery, data), level),
        alpha=level,
        pairs=most,
        exhausted=exhausted,
        n=len(data),
        seed=key,
        model=loaded.name,
        weights=loaded.weight_hash,
        environment=environment(device if model is None or isinstance(model, str) else str(loaded.cfg.device)),
        prompts=tuple(prompt for draw, data in batches for prompt in _prompts(draw, data.values)),
        forwards=sum(draw.forwards for draw, _ in batches),
        seconds=time.monotonic() - began,
    )


def _batches(
    file: HypothesisFile, model: LoadedModel, alpha: float, most: int, key: int, progress: Progress
) -> tuple[list[tuple[MeasuredDraw, Data]], bool]:
    """The batches of a re-run, at least one, and whether the behaviour had no more prompts to give."""
    from lakatos.tools.experiment import Draw, Member, measure_draws

    claim, battery, behaviour = file.typed, file.battery, file.behaviour.behaviour
    controls = [control.behaviour for control in file.controls]
    members = [Member(claim, battery)]
    batches: list[tuple[MeasuredDraw, Data]] = []

    def stops(so_far: Sequence[Data]) -> str | None:
        if not so_far:
            return None
        outcome = decide(file.tolerance, effects_of(claim, battery, Data.join(so_far)), alpha).outcome
        return None if outcome == "undecided" and BATCH * len(so_far) < most else outcome

    def measured(numbers: range, _alive: Sequence[int]) -> list[MeasuredDraw]:
        progress(BATCH * numbers.start, most)
        seeds = partial(rerun_seed, key, file.hash)
        draws = [Draw.of(members, behaviour, controls, number, seeds, unit="prompt") for number in numbers]
        return measure_draws(draws, members, model)

    (end,) = run_tests([stops], measured, lambda draw, _alive, data: batches.append((draw, data[0][-1])))
    if isinstance(end, FloatingPointError):
        raise UserError(f"{model.name} cannot be measured on {behaviour.name}: {end}") from end
    if isinstance(end, Exception) and not (batches and isinstance(end, Exhausted)):
        raise end
    return batches, isinstance(end, Exhausted)


def _prompts(draw: MeasuredDraw, values: Values) -> list[dict[str, Any]]:
    return [
        {"uid": pair.uid, "template": pair.template, "measured": from_values(values, place)}
        for place, pair in enumerate(draw.prompts)
    ]


def pairs_to_use(file: HypothesisFile, alpha: float, max_pairs: int | None) -> int:
    """The most prompts of a re-run, in whole batches.

    Raises:
        UserError: less than a batch, or alpha is none.
    """
    if not 0 < alpha <= 0.5:  # also where it is no number: nothing would ever fail
        raise UserError(f"alpha, how often a true claim may fail, is above 0 and at most 0.5; {alpha:g} is not.")
    if max_pairs is not None:
        if max_pairs < BATCH:
            raise UserError(f"At most {max_pairs} pairs: at least one batch ({BATCH}) is needed to say anything.")
        return max_pairs // BATCH * BATCH
    lines = len(file.tolerance)
    planned = file.pairs * max(1.0, math.log(fail_bar(lines, alpha)) / math.log(fail_bar(lines, ALPHA)))
    return min(BATCH * math.ceil(planned / BATCH), MOST_PAIRS)


def by_template(claim: AnyClaim, battery: Battery, data: Data, line: str) -> list[TemplateFound]:
    """The effect of a line by template, the smallest first."""
    gathered: dict[str, list[float]] = defaultdict(list)
    for template, effect in zip(data.templates, effects_of(claim, battery, data)[line], strict=True):
        gathered[template].append(float(effect))
    found = [TemplateFound(name, len(own), sum(own) / len(own)) for name, own in gathered.items()]
    return sorted(found, key=lambda t: t.mean)


def _check_fits(file: HypothesisFile, model: LoadedModel) -> None:
    from lakatos.tools.behaviour import static_problems, told

    behaviour = file.behaviour.behaviour
    try:
        for component in file.typed.tested.places():
            component.check(model.cfg, set(behaviour.named_positions))
    except UserError as error:
        raise UserError(f"{file.claim}: {model.name} has no such component: {error}") from error
    if model.weight_hash != file.model.weights and (problems := static_problems(behaviour, model.tokenizer)):
        raise UserError(
            f"{behaviour.name} does not fit the tokenizer of {model.name}:\n- " + "\n- ".join(told(problems, 5))
        )
