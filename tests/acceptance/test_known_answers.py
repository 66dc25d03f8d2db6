"""Models whose mechanism is built in by hand: every battery must give the right reading, and no other circuit pass."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from lakatos.agent import RunConfig, investigate
from lakatos.experiments_db import open_store
from lakatos.tools.behaviour import load_behaviour
from lakatos.tools.claim import Sufficiency
from lakatos.tools.evidence import Battery, Data, e_process, fixed, gaps
from lakatos.tools.experiment import draw_prompts, measure
from lakatos.tools.model.planted import HEADS, LAYERS, MECHANISMS, load_planted
from lakatos.tools.model.planted import RECALL as BEHAVIOUR

pytestmark = pytest.mark.heavy


def verdicts_on(tmp_path, planted, *claims, seed=5):
    """The hypotheses that a run on a planted model makes of these claims, by text up to the parentheses."""
    path, db = tmp_path / "claims.yaml", str(tmp_path / f"{planted}.db")
    path.write_text("".join(f"- claim: {claim}\n" for claim in claims))
    config = RunConfig(
        model=f"planted:{planted}", proposer="file", claims=str(path), seed=seed, attribution_pairs=2, hypotheses=100
    )
    investigate(BEHAVIOUR, config, db=db)
    store = open_store(db)
    assert store.verify() == []
    assert store.refused() == []
    return {e.text.partition(" (")[0].replace(f" {BEHAVIOUR}", ""): e for e in store.hypotheses()}


def test_necessary_non_specific_and_inert_on_the_induction_model(tmp_path):
    truth = MECHANISMS["induction"]
    inert = truth.inert[:3]
    found = verdicts_on(
        tmp_path,
        "induction",
        *(f"{c} necessary for {BEHAVIOUR}" for c in (*truth.necessary, *truth.non_specific, *inert)),
        *(f"{c} has no effect on {BEHAVIOUR}" for c in (*inert, *truth.necessary)),
    )
    for component in truth.necessary:
        entry = found[f"{component} necessary for"]
        assert (entry.state, entry.reading) == ("confirmed", "specific")
        assert found[f"{component} has no effect on"].state == "refuted"
    for component in truth.non_specific:
        entry = found[f"{component} necessary for"]
        assert (entry.state, entry.reading) == ("inconclusive", "necessary, not specific")
    for component in inert:
        entry = found[f"{component} necessary for"]
        assert (entry.state, entry.reading) == ("refuted", "inert"), component
        assert found[f"{component} has no effect on"].state == "confirmed"


def test_a_head_that_another_backs_up(tmp_path):
    ((head, backup),) = MECHANISMS["backup"].backed_up
    found = verdicts_on(
        tmp_path,
        "backup",
        *(f"{c} necessary for {BEHAVIOUR}" for c in (head, backup, f"{head} + {backup}")),
        f"{head} has no effect on {BEHAVIOUR}",
        f"{head} carries {BEHAVIOUR} through logits",
        f"{backup} backs up {head} for {BEHAVIOUR}",
        f"a2.h1 backs up {head} for {BEHAVIOUR}",
    )
    entry = found[f"{head} necessary for"]
    assert (entry.state, entry.reading) == ("inconclusive", "backed up")
    assert found[f"{head} has no effect on"].state == "inconclusive", "its direct effect is large"
    assert found[f"{backup} necessary for"].reading == "inert", "it writes only where the head does not"
    both = found[f"{head} + {backup} necessary for"]
    assert (both.state, both.reading) == ("confirmed", "specific")
    assert found[f"{head} carries through logits"].state == "confirmed"
    assert found[f"{backup} backs up {head} for"].state == "confirmed"
    assert found[f"a2.h1 backs up {head} for"].state == "inconclusive"


def test_a_composition_of_two_heads_goes_through_the_key_and_nowhere_else(tmp_path):
    (sender, receiver), _ = MECHANISMS["induction"].edges
    layer, _, key = receiver.partition(".")
    others = [f"{layer}.g{k}.k" for k in range(HEADS) if f"g{k}.k" != key]
    found = verdicts_on(
        tmp_path,
        "induction",
        *(f"{sender} carries {BEHAVIOUR} through {r}" for r in (receiver, *others, "logits")),
        f"{layer}.h0 attends from END to VALUE in {BEHAVIOUR}",
        f"{layer}.h0 attends from END to OTHER_VALUE in {BEHAVIOUR}",
    )
    states = {text: entry.state for text, entry in found.items()}
    assert states == {
        f"{sender} carries through {receiver}": "confirmed",
        **{f"{sender} carries through {r}": "inconclusive" for r in (*others, "logits")},
        f"{layer}.h0 attends from END to VALUE in": "confirmed",
        f"{layer}.h0 attends from END to OTHER_VALUE in": "inconclusive",
    }


def test_the_circuit_and_no_other_of_its_size(tmp_path):
    """All circuits of two heads and an MLP: the mechanism passes, and nothing that a search could offer instead."""
    truth = " + ".join(MECHANISMS["induction"].circuits[0])
    heads = [f"a{layer}.h{head}" for layer in range(LAYERS) for head in range(HEADS)]
    every = [f"{a} + {b} + m{layer}" for a, b in combinations(heads, 2) for layer in range(LAYERS)]
    rng = np.random.default_rng(0)
    others = [str(c) for c in rng.choice([c for c in every if set(c.split(" + ")) != set(truth.split(" + "))], 10)]
    found = verdicts_on(
        tmp_path,
        "induction",
        f"{truth} sufficient for {BEHAVIOUR}",
        f"{truth} minimal for {BEHAVIOUR}",
        f"{truth} + a2.h2 minimal for {BEHAVIOUR}",
        *dict.fromkeys(f"{c} sufficient for {BEHAVIOUR}" for c in others),
    )
    confirmed = {tuple(e.claim.components) for e in found.values() if e.state == "confirmed"}
    assert confirmed == {tuple(found[next(iter(found))].claim.components)}
    assert [e.claim.kind for e in found.values() if e.state == "confirmed"] == ["sufficiency", "minimality"]
    (shuffled,) = next(iter(found.values())).battery.matched["shuffled"]
    assert set(shuffled.split("+")) != set(truth.split(" + "))


@pytest.mark.parametrize("faithfulness", [0.8, 1.0])
def test_the_identical_circuit_is_never_rejected(faithfulness):
    """Everything kept is the model: no null of faithfulness stands, and nothing can be shown against it."""
    model, behaviour = load_planted("induction").bridge, load_behaviour(BEHAVIOUR)
    everything = [f"a{layer}.h{head}" for layer in range(LAYERS) for head in range(HEADS)]
    claim = Sufficiency(components=(*everything, *(f"m{layer}" for layer in range(LAYERS))), faithfulness=faithfulness)
    none = {"random": (), "shuffled": ()}

    def data(split, n, seed):
        sample = draw_prompts(
            behaviour,
            [],
            model.tokenizer,
            n=n,
            skip=0,
            split=split,
            seeds=lambda purpose: seed + len(purpose),
            donors=True,
        ).on(model)
        return Data(measure(claim, none, model, sample).values, sample.templates)

    explored = data("exploration", 64, 1)
    assert explored.values["circuit"] == pytest.approx(explored.values["clean"], abs=1e-4)
    draft = Battery.draft(gaps(explored.values, {})[0], {}, none)
    battery = fixed(claim, draft, explored, 128, 6)
    for seed in range(6):
        path = e_process(claim, battery, data("confirmation", 64, 100 * seed))
        if faithfulness < 1:
            assert path[-1] >= 4000
        else:
            assert path.min() > 0.99, "a circuit that equals the model is not worse than it"
