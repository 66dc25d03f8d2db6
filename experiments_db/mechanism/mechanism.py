"""A mechanism as data: what is confirmed of how a model does something, what is not explained, what is left open."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

LEVEL: Final = 0.95  # of the intervals of shares
Direction = Literal["supports", "opposes"]


@dataclass(frozen=True)
class Backing:
    """What a part of a mechanism rests on."""

    claims: tuple[int, ...]  # numbers of confirmed hypotheses, ascending
    families: tuple[str, ...] = ()  # prompt families on which it is confirmed too, beside the behaviour itself
    unshown: tuple[str, ...] = ()  # prompt families on which it was tested and is not confirmed


@dataclass(frozen=True)
class Node(Backing):
    """A component whose replacement moves the behaviour, at a named position or everywhere."""

    component: str = ""  # a9.h6@END
    effect: float | None = None  # of activation patching, as a fraction of the gap, signed: negative opposes
    direction: Direction = "supports"
    necessary: bool = False  # the behaviour needs it, and control behaviours need it far less
    lost: float | None = None  # what its ablation costs, as a fraction of the gap
    together: tuple[str, ...] = ()  # the components of the claim, where it is about several at once


@dataclass(frozen=True)
class Path(Backing):
    """What senders do, they do through these receivers."""

    senders: tuple[str, ...] = ()
    receivers: tuple[str, ...] = ()  # a9.h6.q, m5, or logits
    effect: float | None = None  # of the senders, as a fraction of the gap, signed
    direction: Direction = "supports"
    share: float = 0.5  # of the senders' effect, at least, that goes this way


@dataclass(frozen=True)
class Looks(Backing):
    """Where a head looks. It is not an effect: nothing is replaced."""

    heads: tuple[str, ...] = ()
    attends_from: str = ""
    attends_to: str = ""
    margin: float | None = None  # share of its attention, more than to any other named position


@dataclass(frozen=True)
class Backup(Backing):
    """Components that do the work of others when these are missing."""

    components: tuple[str, ...] = ()  # that step in
    of: tuple[str, ...] = ()  # whose work they do
    effect: float | None = None  # what is lost together beyond the sum of both alone, as a fraction of the gap


@dataclass(frozen=True)
class Circuit(Backing):
    """Components that are enough by themselves (sufficiency), or none of which can be left out (minimality)."""

    kind: Literal["sufficiency", "minimality"] = "sufficiency"
    components: tuple[str, ...] = ()
    rival: bool = False  # put forward as a rival to another circuit
    faithfulness: float | None = None  # of a sufficient one: the share of the model's metric that it keeps, at least
    backups: dict[str, tuple[str, ...]] = field(default_factory=dict)  # of a minimal one: member -> those that step in


@dataclass(frozen=True)
class Absent(Backing):
    """Components without an effect: within the margin, in total and directly."""

    components: tuple[str, ...] = ()
    margin: float = 0.1  # as a fraction of the gap


@dataclass(frozen=True)
class Reading(Backing):
    """What a battery says of a component beside its claim: backed up, inert, or necessary and not specific."""

    component: str = ""
    reading: str = ""


@dataclass(frozen=True)
class Share:
    """A share of the gap, with its interval over prompts."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Explained:
    """All confirmed nodes together, on prompts that no claim was tested on. It describes; no verdict rests on it."""

    run: int
    components: tuple[str, ...]
    claims: tuple[int, ...]
    pairs: int
    restored: Share  # of the gap, when all of them are patched from the clean into the corrupted run
    lost: Share  # of the gap, when all of them are ablated (resample) on the clean run


@dataclass(frozen=True)
class Open:
    """Something that the evidence is consistent with, and that is not shown."""

    text: str  # the claim in one line
    why: Literal["rival", "undecided", "not tested"]
    claim: int | None = None  # its number, where it was tested


@dataclass(frozen=True)
class Sentence:
    """A sentence about a mechanism, and the claims that it rests on."""

    text: str
    claims: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.text} [{', '.join(map(str, self.claims))}]" if self.claims else self.text


@dataclass(frozen=True)
class Mechanism:
    """How a model does something, as far as it is confirmed: of one run, or of all runs of a study about it.

    Effects are fractions of the clean-corrupted gap, signed: a negative one opposes the behaviour. `open` is what the
    evidence does not exclude; `explained` says how much of the behaviour the confirmed nodes make up.
    """

    behaviour: str
    question: str
    model: str
    study: str
    runs: tuple[int, ...]
    n_layers: int
    n_heads: int
    positions: tuple[str, ...]  # named positions, as they follow one another in a prompt
    families: tuple[str, ...]  # the behaviour's other prompt families
    tested: int
    confirmed: int
    nodes: tuple[Node, ...] = ()
    paths: tuple[Path, ...] = ()
    looks: tuple[Looks, ...] = ()
    backups: tuple[Backup, ...] = ()
    circuits: tuple[Circuit, ...] = ()
    absent: tuple[Absent, ...] = ()
    readings: tuple[Reading, ...] = ()
    explained: Explained | None = None
    open: tuple[Open, ...] = ()
    sentences: tuple[Sentence, ...] = ()
    n_groups: int = 0  # key-value groups of a layer
    lines: tuple[dict[str, Any], ...] = field(default=(), repr=False)  # every hypothesis as a flat row

    @property
    def empty(self) -> bool:
        """Whether nothing is confirmed but that components have no effect."""
        return not (self.nodes or self.paths or self.looks or self.backups or self.circuits)

    def document(self) -> dict[str, Any]:
        """JSON-ready, without the hypotheses' rows."""
        told = asdict(self)
        del told["lines"]
        return told

    def to_frame(self) -> Any:
        """Every hypothesis behind it as a pandas DataFrame, one a row, with the columns of `lakatos log --json`."""
        import pandas as pd

        return pd.DataFrame(list(self.lines))
