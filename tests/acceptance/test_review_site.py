"""The review site in a real browser: a reviewer's day, and a log whose every field is hostile. Fuzzing finds no 500."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sqlite3
from collections import Counter
from pathlib import Path
from urllib.parse import quote

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakatos.experiments_db import open_store
from lakatos.experiments_db.index import Index
from lakatos.experiments_db.log import add_review
from lakatos.experiments_db.log.migrations.guards import APPEND_ONLY, statements, triggers
from lakatos.experiments_db.site import create_app

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("reviewers_day", ROOT / "benchmarks" / "reviewers_day.py")
day = importlib.util.module_from_spec(spec)
spec.loader.exec_module(day)

in_browser = pytest.mark.skipif(
    not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    reason="no Chromium on the PATH (Debian: apt-get install chromium)",
)


@pytest.fixture(scope="module")
def browser():
    with day.chromium() as found:
        yield found


@in_browser
def test_a_reviewers_day(browser, toy, toy_copy, tmp_path):
    """Find, filter, open, score blind, accept, retract, compare, export: on the log of a real run."""
    store = open_store(str(toy_copy), create=False)
    page = browser.new_page(viewport={"width": day.WIDTH, "height": day.HEIGHT})
    with day.served(store) as address:
        day.Day(page, address).works("model:" + store.run(1).model)
    page.close()
    assert store.verify() == []
    assert [r.decision for r in store.reviews()] == ["score", "accept", "retract"]


@in_browser
def test_a_run_in_progress_is_seen_to_go_on_without_reloading(browser, toy_copy):
    store = open_store(str(toy_copy), create=False)
    store.event(1, "resumed", {"limits": {}})
    page = browser.new_page()
    with day.served(store) as address:
        page.goto(address + "/runs/1")
        page.click("button[value=pause]")
        day.expect(page.locator("#status")).to_contain_text("asked to pause")
        page.click("button[value=resume]")
        day.expect(page.locator("#status")).not_to_contain_text("asked to")
        page.evaluate("window.same = true")
        store.event(1, "stopped", {"reason": "by hand"})
        day.expect(page.locator("#status")).to_contain_text("stopped")
        day.expect(page.locator("#timeline")).to_contain_text("by hand")
        assert page.evaluate("window.same"), "the page was loaded anew"
        page.close()


REORDERS = re.compile("[\x01-\x08\x1b\u202a-\u202e\u2066-\u2069]")
HOSTILE = {
    "script": "<script>window.pwned=1</script>",
    "attribute": "\"'><img src=x onerror=window.pwned=1>",
    "svg": "</title></svg></textarea></style><svg onload=window.pwned=1>",
    "template": "{{ 7*7 }}{% for x in y %}${7*7}#{7*7}<%= 7*7 %>",
    "address": "javascript:window.pwned=1//https://evil.example/x.png",
    "long": "x" * 6000,
    "long words": "W" * 300 + " " + "ሴ" * 300,
    "right to left": "\u202eabc\u2066 שלום \u200f مرحبا \u061c",
    "control": "a\x01\x1b[31mred\x7f\u0085\ufffe b",
    "nothing": "",
    "query": "' OR 1=1; DROP TABLE hypotheses; -- \" * NEAR(",
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈" * 20,
    "markdown": "](javascript:window.pwned=1) <!-- ]]> -->&lt;&#x3c;",
}


def poison(db, text):
    """Put a text into every field that a stranger could have written, with the guards off."""
    with sqlite3.connect(db) as raw:
        for name in triggers("sqlite"):
            raw.execute(f"DROP TRIGGER {name}")
        raw.execute("UPDATE studies SET name = ?", (text,))
        for column in ("behaviour", "model", "proposer", "seed"):
            raw.execute(f"UPDATE runs SET {column} = ?", (text,))
        for column, keys in {
            "behaviour_definition": ("question", "selected_because"),
            "environment": ("python",),
        }.items():
            for key in keys:
                raw.execute(f"UPDATE runs SET {column} = json_set({column}, '$.{key}', ?)", (text,))
        raw.execute(
            "UPDATE runs SET behaviour_definition = json_set(behaviour_definition, '$.considered', json_array(?))",
            (text,),
        )
        raw.execute("UPDATE runs SET config = json_object(?, ?)", (text or "k", text))
        raw.execute("UPDATE events SET payload = json_set(payload, '$.reason', ?) WHERE kind <> 'resumed'", (text,))
        raw.execute("UPDATE hypotheses SET rationale = ?, behaviour = ?", (text, text))
        for key in ("behaviour", "model"):
            raw.execute(f"UPDATE hypotheses SET record = json_set(record, '$.{key}', ?)", (text,))
        raw.execute("UPDATE effects SET template = ?, uid = uid || ?", (text, text))
        raw.execute(
            "UPDATE effects SET prompt = json_object('clean', ?1, 'corrupted', ?1, 'answer', ?1, 'wrong', ?1)", (text,)
        )
        raw.execute("UPDATE evidence SET record = json_set(record, '$.error', ?) WHERE id = 1", (text,))
        raw.execute(
            "UPDATE proposals SET proposal = json_object('claim', ?1, ?2, json_array(?1, null))", (text, text or "k")
        )
        raw.execute("UPDATE refusals SET reason = ?, kind = ?", (text, text[:20]))
        raw.execute(
            "UPDATE llm_calls SET model = ?1, prompt = ?1, prompt_hash = ?1, purpose = ?1, response = ?1, error = ?1",
            (text,),
        )
        raw.execute("UPDATE llm_calls SET request = json_object('messages', ?)", (text,))
        raw.execute("UPDATE reviews SET reason = ?1, author = coalesce(nullif(?1, ''), 'x')", (text,))
        raw.execute("UPDATE reruns SET model = ?", (text,))
        for statement in statements("sqlite", APPEND_ONLY):
            raw.execute(statement)


@pytest.fixture
def many_sided(toy_copy):
    """A log with a row in every table."""
    from lakatos.experiments_db.log import tables as m

    store = open_store(str(toy_copy), create=False)
    call = {
        "run_id": 1,
        "round": 1,
        "purpose": "propose",
        "attempt": 2,
        "model": "m",
        "prompt": "p",
        "prompt_hash": "h",
    }
    spent = {"tokens_in": 1, "tokens_out": 1, "seconds": 0.0}
    store.add(m.LLMCall(**call, request={}, response="r", error="e", **spent))
    store.add(m.LLMCall(**(call | {"purpose": "interpret"}), request={}, response="prose", error=None, **spent))
    proposal = store.add(m.Proposal(run_id=1, round=1, place=999, proposal={}))
    store.add(m.Refusal(proposal_id=proposal.id, kind="malformed", reason="r", duplicate_of=1))
    store.event(1, "failed", {"reason": "r"})
    record = {"lines": [{"name": "effect", "mean": 1.0, "low": 0.5, "high": 1.5}], "tolerance": []}
    rerun = {"model": "m", "weights": "w", "outcome": "held", "n": 16, "seed": "1", "environment": {}, "record": record}
    store.add(m.Rerun(hypothesis_id=1, **rerun, prompts=[], forwards=1.0, seconds=1.0))
    add_review(store, 1, author="Ada", decision="dispute", reason="r")
    store.engine.dispose()
    return toy_copy


@in_browser
@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_a_log_says_is_text(browser, many_sided, name):
    """Nothing executes, nothing is fetched from elsewhere, no page breaks, and the text is there to be read."""
    text = HOSTILE[name]
    poison(many_sided, text)
    page = browser.new_page(viewport={"width": 1000, "height": 800})
    store = open_store(str(many_sided), create=False)
    asked = quote(text[:400] or "x")
    with day.served(store) as address:
        at = day.Day(page, address)
        for path in (
            *("/", "/hypotheses", "/hypotheses/1", "/hypotheses/1/prompts", "/hypotheses/2", "/runs/1"),
            *(
                "/reviews",
                "/refused",
                "/compare?a=run:1&b=run:1&by=component",
                "/hypotheses?correction=bh&family=behaviour",
            ),
            *(f"/hypotheses?q={asked}", f"/hypotheses?behaviour={asked}", f"/compare?a=run:1&b=model:{asked}"),
        ):
            at.go(path.replace("%00", ""))
            at.look(path)
            assert not REORDERS.search(page.content()), path
            assert page.locator("header.bar").count() == page.locator("body > footer").count() == 1, path
        at.go("/hypotheses/1")
        page.fill("#author", (text[:80] or "x").replace("\x01", ""))
        at.decide("accept", text[:3000] or "x")
        page.wait_for_load_state()
        at.go("/hypotheses/1")
        assert page.evaluate("typeof window.pwned") == "undefined"
        assert at.complaints == []
        if name in ("script", "attribute", "template", "query", "markdown"):
            assert text in page.locator("section[aria-label=Rationale]").inner_text()
    page.close()


def test_no_request_whatever_makes_the_server_fail(toy_copy, tmp_path):
    """Every operation with requests of its schema; forms with the secret of their session, and without."""
    store = open_store(str(toy_copy), create=False)
    app = create_app(store, index=Index(store, tmp_path / "index"))
    client = TestClient(app, base_url="http://127.0.0.1")
    page = client.get("/hypotheses/1").text
    csrf = page.partition('name="csrf" value="')[2].partition('"')[0]
    headers = {"host": "127.0.0.1", "cookie": f"lakatos_session={client.cookies['lakatos_session']}"}
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, headers=headers)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 15
    seen = Counter()
    for operation in operations:

        @settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(), genuine=st.booleans())
        def ask(case, genuine):
            if (
                genuine
            ):  # nothing stands before the page itself: the secret is right, the hypothesis and the run are there
                case.path_parameters = dict.fromkeys(case.path_parameters or {}, "1")
                if case.method == "POST":
                    case.body = {**(case.body if isinstance(case.body, dict) else {}), "csrf": csrf}
            answer = case.call(headers=headers)
            seen[case.method, answer.status_code] += 1
            assert answer.status_code < 500, answer.text[-500:]

        ask()
    assert seen["GET", 200] > 50
    assert seen["POST", 200] > 0, "no form got through: its fields were never tried"
