"""Whole simulated studies: false discoveries, power and prompts of honest and cheating agents under every correction.

A false discovery proportion is the share of false claims among the confirmed; a false discovery rate is its mean over
studies. Where claims share prompts, the proportion spreads wider over studies than where each has its own; what is
promised is its mean. Per group it is the share of groups of overlapping claims (`correction.groups`) of which no
confirmed claim is true. Power is the share of the registered true claims that are confirmed.

Under guards the verdicts are those of the log: `Reader.judgements` for the official ones, `correction.confirmed` for
the views that are shown beside them. P-values of tests that stop when they succeed are not p-values, whoever runs them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np

from lakatos.agent.simulation.cast import AGENTS
from lakatos.agent.simulation.freehand import Freehand
from lakatos.agent.simulation.laboratory import Laboratory
from lakatos.agent.simulation.world import NOISES, SHARED, World
from lakatos.experiments_db.verdict import OFFICIAL, Slot, confirmed, groups
from lakatos.tools.errors import UserError
from lakatos.tools.multiplicity import METHODS, slot_weights
from lakatos.tools.statistics import BATCH, MIN_EXPLORATION

LEAST_POWER = 0.9  # of the honest agent, officially, in a study of at least `ENOUGH` slots
ENOUGH = 100
ENOUGH_STUDIES = 20  # of one correlation: with fewer, its rate is not held to alpha by itself
QUANTILE = 0.95  # of the false discovery proportion, over studies


@dataclass(frozen=True)
class Design:
    """What a simulated study is like."""

    slots: int = 100
    true_share: float = 0.2  # of the candidates
    d: float = 0.5  # standardised effect of the true ones
    n_max: int = 128
    alpha: float = 0.05
    seed: int = 0
    correlations: tuple[float, ...] = (SHARED,)  # of effects on one prompt, over claims: studies take turns
    blocks: bool = False  # whether only claims of one block are correlated
    own_streams: bool = False  # every claim has its own prompts
    planned: int | None = None  # claims that a study says beforehand it will register


@dataclass(frozen=True)
class Job:
    """One study to simulate."""

    agent: str
    guarded: bool
    number: int
    design: Design

    @property
    def noise(self) -> str:
        """The shape of effects: they take turns."""
        return tuple(NOISES)[self.number % len(NOISES)]

    @property
    def correlation(self) -> float:
        """Of effects over claims: correlations take turns, each with every shape."""
        correlations = self.design.correlations
        return correlations[self.number // len(NOISES) % len(correlations)]


@dataclass(frozen=True)
class Found:
    """What one correction said in one study."""

    false_share: float  # of the confirmed claims
    false_group_share: float  # of the groups that the confirmed claims are in
    power: float | None  # None: no true claim was registered
    planned_power: float | None  # of the slots that were planned; all of them, where none were


@dataclass(frozen=True)
class Outcome:
    """One study."""

    job: Job
    refused: int  # proposals, and attempts at the log
    registered: int
    prompts: dict[bool, float]  # per claim, of the true and of the null ones
    methods: dict[str, Found]


def simulate(job: Job) -> Outcome:
    """Run one study to its end. The same job gives the same outcome, wherever it runs."""
    design = job.design
    seed = (design.seed << 32) + job.number
    true = round(design.true_share * design.slots)
    world = World(seed, design.slots, true, design.d, job.noise, job.correlation, design.blocks)
    agent = AGENTS[job.agent]()
    if not job.guarded:
        rng = [seed, *job.agent.encode()]
        study = Freehand(world, design.slots, design.n_max, rng, design.planned, design.own_streams)
        agent.unguarded(study)
        return _outcome(job, 0, study.reported, study.true, study.prompts, groups(study.reported), {})
    secret = f"{job.agent} {seed}"
    lab = Laboratory(world, design.slots, design.n_max, design.alpha, secret, design.planned, design.own_streams)
    try:
        agent.guarded(lab)
        slots = lab.store.slots()
        judged = lab.store.judgements(slots)
    finally:
        lab.store.engine.dispose()
    holds = {number: world.holds(test.claim) for number, test in lab.registered.items()}
    official = {OFFICIAL: [judged[slot.id].state == "confirmed" for slot in slots]}
    prompts = {slot.id: BATCH * slot.batches for slot in slots}
    return _outcome(job, lab.refused, slots, holds, prompts, {n: j.group for n, j in judged.items()}, official)


def simulation_document(
    agents: Sequence[str],
    studies: int,
    design: Design,
    unguarded: bool = False,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> dict[str, Any]:
    """Simulate studies of every agent, and say which promise is broken, if one is.

    Args:
        unguarded: also without the protocol.
        workers: processes. The figures do not depend on it.

    Raises:
        UserError: no such agent, or no such correlation.
    """
    unknown = [name for name in agents if name not in AGENTS]
    if unknown or not agents:
        raise UserError(f"There is no agent {', '.join(unknown) or 'named'}; there are {', '.join(AGENTS)}.")
    if not all(0 <= correlation <= 1 for correlation in design.correlations):
        raise UserError("Effects of claims have a correlation of 0 to 1.")
    guards = (True, False) if unguarded else (True,)
    jobs = [Job(agent, on, k, design) for k in range(studies) for agent in agents for on in guards]
    outcomes: dict[tuple[str, bool], list[Outcome]] = {(agent, on): [] for agent in agents for on in guards}
    for done, outcome in enumerate(_all(jobs, workers)):
        outcomes[outcome.job.agent, outcome.job.guarded].append(outcome)
        progress(done + 1, len(jobs))
    rows = [_row(*key, found, design) for key, found in outcomes.items()]
    return {
        **asdict(design),
        "studies": studies,
        "explored": MIN_EXPLORATION,
        "noises": list(NOISES),
        "official": OFFICIAL,
        "agents": rows,
        "broken": list(_broken(rows, design)),
    }


def _all(jobs: Sequence[Job], workers: int) -> Iterator[Outcome]:
    if workers == 1:
        yield from map(simulate, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(simulate, jobs)


def _outcome(
    job: Job,
    refused: int,
    slots: Sequence[Slot],
    true: Mapping[int, bool],
    prompts: Mapping[int, int],
    grouped: Mapping[int, int],
    known: Mapping[str, Sequence[bool]],
) -> Outcome:
    planned = job.design.planned or job.design.slots
    found = {
        method: _found(slots, known.get(method) or confirmed(slots, job.design.alpha, method), true, grouped, planned)
        for method in METHODS
    }
    spent = {kind: [prompts[s.id] for s in slots if true[s.id] is kind] for kind in (True, False)}
    return Outcome(job, refused, len(slots), {k: float(np.mean(n)) for k, n in spent.items() if n}, found)


def _found(
    slots: Sequence[Slot], flags: Sequence[bool], true: Mapping[int, bool], grouped: Mapping[int, int], planned: int
) -> Found:
    chosen = [slot.id for slot, flag in zip(slots, flags, strict=True) if flag]
    right = [n for n in chosen if true[n]]
    every, sound = {grouped[n] for n in chosen}, {grouped[n] for n in right}
    hits = [flag for slot, flag in zip(slots, flags, strict=True) if true[slot.id]]
    early = hits[: sum(true[slot.id] for slot in slots[:planned])]
    return Found(
        false_share=1 - len(right) / len(chosen) if chosen else 0.0,
        false_group_share=1 - len(sound) / len(every) if every else 0.0,
        power=sum(hits) / len(hits) if hits else None,
        planned_power=sum(early) / len(early) if early else None,
    )


def _row(agent: str, guarded: bool, outcomes: Sequence[Outcome], design: Design) -> dict[str, Any]:
    def prompts(kind: bool) -> float | None:
        return _mean(o.prompts[kind] for o in outcomes if kind in o.prompts)["mean"]

    def of(method: str, some: Sequence[Outcome]) -> dict[str, Any]:
        found = [o.methods[method] for o in some]
        return {
            "fdr": _mean(f.false_share for f in found),
            "group_fdr": _mean(f.false_group_share for f in found),
            "spread": _spread([f.false_share for f in found], design.alpha),
            "group_spread": _spread([f.false_group_share for f in found], design.alpha),
            "power": _mean(f.power for f in found if f.power is not None),
            "planned_power": _mean(f.planned_power for f in found if f.planned_power is not None),
        }

    by_correlation = {c: [o for o in outcomes if o.job.correlation == c] for c in design.correlations}
    by_noise = {noise: [o for o in outcomes if o.job.noise == noise] for noise in NOISES}
    return {
        "agent": agent,
        "guarded": guarded,
        "refused": _mean(o.refused for o in outcomes)["mean"],
        "registered": _mean(o.registered for o in outcomes)["mean"],
        "prompts_per_true": prompts(True),
        "prompts_per_null": prompts(False),
        "methods": {method: of(method, outcomes) for method in METHODS},
        "official_by_noise": {noise: of(OFFICIAL, some) for noise, some in by_noise.items() if some},
        "by_correlation": [
            {"correlation": c, "studies": len(some), "methods": {method: of(method, some) for method in METHODS}}
            for c, some in by_correlation.items()
            if some
        ],
    }


def _mean(numbers: Iterable[float]) -> dict[str, float | None]:
    """Mean and its standard error over studies; None where there are none."""
    x = np.array(list(numbers), dtype=float)
    if not x.size:
        return {"mean": None, "se": None}
    return {"mean": float(x.mean()), "se": float(x.std(ddof=1) / math.sqrt(x.size)) if x.size > 1 else 0.0}


def _spread(proportions: Sequence[float], alpha: float) -> dict[str, float]:
    """How false discovery proportions lie over studies: sd, quantile, and the share of studies above alpha."""
    x = np.array(proportions)
    return {
        "sd": float(x.std(ddof=1)) if x.size > 1 else 0.0,
        "q95": float(np.quantile(x, QUANTILE)),
        "above": float((x > alpha).mean()),
    }


def _broken(rows: Sequence[dict[str, Any]], design: Design) -> Iterator[str]:
    """The promises that the figures break: those of the official verdicts, under guards."""
    for row in (row for row in rows if row["guarded"]):
        yield from _too_false(row["agent"], row["methods"][OFFICIAL], design.alpha)
        if len(row["by_correlation"]) > 1:
            for cell in row["by_correlation"]:
                if cell["studies"] >= ENOUGH_STUDIES:
                    who = f"{row['agent']} at correlation {cell['correlation']:g}"
                    yield from _too_false(who, cell["methods"][OFFICIAL], design.alpha)
        power, se = (row["methods"][OFFICIAL]["planned_power"][what] for what in ("mean", "se"))
        if row["agent"] == "honest" and _powerful(design) and power < LEAST_POWER - 2 * se:
            yield f"honest: power {power:.3f} (s.e. {se:.3f}) is below {LEAST_POWER:g}"


def _too_false(who: str, found: dict[str, Any], alpha: float) -> Iterator[str]:
    for name, what in (("fdr", "false discovery rate"), ("group_fdr", "false discovery rate per group")):
        mean, se = found[name]["mean"], found[name]["se"]
        if mean > alpha + 2 * se:
            yield f"{who}: {what} {mean:.3f} (s.e. {se:.3f}) is above {alpha:g}"


def _powerful(design: Design) -> bool:
    """Whether the power of planned slots is promised: in a large study whose plan takes no weight from them."""
    planned = design.planned or design.slots
    kept = slot_weights(planned, design.planned) >= slot_weights(planned)
    return design.slots >= ENOUGH and bool(kept.all())
