"""Every model, arm and seed, in several processes; what is there already is read, and not done again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from itertools import chain, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from pydantic import Field

from lakatos.agent.arms import Arm
from lakatos.agent.groundtruth.jobs import FOLDERS, Job, ask_techniques, run_job
from lakatos.agent.groundtruth.rows import Form, Row, read
from lakatos.agent.groundtruth.techniques import Asked
from lakatos.agent.groundtruth.told import TOLD
from lakatos.tools.baseline import BASELINES
from lakatos.tools.errors import UserError
from lakatos.tools.model.planted import TWINS, planted_model, planted_models
from lakatos.tools.records import Frozen

OURS: Final = ("drill", "attribution", "random", "exhaustive", "oracle", "saboteur")
NULL_ARMS: Final = ("drill", "attribution")
NULL_MODELS: Final = ("none",)  # null twins that have a name of their own
QUICK: Final = ("induction", "backup", "negative", "duplicate", "rasp-shift", "rasp-histogram")
LLM_ARMS: Final = ("llm", "form", "one-shot", "no-tools")
Progress = Callable[[int, int], None]
_LOOK: Final = 1.0  # seconds between two looks at how far it is


class Design(Frozen):
    """What is run: models, arms, seeds, and what each investigation may spend."""

    models: tuple[str, ...]  # names without `planted:`
    instances: int = 1  # of each model: noise, decoys, order of heads
    seeds: int = 2  # of each instance: prompts and searches
    arms: tuple[str, ...] = OURS
    baselines: tuple[str, ...] = ()
    twins: tuple[str, ...] = ()  # null twins, as induction~permuted
    null_instances: int = 2
    hypotheses: int = 16
    max_forwards: float = 8_000.0
    llm: dict[str, Any] = Field(default_factory=dict)  # settings of arms that ask a language model
    quick: bool = False
    given: dict[str, str] = Field(default_factory=dict)  # what was asked for beside, for the record

    def jobs(self, folder: str) -> list[Job]:
        """One for each instance of each model, and of each null twin.

        Raises:
            UserError: there is no such model, arm or baseline.
        """
        for name in self.twins:
            _check_model(name)
        null = tuple(arm for arm in self.arms if arm in NULL_ARMS)
        return self.planted_jobs(folder) + [
            Job(f"planted:{name}#{k}", null, self.baselines, (1,), self._common, folder)
            for k in range(1, self.null_instances + 1)
            for name in self.twins
        ]

    def planted_jobs(self, folder: str) -> list[Job]:
        """Those of the models. Raises UserError as `jobs` does."""
        for name in self.models:
            _check_model(name)
        if unknown := [name for name in self.baselines if name not in BASELINES]:
            raise UserError(f"There is no baseline {unknown[0]!r}; there are {', '.join(BASELINES)}.")
        for arm in self.arms:
            if arm not in TOLD:
                Arm.parse(arm)
        seeds = tuple(range(1, self.seeds + 1))
        return [
            Job(f"planted:{name}#{k}", self.arms, self.baselines, seeds, self._common, folder)
            for k in range(1, self.instances + 1)
            for name in self.models
        ]

    @property
    def _common(self) -> dict[str, Any]:
        """Settings of every investigation."""
        return {"hypotheses": self.hypotheses, "max_forwards": self.max_forwards, **self.llm}


def _check_model(name: str) -> None:
    """Raises UserError: there is no such model; names those that there are."""
    if planted_model(name.partition("~")[0]) is None:
        raise UserError(f"There is no planted model {name!r}; there are {', '.join(planted_models())}.")


def designed(
    quick: bool, given: Mapping[str, Any], *, llm_model: str | None = None, llm_base_url: str | None = None
) -> Design:
    """The design of the benchmark, or a small one; and in its place what is asked for.

    Args:
        quick: one instance and one seed of some models.
        given: fields of `Design` that differ from its own.
        llm_model: a language model; its arms take part where it is given.
        llm_base_url: the endpoint.
    """
    mechanistic = [name for name in planted_models() if name not in NULL_MODELS]
    whole: dict[str, Any] = {
        "models": tuple(mechanistic),
        "twins": (*(f"{name}~{TWINS[k % len(TWINS)]}" for k, name in enumerate(mechanistic)), *NULL_MODELS),
        "baselines": tuple(BASELINES),
    }
    if quick:
        few = [name for name in mechanistic if name in QUICK]
        whole |= {
            "models": tuple(few),
            "twins": tuple(f"{name}~{kind}" for name, kind in zip(few, TWINS * 2, strict=False)),
        }
        whole |= {"seeds": 1, "null_instances": 1, "hypotheses": 12, "max_forwards": 5_000.0}
    if llm_model is not None:
        whole["arms"] = (*OURS, *LLM_ARMS)
        whole["llm"] = {"llm_model": llm_model} | ({"llm_base_url": llm_base_url} if llm_base_url else {})
    told = {name: ",".join(value) if isinstance(value, tuple) else str(value) for name, value in given.items()}
    return Design.model_validate({**whole, **given, "quick": quick, "given": told})


def run_design(
    design: Design,
    folder: Path,
    *,
    workers: int = 2,
    progress: Progress = lambda _done, _of: None,
) -> list[Row]:
    """Run what is not there yet.

    Args:
        design: what to run.
        folder: where rows, logs and claims are kept: rows/, logs/, claims/.
        workers: processes, each with its share of the cores. The figures do not depend on it, but for seconds.
        progress: is told how many rows there are, and of how many.

    Raises:
        UserError: the folder cannot be written or has rows of another design, or a model or an arm cannot be run.
    """
    jobs = design.jobs(str(folder))
    try:
        for name in FOLDERS:
            (folder / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"Cannot write to {folder}: {error}. Give another --out.") from error
    wanted = sum(len(job.wanted()) for job in jobs)

    def look() -> None:
        progress(sum(min(job.done(), len(job.wanted())) for job in jobs), wanted)

    return sorted(_every(run_job, jobs, workers, look), key=lambda row: row.key)


def ask_all(
    design: Design, folder: Path, *, workers: int = 2, progress: Progress = lambda _done, _of: None
) -> list[Asked]:
    """What every technique says of every model with a mechanism; what the folder has is not measured again.

    Arguments and errors are those of `run_design`.
    """
    jobs = design.planted_jobs(str(folder))

    def look() -> None:
        progress(sum(job.said.exists() for job in jobs), len(jobs))

    return _every(ask_techniques, jobs, workers, look)


def rows_in(folder: Path) -> list[Row]:
    """All rows that a folder has."""
    return read((folder / "rows").glob("*.jsonl"), Row)


def _every(
    work: Callable[[Job], Iterator[Form]], jobs: Sequence[Job], workers: int, look: Callable[[], None]
) -> list[Form]:
    """All that comes of all jobs, in so many processes; `look` is called now and then."""
    found: list[Form] = []
    if workers == 1:
        for own in chain.from_iterable(map(work, jobs)):
            found.append(own)
            look()
        return found
    left = iter(jobs)
    with ProcessPoolExecutor(workers, get_context("spawn"), _share_cores, (workers,)) as pool:
        # a job waits here until a process is free: one that has been handed over could not be taken back on Ctrl-C
        waiting = {pool.submit(_whole, work, job) for job in islice(left, workers)}
        while waiting:
            done, waiting = wait(waiting, timeout=_LOOK, return_when=FIRST_COMPLETED)
            for job in done:
                found += job.result()
            waiting |= {pool.submit(_whole, work, job) for job in islice(left, len(done))}
            look()
    return found


def _whole(work: Callable[[Job], Iterator[Form]], job: Job) -> list[Form]:
    return list(work(job))


def _share_cores(workers: int) -> None:
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))
