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
from lakatos.tools.model.planted import HEADS, LAYERS, MECHANISMS, TWINS, load_planted, truth_of
from lakatos.tools.model.planted import RECALL as BEHAVIOUR
from lakatos.tools.model.planted import TEXT as CONTROL

HEADS_AND_MLPS = [f"a{layer}.h{head}" for layer in range(LAYERS) for head in range(HEADS)]
HEADS_AND_MLPS += [f"m{layer}" for layer in range(LAYERS)]
PLANTED = ("induction", "backup")
MECHANISTIC = tuple(name for name, truth in MECHANISMS.items() if not truth.null)


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
    for behaviour in map(load_behaviour, (MECHANISMS[name].behaviour, CONTROL)):
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
    @pytest.mark.parametrize("name", MECHANISTIC)
    def test_planted_models_answer_always(self, name, seed) -> None:
        effects = run_interventions(load_planted(name, seed), bench(name).recall.pairs, [])
        least = 3.5 if name == "negative" else 6
        assert (effects.clean > least).all()
        assert (effects.corrupted < -least).all()
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
        """Resample ablation of each, on the task and on plain text. A task lost altogether is half of the gap."""
        truth = MECHANISMS[name]
        assert sorted((*truth.readings, *(truth.non_specific if truth.null else ()))) == sorted(HEADS_AND_MLPS)
        ablations = [ablate(place) for place in HEADS_AND_MLPS]
        found = bench("induction" if truth.null else name).share(*ablations)
        lost = dict(zip(HEADS_AND_MLPS, found, strict=True))
        text = dict(zip(HEADS_AND_MLPS, bench(name).text_share(*ablations), strict=True))
        for place in HEADS_AND_MLPS:
            assert text[place] > 1.0 if place in truth.non_specific else abs(text[place]) < 0.01
        for place in (*truth.necessary, *truth.non_specific):
            assert lost[place].mean() > 0.4
        for place in () if truth.null else truth.inert:
            assert abs(lost[place]).max() < 0.01
        for place, _ in truth.backed_up:
            assert lost[place].mean() < 0.05
        for place in truth.backups:
            assert abs(lost[place]).max() < 0.02
        for place in truth.redundant:
            assert abs(lost[place].mean()) < 0.02
        for place in truth.negative:
            assert lost[place].mean() < -0.3

    @pytest.mark.parametrize("name", MECHANISTIC)
    def test_patching_moves_what_is_used_and_nothing_else(self, name) -> None:
        """Denoising of each, and of all that is inert together."""
        truth = MECHANISMS[name]
        alone = bench(name).share(*(Intervention(place, "clean") for place in HEADS_AND_MLPS), base="corrupted")
        moved = {place for place, share in zip(HEADS_AND_MLPS, alone, strict=True) if abs(share.mean()) > 0.05}
        assert moved <= truth.used
        assert moved >= {of for of, _ in truth.edges if of != "m0"}
        together = bench(name).share(Intervention(truth.inert, "clean"), base="corrupted")
        assert abs(together).max() < 0.01

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

    @pytest.mark.parametrize("name", MECHANISTIC)
    def test_the_paths_are_those_of_the_truth(self, name) -> None:
        """Each path alone, from all that is used and some of the rest into all that read it later."""
        truth = MECHANISMS[name]
        senders = (*sorted(truth.used), *truth.inert[:2])
        paths = [(sender, reader) for sender in senders for reader in _readers(sender)]
        shares = bench(name).share(*(Intervention(s, "clean", to=(r,)) for s, r in paths), base="corrupted")
        moved = {path for path, share in zip(paths, shares, strict=True) if abs(share.mean()) > 0.05}
        assert moved == set(truth.edges) | (moved & set(truth.silent))
        assert not set(truth.edges) & set(truth.silent)

    def test_a_backup_is_silenced_by_what_it_backs_up(self) -> None:
        assert bench("backup").share(Intervention("a1.h0", "clean", to="a2.h0.q"), base="corrupted").mean() < -0.4

    @pytest.mark.parametrize("name", MECHANISTIC)
    def test_each_circuit_answers_without_the_rest_and_not_without_a_part(self, name) -> None:
        for circuit in MECHANISMS[name].circuits:
            parts = [ablate(*(c for c in circuit if c != part), keep=True) for part in circuit]
            whole, *less = bench(name).share(ablate(*circuit, keep=True), *parts)
            assert abs(whole.mean()) < 0.1 or name == "negative"  # which is stronger without what opposes it
            assert min(share.mean() for share in less) > 0.35

    def test_a_model_that_is_not_planted_has_no_known_truth(self) -> None:
        assert truth_of("smollm2-135m") is None
        assert truth_of("planted:typo") is None
        assert truth_of("planted:backup#3") == MECHANISMS["backup"]


class TestTwins:
    @pytest.mark.parametrize("kind", TWINS)
    def test_a_twin_has_the_shape_and_not_the_mechanism(self, kind) -> None:
        model, twin = load_model("planted:induction#2"), load_model(f"planted:induction~{kind}#2")
        assert twin.name == f"planted:induction~{kind}#2"
        assert twin.weight_hash != model.weight_hash
        assert twin.weight_hash == load_model(f"planted:induction~{kind}#2").weight_hash
        effects = run_interventions(twin, bench("induction").recall.pairs, [])
        assert abs(effects.clean.mean() - effects.corrupted.mean()) < 3  # of 16
        truth = truth_of(twin.name)
        assert truth.null
        assert not truth.used
        assert sorted(truth.inert) == sorted(HEADS_AND_MLPS)

    def test_permuting_keeps_every_number(self) -> None:
        model, twin = (load_planted(name).bridge.original_model.state_dict() for name in ("backup", "backup~permuted"))
        for part in "qkvo":
            keys = [key for key in model if key.endswith(f".{part}._original_component.weight")]
            one, other = (torch.cat([state[key].flatten() for key in keys]) for state in (model, twin))
            assert torch.equal(one.sort().values, other.sort().values)
            assert not torch.equal(one, other)
        assert all(torch.equal(model[key], twin[key]) for key in model if "mlp" in key or "head" in key)

    def test_shuffled_answers_change_the_unembedding_alone(self) -> None:
        model, twin = (load_planted(name).bridge.original_model.state_dict() for name in ("backup", "backup~shuffled"))
        differ = [key for key in model if not torch.equal(model[key], twin[key])]
        assert {key.replace("._original_component", "") for key in differ} == {"head.weight"}
        (key, *_) = differ
        assert not (model[key] == twin[key]).all(1).any()
        assert torch.equal(model[key].sort(0).values, twin[key].sort(0).values)


def _readers(sender: str) -> list[str]:
    """All that reads what a component writes, as receivers of path patching."""
    first = int(sender[1]) + (0 if sender.startswith("m") else -1)
    later = [f"m{layer}" for layer in range(first + 1, LAYERS)]
    heads = range(HEADS)
    layers = range(int(sender[1]) + 1, LAYERS)
    later += [f"a{layer}.h{h}.q" for layer in layers for h in heads]
    later += [f"a{layer}.g{h}.{part}" for layer in layers for h in heads for part in "kv"]
    return [*later, "logits"]


@pytest.mark.parametrize(
    "name",
    [
        n if n == "induction" else pytest.param(n, marks=pytest.mark.heavy)
        for n, truth in MECHANISMS.items()
        if truth.behaviour == BEHAVIOUR
    ],
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
        [
            ("planted:inductoin", "did you mean planted:induction"),
            ("planted:induction~odd", "redrawn"),
            ("null:planted:none", "planted:none"),
        ],
    )
    def test_what_there_is_not_says_what_there_is(self, name, says) -> None:
        with pytest.raises(UserError, match=says):
            load_model(name)
