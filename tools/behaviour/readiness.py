"""Can a behaviour be investigated at all? Everything that registering and testing would fail on, asked beforehand.

`lakatos behaviours check` and `lakatos run` both ask it here. It costs no forward pass, and its prompts are drawn with
seeds of its own: none of them is a study's.
"""

from __future__ import annotations

from collections.abc import Mapping

from lakatos.tools.behaviour.behaviour import Behaviour
from lakatos.tools.behaviour.encoding import Tokenizer
from lakatos.tools.behaviour.problems import Problem, of_control
from lakatos.tools.behaviour.supply_problems import donor_problems, repeated_entries, supply_problems
from lakatos.tools.behaviour.tokenizer_problems import static_problems
from lakatos.tools.statistics import MIN_EXPLORATION


def readiness_problems(
    behaviour: Behaviour,
    controls: Mapping[str, Behaviour],
    tokenizer: Tokenizer,
    *,
    max_pairs: int,
    explored: int = MIN_EXPLORATION,
    donors: bool = True,
) -> list[Problem]:
    """What is wrong with a behaviour and its controls for a run on the tokenizer's model; [] when nothing is.

    Args:
        controls: by name; those that cannot be loaded are `controls.load_controls`'s to report.
        max_pairs: the most confirmation pairs that a test may use.
        explored: exploration pairs of the behaviour that are drawn at once.
        donors: whether claims may replace activations by those of other prompts.
    """
    problems = _of(behaviour, tokenizer, max_pairs, explored, donors)
    for name, control in controls.items():
        problems += of_control(name, _of(control, tokenizer, max_pairs, MIN_EXPLORATION, donors))
    return problems


def _of(behaviour: Behaviour, tokenizer: Tokenizer, max_pairs: int, explored: int, donors: bool) -> list[Problem]:
    misfits = repeated_entries(behaviour) + static_problems(behaviour, tokenizer)
    if any(problem.cause in ("tokenizer", "draw") for problem in misfits):
        return misfits
    scarce = supply_problems(behaviour, max_pairs, explored)
    # mending what is found so far changes which prompts are alike
    return [*misfits, *scarce] or (donor_problems(behaviour, tokenizer) if donors else [])
