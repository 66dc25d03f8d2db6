"""Mechanisms on the review site: of a run, of a behaviour; the same as from the log; for blind reviewers too."""

from __future__ import annotations

import re

import mechanisms as made
import pytest
from fastapi.testclient import TestClient

from lakatos.experiments_db import open_store
from lakatos.experiments_db.index import Index
from lakatos.experiments_db.mechanism import run_mechanism, study_mechanism
from lakatos.experiments_db.site import create_app, mechanisms


@pytest.fixture
def store(stored_log):
    return open_store(str(stored_log), create=False)


@pytest.fixture
def index(store, tmp_path):
    index = Index(store, tmp_path / "index")
    index.refresh()
    return index


@pytest.fixture
def client(store, index):
    return TestClient(create_app(store, index=index), base_url="http://127.0.0.1:8000")


def section(page):
    return re.search(r'<section id="mechanism".*?</section>', page, re.S)[0]


def test_a_run_page_shows_its_mechanism_before_its_hypotheses(client, store):
    page = client.get("/runs/1").text
    assert page.index('id="mechanism"') < page.index('id="hypotheses"')
    found = run_mechanism(store, 1)
    own = section(page)
    assert "The model needs m2 for toy" in own
    assert '<svg xmlns="http://www.w3.org/2000/svg" class="mechanism"' in own
    links = set(re.findall(r'href="/hypotheses/(\d+)"', own))
    assert links == {str(n) for s in found.sentences for n in s.claims}
    for link in links:
        assert client.get(f"/hypotheses/{link}").status_code == 200


def test_a_behaviour_has_a_page_for_each_model_that_the_overview_leads_to(client, store):
    assert 'href="/behaviours/toy"' in client.get("/").text
    newest = client.get("/behaviours/toy")
    assert newest.status_code == 200
    assert "Nothing is confirmed" in newest.text
    model = store.run(1).model
    other = re.search(r'href="(\?model=[^"]+)"', newest.text)[1]
    page = client.get(f"/behaviours/toy{other}")
    assert page.status_code == 200
    assert f"<bdi>{model}</bdi>" in page.text
    assert "The model needs m2 for toy" in section(page.text)
    assert '<a href="/runs/1">1</a>, <a href="/runs/2">2</a>' in page.text


@pytest.mark.parametrize("address", ["/behaviours/other", "/behaviours/toy?model=gpt2", "/behaviours/%3Cscript%3E"])
def test_what_is_not_there_is_said(client, address):
    page = client.get(address)
    assert page.status_code == 404
    assert "No run of this study is about" in page.text
    assert "<script>" not in page.text.replace("<script src", "")


def test_from_the_index_it_is_the_same_as_from_the_log(store, index):
    for run in (1, 2, 3):
        of_the_site, of_the_log = mechanisms.mechanism_of_runs(store, index, [run]), run_mechanism(store, run)
        assert of_the_site.document() == of_the_log.document()
    model = store.run(1).model
    page = mechanisms.behaviour_page(store, index, "toy", model)
    assert page["found"].document() == study_mechanism(store, "toy", model).document()
    assert not page["partial"]


def test_of_many_hypotheses_confirmed_ones_come_first_and_the_page_says_so(store, index, client, monkeypatch):
    monkeypatch.setattr(mechanisms, "MOST", 2)
    assert [e.id for e in index.entries([1], 2)] == [5, 8]
    page = client.get(f"/behaviours/toy?model={store.run(1).model}").text
    assert "Put together from 2 hypotheses" in page
    assert "The model needs m2 for toy" in page


def test_a_blind_reviewer_sees_it_and_it_holds_nothing_to_hide(client, store):
    client.cookies.set("lakatos_blind", "1")
    page = client.get(f"/behaviours/toy?model={store.run(1).model}")
    assert page.status_code == 200
    assert not [e.rationale for e in store.hypotheses() if e.rationale and e.rationale in page.text]


def test_everything_there_is_on_a_page_that_follows_the_policy(client, monkeypatch):
    for make in made.ALL.values():
        found = make()
        monkeypatch.setattr(mechanisms, "mechanism_of", lambda *_, found=found: found)
        page = client.get("/behaviours/toy").text
        assert made.HOSTILE not in page
        assert "<style" not in page
        assert " style=" not in page
        wanted = {str(n) for sentence in found.sentences for n in sentence.claims}
        assert set(re.findall(r'href="/hypotheses/(\d+)"', page)) >= wanted
        assert ("Other prompt families" in page) == (not found.empty)


def test_the_style_of_the_picture_is_served(client):
    assert 'href="/static/mechanism.css"' in client.get("/").text
    assert "light-dark" in client.get("/static/mechanism.css").text
