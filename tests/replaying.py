"""A server on loopback that replays a capable model: the same question gets the same answer, however often it is asked.

`Replaying(script)` is a context manager; its `url` is what --llm-base-url takes. A script is a list of answers: a text,
or calls as names and arguments. Which one is due follows from how many answers the conversation has already.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from misbehaving import Handler, Mode, Server, call, calling, say
from workbench import CARRIES, FINISH, NOTHING, put

Answer = str | Sequence[tuple[str, dict[str, Any]]]


class Replaying(Server):
    """Replays a script; its last answer again and again.

    Args:
        begun: answers that the conversation had when this server was asked first.
    """

    def __init__(self, script: Sequence[Answer], begun: int = 0) -> None:
        self.script = list(script)
        self.begun = begun
        super().__init__(Mode("replaying", "replays a script", (_replay,)))


def _replay(to: Handler) -> None:
    owner = to.owner
    assert isinstance(owner, Replaying)
    messages = owner.requests[-1][2]["messages"]
    place = sum(message["role"] == "assistant" for message in messages) - owner.begun
    step_of(owner.script[min(max(place, 0), len(owner.script) - 1)])(to)


def step_of(answer: Answer) -> Any:
    """What a server does to give an answer."""
    if isinstance(answer, str):
        return say(answer)
    return calling(*[call(name, json.dumps(given), f"c{k}") for k, (name, given) in enumerate(answer)])


# -- what a capable model does on the toy ------------------------------------------------------------------------------

LOOKS = [
    ("examples", {"n": 8}),
    ("effects", {"interventions": [{"components": ["m1@END"]}, {"components": ["a0.h1"], "intervention": "resample"}]}),
    ("attention", {"heads": ["a0.h1", "a1.h0"]}),
    ("lens", {}),
]
MORE = [("heads", {}), ("backups", {"missing": ["m0"]}), ("vary", {"n": 4}), ("note", {"text": "m1 writes the answer"})]
SECOND = put("r2@END carries toy (denoising, >= 10% of gap)", "m2 necessary for toy (resample, >= 10% of gap)")
SCRIPT = [
    LOOKS,
    MORE,
    [("draft", {"claims": [CARRIES, NOTHING]})],
    [("register", put(CARRIES, NOTHING))],
    [("wait", {}), ("result", {"hypothesis": 1}), ("reads", {"component": "m1"})],
    [("register", SECOND), ("wait", {})],
    [("tried", {}), ("finish", FINISH)],
    [("finish", FINISH)],
]


def beginning(toy: tuple[str, str], db: Path, url: str) -> list[str]:
    """The words of the command that begins the investigation."""
    behaviour, model = toy
    options = {"model": model, "proposer": "llm", "llm-model": "m", "llm-base-url": url, "db": db, "seed": 1}
    options |= {"attribution-pairs": 2, "max-pairs": 32, "hypotheses": 6}
    return [
        "run",
        behaviour,
        "--quiet",
        *(word for name, value in options.items() for word in (f"--{name}", str(value))),
    ]
