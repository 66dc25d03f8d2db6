"""Rules that hold over whole runs: what is bet on, fixed lists, families and replication, studies, claims as text."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
import yaml

from lakatos.agent import RunConfig, investigate, resume
from lakatos.experiments_db import open_store
from lakatos.experiments_db.documents import entry_line, run_document, study_document
from lakatos.experiments_db.documents.hypothesis import scope
from lakatos.tools.behaviour import load_behaviour
from lakatos.tools.errors import Stop, UserError
from lakatos.tools.evidence import battery

pytestmark = pytest.mark.heavy

GENERATOR = ("fillers", "draw", "clean", "corrupted", "answer", "wrong")


def changed(behaviour, folder, **changes):
    """The toy behaviour with some fields changed, as a file beside its control."""
    folder.mkdir(exist_ok=True)
    control = Path(behaviour).with_name("toy_text.yaml")
    (folder / control.name).write_text(control.read_text())
    content = {**yaml.safe_load(Path(behaviour).read_text()), **changes}
    target = folder / "toy.yaml"
    target.write_text(yaml.safe_dump({name: value for name, value in content.items() if value is not None}))
    return str(target)


def run(behaviour, model, db, *claims, **config):
    """A run over claims in text; its store."""
    path = Path(db).with_suffix(".yaml")
    path.write_text("".join(f"- claim: {claim}\n" for claim in claims))
    given = {"proposer": "file", "claims": str(path)} if claims else {}
    study = config.pop("study", None)
    investigate(
        behaviour,
        RunConfig(**{"model": model, "proposer": "attribution", "seed": 3, "attribution_pairs": 2} | given | config),
        db=str(db),
        study=study,
    )
    return open_store(str(db), study=study)


def test_where_templates_differ_and_are_many_each_is_one_bet(toy, tmp_path, monkeypatch):
    behaviour, model = toy
    monkeypatch.setattr(battery, "TEMPLATES_DIFFER", -2.0)
    template = "[IO:{io}] and {s} met . %s [S2:{s2}] gave it to"
    words = ["then", "when", "and", "met", "at", "the", "in", "went", "a", "old", "new", "big", "red", "."]
    many = [{"id": f"t{k}", "text": template % f"{a} {b}"} for k, (a, b) in enumerate(product(words, words[:5]))]
    content = yaml.safe_load(Path(behaviour).read_text())["templates"]
    own = changed(behaviour, tmp_path / "b", templates=content | {"confirmation": many})
    store = run(own, model, tmp_path / "t.db", "r2@END carries toy (>= 1% of gap)", "m0 necessary for toy")
    assert store.verify() == []
    for entry in store.hypotheses():
        assert entry.battery.unit == "template"
        assert entry.evidence.bets == entry.evidence.n // 2 == entry.evidence.templates
        drawn = [effect.template for effect in store.prompts(entry.id)]
        assert all(drawn[k] == drawn[k + 1] for k in range(0, len(drawn), 2))
        assert "each is one bet" in scope(entry)


def test_a_fixed_list_that_tests_use_up_serves_one_round(toy, tmp_path):
    behaviour, model = toy
    generator = load_behaviour(behaviour)
    pairs = {}
    for split in ("exploration", "confirmation"):
        drawn = generator.sample(64, 1, split)
        pairs[split] = [{k: getattr(pair, k) for k in ("clean", "corrupted", "answer", "wrong")} for pair in drawn]
    own = changed(
        behaviour,
        tmp_path / "b",
        pairs=pairs,
        **dict.fromkeys(("templates", *GENERATOR)),
    )
    store = run(own, model, tmp_path / "l.db", "m0@END carries toy", "m1@END carries toy")
    assert [e.prediction.record()["corpus"] for e in store.hypotheses()] == [{"pairs": 64, "whole": True}] * 2
    assert "nothing beyond it" in scope(store.hypotheses()[0])
    pairs["exploration"] = pairs["exploration"][:-1] + pairs["exploration"][:1]
    pairs["exploration"][-1] = (
        pairs["exploration"][-1]
        | {"clean": "A " + pairs["exploration"][-1]["clean"]}
        | {"corrupted": "A " + pairs["exploration"][-1]["corrupted"]}
    )
    own = changed(behaviour, tmp_path / "b", pairs=pairs, **dict.fromkeys(("templates", *GENERATOR)))  # another hash
    again = run(own, model, tmp_path / "l.db", "m2@END carries toy", seed=4)
    assert [(r.kind, "fixed list" in r.reason) for r in again.refused()] == [("untestable", True)]
    other = run(own, model, tmp_path / "l.db", "m2@END carries toy", seed=4, study="second")
    assert other.counts().registered == 1, "another study has seen nothing of it"
    assert store.verify() == []


def test_what_is_confirmed_is_replicated_on_a_family(toy, tmp_path):
    behaviour, model = toy
    family = [{"id": "far1", "text": "the old [IO:{io}] and new {s} went to the {place} . when [S2:{s2}] gave it to"}]
    own = changed(behaviour, tmp_path / "b", families={"far": family})
    db = tmp_path / "r.db"
    with pytest.raises(UserError, match="Nothing is confirmed"):
        run(own, model, db, proposer="replication")
    store = run(own, model, db, proposer="attribution", hypotheses=8)
    first = [e for e in store.hypotheses() if e.state == "confirmed"]
    assert first
    run(own, model, db, proposer="replication", hypotheses=20)
    second = [e for e in store.hypotheses() if e.claim.kind == "generalisation"]
    assert [e.claim.parent for e in second] == [e.claim for e in first]
    for entry in second:
        assert {effect.template for effect in store.prompts(entry.id)} == {"far1"}
        assert "/far" in entry.text
        assert entry.prediction.templates == 1
    for entry in store.hypotheses():
        mine = [e.id for e in second if e.claim.parent == entry.claim and e.state == "confirmed"]
        assert entry.judgement.replicated_by == (mine[0] if mine else None)
    assert store.verify() == []


def test_a_family_that_is_not_there_is_refused(toy, tmp_path):
    behaviour, model = toy
    store = run(behaviour, model, tmp_path / "f.db", "m0 carries toy/far", "m0 carries ioi", "m0 cures toy")
    assert [r.kind for r in store.refused()] == ["untestable", "malformed", "malformed"]
    assert "no family 'far'" in store.refused()[0].reason
    assert "is about ioi; this run is about toy" in store.refused()[1].reason


def test_a_study_is_a_family_of_its_own(toy, tmp_path):
    behaviour, model = toy
    db = tmp_path / "s.db"
    claim = "m2@END carries toy"
    first, second = (run(behaviour, model, db, claim, study=name) for name in (None, "second"))
    one, two = first.hypotheses()[0], second.hypotheses()[0]
    assert (one.slot, two.slot) == (1, 1)
    assert one.claim == two.claim
    assert one.claim_hash != two.claim_hash
    assert [x.uid for x in first.prompts(one.id)] != [x.uid for x in second.prompts(two.id)]
    assert study_document(first).other_studies == ("second",)
    assert first.verify() == []
    with pytest.raises(UserError, match="no hypothesis"):
        first.hypothesis(str(two.id))
    assert open_store(str(db), run=2).study.name == "second"
    with pytest.raises(UserError, match="Run 2 is of the study second"):
        open_store(str(db), run=2, study="main")
    assert [r.run for r in run_document(second, 2).looked_at_before] == [1]


def test_a_run_is_resumed_in_its_own_study(toy, tmp_path):
    behaviour, model = toy
    db = tmp_path / "s.db"
    run(behaviour, model, db, "m2@END carries toy", study="one")
    with pytest.raises(Stop):
        run(behaviour, model, db, "m1@END carries toy", "m0@END carries toy", study="two", max_tests=1)
    resume(2, db=str(db), limits={"max_tests": None})
    assert [e.evidence is not None for e in open_store(str(db), study="two").hypotheses()] == [True, True]
    assert open_store(str(db), study="one").verify() == []


def test_the_interval_of_a_confirmed_claim_is_adjusted_for_selection(toy_log):
    store = open_store(str(toy_log))
    entries = store.hypotheses()
    chosen = [e for e in entries if e.state == "confirmed"]
    assert chosen
    for entry in chosen:
        line = entry.evidence.effect
        assert entry.selected.level == pytest.approx(1 - 0.05 * len(chosen) / len(entries))
        assert entry.selected.low < line.low < line.high < entry.selected.high
        assert entry_line(entry)["low"] == entry.selected.low
    assert all(e.selected is None for e in entries if e.state != "confirmed")
