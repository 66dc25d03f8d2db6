"""One model, every arm and every seed: investigations in a log of their own, baselines beside them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lakatos.agent.arms import Arm, run_arm
from lakatos.agent.config import RunConfig
from lakatos.agent.groundtruth.judging import holds
from lakatos.agent.groundtruth.rows import Row, append, read
from lakatos.agent.groundtruth.techniques import Asked, ask
from lakatos.agent.groundtruth.told import TOLD
from lakatos.agent.run.investigation import Investigation
from lakatos.experiments_db.log import Entry
from lakatos.experiments_db.store import Store
from lakatos.tools.baseline import BASELINES
from lakatos.tools.behaviour import load_behaviour
from lakatos.tools.component import Component
from lakatos.tools.errors import UserError
from lakatos.tools.model import LoadedModel, load_model
from lakatos.tools.model.planted import Truth, truth_of
from lakatos.tools.records import content_hash

FOLDERS = ("rows", "techniques", "logs", "claims")  # in the benchmark's folder


class Job(NamedTuple):
    """One model with all that is asked of it."""

    model: str  # with the number of the instance: planted:backup#2
    arms: tuple[str, ...]
    baselines: tuple[str, ...]
    seeds: tuple[int, ...]
    common: dict[str, Any]  # settings of every investigation
    folder: str

    @property
    def truth(self) -> Truth:
        """Raises UserError: nothing is known of the model."""
        known = truth_of(self.model)
        if known is None:
            raise UserError(f"The truth of {self.model} is not known: name planted models.")
        return known

    @property
    def name(self) -> str:
        """Of its files."""
        return self.model.partition(":")[2].replace("#", "-").replace("~", "-")

    @property
    def rows(self) -> Path:
        """Where its rows are."""
        return Path(self.folder) / "rows" / f"{self.name}.jsonl"

    def wanted(self) -> list[tuple[str, int]]:
        """(arm, seed) in the order of work."""
        return [(arm, seed) for seed in self.seeds for arm in (*self.arms, *self.baselines)]

    @property
    def said(self) -> Path:
        """Where it is kept what techniques say of the model."""
        return Path(self.folder) / "techniques" / f"{self.name}.jsonl"

    def done(self) -> int:
        """How many of its rows there are."""
        return self.rows.read_bytes().count(b"\n") if self.rows.exists() else 0

    def settings(self, arm: str) -> str:
        """Hash of what decides an arm's numbers."""
        told: dict[str, Any] = {"arm": arm, "common": self.common}
        return content_hash(told)


def run_job(job: Job) -> Iterator[Row]:
    """Every row of a job, those that are there already first.

    Raises:
        UserError: the folder has rows of other settings, or an arm cannot run.
    """
    there = {row.key: row for row in read([job.rows], Row)}
    loaded = cache(load_model)  # nothing changes a model's weights

    def load(name: str, *, device: str = "cpu", **_asked: Any) -> LoadedModel:
        return loaded(name, device=device)

    for arm, seed in job.wanted():
        row = there.get((job.model, arm, seed))
        if row is None:
            row = _baseline(job, arm, seed, load) if arm in job.baselines else _investigated(job, arm, seed, load)
            append(job.rows, row)
        elif row.settings != job.settings(arm):
            raise UserError(f"{job.rows} has {arm} with other settings: give another --out.")
        yield row


def ask_techniques(job: Job) -> Iterator[Asked]:
    """What every technique says of the job's model, measured unless the folder has it; nothing of a null twin."""
    if there := read([job.said], Asked):
        yield there[0]
    elif not job.truth.null:
        found = ask(load_model(job.model), job.truth)
        append(job.said, found)
        yield found


def _investigated(job: Job, name: str, seed: int, load: Callable[..., LoadedModel]) -> Row:
    """A run of one of our arms, judged."""
    truth = job.truth
    common = RunConfig.checked({**job.common, "model": job.model, "allow_absent": True})
    db = Path(job.folder) / "logs" / f"{job.name}.db"
    arm = _told(job, name, seed, common.hypotheses) if name in TOLD else Arm.parse(name)
    began = time.monotonic()
    store, run_id = run_arm(truth.behaviour, arm, seed, common, db=str(db), load=load)
    if problems := store.verify():
        raise UserError(f"{db} does not verify: {problems[0]}")
    judged = _judged(store, run_id, truth)
    record = store.run(run_id)
    return Row(
        settings=job.settings(name), model=job.model, arm=name, seed=seed, ours=True, ended=record.status,
        forwards=record.forwards, seconds=max(record.seconds, time.monotonic() - began), tokens=record.tokens, **judged,
    )  # fmt: skip


def _told(job: Job, name: str, seed: int, how_many: int) -> Arm:
    """An arm that is told what to claim, as a file."""
    claims = TOLD[name](job.truth, random.Random(f"{job.model} {name} {seed}"))[:how_many]
    path = Path(job.folder) / "claims" / f"{job.name}-{name}-{seed}.yaml"
    try:
        path.write_text(yaml.safe_dump(claims), "utf-8")
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error}. What was measured before is kept; free some room.") from error
    return Arm(name, {"proposer": "file", "claims": str(path)})


def _judged(store: Store, run_id: int, truth: Truth) -> dict[str, Any]:
    """The fields of a row that the log and the truth give."""
    entries = store.hypotheses(run_id)
    confirmed = [entry for entry in entries if entry.state == "confirmed"]
    true = {entry.id: holds(entry.claim.tested, truth) for entry in confirmed}
    grouped = {entry.id: entry.judgement.group for entry in confirmed}
    groups = set(grouped.values())
    sound = {grouped[number] for number, is_true in true.items() if is_true is not False}
    roles = [true[entry.id] for entry in confirmed if entry.claim.tested.kind == "attention_role"]
    found = Investigation.of(store, run_id)
    components = {Component.parse(node.component).atom() for node in found.nodes}
    components |= {spare for backup in found.backups for spare in backup.components}
    return {
        "registered": len(entries),
        "confirmed": len(confirmed),
        "false": sum(is_true is False for is_true in true.values()),
        "unjudged": sum(is_true is None for is_true in true.values()),
        "effects": sum(entry.claim.tested.kind != "no_effect" for entry in confirmed),
        "groups": len(groups),
        "false_groups": len(groups - sound),
        "wrong": tuple(entry.text for entry in confirmed if true[entry.id] is False),
        "components": tuple(sorted(components & truth.components)),  # of a residual stream nothing is known
        "edges": tuple(
            sorted(
                {(Component.parse(s).atom(), r) for path in found.paths for s in path.senders for r in path.receivers}
            )
        ),
        "readings": tuple(_readings(entries, truth)),
        "roles": (sum(is_true is True for is_true in roles), sum(is_true is not None for is_true in roles)),
        "prompts": sum(entry.evidence.n for entry in entries if entry.evidence),
    }


def _readings(entries: list[Entry], truth: Truth) -> Iterator[tuple[str, str, str]]:
    """What tested claims of necessity about one head or MLP were read as, and what is true of it."""
    for entry in entries:
        claim = entry.claim
        if claim.kind == "necessity" and len(claim.components) == 1 and entry.evidence is not None:
            (component,) = claim.components
            if component in truth.readings:
                yield component, entry.reading or "none", truth.readings[component]


def _baseline(job: Job, name: str, seed: int, load: Callable[..., LoadedModel]) -> Row:
    """What people do today, with the budget of one of our runs."""
    model, behaviour = load(job.model), load_behaviour(job.truth.behaviour)
    budget = float(job.common["max_forwards"])
    began = time.monotonic()
    try:
        found = BASELINES[name](model, behaviour, budget=budget, seed=seed)
    except UserError as error:  # a method that this model or this budget is not for
        return Row(
            settings=job.settings(name), model=job.model, arm=name, seed=seed, ours=False,
            ended=f"refused: {error}"[:300], seconds=time.monotonic() - began,
        )  # fmt: skip
    return Row(
        settings=job.settings(name), model=job.model, arm=name, seed=seed, ours=False, ended="finished",
        components=found.components, edges=found.edges, ranking=found.order,
        prompts=found.prompts, forwards=found.forwards, seconds=time.monotonic() - began,
    )  # fmt: skip
