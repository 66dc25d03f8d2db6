"""A run on the toy model that has explored and waits for its investigator: tools are called on it one by one."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from tampering import copied

from lakatos.agent import RunConfig, investigate
from lakatos.agent.llm import ScriptedLLM
from lakatos.agent.run.context import Context
from lakatos.agent.run.proposing import RunView
from lakatos.agent.run.registering import register_proposals
from lakatos.agent.run.testing import test_registered as test_those
from lakatos.agent.toolbox import answered
from lakatos.agent.toolbox.desk import Desk
from lakatos.agent.view import Called
from lakatos.agent.watch import Silent
from lakatos.experiments_db import open_store
from lakatos.tools.errors import CheckFailed
from lakatos.tools.model import LoadedModel

CONFIG = {"proposer": "llm", "llm_style": "tools", "llm_model": "m", "seed": 1}
CONFIG |= {"attribution_pairs": 2, "max_pairs": 32, "hypotheses": 6}


def explored(folder: Path, behaviour: str, model: str, **config: Any) -> Path:
    """The log of a run that has explored, and whose language model then said nothing."""
    db = folder / "explored.db"
    with suppress(CheckFailed):
        investigate(behaviour, RunConfig(model=model, **CONFIG | config), db=str(db), llm=ScriptedLLM([]))
    return db


class Bench:
    """Such a run, to call tools on.

    Args:
        source: the log of `explored`, which is copied.
        loaded: the model, shared and read only.
        changed: settings that it has now.
    """

    def __init__(self, source: Path, folder: Path, loaded: LoadedModel, **changed: Any) -> None:
        self.db = copied(source, folder / f"bench-{len(list(folder.glob('bench-*')))}.db")
        self.store = open_store(str(self.db))
        self.run = Context(self.store, 1, Silent(), model=loaded)
        self.run.config = self.run.config.model_copy(update=changed)
        self.round = 1
        self.view = RunView(self.run, 1)

    def desk(self, by: str = "") -> Desk:
        return Desk(self.view, by)

    def call(self, name: str, arguments: Any = None, **about: Any) -> Called:
        """One call; its answer is in the log."""
        return answered(self.view, name, {} if arguments is None else arguments, **about)

    def says(self, name: str, arguments: Any = None, **about: Any) -> str:
        """The answer of a call that is not refused."""
        called = self.call(name, arguments, **about)
        assert not called.refused, called.answer
        return called.answer

    def refuses(self, name: str, arguments: Any = None, **about: Any) -> str:
        """The answer of a call that is refused."""
        called = self.call(name, arguments, **about)
        assert called.refused, called.answer
        assert not called.proposals
        return called.answer

    def test(self, called: Called) -> None:
        """Register what a call put forward, test it, and begin the next round."""
        self.store.propose(1, self.round, list(called.proposals), None)
        register_proposals(self.run, self.round)
        test_those(self.run)
        self.round += 1
        self.view = RunView(self.run, self.round)


def rows(answer: str) -> list[list[str]]:
    """The cells of a table's rows."""
    return [line.split(" | ") for line in answer.splitlines() if " | " in line][1:]


def put(*claims: str, role: str = "main", rationale: str = "as effects show", predicted: float | None = None) -> Any:
    """Arguments of `register`."""
    about = {"rationale": rationale, "role": role} | ({} if predicted is None else {"predicted": predicted})
    return {"claims": [{"claim": text, **about} for text in claims]}


CARRIES = "m1@END carries toy (denoising, >= 10% of gap)"
NOTHING = "a0.h0 has no effect on toy (denoising, < 10% of gap)"
FINISH = {"reason": "enough", "rivals": ["m2 does it", "it is the bias"]}
