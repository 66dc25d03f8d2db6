"""Speed: the same cells through TransformerLens's own sweep and through ours, alternating in one process.

A row says, for one task: cells a second of each and their ratio, with a 95 % bootstrap interval over the peer's timed
cells and our timed rounds; the largest difference between the two on cells of both, as a fraction of the mean
clean-corrupted gap; the largest ratio that exact re-running of later layers and positions allows, in operations; and
how near ours comes to what this machine's matrix products do at the same shapes, timed in the same run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from lakatos.tools.behaviour import Behaviour, load_behaviour
from lakatos.tools.benchmark.operations import product_rate, profile, timed
from lakatos.tools.benchmark.tasks import PAIRS, Task, build_task
from lakatos.tools.model import Say

_RESAMPLES = 4000
_PROFILED = 20.0  # seconds of our time that are enough to see where it goes; torch notes every operation


@dataclass(frozen=True)
class Row:
    """What was measured of one task."""

    task: str
    what: str
    pairs: int
    cells: int
    running: float  # the share of cells' prompts in which anything differs from the base run
    ours: float  # cells a second
    peer: float
    ratio: float
    low: float  # of the 95 % interval
    high: float
    bound: float  # the ratio of operations: the peer's passes over what exact re-running needs
    difference: float  # the largest on shared cells, as a fraction of the mean gap
    needed: float  # operations, all cells
    achieved: float  # operations a second: needed over our time
    attainable: float  # operations a second of matrix products of a block's shapes
    ours_seconds: tuple[float, ...]  # each round
    peer_seconds: tuple[float, ...]  # each sampled cell
    shares: dict[str, float] | None = None  # of our time, by profile

    @property
    def of_attainable(self) -> float:
        """How much of the machine's rate our sweep comes to."""
        return self.achieved / self.attainable

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"of_attainable": self.of_attainable}


def sweep_document(
    model: Any,
    tasks: Sequence[str] = tuple(PAIRS),
    *,
    behaviour: Behaviour | None = None,
    control: Behaviour | None = None,
    pairs: int | None = None,
    samples: int = 40,
    rounds: int = 3,
    patience: float = 600.0,
    seed: int = 0,
    profiled: bool = False,
    say: Say = lambda _: None,
) -> dict[str, Any]:
    """Measure tasks; JSON-ready, one row each.

    Args:
        model: a TransformerBridge.
        tasks: letters, see `sweep_tasks`.
        behaviour: where pairs are drawn from; default IOI.
        control: plain text; default the built-in.
        pairs: how many, for every task; default each task's own.
        samples: cells of the peer that are timed, drawn at random.
        rounds: how often ours runs whole, and in how many parts the peer's cells are timed between.
        patience: seconds after which ours is not run again (once it is always).
        seed: of prompts, sampled cells and bootstrap.
        profiled: run ours, or a random part of it, once more under torch's profiler, to say where its time is.
        say: is told the progress.

    Raises:
        UserError: there is no such task, or the model or its blocks are of a kind that is not counted.
    """
    behaviour, control = behaviour or load_behaviour("ioi"), control or load_behaviour("plain_text")
    cfg = model.cfg
    rows = []
    for name in tasks:
        say(f"{name}: preparing")
        task = build_task(name, model, behaviour, control, pairs, seed)
        row = measure(model, task, samples, rounds, patience, seed, profiled, say)
        rows.append(row.as_dict())
        say(f"{name}: {row.ratio:.1f} times TransformerLens, {row.of_attainable:.0%} of attainable")
    device = torch.device(cfg.device)
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "model": str(cfg.model_name),
        "shape": {"layers": cfg.n_layers, "heads": cfg.n_heads, "d_model": cfg.d_model, "d_vocab": cfg.d_vocab},
        "dtype": str(cfg.dtype).removeprefix("torch."),
        "device": gpu or device.type,
        "threads": torch.get_num_threads(),
        "seed": seed,
        "samples": samples,
        "rounds": rounds,
        "versions": _versions(),
        "rows": rows,
    }


def measure(
    model: Any,
    task: Task,
    samples: int = 40,
    rounds: int = 3,
    patience: float = 600.0,
    seed: int = 0,
    profiled: bool = False,
    say: Say = lambda _: None,
) -> Row:
    """Time one task by both, after warming both up; who goes first changes from round to round."""
    race = _Race(task, model.cfg.device, patience, say)
    drawn = np.random.default_rng(seed).permutation(task.cells)[:samples].tolist()
    task.ours(drawn[:2])
    with task.around():
        task.peer(drawn[0])
    product_rate(model)
    rates: list[float] = []
    for number in range(rounds):
        steps: list[Callable[[], None]] = [race.run_ours, partial(race.run_peer, drawn[number::rounds])]
        for step in steps if number % 2 == 0 else steps[::-1]:
            step()
            rates.append(product_rate(model))
    assert race.values is not None
    ours, peer = race.ours, [*race.peer.values()]
    seconds, each = float(np.mean(ours)), float(np.mean(peer))
    low, high = ratio_interval(peer, ours, task.cells, seed)
    return Row(
        task=task.name,
        what=task.what,
        pairs=task.pairs,
        cells=task.cells,
        running=task.running,
        ours=task.cells / seconds,
        peer=1 / each,
        ratio=task.cells * each / seconds,
        low=low,
        high=high,
        bound=task.cells * task.peer_needs / task.needed,
        difference=task.difference(race.values, race.theirs),
        needed=task.needed,
        achieved=task.needed / seconds,
        attainable=float(np.median(rates)),
        ours_seconds=tuple(ours),
        peer_seconds=tuple(peer),
        shares=profile(lambda: task.ours(_some(race.whole, _PROFILED / seconds, seed)), race.device)
        if profiled
        else None,
    )


@dataclass
class _Race:
    """One task by both in turn: what each has taken and found so far."""

    task: Task
    device: Any
    patience: float
    say: Say
    ours: list[float] = field(default_factory=list)  # seconds of each round
    values: np.ndarray | None = None  # ours, of all cells
    peer: dict[int, float] = field(default_factory=dict)  # seconds of each sampled cell
    theirs: dict[int, np.ndarray] = field(default_factory=dict)  # the peer's, of each sampled cell

    @property
    def whole(self) -> range:
        """Every cell of the task."""
        return range(self.task.cells)

    def run_ours(self) -> None:
        """All cells, unless patience has run out."""
        if self.values is None or sum(self.ours) < self.patience:
            self.values, seconds = timed(lambda: self.task.ours(self.whole), self.device)
            self.ours.append(seconds)
            self.say(f"{self.task.name}: ours {self.task.cells} cells in {seconds:.2f} s")

    def run_peer(self, cells: Sequence[int]) -> None:
        """These cells, one after another."""
        with self.task.around():
            for cell in cells:
                self.theirs[cell], self.peer[cell] = timed(partial(self.task.peer, cell), self.device)
        if cells:
            mean = np.mean([self.peer[cell] for cell in cells])
            self.say(f"{self.task.name}: TransformerLens {len(cells)} cells, {mean:.3f} s each")


def ratio_interval(peer: Sequence[float], ours: Sequence[float], cells: int, seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of how many times faster ours is: both means are resampled.

    Args:
        peer: seconds of each sampled cell.
        ours: seconds of each round of all cells; with few rounds the interval is of the peer's spread mostly.
        cells: how many a round has.
    """
    rng = np.random.default_rng(seed)
    theirs, own = (np.asarray(x)[rng.integers(len(x), size=(_RESAMPLES, len(x)))].mean(1) for x in (peer, ours))
    low, high = np.quantile(cells * theirs / own, [0.025, 0.975])
    return float(low), float(high)


def _some(cells: Sequence[int], share: float, seed: int) -> list[int]:
    """A random share of the cells in their order, at least 40."""
    count = min(len(cells), max(40, round(share * len(cells))))
    return sorted(np.random.default_rng(seed).permutation(len(cells))[:count].tolist())


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "transformer-lens", "transformers")} | {
        "python": sys.version.split()[0]
    }
