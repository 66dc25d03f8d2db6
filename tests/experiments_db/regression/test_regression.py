"""Re-runs of what the toy investigation confirmed: they hold, fail on other weights, and follow from the log."""

from __future__ import annotations

import json
import sqlite3
import xml.dom.minidom
from dataclasses import replace

import pytest
import torch
from tampering import rechain, tamper

from lakatos.experiments_db import open_store
from lakatos.experiments_db.audit.remeasure import remeasure
from lakatos.experiments_db.log import add_review, rerun_data
from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.regression import (
    append_rerun,
    drift,
    drift_document,
    file_of,
    headline,
    read,
    reason,
    regressions,
    report,
    rerun,
    rerun_all,
    running,
)
from lakatos.experiments_db.regression.running import pairs_to_use
from lakatos.experiments_db.report.drift_chart import drift_svg
from lakatos.experiments_db.report.files import write_tests
from lakatos.tools.errors import UserError
from lakatos.tools.evidence import decide, effects_of
from lakatos.tools.experiment import running as experiment
from lakatos.tools.model import load_model

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def model(toy):
    return load_model(toy[1])


@pytest.fixture(scope="module")
def null(toy):
    return load_model(f"null:{toy[1]}")


def necessity(store):
    return next(e for e in regressions(store) if e.claim.kind == "necessity")


@pytest.fixture
def logged(toy_copy, model, null):
    """A database with two re-runs of one claim: on its own model, and on new weights."""
    store = open_store(str(toy_copy))
    entry = necessity(store)
    file = file_of(store, entry)
    for which in (model, null):
        append_rerun(store, entry.id, rerun(file, which, seed=1))
    return store


def test_confirmed_claims_hold_on_their_own_model(toy_log, model):
    store = open_store(str(toy_log))
    for entry in regressions(store):
        outcome = rerun(file_of(store, entry), model, seed=1)
        assert outcome.outcome == "held", reason(outcome)
        assert outcome.same_weights
        assert "other weights" not in headline(outcome)
        assert outcome.n == len(outcome.prompts) <= outcome.pairs


def test_on_new_weights_they_fail_and_say_why(toy_log, null):
    store = open_store(str(toy_log))
    for entry in regressions(store):
        outcome = rerun(file_of(store, entry), null, seed=1)
        assert outcome.outcome == "failed"
        text = report(outcome, "the command")
        assert "other weights than those it was confirmed on" in text
        assert "again:   the command" in text
        assert f"lakatos review --open {entry.claim_hash[7:15]}" in text
        assert all(template.template in text for template in outcome.templates[:3])
        wanted = "the behaviour itself" if entry.claim.kind == "no_effect" else "effect: confirmed at"
        assert wanted in reason(outcome)


def test_prompts_are_fresh_and_a_seed_repeats_them(toy_log, model):
    store = open_store(str(toy_log))
    entry = necessity(store)
    file = file_of(store, entry)
    one, same, other = (rerun(file, model, seed=s, max_pairs=16) for s in (1, 1, 2))
    assert one.prompts == same.prompts
    assert [p["uid"] for p in one.prompts] != [p["uid"] for p in other.prompts]
    assert rerun(file, model, max_pairs=16).seed != rerun(file, model, max_pairs=16).seed


def test_too_few_pairs_leave_it_undecided_and_say_how_many(toy_log, model):
    store = open_store(str(toy_log))
    file = file_of(store, necessity(store))
    outcome = rerun(file, model, seed=1, max_pairs=20)
    assert (outcome.outcome, outcome.n) == ("undecided", 16)
    assert f"undecided after 16 pairs, raise n: --max-pairs {file.pairs}" in reason(outcome)
    with pytest.raises(UserError, match="at least one batch"):
        rerun(file, model, max_pairs=15)
    assert pairs_to_use(file, 1e-6, None) >= pairs_to_use(file, 1e-3, None)


def test_a_component_that_the_model_lacks_is_named(toy_log, smollm2_shape):
    store = open_store(str(toy_log))
    file = file_of(store, necessity(store))
    with pytest.raises(UserError, match="no such component"):
        rerun(file, smollm2_shape)


@pytest.fixture
def smollm2_shape(model):
    """The toy model, calling itself a one-layer model."""
    from types import SimpleNamespace

    cfg = SimpleNamespace(n_layers=1, n_heads=1, n_key_value_heads=1, d_mlp=1, device="cpu")
    return SimpleNamespace(cfg=cfg, name="small", weight_hash="sha256:0", tokenizer=model.tokenizer, bridge=None)


def test_re_runs_are_in_the_log_and_verify(logged):
    rows = logged.reruns()
    assert [row.outcome for row in rows] == ["held", "failed"]
    assert rows[0].environment["packages"]["torch"]
    assert len(rows[0].prompts) == rows[0].n
    assert logged.verify() == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("UPDATE reruns SET outcome = 'held' WHERE id = 2", "held does not follow from its prompts (failed)"),
        ("UPDATE reruns SET seed = '2' WHERE id = 1", "not those that its seed gives"),
        ("UPDATE reruns SET record = json_set(record, '$.members', json('[1]')) WHERE id = 1", "are of other claims"),
        (
            "UPDATE reruns SET record = json_set(record, '$.members', json_array('sha256:0', (SELECT claim_hash FROM "
            "hypotheses WHERE id = reruns.hypothesis_id))) WHERE id = 1",
            "not those that its seed gives",
        ),
        ("UPDATE reruns SET n = 16 WHERE id = 1", "and says 16"),
        ("UPDATE reruns SET record = json_set(record, '$.tolerance[0].lost', 0.001) WHERE id = 2", "tolerances do not"),
        ("UPDATE reruns SET record = json_set(record, '$.lines[0].mean', 9.0) WHERE id = 2", "does not follow"),
        ("UPDATE reruns SET prompts = json_set(prompts, '$[0].measured.intervened', 9.0) WHERE id = 1", "not follow"),
        ("UPDATE reruns SET record = json_set(record, '$.alpha', 1e-9) WHERE id = 2", "does not follow"),
        ("UPDATE reruns SET prompts = '[]' WHERE id = 1", "reruns row 1"),
    ],
)
def test_a_re_run_that_lies_is_named_although_every_hash_was_computed_anew(logged, toy_copy, change, named):
    logged.engine.dispose()
    assert any("is not what was appended" in lie for lie in tamper(toy_copy, change))
    lies = rechain(toy_copy)
    assert any(lie.startswith("reruns row") and named in lie for lie in lies), lies


def test_a_re_run_that_went_on_after_it_was_decided_is_named(toy_copy, model):
    store = open_store(str(toy_copy))
    entry = necessity(store)
    file = file_of(store, entry)
    long = rerun(file.model_copy(update={"alpha": 1e-9}), model, seed=1)
    short = rerun(file, model, seed=1)
    assert short.outcome == long.outcome == "held"
    assert append_rerun(store, entry.id, short)
    row = store.reruns()[0]
    assert row.n == short.n
    more = rerun(file.model_copy(update={"tolerance": tuple(_strict(t) for t in file.tolerance)}), model, seed=1)
    assert more.n > short.n
    effects = effects_of(file.typed, file.battery, rerun_data(more.prompts))
    append_rerun(store, entry.id, replace(more, hypothesis=file, decision=decide(file.tolerance, effects)))
    assert any("was decided a batch earlier" in lie for lie in store.verify())


def _strict(t):
    return t.model_copy(update={"lost": t.lost + 0.9 * (t.kept - t.lost)})


def test_claims_on_the_same_prompts_hold_as_each_by_itself(toy_copy, model):
    store = open_store(str(toy_copy))
    entries = regressions(store)
    files = [file_of(store, entry) for entry in entries]
    together = rerun_all(files, model, seed=1)
    assert [outcome.outcome for outcome in together] == ["held"] * len(files)
    assert {outcome.members for outcome in together} == {tuple(file.hash for file in files)}
    assert len({tuple(p["uid"] for p in outcome.prompts[:16]) for outcome in together}) == 1
    again = rerun_all(files, model, seed=1)
    assert [outcome.prompts for outcome in again] == [outcome.prompts for outcome in together]
    for entry, outcome in zip(entries, together, strict=True):
        append_rerun(store, entry.id, outcome)
    assert store.verify() == []
    assert remeasure(store, "all", load=lambda *_, **__: model).problems == []


def test_claims_of_another_family_or_model_have_prompts_of_their_own(toy_log, model, null):
    file = file_of(open_store(str(toy_log)), necessity(open_store(str(toy_log))))
    own = running._Asked(file, model, 0.001, 64)
    other_weights = replace(own, model=null)
    behaviour = file.behaviour.model_copy(update={"hash": "sha256:other"})
    other_prompts = replace(own, file=file.model_copy(update={"behaviour": behaviour}))
    uncontrolled = replace(own, file=file.model_copy(update={"controls": ()}))
    asked = dict(enumerate([uncontrolled, own, other_weights, other_prompts, own]))
    assert running._streams(asked) == [[0, 1, 4], [2], [3]]


def test_one_claims_failure_is_its_own(toy_log, model, monkeypatch):
    store = open_store(str(toy_log))
    files = [file_of(store, entry) for entry in regressions(store)]
    real = experiment.measure_together

    def failing(asked, *on):
        if any(one.claim == files[0].typed for one in asked):
            raise FloatingPointError("the run gave nan")
        return real(asked, *on)

    monkeypatch.setattr(experiment, "measure_together", failing)
    first, *others = rerun_all([*files, "nowhere.hypothesis.yaml"], model, seed=1)
    assert isinstance(first, UserError)
    assert "cannot be measured on toy: the run gave nan" in str(first)
    assert others[0].outcome == "held"
    assert others[0].members == tuple(file.hash for file in files)
    assert "nowhere.hypothesis.yaml: cannot be read" in str(others[1])


def test_drift_begins_with_the_confirmation_and_names_other_weights(logged):
    [history] = drift_document(logged, [necessity(logged)])
    assert [row["outcome"] for row in history["rows"]] == ["confirmed", "held", "failed"]
    assert [row["same_weights"] for row in history["rows"]] == [True, True, False]
    assert history["rows"][1]["differs"] == {}
    assert history["rows"][2]["fraction"] < 0.1 < history["rows"][1]["fraction"]
    json.dumps(history, allow_nan=False)


def test_a_version_that_differs_is_told(logged, toy_copy):
    logged.engine.dispose()
    change = "UPDATE reruns SET environment = json_set(environment, '$.packages.torch', '9.9') WHERE id = 1"
    tamper(toy_copy, change)
    store = open_store(str(toy_copy))
    [history] = drift_document(store, [necessity(store)])
    assert history["rows"][1]["differs"] == {"torch": "9.9"}


def test_the_picture_is_well_formed_and_shows_every_row(logged):
    svg = drift_svg(drift_document(logged, regressions(logged)))
    document = xml.dom.minidom.parseString(svg)
    titles = [t.firstChild.data for t in document.getElementsByTagName("title")]
    assert len(titles) == 2 + len(regressions(logged))
    assert any("failed" in t for t in titles)


def test_files_are_written_once_per_claim_and_others_are_left_alone(toy_copy, tmp_path):
    store = open_store(str(toy_copy))
    folder = tmp_path / "deep" / "claims"
    first = write_tests(store, folder)
    assert {p.name for p in folder.iterdir()} == {p.name for p in first}
    before = {p.name: p.read_bytes() for p in first}
    first[0].write_text("broken")
    (folder / "mine.hypothesis.yaml").write_text("mine")
    write_tests(store, folder)
    assert {p.name: p.read_bytes() for p in first} == before
    assert (folder / "mine.hypothesis.yaml").read_text() == "mine"
    assert all(read(p).hash for p in first)


def test_reviews_decide_what_becomes_a_test(toy_copy, tmp_path):
    store = open_store(str(toy_copy))
    one, *others = regressions(store)
    assert write_tests(store, tmp_path / "a", accepted_only=True) == []
    add_review(store, one.id, author="A", decision="accept", reason="seen")
    assert len(write_tests(store, tmp_path / "a", accepted_only=True)) == 1
    add_review(store, one.id, author="B", decision="retract", reason="leak")
    assert write_tests(store, tmp_path / "b", accepted_only=True) == []
    assert len(write_tests(store, tmp_path / "c")) == len(others)


def test_the_database_refuses_to_change_a_re_run(logged, toy_copy):
    with sqlite3.connect(toy_copy) as raw, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        raw.execute("UPDATE reruns SET outcome = 'held'")
    assert logged.all(m.Rerun)[1].outcome == "failed"


@pytest.mark.parametrize("alpha", [0.0, -1.0, 0.7, 5.0, float("nan")])
def test_an_alpha_that_is_none_decides_nothing(toy_log, model, alpha):
    store = open_store(str(toy_log))
    with pytest.raises(UserError, match="above 0 and at most"):
        rerun(file_of(store, necessity(store)), model, alpha=alpha)


def test_drift_compares_the_same_mean_on_the_first_row_and_on_later_ones(toy_copy, model, monkeypatch):
    store = open_store(str(toy_copy))
    entry = necessity(store)
    file = file_of(store, entry)
    clipping = file.tolerance[0].model_copy(update={"scale": file.tolerance[0].confirmed})
    monkeypatch.setattr(drift, "file_of", lambda *_: file.model_copy(update={"tolerance": (clipping,)}))
    [history] = drift_document(store, [entry])
    effects = effects_of(entry.claim, entry.battery, store.data(entry.id))["effect"]
    clipped = effects.clip(-clipping.scale, clipping.scale).mean()
    assert clipped < effects.mean()
    assert history["rows"][0]["effect"] == pytest.approx(clipped)


def test_a_model_whose_numbers_are_not_finite_is_named(toy_log, toy):
    store = open_store(str(toy_log))
    broken = load_model(toy[1])
    with torch.no_grad():
        next(broken.bridge.parameters()).fill_(float("nan"))
    with pytest.raises(UserError, match="cannot be measured on toy"):
        rerun(file_of(store, necessity(store)), broken)
