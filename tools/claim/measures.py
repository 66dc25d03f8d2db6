"""What a battery measures, and the names under which its numbers are stored: the one home of these names.

clean, corrupted        the two runs without any intervention
intervened, path, ...   an arm of the claim, under the arm's own name
random.0, shuffled.0    an arm with what the claim is compared with
control.NAME.clean      the clean run of a control behaviour;  control.NAME.ARM: an arm on it
attention.ROLE          a share of attention

Where claims share their prompts, what belongs to none of them is stored once, under a common name (`common_name`):
METRIC.clean, METRIC.corrupted, control.NAME.clean.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from lakatos.tools.claim.vocabulary import Base, Metric, Source

CLEAN, CORRUPTED = "clean", "corrupted"
INTERVENED, DIRECT, PATH, CIRCUIT = "intervened", "direct", "path", "circuit"
BACKED_UP, BACKUPS = "backed_up", "backups"  # each without the other
_CONTROL, _ATTENTION = "control.", "attention."


def of_control(control: str, run: str = CLEAN) -> str:
    """The name of a run of a control behaviour."""
    return f"{_CONTROL}{control}.{run}"


def of_role(role: str) -> str:
    """The name of the share of attention that goes to a role."""
    return f"{_ATTENTION}{role}"


def of_match(k: int, role: str = "random") -> str:
    """The name of the arm with the k-th of the components that a claim is compared with."""
    return f"{role}.{k}"


def common_name(name: str, metric: Metric | None) -> str | None:
    """The name under which a number that is no claim's own is stored, once for all claims on the same prompts.

    Args:
        name: of the number, in the claim's battery.
        metric: the claim's; None: it looks only.

    Returns:
        METRIC.clean and METRIC.corrupted for the runs without any intervention; a control's clean run keeps its name,
        as its metric is the control's own. None: the number is the claim's own.
    """
    if metric is None:
        return None
    if name in (CLEAN, CORRUPTED):
        return f"{metric}.{name}"
    control, _, _ = name.removeprefix(_CONTROL).partition(".")  # no name of a behaviour has a dot
    return name if name == of_control(control) else None


def is_share(name: str) -> bool:
    """Whether the number is a share of attention."""
    return name.startswith(_ATTENTION)


def short(name: str) -> str:
    """The name as a table's heading."""
    return name.removeprefix(_ATTENTION)


def owners(name: str, controls: Iterable[str]) -> list[str]:
    """Which of the control behaviours the number may be of; none where it is of the behaviour itself."""
    return [control for control in controls if name.startswith(of_control(control, ""))]


class Arm(NamedTuple):
    """One measured run of a battery: the metric with `components` replaced, stored under `name`."""

    name: str
    components: tuple[str, ...]
    source: Source
    base: Base = "clean"
    to: tuple[str, ...] = ()  # only along the direct path into these receivers
    keep: bool = False  # everything but the components
    elsewhere: bool = False  # on the control behaviours too


class Arms(NamedTuple):
    """A battery of interventions: a metric of every arm, beside the clean and the corrupted run."""

    metric: Metric
    arms: tuple[Arm, ...]

    @property
    def elsewhere(self) -> list[Arm]:
        """The arms that run on the control behaviours too."""
        return [arm for arm in self.arms if arm.elsewhere]

    def names(self, controls: Sequence[str] = ()) -> list[str]:
        """The names of all numbers that are stored for a prompt."""
        found = [CLEAN, CORRUPTED, *(arm.name for arm in self.arms)]
        return found + [of_control(c, run) for c in controls for run in (CLEAN, *(a.name for a in self.elsewhere))]


class Look(NamedTuple):
    """A battery that only looks: the share of attention that goes from one role to each of the others."""

    source: str
    roles: tuple[str, ...]

    def names(self, controls: Sequence[str] = ()) -> list[str]:  # noqa: ARG002 - nobody looks at controls
        """The names of all numbers that are stored for a prompt."""
        return [of_role(role) for role in self.roles]
