"""The review site over the log of a real run: what pages show, who may ask, what a form may change."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import sqlite3
from html.parser import HTMLParser

import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from lakatos.experiments_db import open_store
from lakatos.experiments_db.documents import documents, hypothesis_document
from lakatos.experiments_db.index import Index
from lakatos.experiments_db.log import add_review, ask, asked
from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.site import create_app, pulse
from lakatos.experiments_db.site.pages import RUNS_SHOWN
from lakatos.tools.errors import UserError

HOME = "http://127.0.0.1:8000"
PAGES = (
    "/",
    "/hypotheses",
    "/hypotheses/1",
    "/hypotheses/1/prompts",
    "/runs/1",
    "/compare",
    "/compare?a=run:1&b=run:1&by=component",
    "/reviews",
    "/refused",
)


@pytest.fixture
def store(toy_copy):
    return open_store(str(toy_copy), create=False)


@pytest.fixture
def client(store, tmp_path):
    return TestClient(create_app(store, index=Index(store, tmp_path / "index")), base_url=HOME)


def csrf_of(client, page="/hypotheses/1"):
    return re.search(r'name="csrf" value="(\w+)"', client.get(page).text)[1]


def send(client, path, page="/hypotheses/1", **fields):
    return client.post(path, data={"csrf": csrf_of(client, page), **fields}, follow_redirects=False)


class Cells(HTMLParser):
    """Exact values of <data> elements by table row: a row is what its first link leads to."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.row = {}, None
        self.values, self.inside = [], False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "tr":
            self.row, self.values, self.inside = None, [], True
        elif self.inside and tag == "a" and self.row is None:
            self.row = attributes["href"]
        elif self.inside and tag == "data":
            self.values.append(float(attributes["value"]))

    def handle_endtag(self, tag):
        if tag == "tr" and self.row:
            self.rows[self.row] = self.values


@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_there_and_loads_nothing_from_elsewhere(client, page):
    answer = client.get(page)
    assert answer.status_code == 200
    assert not re.search(r"""(src|href|action)=["'](?!/|#|\?)""", answer.text)
    assert "<style" not in answer.text
    assert not re.search(r"\son\w+=|\sstyle=|<script(?! src=\"/static/site.js\")", answer.text)


def test_site_command_line_and_exports_show_the_same_numbers_to_the_last_digit(client, store):
    """`lakatos log --json` is documents.log_document; all others are held to it."""
    truth = documents.log_document(store)["hypotheses"]
    assert client.get("/api/hypotheses").json()["hypotheses"] == truth
    assert [json.loads(line) for line in client.get("/export/log.jsonl").text.splitlines()] == truth
    table = pq.read_table(io.BytesIO(client.get("/export/log.parquet").content)).to_pylist()
    assert table == truth
    rows = Cells(client.get("/hypotheses").text).rows
    for h, row in zip(truth, csv.DictReader(io.StringIO(client.get("/export/log.csv").text)), strict=True):
        shown = rows[f"/hypotheses/{h['id']}"]
        assert shown == [h[name] for name in ("effect", "low", "high", "fraction", "e", "p") if h[name] is not None]
        for name in ("effect", "low", "high", "level", "fraction", "gap", "e", "p", "forwards"):
            assert row[name] == ("" if h[name] is None else repr(h[name]))
        page = client.get(f"/hypotheses/{h['id']}").text
        for name in ("effect", "low", "high", "fraction", "e", "p", "predicted"):
            assert h[name] is None or f'<data value="{h[name]!r}">' in page
        whole = client.get(f"/api/hypotheses/{h['id']}").json()
        assert whole == json.loads(json.dumps(hypothesis_document(store, store.hypothesis(str(h["id"]))).as_dict()))


def test_denominators_come_before_hypotheses(client, store):
    counts = store.counts()
    for page in ("/", "/hypotheses", "/runs/1"):
        text = client.get(page).text
        assert 0 < text.index("<dt>proposed</dt>") < text.index("<tbody>")
        for name in ("proposed", "refused", "registered", "tested", "confirmed", "refuted", "inconclusive"):
            assert re.search(rf"<dt>{name}</dt><dd>{getattr(counts, name)}</dd>", text), (page, name)


def test_the_reason_for_the_question_and_what_was_dropped_are_on_the_first_page(client, store):
    store.event(1, "failed", {"reason": "the model does not show it, see <b>above</b>"})
    page = client.get("/").text
    assert store.run_row(1).behaviour_definition["selected_because"] in page
    assert "the model does not show it, see &lt;b&gt;above&lt;/b&gt;" in page


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("state=confirmed", lambda h: h["state"] == "confirmed"),
        ("kind=necessity", lambda h: h["kind"] == "necessity"),
        ("component=0", lambda h: any(c[1] == "0" for c in h["components"])),
        ("q=necessary", lambda h: "necessary" in h["text"]),
        ("run=1", lambda h: True),
        ("run=2", lambda h: False),
        ("review=accepted", lambda h: h["id"] == 2),
        ("reviewer=Ada", lambda h: h["id"] == 2),
    ],
)
def test_filters_show_what_they_say(client, store, query, wanted):
    add_review(store, 2, author="Ada", decision="accept", reason="r")
    expected = [h["id"] for h in documents.log_document(store)["hypotheses"] if wanted(h)]
    shown = re.findall(
        r'<th scope="row" class="claim"><a href="/hypotheses/(\d+)">', client.get(f"/hypotheses?{query}").text
    )
    assert [int(key) for key in shown] == expected
    table = csv.DictReader(io.StringIO(client.get(f"/export/log.csv?{query}").text))
    assert [int(row["id"]) for row in table] == expected


def test_sorting_turns_round(client, store):
    lines = [h for h in documents.log_document(store)["hypotheses"] if h["e"] is not None]
    for sort, falling in (("e", False), ("-e", True)):
        shown = client.get(f"/api/hypotheses?sort={sort}").json()["hypotheses"]
        assert [h["e"] for h in shown if h["e"] is not None] == sorted((h["e"] for h in lines), reverse=falling)


def test_another_correction_stands_beside_and_is_called_a_view(client, store):
    page = client.get("/hypotheses?correction=bonferroni&family=kind").text
    document = documents.correction_document(store, "bonferroni", None, "kind")
    assert "a view, not a verdict" in page
    assert f"It confirms {document['confirmed']};" in page
    for h in document["hypotheses"]:
        assert f'<data value="{h["corrected"]!r}">' in page
    for name, size in document["families"].items():
        assert f"<bdi>{name}</bdi> ({size})</a>" in page
    assert "official verdicts" in client.get("/hypotheses?correction=online-ebh").text


def test_a_hypothesis_shows_all_its_sides(client, store):
    confirmed = next(e for e in store.hypotheses() if e.state == "confirmed")
    page = client.get(f"/hypotheses/{confirmed.id}").text
    for part in (
        "e-value over prompts",
        "The effect beside its controls",
        "Exploration against confirmation",
        "By quantile of the effect, the failures first",
        "By lot",
        "Frozen record",
        "Retries and deviations",
        "Lineage",
        "The proposal word for word",
        "lakatos rerun ",
    ):
        assert part in page
    assert confirmed.claim_hash in page
    file = client.get(f"/export/{confirmed.id}.hypothesis.yaml")
    assert confirmed.claim_hash in file.text
    assert file.headers["content-disposition"].endswith('.hypothesis.yaml"')


def test_a_page_beyond_the_last_says_so(client):
    page = client.get("/hypotheses?page=99").text
    assert "There is no page 99 of these" in page
    assert "Nothing matches" not in page


def test_commands_name_the_database_that_is_shown(client, toy_log):
    page = client.get("/hypotheses/1").text
    assert "lakatos show 1 --db " in page


def test_a_hypothesis_is_found_by_its_hash(client, store):
    short = store.hypothesis("3").claim_hash[7:19]
    assert client.get(f"/hypotheses/{short}").text.count("Hypothesis 3") == 1


# -- who may ask, and what a page may do -----------------------------------------------------------------------------


def test_pages_may_load_and_run_nothing_of_others(client):
    headers = client.get("/").headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8000", "", "["])
def test_without_a_token_only_names_of_this_machine_are_answered(client, host):
    assert client.get("/", headers={"host": host}).status_code == 400


def test_with_a_token_nothing_is_shown_without_it(store, tmp_path):
    app = create_app(store, token="s3cret", index=Index(store, tmp_path / "index"))
    stranger = TestClient(app, base_url="http://lab.example:8000")
    for page in (*PAGES, "/static/site.css", "/api/hypotheses", "/export/log.csv", "/nope"):
        for wrong in ({}, {"authorization": "Bearer s3cre"}, {"cookie": "lakatos_token=x"}):
            answer = stranger.get(page, headers=wrong)
            assert answer.status_code == 401
            assert "s3cret" not in answer.text
    assert stranger.get("/?token=wrong").status_code == 401
    assert stranger.get("/", headers={"authorization": "Bearer s3cret"}).status_code == 200
    answer = stranger.get("/hypotheses?token=s3cret&kind=necessity", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/hypotheses?kind=necessity"
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert stranger.get("/").status_code == 200


def test_a_redirect_with_the_token_stays_here(store, tmp_path):
    app = create_app(store, token="s3cret", index=Index(store, tmp_path / "index"))
    stranger = TestClient(app, base_url="http://lab:8000")
    answer = stranger.get("http://lab:8000//evil.example/?token=s3cret", follow_redirects=False)
    assert answer.headers["location"] == "/evil.example/"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_forms_of_other_sites_change_nothing(client, store, headers):
    fields = {"csrf": csrf_of(client), "decision": "accept", "author": "Ada", "reason": "r"}
    assert client.post("/hypotheses/1/reviews", data=fields, headers=headers).status_code == 403
    assert store.reviews() == []


def test_a_form_without_the_secret_of_its_session_changes_nothing(client, store):
    stolen = csrf_of(TestClient(client.app, base_url=HOME))
    for csrf in ("", "x", stolen):
        fields = {"csrf": csrf, "decision": "accept", "author": "Ada", "reason": "r"}
        assert client.post("/hypotheses/1/reviews", data=fields).status_code == 403
    assert client.post("/runs/1/ask", data={"wish": "stop"}).status_code == 403
    assert client.post("/preferences", data={"name": "x"}).status_code == 403
    assert store.reviews() == []


def test_a_large_body_is_refused(client):
    assert client.post("/preferences", data={"name": "x" * 70_000}).status_code == 413


@pytest.mark.parametrize("address", ["//evil.example", "/\\evil.example", "http://evil.example", "javascript:alert(1)"])
def test_preferences_lead_back_to_a_page_of_this_site(client, address):
    assert send(client, "/preferences", name="Ada", next=address).headers["location"] == "/"
    assert send(client, "/preferences", name="Ada", next="/reviews?x=1").headers["location"] == "/reviews?x=1"


# -- reviewing -------------------------------------------------------------------------------------------------------


def test_a_review_from_the_page_is_a_row_and_shown(client, store):
    answer = send(client, "/hypotheses/1/reviews", decision="accept", author="Ada Lovelace", reason="<i>clean</i>")
    assert (answer.status_code, answer.headers["location"]) == (303, "/hypotheses/1#review")
    (row,) = store.reviews()
    assert (row.author, row.decision, row.reason, row.blind) == ("Ada Lovelace", "accept", "<i>clean</i>", False)
    page = client.get("/hypotheses/1").text
    assert "&lt;i&gt;clean&lt;/i&gt;" in page
    assert 'value="Ada Lovelace"' in page, "the name is remembered"


def test_a_review_that_is_refused_loses_no_word(client, store):
    answer = send(client, "/hypotheses/1/reviews", decision="dispute", author="", reason="a long thought")
    assert answer.status_code == 422
    assert "A review is signed" in answer.text
    assert ">a long thought</textarea>" in answer.text
    assert store.reviews() == []


def test_a_blind_reviewer_sees_neither_rationale_nor_reviews_until_they_have_scored(client, store):
    rationale = store.hypothesis("1").rationale
    add_review(store, 1, author="Bob", decision="accept", reason="Bob's secret reason")
    secrets = (rationale.replace("+", "&#43;") if rationale not in client.get("/hypotheses/1").text else rationale,)
    assert secrets[0] in client.get("/hypotheses/1").text
    send(client, "/preferences", name="Ada", blind="1")
    for page in ("/hypotheses/1", "/hypotheses", "/reviews", "/runs/1"):
        text = client.get(page).text
        assert secrets[0] not in text, page
        assert "Bob's secret" not in text, page
        assert "Bob&#39;s secret" not in text, page
    send(client, "/hypotheses/1/reviews", decision="score", score="4", author="Ada", blind="1")
    page = client.get("/hypotheses/1").text
    assert secrets[0] in page
    assert "Bob&#39;s secret reason" in page
    assert [(r.author, r.blind) for r in store.reviews()] == [("Bob", False), ("Ada", True)]


# -- a run in progress -----------------------------------------------------------------------------------------------


def running(store):
    store.event(1, "resumed", {"limits": {}})


def test_a_running_run_can_be_asked_and_the_wish_is_an_event(client, store):
    running(store)
    assert asked(store, 1) is None
    send(client, "/preferences", name="Ada")
    assert send(client, "/runs/1/ask", page="/runs/1", wish="pause").status_code == 303
    assert asked(store, 1) == "pause"
    assert "asked to pause" in client.get("/runs/1").text
    send(client, "/runs/1/ask", page="/runs/1", wish="resume")
    assert asked(store, 1) is None
    send(client, "/runs/1/ask", page="/runs/1", wish="stop")
    assert asked(store, 1) == "stop"
    running(store)
    assert asked(store, 1) is None, "a run that was resumed is asked anew"


def test_a_run_that_is_over_cannot_be_asked(client, store):
    answer = send(client, "/runs/1/ask", page="/runs/1", wish="pause")
    assert answer.status_code == 422
    assert "not running" in answer.text
    running(store)
    with pytest.raises(UserError, match="not to 'explode'"):
        ask(store, 1, "explode", "Ada")


def test_events_tell_that_the_log_has_grown_and_that_the_run_is_over(store, monkeypatch):
    monkeypatch.setattr(pulse, "PULSE_SECONDS", 0.01)
    running(store)

    async def listen():
        heard = []
        async for text in pulse.pulse(store, 1):
            heard.append(text.partition("\n")[0])
            if heard == ["retry: 3000", ": still here"]:
                store.event(1, "checked", {})
            elif heard[-1] == "event: grown" and len(heard) == 3:
                store.event(1, "finished", {"confirmed": []})
        return heard

    assert asyncio.run(listen()) == ["retry: 3000", ": still here", "event: grown", "event: grown", "event: over"]


def test_what_was_appended_before_the_page_began_to_listen_is_told_too(store):
    running(store)
    shown = store.ledger_head()
    store.event(1, "stopped", {"reason": "r"})

    async def listen():
        return [text.partition("\n")[0] async for text in pulse.pulse(store, 1, since=shown)]

    assert asyncio.run(listen()) == ["retry: 3000", "event: grown", "event: over"]


def test_the_stream_of_a_finished_run_ends(client):
    answer = client.get("/runs/1/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("event: over\ndata: 1\n\n")


# -- what is not there -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "status"),
    [
        ("/hypotheses/999", 404),
        ("/hypotheses/zzzz", 404),
        ("/hypotheses/%00", 404),
        ("/hypotheses/1%0a", 404),
        ("/runs/99", 404),
        ("/runs/x", 422),
        ("/runs/99999999999999999999", 422),
        ("/nope", 404),
        ("/hypotheses?page=0", 422),
        ("/hypotheses?page=999999", 200),
        ("/hypotheses?sort=nope", 422),
        ("/hypotheses?run=x", 422),
        ("/hypotheses?component=a9.h", 422),
        ("/hypotheses?correction=nope", 422),
        ("/hypotheses?alpha=2", 422),
        ("/hypotheses?alpha=nan", 422),
        ("/hypotheses?q=" + "x" * 501, 422),
        ("/compare?a=run:1&b=nope", 422),
        ("/compare?a=run:1&b=run:77", 404),
        ("/compare?a=run:1&b=model:nobody", 200),
        ("/static/../web.py", 404),
        ("/static/%2e%2e/web.py", 404),
        ("/export/run-99.html", 404),
    ],
)
def test_what_is_not_there_is_said_and_is_no_crash(client, page, status):
    answer = client.get(page)
    assert answer.status_code == status
    assert "Traceback" not in answer.text


def test_a_study_of_its_own_is_served_alone(toy_copy, tmp_path):
    open_store(str(toy_copy), study="pilot")
    pilot = open_store(str(toy_copy), study="pilot", create=False)
    client = TestClient(create_app(pilot, index=Index(pilot, tmp_path / "index")), base_url=HOME)
    assert client.get("/hypotheses/1").status_code == 404
    assert client.get("/runs/1").status_code == 404
    assert "Other studies here" in client.get("/").text


def test_the_site_writes_nothing_by_being_read(client, toy_copy):
    def rows():
        with sqlite3.connect(toy_copy) as raw:
            return raw.execute("SELECT COUNT(*), MAX(entry_hash) FROM ledger").fetchone()

    before = rows()
    for page in PAGES:
        client.get(page)
    assert rows() == before


@pytest.mark.parametrize("other", ['theme={"dark": true, "x"}', "a b=c", 'x="unfinished', "é=ü"])
def test_cookies_of_other_sites_of_this_machine_do_not_hide_ours(client, other):
    csrf = csrf_of(client)
    cookies = f"{other}; lakatos_session={client.cookies['lakatos_session']}".encode("latin-1")
    sent = client.post("/preferences", data={"csrf": csrf}, headers={"cookie": cookies}, follow_redirects=False)
    assert sent.status_code == 303


def test_runs_of_another_study_are_not_here_and_cannot_be_asked(toy_copy, tmp_path):
    other = open_store(str(toy_copy), study="another")
    app = create_app(other, index=Index(other, tmp_path / "index"))
    client = TestClient(app, base_url=HOME, raise_server_exceptions=False)
    for page in ("/runs/1", "/runs/1/events", "/export/run-1.html"):
        assert client.get(page).status_code == 404, page
    assert send(client, "/runs/1/ask", page="/", wish="pause").status_code == 404


def begun(store, like):
    """Another run in this study, like one of any."""
    columns = ("behaviour", "behaviour_hash", "behaviour_definition", "controls", "model", "weights", "proposer")
    fields = {name: getattr(like, name) for name in (*columns, "seed", "config", "environment")}
    return store.add(m.Run(study_id=store.study.id, **fields)).id


def test_a_run_page_counts_the_runs_before_it_that_it_does_not_list(toy_copy, tmp_path):
    first = open_store(str(toy_copy)).run_row(1)
    other = open_store(str(toy_copy), study="another")
    second = begun(other, first)
    app = create_app(other, index=Index(other, tmp_path / "index"))
    client = TestClient(app, base_url=HOME, raise_server_exceptions=False)
    page = client.get(f"/runs/{second}").text
    assert "it is the first" not in page
    assert "1 before it is not listed here" in page
    for _ in range(RUNS_SHOWN):
        last = begun(other, first)
    page = client.get(f"/runs/{last}").text
    assert f'<th scope="row" class="n">{second}</th>' in page
    assert "1 more before it is not listed here" in page
    page = client.get(f"/runs/{begun(other, first)}").text
    assert f'<th scope="row" class="n">{second}</th>' not in page
    assert "2 more before it are not listed here" in page


def test_a_review_is_blind_only_if_the_page_had_hidden_something(client, store):
    send(client, "/hypotheses/1/reviews", decision="score", score="4", author="Ada", blind="1")
    assert [(r.author, r.blind) for r in store.reviews()] == [("Ada", False)]


def test_files_and_json_keep_from_a_blind_reader_what_pages_do(client, store):
    add_review(store, 1, author="Bob", decision="retract", reason="no")
    send(client, "/preferences", name="Ada", blind="1")
    for page in ("/api/hypotheses/1", "/api/reviews", "/export/run-1.html"):
        assert client.get(page).status_code == 403, page
    for page in ("/api/hypotheses", "/export/log.csv", "/export/log.jsonl"):
        assert "retracted" not in client.get(page).text, page
    send(client, "/hypotheses/1/reviews", decision="score", score="4", author="Ada", blind="1")
    assert client.get("/api/hypotheses/1").json()["review"] == "retracted"


def test_refused_proposals_are_shown_to_a_blind_reader_without_their_rationale(client, store):
    proposal = m.Proposal(run_id=1, round=1, place=99, proposal={"claim": "c", "rationale": "since it copies"})
    row = store.add(proposal)
    store.add(m.Refusal(proposal_id=row.id, kind="duplicate", reason="said before", duplicate_of=1))
    assert "since it copies" in client.get("/refused").text
    send(client, "/preferences", name="Ada", blind="1")
    for page in ("/refused", "/runs/1"):
        assert "said before" in client.get(page).text
        assert "since it copies" not in client.get(page).text


class Late(Index):
    """An index of a large log: reading takes until somebody waits for it."""

    def refresh(self, wait=True):
        return super().refresh() if wait else self.freshness()


def test_files_and_json_wait_for_the_index_and_pages_say_what_it_has_not_read(store, tmp_path):
    client = TestClient(create_app(store, index=Late(store, tmp_path / "index")), base_url=HOME)
    missing = client.get("/hypotheses/1")
    assert missing.status_code == 404
    assert "is known yet: the index read 0 of" in missing.text
    assert client.get("/api/hypotheses").json()["total"] == store.counts().registered
    add_review(store, 1, author="Bob", decision="retract", reason="no")
    page = client.get("/hypotheses")
    assert "The log has grown" in page.text
    assert "retracted" in client.get("/export/log.csv").text
    assert "The log has grown" not in client.get("/hypotheses").text


def test_a_page_read_from_an_old_index_says_so_though_the_index_has_caught_up_since(store, tmp_path, monkeypatch):
    index = Late(store, tmp_path / "index")
    client = TestClient(create_app(store, index=index), base_url=HOME)
    reading = Index.page
    monkeypatch.setattr(Index, "page", lambda self, query: (reading(self, query), index.refresh())[0])
    assert "The log has grown" in client.get("/hypotheses").text


def test_a_blind_reader_cannot_ask_which_hypotheses_others_retracted(client, store):
    add_review(store, 1, author="Bob", decision="retract", reason="no")
    queries = ("review=retracted", "reviewer=Bob", "sort=-review")
    assert {client.get(f"/hypotheses?{query}").status_code for query in queries} == {200}
    send(client, "/preferences", name="Ada", blind="1")
    assert {client.get(f"/hypotheses?{query}").status_code for query in queries} == {403}


@pytest.mark.parametrize("token", ["a b;c", "a+b&c=d", 'prü"f', "%41"])
def test_any_token_opens_the_site_and_stays_out_of_the_cookie(store, tmp_path, token):
    client = TestClient(create_app(store, token=token, index=Index(store, tmp_path / "index")), base_url=HOME)
    assert client.get("/", params={"token": token}).status_code == 200
    assert client.get("/hypotheses").status_code == 200
    assert token not in client.cookies["lakatos_token"]


def test_money_is_tokens_at_the_prices_that_a_run_was_told(toy_copy, tmp_path):
    with sqlite3.connect(toy_copy) as raw:
        raw.execute("DROP TRIGGER runs_no_update")
        raw.execute("UPDATE runs SET config = json_set(config, '$.llm_price_in', 2.0, '$.llm_price_out', 10.0)")
    store = open_store(str(toy_copy), create=False)
    call = {
        "run_id": 1,
        "round": 1,
        "purpose": "propose",
        "attempt": 1,
        "model": "m",
        "prompt": "p",
        "prompt_hash": "h",
    }
    spent = {"tokens_in": 500_000, "tokens_out": 25_000, "seconds": 0.0}
    store.add(m.LLMCall(**call, request={}, response="r", error=None, **spent))
    assert store.run(1).money == store.spent()["money"] == 1.25
    client = TestClient(create_app(store, index=Index(store, tmp_path / "index")), base_url=HOME)
    assert "1.25 in money" in client.get("/runs/1").text
    assert "money: 1.25" in client.get("/").text


# -- an edited index -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("while_open", [True, False])
def test_the_site_shows_what_the_log_says_whatever_somebody_wrote_into_its_index(store, tmp_path, while_open):
    path, known = tmp_path / "index", Index(store, tmp_path / "index")
    client = TestClient(create_app(store, index=known), base_url=HOME)
    pages = ("/", "/hypotheses", "/hypotheses?state=confirmed", "/hypotheses/1", "/runs/1")
    files = ("/api/study", "/api/hypotheses", "/api/hypotheses/1", "/export/log.csv", "/export/log.jsonl")
    told = {page: Cells(client.get(page).text).rows for page in pages}
    kept = {file: client.get(file).text for file in files}
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE hypotheses SET state = 'confirmed', e = 1e9, effect = 98765.0")
        raw.execute("UPDATE lines SET line = json_set(line, '$.state', 'confirmed', '$.e', 1e9, '$.effect', 98765.0)")
        raw.execute("UPDATE runs SET refused = 77")
    raw.close()
    if not while_open:
        client = TestClient(create_app(store, index=Index(store, path)), base_url=HOME)
    assert {page: Cells(client.get(page).text).rows for page in pages} == told
    assert {file: client.get(file).text for file in files} == kept
    assert "98765" not in client.get("/hypotheses").text
    assert json.loads(kept["/api/study"])["counts"]["confirmed"] == store.counts().confirmed
