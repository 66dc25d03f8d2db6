"""Collects `*.hypothesis.yaml` files as tests: one confirmed claim is one test.

The claims of a folder that are about the same model are run together, when the first of them is due, so that those that
can share their prompts do; processes that work side by side (pytest-xdist) run each by itself.

pytest loads this in every project in whose environment lakatos is installed. So it imports nothing but pytest until
such a file turns up, and no torch before the first claim is tested; the model is loaded once in each process.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from lakatos.experiments_db.regression import HypothesisFile, Outcome
    from lakatos.tools.model import LoadedModel

_SUFFIX = ".hypothesis.yaml"
_OUTCOME = "lakatos"  # the key of a report's property
_MODELS = pytest.StashKey[dict[tuple[str, str], "LoadedModel"]]()
_FOUND = pytest.StashKey[dict[str, "Outcome | Exception"]]()  # by node id


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options."""
    group = parser.getgroup("lakatos", "confirmed hypotheses about models (*.hypothesis.yaml)")
    group.addoption("--lakatos-model", metavar="MODEL", help="test this model in place of each claim's own")
    group.addoption("--lakatos-device", metavar="DEVICE", default="cpu", help="the torch device (cpu)")
    group.addoption(
        "--lakatos-alpha", metavar="A", type=float, help="how often a true claim may fail by chance (the file's, .001)"
    )
    group.addoption("--lakatos-max-pairs", metavar="N", type=int, help="most prompt pairs per claim (as planned)")
    group.addoption("--lakatos-seed", metavar="N", type=int, help="of the prompts: repeats a run (random)")


def pytest_configure(config: pytest.Config) -> None:
    """The marker that every such test has."""
    config.addinivalue_line("markers", "lakatos: a confirmed hypothesis about a model, tested again on fresh prompts")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Such a file is a collector."""
    return ClaimFile.from_parent(parent, path=file_path) if file_path.name.endswith(_SUFFIX) else None


class ClaimFile(pytest.File):
    """A file with one claim."""

    def collect(self) -> Iterable[pytest.Item]:
        """The claim as a test.

        Raises:
            CollectError: the file cannot be read.
        """
        from lakatos.experiments_db.regression import read
        from lakatos.tools.errors import UserError

        try:
            file = read(self.path)
        except UserError as error:
            raise self.CollectError(str(error)) from None
        yield ClaimTest.from_parent(self, name=file.title, file=file)


class ClaimTest(pytest.Item):
    """One claim, tested again."""

    def __init__(self, *, file: HypothesisFile, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.file = file
        self.add_marker("lakatos")

    def runtest(self) -> None:
        """Hold, fail, or skip as undecided."""
        from lakatos.experiments_db.regression import text as outcome_text

        found = self.config.stash.setdefault(_FOUND, {})
        if self.nodeid not in found:
            self._run(found)
        outcome = found.pop(self.nodeid)  # who runs it again means another run
        if isinstance(outcome, Exception):
            raise outcome
        self.user_properties.append((_OUTCOME, outcome.outcome))
        if outcome.outcome == "undecided":
            pytest.skip(outcome_text.undecided(outcome, "--lakatos-max-pairs"))
        if outcome.outcome == "failed":
            raise ClaimFailed(outcome_text.report(outcome, self._again(outcome)))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any, **kwargs: Any) -> Any:
        """What was claimed and found, or what the user can mend, without a traceback."""
        from lakatos.tools.errors import UserError

        if isinstance(excinfo.value, ClaimFailed | UserError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, *args, **kwargs)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where it stands, and its heading (which pytest would take apart at dots if it were the name alone)."""
        return self.path, None, f"claim {self.name}"

    def _run(self, found: dict[str, Outcome | Exception]) -> None:
        """Run the claim, and those of its folder and model that are still to be run."""
        from lakatos.experiments_db.regression import rerun_all

        items = [self] if hasattr(self.config, "workerinput") else self._due()  # a worker has not all of them
        option = self.config.option
        outcomes = rerun_all(
            [item.file for item in items],
            self._model(),
            alpha=option.lakatos_alpha,
            max_pairs=option.lakatos_max_pairs,
            seed=option.lakatos_seed,
        )
        found.update(zip((item.nodeid for item in items), outcomes, strict=True))

    def _due(self) -> list[ClaimTest]:
        """This claim and those that come after it and are of the same folder and model."""
        rest = self.session.items[self.session.items.index(self) :]
        claims = [item for item in rest if isinstance(item, ClaimTest)]
        return [c for c in claims if (c.path.parent, c.file.model.name) == (self.path.parent, self.file.model.name)]

    def _model(self) -> LoadedModel:
        option = self.config.option
        key = option.lakatos_model or self.file.model.name, option.lakatos_device
        models = self.config.stash.setdefault(_MODELS, {})
        if key not in models:
            models[key] = _load(*key)
        return models[key]

    def _again(self, outcome: Outcome) -> str:
        option = self.config.option
        given = {
            "seed": outcome.seed,
            "model": option.lakatos_model,
            "alpha": option.lakatos_alpha,
            "max-pairs": option.lakatos_max_pairs,
        }
        told = [f"--lakatos-{name} {value}" for name, value in given.items() if value is not None]
        beside = [item for item in self.session.items if isinstance(item, ClaimTest)]
        claims = {item.file.hash: item.path for item in beside if item.path.parent == self.path.parent}
        own = [claims[member] for member in outcome.members]
        paths = [os.path.relpath(path, self.config.invocation_params.dir) for path in own]
        return f"pytest {shlex.join(paths)} {' '.join(told)}"


class ClaimFailed(Exception):
    """A claim does not hold any more; the text says all."""


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many held, failed and were undecided, and what the undecided need."""
    told: dict[str, list[Any]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            outcome = dict(getattr(report, "user_properties", ())).get(_OUTCOME)
            if outcome is not None and getattr(report, "when", None) == "call":
                told.setdefault(str(outcome), []).append(report)
    if not told:
        return
    counts = ", ".join(f"{len(told.get(name, ()))} {name}" for name in ("held", "failed", "undecided"))
    terminalreporter.write_line(f"lakatos: {counts}")
    for report in told.get("undecided", ()):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        terminalreporter.write_line(f"  {report.nodeid.split('::')[-1]}: {str(why).removeprefix('Skipped: ')}")


def _load(name: str, device: str) -> LoadedModel:
    """Boot a model, once in this process; processes that work side by side share the cores."""
    import torch

    from lakatos.tools.model import load_model

    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        torch.set_num_threads(max(1, torch.get_num_threads() // workers))
    return load_model(name, device=device)
