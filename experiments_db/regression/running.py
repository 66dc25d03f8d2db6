"""Confirmed claims, tested again: fresh prompts, their whole registered batteries, a sequential decision for each.

What may have been lost is in `tolerance.py` of evidence, how it is decided, with which errors, in `retest.py`. Prompts
come from a seed of the re-run's own, out of the same generator as the confirmation's: the templates and fillers that
exploration never saw. Claims of one model that ask about the same behaviour, family and controls share them: a stream.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakatos.experiments_db.log import from_values, rerun_key, rerun_seed
from lakatos.experiments_db.regression.file import HypothesisFile, read
from lakatos.experiments_db.regression.outcome import Outcome
from lakatos.tools.behaviour import Exhausted
from lakatos.tools.environment import environment
from lakatos.tools.errors import UserError
from lakatos.tools.evidence import ALPHA, MOST_PAIRS, Data, decide, effects_of, fail_bar, run_tests
from lakatos.tools.statistics import BATCH

if TYPE_CHECKING:
    from lakatos.tools.experiment import MeasuredDraw
    from lakatos.tools.model import LoadedModel

Progress = Callable[[int, int], None]
Report = Callable[[int, Outcome | Exception], None]


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
    """Test a confirmed claim again on fresh prompts. Arguments as of `rerun_all`.

    Raises:
        UserError: the file or the model cannot be read, or the model has not what the claim is about, or gives numbers
            that are not finite.
    """
    (found,) = rerun_all(
        [hypothesis], model, device=device, alpha=alpha, max_pairs=max_pairs, seed=seed, progress=progress
    )
    if isinstance(found, Exception):
        raise found
    return found


def rerun_all(
    hypotheses: Sequence[HypothesisFile | str | Path],
    model: LoadedModel | str | None = None,
    *,
    device: str = "cpu",
    alpha: float | None = None,
    max_pairs: int | None = None,
    seed: int | None = None,
    progress: Progress = lambda _done, _of: None,
    report: Report = lambda _place, _outcome: None,
) -> list[Outcome | Exception]:
    """Test confirmed claims again on fresh prompts; those that can share them do.

    Args:
        hypotheses: what `hypothesis_file.read` gives, or the files' paths.
        model: a loaded model, or a name as in `load_model`; by default those that the claims were confirmed of.
        device: of a model that is loaded here.
        alpha: how often a true claim may fail; by default each file's own.
        max_pairs: the most prompts of a claim; by default as many as are planned, and at most `MOST_PAIRS`.
        seed: of the prompts; a random one by default. The same seed and the same claims in the same order give the same
            prompts.
        progress: is told prompts so far, and of how many at most, for each stream.
        report: is told the place of a claim and what came of it, when those that it shares prompts with are done too.

    Returns:
        For each claim what it showed, or why it could not be run: a UserError where the user can mend it.
    """
    from lakatos.tools.model import load_model

    load = cache(partial(load_model, device=device))
    found: dict[int, Outcome | Exception] = {}
    asked: dict[int, _Asked] = {}

    def done(place: int, outcome: Outcome | Exception) -> None:
        found[place] = outcome
        report(place, outcome)

    for place, hypothesis in enumerate(hypotheses):
        try:
            file = hypothesis if isinstance(hypothesis, HypothesisFile) else read(hypothesis)
            level = file.alpha if alpha is None else alpha
            most = pairs_to_use(file, level, max_pairs)
            named = model or file.model.name
            loaded = load(named) if isinstance(named, str) else named
            _check_fits(file, loaded)
        except UserError as error:
            done(place, error)
        else:
            asked[place] = _Asked(file, loaded, level, most)
    for places in _streams(asked):
        key = secrets.randbits(63) if seed is None else seed
        for place, outcome in zip(places, _run([asked[place] for place in places], key, progress), strict=True):
            done(place, outcome)
    return [found[place] for place in range(len(hypotheses))]


@dataclass(frozen=True)
class _Asked:
    """A claim that is to be tested again."""

    file: HypothesisFile
    model: LoadedModel
    alpha: float
    most: int  # prompts

    @property
    def controls(self) -> dict[str, str]:
        """Name -> hash of the control behaviours of its battery."""
        return {control.name: control.hash for control in self.file.controls}

    def joins(self, other: _Asked) -> bool:
        """Whether both can be tested on the same prompts and control texts."""
        mine, theirs = ((a.model, a.file.behaviour.hash, a.file.typed.family) for a in (self, other))
        return mine == theirs and (not self.controls or not other.controls or self.controls == other.controls)

    def decided(self, so_far: Sequence[Data]) -> str | None:
        """The outcome, once there is one or no prompts are left to it."""
        if not so_far:
            return None
        outcome = decide(self.file.tolerance, self.effects(so_far), self.alpha).outcome
        return None if outcome == "undecided" and BATCH * len(so_far) < self.most else outcome

    def effects(self, so_far: Sequence[Data]) -> dict[str, Any]:
        """Per line of its battery, [n]."""
        return effects_of(self.file.typed, self.file.battery, Data.join(so_far))


def _streams(asked: dict[int, _Asked]) -> list[list[int]]:
    """The claims by stream, in the order in which they were given."""
    streams: list[list[int]] = []
    for place, own in asked.items():
        fitting = (stream for stream in streams if all(own.joins(asked[other]) for other in stream))
        stream = next(fitting, None)
        if stream is None:
            streams.append([place])
        else:
            stream.append(place)
    return streams


class _Stream:
    """The draws of a stream, as they come in."""

    def __init__(self, asked: Sequence[_Asked], key: int, progress: Progress) -> None:
        from lakatos.tools.experiment import Member

        self.asked, self.key, self.progress = asked, key, progress
        self.hashes = tuple(own.file.hash for own in asked)
        self.members = [Member(own.file.typed, own.file.battery) for own in asked]
        self.model, self.behaviour = asked[0].model, asked[0].file.behaviour.behaviour
        self.controls = [c.behaviour for c in max((own.file.controls for own in asked), key=len)]
        self.data: list[list[Data]] = [[] for _ in asked]
        self.prompts: list[list[dict[str, Any]]] = [[] for _ in asked]
        self.forwards, self.seconds = [0.0] * len(asked), [0.0] * len(asked)

    @property
    def most(self) -> int:
        """Prompts."""
        return max(own.most for own in self.asked)

    def measured(self, numbers: range, alive: Sequence[int]) -> list[MeasuredDraw]:
        """Draws, measured for the claims that go on."""
        from lakatos.tools.experiment import Draw, measure_draws

        self.progress(BATCH * numbers.start, self.most)
        members = [self.members[place] for place in alive]
        controls = self.controls if any(self.asked[place].controls for place in alive) else []
        seeds = partial(rerun_seed, self.key, rerun_key(self.hashes))
        draws = [Draw.of(members, self.behaviour, controls, number, seeds, unit="prompt") for number in numbers]
        return measure_draws(draws, members, self.model)

    def keep(self, draw: MeasuredDraw, alive: Sequence[int], _so_far: Sequence[Sequence[Data]]) -> None:
        """Note what a draw showed; its costs are shared out."""
        for place, claim in enumerate(alive):
            data = draw.data(place)
            if isinstance(data, Data):
                self.data[claim].append(data)
                self.prompts[claim] += [
                    {"uid": pair.uid, "template": pair.template, "measured": from_values(data.values, k)}
                    for k, pair in enumerate(draw.prompts)
                ]
            self.forwards[claim] += draw.forwards / len(alive)
            self.seconds[claim] += draw.seconds / len(alive)


def _run(asked: Sequence[_Asked], key: int, progress: Progress) -> list[Outcome | Exception]:
    """Test the claims of a stream again, on as many draws as each needs."""
    stream = _Stream(asked, key, progress)
    ends = run_tests([own.decided for own in asked], stream.measured, stream.keep)
    progress(max(BATCH * len(data) for data in stream.data), stream.most)
    return [_concluded(stream, place, end) for place, end in enumerate(ends)]


def _concluded(stream: _Stream, place: int, end: str | Exception) -> Outcome | Exception:
    """What a claim showed, or why it could not be run."""
    own, so_far = stream.asked[place], stream.data[place]
    exhausted = isinstance(end, Exhausted)
    if isinstance(end, FloatingPointError):
        error = UserError(f"{own.model.name} cannot be measured on {own.file.behaviour.name}: {end}")
        error.__cause__ = end
        return error
    if isinstance(end, Exception) and not (exhausted and so_far):
        return end
    return Outcome(
        hypothesis=own.file,
        decision=decide(own.file.tolerance, own.effects(so_far), own.alpha),
        alpha=own.alpha,
        pairs=own.most,
        exhausted=exhausted,
        n=BATCH * len(so_far),
        seed=stream.key,
        members=stream.hashes,
        model=own.model.name,
        weights=own.model.weight_hash,
        environment=environment(str(own.model.cfg.device)),
        prompts=tuple(stream.prompts[place]),
        forwards=stream.forwards[place],
        seconds=stream.seconds[place],
    )


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
