"""A person between proposing and registering: at the terminal, and on the review site."""

from __future__ import annotations

import threading

import pytest
from fastapi.testclient import TestClient

from lakatos.agent import RunConfig, investigate
from lakatos.agent.cli.approving import changed
from lakatos.experiments_db import open_store
from lakatos.experiments_db.log import APPROVED, DRAFTED, waiting_drafts
from lakatos.experiments_db.site import create_app
from lakatos.tools.errors import ProposalError

ADDED = "m2@END carries toy (denoising, >= 20% of gap)"


@pytest.fixture
def asked(toy, tmp_path):
    behaviour, model = toy
    db = str(tmp_path / "approved.db")

    def run(approver, **config):
        fields = {"model": model, "proposer": "attribution", "seed": 1, "attribution_pairs": 2, "hypotheses": 4}
        fields |= {"max_pairs": 16, "approve": True}
        return investigate(behaviour, RunConfig(**(fields | config)), db=db, approver=approver)

    return db, run


def test_what_is_dropped_costs_no_slot_and_stays_in_the_log(asked):
    db, run = asked
    run(lambda behaviour, drafts: ("Ada", [*drafts[:1], {"claim": ADDED}]))
    store = open_store(db)
    (drafted,), (decided,) = store.events(1, DRAFTED), store.events(1, APPROVED)
    assert len(drafted.payload["put"]) == 4
    assert decided.payload["author"] == "Ada"
    assert decided.payload["added"] == [{"claim": ADDED}]
    assert store.counts(1).proposed == 2
    assert store.counts(1).registered == 2
    assert store.verify() == []


def test_nothing_kept_registers_nothing_and_the_run_ends(asked):
    db, run = asked
    run(lambda behaviour, drafts: ("Ada", []))
    store = open_store(db)
    assert store.counts(1).registered == 0
    assert store.run(1).status == "finished"
    assert store.verify() == []


@pytest.mark.heavy
def test_rounds_go_on_after_a_round_of_which_nothing_was_kept(asked):
    db, run = asked
    rounds = []

    def first_none(behaviour, drafts):
        rounds.append(len(drafts))
        return "Ada", [] if len(rounds) == 1 else list(drafts)

    run(first_none, proposer="drill", hypotheses=8)
    store = open_store(db)
    assert len(rounds) >= 1
    assert store.verify() == []


def test_a_person_decides_on_the_review_site(asked):
    db, run = asked
    ended = []
    thread = threading.Thread(target=lambda: ended.append(run(None)), daemon=True)
    thread.start()
    store = None
    for _ in range(600):
        thread.join(0.1)
        try:
            store = store or open_store(db, create=False)
            if store.run_ids() and waiting_drafts(store, 1):
                break
        except Exception:  # noqa: BLE001 - the run is making the database
            continue
    client = TestClient(create_app(store), base_url="http://127.0.0.1")
    page = client.get("/runs/1").text
    assert "Drafts wait for you" in page
    csrf = page.split('name="csrf" value="')[1].split('"')[0]
    form = {"csrf": csrf, "author": "Ada", "keep": ["0", "2"], "added": ADDED}
    bad = client.post("/runs/1/approve", data={**form, "added": "vibes"}, follow_redirects=False)
    assert bad.status_code == 422
    assert client.post("/runs/1/approve", data={**form, "csrf": "x"}, follow_redirects=False).status_code == 403
    answer = client.post("/runs/1/approve", data=form, follow_redirects=False)
    assert answer.status_code == 303
    again = client.post("/runs/1/approve", data=form, follow_redirects=False)
    assert again.status_code == 422
    thread.join(120)
    assert ended
    assert store.counts(1).registered == 3
    assert store.verify() == []


class TestTerminal:
    KEPT = (
        {"claim": "m1@END carries toy", "rationale": "a"},
        {"claim": "m2@END carries toy"},
        {"claim": "a0.h1 carries toy"},
    )

    @pytest.mark.parametrize(
        ("line", "left"),
        [("keep 1,3", [0, 2]), ("keep 2-3", [1, 2]), ("none", []), ("keep 3,1", [2, 0])],
    )
    def test_keep(self, line, left):
        assert changed(list(self.KEPT), line, "toy") == [self.KEPT[place] for place in left]

    def test_edit_and_add(self):
        edited = changed(list(self.KEPT), f"edit 1 {ADDED}", "toy")
        assert edited[0] == {"claim": ADDED, "rationale": "a"}
        assert changed(list(self.KEPT), f"add {ADDED}", "toy")[-1] == {"claim": ADDED}

    @pytest.mark.parametrize("line", ["keep 9", "keep x", "edit 9 m1 carries toy", "add vibes", "frobnicate", "keep 0"])
    def test_what_is_not_understood_changes_nothing(self, line):
        with pytest.raises(ProposalError):
            changed(list(self.KEPT), line, "toy")
