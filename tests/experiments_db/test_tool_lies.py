"""Lies about a run that explored with tools: each is told in a log whose every hash fits, and each is named."""

from __future__ import annotations

import pytest
from lies import _without as without
from tampering import copied, rechain, tell
from workbench import CARRIES, CONFIG, FINISH, put

from lakatos.agent import RunConfig, investigate
from lakatos.agent.watch import Silent
from lakatos.experiments_db import open_store
from lakatos.experiments_db.log import CALLED


def first(name, which="MIN"):
    """A call of a tool."""
    return f"(SELECT {which}(id) FROM events WHERE kind = 'tool' AND json_extract(payload, '$.name') = '{name}')"


def said(path, value, event):
    return f"UPDATE events SET payload = json_set(payload, '$.{path}', {value}) WHERE id = {event}"


def asked(path, value, which="MAX"):
    return f"UPDATE llm_calls SET request = json_set(request, '$.{path}', {value}) WHERE id = (SELECT {which}(id) FROM llm_calls)"


REGISTER, SECOND, LENS = first("register"), first("register", "MAX"), first("lens")
PUT = f"json((SELECT json_extract(payload, '$.proposals') FROM events WHERE id = {REGISTER}))"
OF_REGISTER = f"(SELECT json_extract(payload, '$.request') FROM events WHERE id = {REGISTER})"
OFFERED = "(SELECT MIN(id) FROM events WHERE kind = 'offered')"
OTHERS = "shows other results of tools than those in the log"
NO_ANSWER = "which is no answered one of this investigator"

LIES = [
    ("a call had another number", "is not the next one", [said("number", 99, LENS)]),
    ("a call was never made", "is not the next one", [f"DELETE FROM events WHERE id = {LENS}"]),
    ("a call was another one of its answer", "was made before", [said("place", 0, LENS)]),
    ("a call was none of its answer", "does not call lens", [said("place", 15, LENS)]),
    ("a call came from nowhere", NO_ANSWER, [said("request", 99, LENS)]),
    ("another investigator called", NO_ANSWER, [said("by", "'2'", LENS)]),
    ("another tool was called", "does not call heads", [said("name", "'heads'", LENS)]),
    ("a tool showed something else", OTHERS, [said("answer", "'It is all m1.'", LENS)]),
    ("a tool that was refused answered", OTHERS, [said("answer", "'confirmed'", first("wait", "MAX"))]),
    ("a call answers one that somebody left", "which nobody had left", [said("asked", 5, LENS)]),
    (
        "another claim was registered than was called for",
        "registers other claims",
        [f"UPDATE llm_calls SET response = replace(response, 'm1@END carries', 'm2@END carries') WHERE id = {OF_REGISTER}"],
    ),
    ("to wait registers", "puts claims forward without registering", [said("proposals", PUT, first("wait"))]),
    ("a refused call registers", "puts claims forward without registering", [said("refused", "json('true')", SECOND)]),
    ("two calls registered in one round", "had registered before", [said("round", 1, SECOND)]),
    ("nonsense was registered", "registers what cannot be read", [said("arguments.claims[0].claim", "'m1 does it'", SECOND)]),
    ("another reason was given", "puts forward another claim than", [said("arguments.claims[0].rationale", "'luck'", SECOND)]),
    ("another effect was expected", "puts forward another claim than", [said("arguments.claims[0].predicted", "0.9", SECOND)]),
    (
        "a call put forward another role",
        "is not what a call registered",
        [said("proposals[0].role", "'null'", SECOND), said("arguments.claims[0].role", "'null'", SECOND)],
    ),
    (
        "another request registered",
        "does not come from the request that registered it",
        ["UPDATE proposals SET llm_call_id = (SELECT MIN(id) FROM llm_calls) WHERE round = 2"],
    ),
    (
        "what was registered was never proposed",
        "what it registered was never proposed",
        [
            *without("3"),
            "DROP TABLE gone",
            *without("4"),
            "DELETE FROM proposals WHERE round = 2",
        ],
    ),
    ("fewer claims were allowed", "has 4 proposals, and 3 were configured", ["UPDATE runs SET config = json_set(config, '$.hypotheses', 3)"]),
    ("it was asked once", "does not explore with tools", ["UPDATE runs SET config = json_set(config, '$.llm_style', 'prompt')"]),
    ("it finished by waiting", "ends an investigation without finishing", [said("over", "json('true')", first("wait"))]),
    ("it went on after its end", "was made after its investigator had finished", [said("over", "json('true')", first("finish"))]),
    ("where it stood was otherwise", "begins a conversation with another overview", [said("answer", "'It is all m1.'", first("overview"))]),
    ("it never saw where it stood", "begins a conversation with another overview", [f"DELETE FROM events WHERE id = {first('overview')}"]),
    ("other tools were offered", "do not have the hash", [said("tools[0].function.name", "'cheat'", OFFERED)]),
    ("tools were offered that nobody knows", "offers tools that the log does not hold", [f"DELETE FROM events WHERE id = {OFFERED}"]),
    ("a conversation goes on from nowhere", NO_ANSWER, [asked("after", 99)]),
    ("a conversation goes on from its own end", OTHERS, [asked("after", "id")]),
    ("a conversation skipped an answer", OTHERS, [asked("after", 1)]),
    ("it was no conversation", "is part of a conversation, or is none", ["UPDATE llm_calls SET request = json_remove(request, '$.after') WHERE id = 2"]),
    ("another one conversed", NO_ANSWER, [asked("by", "'2'")]),
    ("a result was shown otherwise", OTHERS, [asked("messages[0].content", "'all confirmed'")]),
    ("more results were shown than there were calls", OTHERS, [asked("messages[1]", "json_extract(request, '$.messages[0]')")]),
    (
        "something else was asked",
        "what was asked does not have its hash",
        ["UPDATE events SET payload = json_set(payload, '$.messages[0].content', 'x') WHERE kind = 'asking'"],
    ),
    (
        "an answer had no form",
        "",
        ["UPDATE llm_calls SET response = 'all confirmed' WHERE id = 2"],
    ),
]  # fmt: skip


def test_the_log_as_it_is_verifies(investigated_log, tmp_path):
    db = copied(investigated_log, tmp_path / "same.db")
    assert open_store(str(db)).verify() == []
    assert rechain(db, renumber=True) == []


@pytest.mark.parametrize(("says", "told"), [own[1:] for own in LIES], ids=[own[0].replace(" ", "-") for own in LIES])
def test_a_lie_about_tools_is_named(investigated_log, tmp_path, derived_once, says, told):
    db = copied(investigated_log, tmp_path / "lie.db")
    tell(db, *told)
    lies = rechain(db, renumber=True)
    assert any(says in lie for lie in lies), lies


CALLS = [("lens", {}), ("register", put(CARRIES)), ("finish", FINISH), ("finish", FINISH)]


class Client(Silent):
    """An agent of somebody else's, which leaves all of its calls once the run has explored."""

    def __init__(self, db):
        self.db = db

    def say(self, line):
        if line.startswith("explored "):
            for name, arguments in CALLS:
                open_store(self.db).event(1, CALLED, {"by": "somebody", "name": name, "arguments": arguments})


@pytest.fixture(scope="module")
def called_log(toy, made_once):
    """The database of a run whose tools another process called. Copy it before changing it."""

    def make(folder):
        behaviour, model = toy
        db = str(folder / "called.db")
        config = CONFIG | {"model": model, "proposer": "mcp", "llm_model": None}
        investigate(behaviour, RunConfig(**config), db=db, watcher=Client(db))

    return made_once("called", make) / "called.db"


LEFT = "(SELECT MIN(id) FROM events WHERE kind = 'called' AND json_extract(payload, '$.name') = '{}')"
LIES_OF_OTHERS = [
    ("another tool was called", "is not the call of events row", [said("name", "'heads'", LEFT.format("lens"))]),
    ("somebody else called", "is not the call of events row", [said("by", "'nobody'", LEFT.format("lens"))]),
    ("another claim was called for", "registers other claims", [said("arguments.claims[0].claim", "'m2@END carries toy'", LEFT.format("register"))]),
    ("nobody called", "which nobody had left", [f"DELETE FROM events WHERE id = {LEFT.format('lens')}"]),
    ("a call was answered twice", "or which was answered before", [said("asked", LEFT.format("lens"), first("register"))]),
]  # fmt: skip


def test_a_log_of_somebody_elses_calls_verifies(called_log, tmp_path):
    db = copied(called_log, tmp_path / "same.db")
    store = open_store(str(db))
    assert [c["name"] for c in store.tool_calls(1)] == [name for name, _ in CALLS]
    assert len(store.hypotheses()) == 1
    assert rechain(db) == []


@pytest.mark.parametrize(
    ("says", "told"), [own[1:] for own in LIES_OF_OTHERS], ids=[own[0].replace(" ", "-") for own in LIES_OF_OTHERS]
)
def test_a_lie_about_somebody_elses_calls_is_named(called_log, tmp_path, derived_once, says, told):
    db = copied(called_log, tmp_path / "lie.db")
    tell(db, *told)
    lies = rechain(db)
    assert any(says in lie for lie in lies), lies
