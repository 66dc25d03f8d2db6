"""Planted models: what they were built to do is what the engine measures."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pytest
import torch

from lakatos.tools.behaviour import SPLITS, builtin_behaviours, draw_donors, encode, load_behaviour, static_problems
from lakatos.tools.errors import UserError
from lakatos.tools.experiment.measuring import unigram_loss
from lakatos.tools.forward.abilities import abilities
from lakatos.tools.intervention import Intervention, Runs, run_interventions
from lakatos.tools.intervention.reference import measure_by_forward
from lakatos.tools.model import LoadedModel, load_model
from lakatos.tools.model.planted import BEHAVIOUR, CONTROL, HEADS, LAYERS, MECHANISMS, load_planted

HEADS_AND_MLPS = [f"a{layer}.h{head}" for layer in range(LAYERS) for head in range(HEADS)]
HEADS_AND_MLPS += [f"m{layer}" for layer in range(LAYERS)]
PLANTED = ("induction", "backup")


class Bench(NamedTuple):
    """A planted model with prompts of both behaviours and their donors; shared between tests."""

    model: LoadedModel
    recall: Runs
    text: Runs
    spare: float  # unigram - clean loss of the text, in nats

    def share(self, *interventions: Intervention, base: str = "clean") -> np.ndarray:
        """[n_interventions, n] of the gap: what is lost on the clean run, or gained on the corrupted one."""
        effects = run_interventions(self.model, self.recall, interventions, base=base)
        gap = (effects.clean - effects.corrupted).mean()
        lost = effects.clean - effects.values if base == "clean" else effects.values - effects.corrupted
        return lost / gap

    def text_share(self, *interventions: Intervention) -> np.ndarray:
        """[n_interventions] mean rise of the text's loss, in units of unigram - clean loss."""
        effects = run_interventions(self.model, self.text, interventions, base="clean")
        return (effects.values - effects.clean).mean(1) / self.spare


@lru_cache
def bench(name: str, seed: int = 0) -> Bench:
    model = load_planted(name, seed)
    runs = []
    for behaviour in map(load_behaviour, (BEHAVIOUR, CONTROL)):
        pairs = behaviour.sample(32, seed=1, split="confirmation")
        runs.append(Runs(model.bridge, pairs, draw_donors(behaviour, pairs, model.tokenizer, seed=2), pairs))
    recall, text = runs
    loss = run_interventions(model, text, [], base="clean").clean.mean()
    return Bench(model, recall, text, unigram_loss(text.pairs, model) - loss)


def ablate(*places: str, to: str | tuple[str, ...] = (), keep: bool = False) -> Intervention:
    return Intervention(places, "resample", to=to, keep=keep)


class TestBehaviours:
    @pytest.mark.parametrize("name", [BEHAVIOUR, CONTROL])
    def test_they_fit_the_tokenizer_and_are_not_among_the_built_in_ones(self, name) -> None:
        behaviour = load_behaviour(name)
        assert behaviour.name == name
        assert name not in builtin_behaviours()
        assert not static_problems(behaviour, load_planted("induction").tokenizer)

    def test_recall_has_donors_and_several_lengths(self) -> None:
        behaviour = load_behaviour(BEHAVIOUR)
        assert behaviour.named_positions == ["KEY", "VALUE", "OTHER_KEY", "OTHER_VALUE", "END"]
        tokenizer = load_planted("none").tokenizer
        for split in SPLITS:
            pairs = behaviour.sample(128, seed=0, split=split)
            assert len(encode(pairs, tokenizer)) > 1
            draw_donors(behaviour, pairs, tokenizer, seed=1)


class TestRecall:
    @pytest.mark.parametrize("seed", [0, 1])
    @pytest.mark.parametrize("name", PLANTED)
    def test_planted_models_recall_always(self, name, seed) -> None:
        effects = run_interventions(load_planted(name, seed), bench(name).recall.pairs, [])
        assert (effects.clean > 6).all()
        assert (effects.corrupted < -6).all()
        assert effects.clean.std() > 0.1  # the noise is felt

    def test_the_null_twin_prefers_nothing(self) -> None:
        effects = run_interventions(bench("none").model, load_behaviour(BEHAVIOUR).sample(200), [])
        assert 0.3 < (effects.clean > 0).mean() < 0.7
        assert max(abs(effects.clean).max(), abs(effects.corrupted).max()) < 0.5

    @pytest.mark.parametrize("name", MECHANISMS)
    def test_plain_text_is_predicted_well(self, name) -> None:
        assert bench(name).spare > 1.0  # nats below the unigram loss

    @pytest.mark.parametrize("name", PLANTED)
    def test_attention_is_as_designed(self, name) -> None:
        model, recall = bench(name)[:2]
        for batch in encode(recall.pairs, model.tokenizer):
            with torch.no_grad():
                _, cache = model.bridge.run_with_cache(torch.from_numpy(batch.clean))
            patterns = [cache[f"blocks.{layer}.attn.hook_pattern"][:, 0].numpy() for layer in range(LAYERS)]
            assert patterns[0].diagonal(-1, 1, 2).min() > 0.99
            rows, end, value = np.arange(len(batch.clean)), batch.positions["END"], batch.positions["VALUE"]
            assert patterns[1][rows, end, value].min() > 0.9
            if name == "backup":
                assert patterns[2][rows, end, 0].min() > 0.9  # nothing to make up for


class TestTruth:
    @pytest.mark.parametrize("name", MECHANISMS)
    def test_every_component_does_what_the_truth_says(self, name) -> None:
        """Resample ablation of each, on recall and on plain text. Recall lost altogether is half of the gap."""
        truth = MECHANISMS[name]
        recalls = bool(truth.circuit)
        ablations = [ablate(place) for place in HEADS_AND_MLPS]
        lost = dict(zip(HEADS_AND_MLPS, bench(name if recalls else "induction").share(*ablations), strict=True))
        text = dict(zip(HEADS_AND_MLPS, bench(name).text_share(*ablations), strict=True))
        for place in truth.necessary:
            assert lost[place].mean() > 0.4
            assert abs(text[place]) < 0.01
        for place in truth.non_specific:
            assert lost[place].mean() > 0.4
            assert text[place] > 1.0
        for place in truth.inert if recalls else ():
            assert abs(lost[place]).max() < 0.01
        for place in truth.inert:
            assert abs(text[place]) < 0.01
        for place, _ in truth.backed_up:
            assert abs(lost[place].mean()) < 0.05
            assert abs(text[place]) < 0.01
        for place in truth.backups:
            assert abs(lost[place]).max() < 0.02

    def test_the_null_twin_shows_nothing(self) -> None:
        twin = bench("none")
        effects = run_interventions(twin.model, twin.recall, [ablate(place) for place in HEADS_AND_MLPS], base="clean")
        assert abs(effects.values - effects.clean).max() < 0.3  # logits, of about 16 between clean and corrupted

    def test_a_backup_makes_up_for_the_loss_but_not_for_the_direct_effect(self) -> None:
        ((head, backup),) = MECHANISMS["backup"].backed_up
        total, direct, both = bench("backup").share(ablate(head), ablate(head, to="logits"), ablate(head, backup))
        assert abs(total.mean()) < 0.05
        assert direct.mean() > 0.4  # of the gap: of the clean logit difference, nearly all
        assert both.mean() > 0.4
        zero, mean = bench("backup").share(Intervention(head, "zero"), Intervention(head, "mean"))
        assert max(abs(zero).max(), abs(mean).max()) < 0.1
        assert bench("induction").share(ablate(head))[0].mean() > 0.4

    @pytest.mark.parametrize("name", PLANTED)
    def test_patching_restores_recall_where_it_is_made(self, name) -> None:
        at_things = [Intervention(f"a0.h0@{at}", "clean") for at in ("VALUE", "OTHER_VALUE")]
        whole, value, other, head, direct = bench(name).share(
            Intervention("a0.h0", "clean"),
            *at_things,
            Intervention("a1.h0@END", "clean"),
            Intervention("a1.h0", "clean", to="logits"),
            base="corrupted",
        )
        assert whole.mean() == pytest.approx(1, abs=0.02)
        assert value.mean() + other.mean() == pytest.approx(1, abs=0.1)
        assert head.mean() == pytest.approx(1 if name == "induction" else 0.5, abs=0.05)
        assert direct.mean() == pytest.approx(1, abs=0.05)

    @pytest.mark.parametrize("name", PLANTED)
    def test_the_paths_are_those_of_the_truth(self, name) -> None:
        composition = MECHANISMS[name].composition
        keys = tuple(receiver for sender, receiver in composition if sender == "a0.h0")
        shares = bench(name).share(
            Intervention("a0.h0", "clean"),
            Intervention("a0.h0", "clean", to=keys),
            *(Intervention("a0.h0", "clean", to=f"a{x}.g{h}.k") for x in (1, 2) for h in (1, 2)),
            Intervention("a0.h0", "clean", to=("a1.h0.q", "a1.g0.v", "m0", "m1", "m2")),
            base="corrupted",
        )
        assert shares[1].mean() > 0.9 * shares[0].mean()
        assert abs(shares[2:]).max() < 0.01
        if name == "backup":
            assert bench(name).share(Intervention("a1.h0", "clean", to="a2.h0.q"), base="corrupted").mean() < -0.4

    @pytest.mark.parametrize("name", PLANTED)
    def test_the_circuit_recalls_without_the_rest_and_not_without_a_part(self, name) -> None:
        circuit = MECHANISMS[name].circuit
        parts = [ablate(*(c for c in circuit if c != part), keep=True) for part in circuit]
        whole, *less = bench(name).share(ablate(*circuit, keep=True), *parts)
        assert abs(whole).max() < 0.1
        assert min(share.mean() for share in less) > 0.4


@pytest.mark.parametrize(
    "name", [n if n == "induction" else pytest.param(n, marks=pytest.mark.heavy) for n in MECHANISMS]
)
def test_the_engine_drives_them_and_agrees_with_the_reference(name) -> None:
    model, recall = bench(name)[:2]
    assert abilities(model.bridge).blocks
    plan = [Intervention(c, s) for c in ("a1.h0", "m0@VALUE", "a0.g0.k") for s in ("corrupted", "zero", "mean")]
    plan += [ablate("a0.h0"), ablate("a1.h0.pattern"), ablate("a0.h0", to="a1.g0.k"), ablate("a1.h0", to="a2.h0.q")]
    plan += [ablate("a1.h0", to="logits"), ablate("a0.h0", "m0", "a1.h0", keep=True)]
    effects = run_interventions(model, recall, plan, base="clean")
    assert effects.engine == "suffix"
    for batch in recall.batches:
        expected = measure_by_forward(model.bridge, batch, plan, "clean", ["logit_diff"])[0]
        assert np.allclose(effects.values[:, batch.batch.index], expected, atol=1e-3)


class TestLoading:
    def test_by_name_and_seed(self) -> None:
        model, again, other = (load_model(f"planted:induction#{seed}") for seed in (3, 3, 4))
        assert load_model("planted:induction", seed=9).weight_hash == load_planted("induction").weight_hash
        with pytest.raises(UserError, match="a number"):
            load_model("planted:induction#x")
        assert model.name == "planted:induction#3"
        assert model.weight_hash == again.weight_hash == load_planted("induction", 3).weight_hash
        assert len({model.weight_hash, other.weight_hash, load_planted("none", 3).weight_hash}) == 3

    def test_the_variants_share_their_noise(self) -> None:
        one, twin = (load_planted(name).bridge.original_model.state_dict() for name in ("induction", "none"))
        differ = {key for key in one if not torch.equal(one[key], twin[key])}
        assert {key.split(".")[1] for key in differ} == {"0", "1"}
        assert not any("mlp" in key for key in differ)

    def test_the_random_state_is_left_alone(self) -> None:
        torch.manual_seed(0)
        expected = torch.rand(3)
        torch.manual_seed(0)
        load_planted("backup")
        assert torch.equal(torch.rand(3), expected)

    @pytest.mark.parametrize(
        ("name", "says"),
        [("planted:typo", "planted:induction, planted:backup, planted:none"), ("null:planted:none", "planted:none")],
    )
    def test_what_there_is_not_says_what_there_is(self, name, says) -> None:
        with pytest.raises(UserError, match=says):
            load_model(name)
