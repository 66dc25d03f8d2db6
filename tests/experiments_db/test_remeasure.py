"""Numbers that nobody measured are found by measuring again, and by nothing else."""

from __future__ import annotations

import json
import math
import re
from random import Random

import pytest
from forging import forge, forge_at_the_front_door
from hypothesis import given
from hypothesis import strategies as st
from tampering import rechain, unguarded

from lakatos.agent import RunConfig, investigate
from lakatos.agent.cli import app
from lakatos.experiments_db import open_store
from lakatos.experiments_db.audit.measured import numbers_of
from lakatos.experiments_db.audit.remeasure import FEW, _chosen, _confirmed, forgeries_found, how_many_of, remeasure
from lakatos.experiments_db.log import tables as m
from lakatos.tools.behaviour import Behaviour
from lakatos.tools.errors import Stop, UserError
from lakatos.tools.model import load_model

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def load(toy):
    """The toy model, loaded once."""
    loaded = load_model(toy[1])
    return lambda name: loaded


def failed(db):
    """A claim that a forger would like to be confirmed: patched, and inconclusive."""
    entries = open_store(str(db)).hypotheses()
    return next(e for e in entries if e.state == "inconclusive" and e.claim.kind == "node_effect")


class TestHonest:
    def test_every_number_is_found_again(self, toy_copy, load):
        store = open_store(str(toy_copy))
        seen = []
        found = remeasure(store, "all", load=load, progress=lambda done, of: seen.append((done, of)))
        assert found.problems == []
        effects = sum(len(store.prompts(e.id)) for e in store.hypotheses())
        assert found.measured == found.stored == effects + 64 * len(store.hypotheses())
        assert seen[-1] == (found.measured, found.measured)
        assert found.detectable == 1

    def test_every_kind_of_claim(self, toy, load, tmp_path):
        """Each measures other things, elsewhere, with donors or without."""
        claims = [
            "a1.h2 necessary for toy", "a1.h2 necessary for toy (zero, logit_diff, >= 10% of gap)",
            "a0.h1 carries toy through a1.h2.q", "a1.h2 + m0 + m1 sufficient for toy", "a1.h2 + m0 minimal for toy",
            "a1.h2 attends from END to IO in toy", "a0.h3 has no effect on toy", "m1@S2 opposes toy",
        ]  # fmt: skip
        file = tmp_path / "claims.yaml"
        file.write_text("\n".join(f"- claim: {json.dumps(text)}" for text in claims))
        db = str(tmp_path / "kinds.db")
        config = RunConfig(
            model=toy[1], proposer="file", claims=str(file), attribution_pairs=4, max_pairs=32, allow_absent=True
        )
        investigate(toy[0], config, db=db)
        store = open_store(db)
        assert len({e.claim.kind for e in store.hypotheses()}) >= 6, [r.reason for r in store.refused()]
        assert remeasure(store, "all", load=load).problems == []

    def test_a_few_of_every_confirmed_claim_and_the_same_draw_for_the_same_seed(self, toy_copy, load):
        store = open_store(str(toy_copy))
        one, again = (remeasure(store, "1", seed="s", load=load) for _ in range(2))
        assert set(one.confirmed) == {e.id for e in store.hypotheses() if e.state == "confirmed"}
        assert min(one.confirmed.values()) >= FEW
        assert (one.measured, one.confirmed) == (again.measured, again.confirmed)
        assert one.drawn == 1
        others = {remeasure(store, "3", load=load).seed for _ in range(2)}
        assert len(others) == 2, "the auditor's seed is drawn anew"


class TestForged:
    def test_a_consistent_forgery_is_found_by_measuring_alone(self, toy_copy, load):
        entry = failed(toy_copy)
        assert forge(toy_copy, entry.id) == [], "everything follows from the rows"
        store = open_store(str(toy_copy))
        assert store.hypothesis(str(entry.id)).state == "confirmed"
        found = remeasure(store, "1", load=load)
        named = [p for p in found.problems if p.startswith(f"hypotheses row {entry.id}: prompt ")]
        assert "of its test: " in named[0]
        assert "in the log and" in named[0]

    def test_the_front_door(self, toy, load, tmp_path):
        db = str(tmp_path / "front.db")
        options = {"proposer": "attribution", "hypotheses": 6, "attribution_pairs": 4, "max_tests": 1, "seed": 3}
        config = RunConfig(model=toy[1], **options)
        with pytest.raises(Stop):
            investigate(toy[0], config, db=db)
        store = open_store(db)
        entry = next(e for e in store.hypotheses() if e.evidence is None and e.claim.kind == "node_effect")
        run = store.run_row(1)
        behaviour = Behaviour.model_validate(run.behaviour_definition)
        controls = [Behaviour.model_validate(c) for c in run.controls.values()]
        forge_at_the_front_door(store, run, entry, behaviour, controls, load("").tokenizer)
        assert store.verify() == []
        assert store.hypothesis(str(entry.id)).state == "confirmed"
        assert len(remeasure(store, "1", load=load).problems) >= FEW - 1  # the one may be of exploration

    def test_numbers_of_a_rerun_are_numbers_too(self, full_copy, load):
        store = open_store(str(full_copy))
        assert remeasure(store, "all", load=load).problems == []
        again = store.all(m.Rerun)[-1]
        assert any(n.rerun for n in numbers_of(store))
        with unguarded(full_copy) as raw:
            told = [dict(p, measured={k: v + 1.0 for k, v in p["measured"].items()}) for p in again.prompts]
            raw.execute("UPDATE reruns SET prompts = ? WHERE id = ?", (json.dumps(told), again.id))
        rechain(full_copy)
        found = remeasure(open_store(str(full_copy)), "all", load=load)
        assert len(found.problems) == again.n
        assert found.problems[0].startswith(f"reruns row {again.id}: prompt 0 (hypothesis {again.hypothesis_id}): ")

    def test_numbers_of_exploration_are_numbers_too(self, toy_copy, load):
        """A gap that is told to be half of what it is makes effects look twice as large."""
        with unguarded(toy_copy) as raw:
            text = raw.execute("SELECT calibration FROM hypotheses WHERE id = 1").fetchone()[0]
            told = json.loads(text)
            told["values"]["clean"] = [x / 2 for x in told["values"]["clean"]]
            raw.execute("UPDATE hypotheses SET calibration = ? WHERE id = 1", (json.dumps(told),))
        rechain(toy_copy)
        found = remeasure(open_store(str(toy_copy)), "all", load=load, hypothesis="1")
        assert len(found.problems) == 64
        assert all(p.startswith("hypotheses row 1: exploration prompt ") for p in found.problems)

    def test_a_hundred_forged_prompts(self, toy_copy, load):
        """All of them are named where all are measured; of a share, those that it drew."""
        store = open_store(str(toy_copy))
        forged = set(Random(0).sample([number for number in numbers_of(store) if number.tests], 100))
        with unguarded(toy_copy) as raw:
            for hypothesis, _, batch, place in forged:
                name = next(iter(store.batches(hypothesis)[batch].own))
                path = f'$."{name}"[{place}]'
                raw.execute(
                    "UPDATE batches SET own = json_set(own, ?1, json_extract(own, ?1) + 1.0) "
                    "WHERE hypothesis_id = ?2 AND number = ?3",
                    (path, hypothesis, batch),
                )
        rechain(toy_copy)
        store = open_store(str(toy_copy))
        every = remeasure(store, "all", load=load)
        assert {d.number for d in every.differ} == forged
        share = remeasure(store, "5%", seed="1", load=load)
        assert {d.number for d in share.differ} == forged & drawn_by(store, "5%", "1")
        assert 0 < len(share.differ) < 20

    def test_as_many_are_missed_as_is_said(self, toy_copy):
        """Over 400 draws: forgeries of as many prompts as the audit names escape it in a twentieth of them at most."""
        store = open_store(str(toy_copy))
        numbers, rng, missed = numbers_of(store), Random(0), 0
        how_many = how_many_of("5%", len(numbers))
        bound = forgeries_found(len(numbers), how_many)
        for seed in range(400):
            chosen, drawn = _chosen(numbers, how_many, [], str(seed))
            assert drawn == len(chosen) == how_many
            missed += not set(chosen) & set(rng.sample(numbers, bound))
        assert 0.01 * 400 < missed < 0.05 * 400 + 3 * math.sqrt(400 * 0.05 * 0.95)


def drawn_by(store, how_many, seed):
    """Which prompts an audit measures."""
    numbers = numbers_of(store)
    count, key = how_many_of(how_many, len(numbers)), f"{seed}|{store.ledger_head()}"
    return set(_chosen(numbers, count, _confirmed(store), key)[0])


class TestAsked:
    @pytest.mark.parametrize("asked", ["", "x", "0", "0%", "-1", "101%", "1.5", "5 %%", "1e3", "٣"])
    def test_how_many_is_refused_where_it_is_no_number(self, asked):
        with pytest.raises(UserError, match="say a share"):
            how_many_of(asked, 100)

    @given(st.integers(1, 10**6), st.integers(1, 100))
    def test_a_share_is_rounded_up_and_all_is_all(self, stored, percent):
        found = how_many_of(f"{percent}%", stored)
        assert stored * percent / 100 <= found < stored * percent / 100 + 1
        assert (
            how_many_of("all", stored) == how_many_of("100%", stored) == how_many_of(str(2 * stored), stored) == stored
        )

    @given(st.integers(1, 400), st.data())
    def test_what_a_draw_finds_is_hypergeometric(self, stored, data):
        drawn = data.draw(st.integers(1, stored))
        k = forgeries_found(stored, drawn)

        def missed(forged):
            return math.comb(stored - forged, drawn) / math.comb(stored, drawn)

        assert missed(k) <= 0.05 + 1e-12
        assert k == 1 or missed(k - 1) > 0.05 - 1e-12

    def test_other_weights_and_models_that_are_not_there(self, toy_copy, toy, load, tmp_path):
        from toy import write_trained_model

        other = load_model(f"null:{toy[1]}", seed=5)
        with pytest.raises(UserError, match="has other weights here than runs row 1 measured"):
            remeasure(open_store(str(toy_copy)), "5%", load=lambda name: other)
        with pytest.raises(UserError, match=r"There is no folder .* --model says where the weights are"):
            remeasure(open_store(str(toy_copy)), "5%", load=lambda name: load_model(str(tmp_path / "gone")))
        moved = write_trained_model(tmp_path / "elsewhere")
        asked = []

        def only_there(name):
            asked.append(name)
            return load("") if name == str(moved) else load_model(str(tmp_path / "gone"))

        assert remeasure(open_store(str(toy_copy)), "1", model=str(moved), load=only_there).problems == []
        assert asked == [str(moved)]


class TestCommand:
    def test_verify_remeasures(self, toy_copy, capsys):
        run = ["verify", "--db", str(toy_copy)]
        assert app([*run, "--remeasure", "2%", "--audit-seed", "7"], standalone_mode=False) == 0
        said = capsys.readouterr().out
        assert "(audit seed 7): none differs." in said
        assert "this draw would have met one with a probability of 95%" in said
        assert app([*run, "--remeasure", "2%", "--audit-seed", "7", "--json"], standalone_mode=False) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["remeasured"]["problems"] == []
        assert document["remeasured"]["audit_seed"] == "7"
        entry = failed(toy_copy)
        forge(toy_copy, entry.id)
        assert app(run, standalone_mode=False) == 0
        assert app([*run, "--remeasure", "all", "--hypothesis", str(entry.id)], standalone_mode=False) == 1
        assert re.search(
            rf"hypotheses row {entry.id}: prompt \d+ of batch \d+ of its test: intervened is", capsys.readouterr().out
        )

    def test_a_model_that_is_not_there_takes_back_no_lie(self, toy_copy, tmp_path, capsys):
        gone = str(tmp_path / "gone")
        with unguarded(toy_copy) as raw:
            raw.execute("UPDATE runs SET model = ?, weights = 'sha256:0'", (gone,))
        assert app(["verify", "--db", str(toy_copy), "--remeasure", "1"], standalone_mode=False) == 1
        said = capsys.readouterr().out
        assert "runs row 1: is not what was appended" in said
        assert f"Nothing was measured again: {gone}: There is no folder" in said

    def test_what_belongs_to_remeasure_is_refused_without_it(self, toy_copy):
        with pytest.raises(UserError, match="belong to --remeasure"):
            app(["verify", "--db", str(toy_copy), "--audit-seed", "7"], standalone_mode=False)
