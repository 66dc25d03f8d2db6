"""Node attribution against TransformerLens, finite differences, and what integrated gradients must add up to."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from models import ARCHITECTURES, HEADS, LAYERS, TOY, TOY_TEXT, build_tiny, hooks_on, in_turn, tiny

from lakatos.tools.behaviour import encode
from lakatos.tools.errors import UserError
from lakatos.tools.exploration import batching, gradients, hooks, node_attribution
from lakatos.tools.forward import abilities as abilities_module
from lakatos.tools.forward.abilities import abilities
from lakatos.tools.intervention import run_interventions

PAIRS = TOY.sample(6, seed=1)  # of two lengths


def rows(bridge):
    """(place among the pairs, clean tokens [1, pos], corrupted tokens [1, pos], metric of logits) of each pair."""
    for batch in encode(PAIRS, bridge.tokenizer):
        for row, (place, answer, wrong) in enumerate(zip(batch.index, batch.answer, batch.wrong, strict=True)):
            clean, corrupted = (torch.from_numpy(t[row : row + 1]) for t in (batch.clean, batch.corrupted))
            yield place, clean, corrupted, lambda logits, a=answer, w=wrong: logits[0, -1, a] - logits[0, -1, w]


def close(one, other) -> bool:
    """Equal up to float32 rounding in sums of another order."""
    return np.allclose(one, other, rtol=1e-4, atol=2e-5)


@pytest.fixture(scope="module", params=in_turn())
def bridge(request):
    return tiny(request.param).bridge


class TestScores:
    def test_each_prompts_are_transformer_lenss(self, bridge) -> None:
        from transformer_lens.tools.analysis.attribution_patching import attribution_patch

        found = node_attribution(bridge, PAIRS)
        width = found.lengths.max()
        assert found.heads.shape == (6, LAYERS, HEADS, width)
        assert found.mlps.shape == (6, LAYERS, width)
        for place, clean, corrupted, metric in rows(bridge):
            heads, mlps, embedding = np.zeros((LAYERS, HEADS, width)), np.zeros((LAYERS, width)), np.zeros(width)
            for node, score in attribution_patch(bridge, clean, corrupted, metric).node_scores.items():
                if node.kind == "attn_head_out":
                    heads[node.layer, node.head, node.position] = score
                elif node.kind == "mlp_out":
                    mlps[node.layer, node.position] = score
                else:
                    embedding[node.position] = score
            assert close(found.heads[place], heads)
            assert close(found.mlps[place], mlps)
            assert np.abs(heads).max() > 1e-2 < np.abs(mlps).max()
            assert close(found.residuals[place, 0], embedding) or "gemma" in bridge.cfg.model_name  # scaled after it

    def test_residuals_are_derivatives_towards_the_clean_run(self, bridge) -> None:
        found = node_attribution(bridge, PAIRS)
        place, clean, corrupted, metric = next(rows(bridge))
        names = [*(f"blocks.{layer}.hook_resid_pre" for layer in range(LAYERS)), f"blocks.{LAYERS - 1}.hook_resid_post"]
        with torch.no_grad():
            caches = [bridge.run_with_cache(tokens)[1] for tokens in (clean, corrupted)]
            for number, name in enumerate(names):
                for position in (1, clean.shape[1] - 1):
                    delta = torch.zeros_like(caches[0][name])
                    delta[:, position] = (caches[0][name] - caches[1][name])[:, position]
                    moved = [
                        metric(
                            bridge.run_with_hooks(
                                corrupted, fwd_hooks=[(name, lambda a, hook, step=step, d=delta: a + step * d)]
                            )
                        )
                        for step in (0.01, -0.01)
                    ]
                    slope = float(moved[0] - moved[1]) / 0.02
                    assert found.residuals[place, number, position] == pytest.approx(slope, rel=0.02, abs=2e-3)

    def test_prompts_of_several_lengths_are_scored_as_each_by_itself(self, bridge) -> None:
        together = node_attribution(bridge, PAIRS, ig_steps=2)
        assert len(set(together.lengths)) == 2
        for alone in (
            node_attribution(bridge, PAIRS, ig_steps=2, max_tokens=1),
            node_attribution(bridge, PAIRS, ig_steps=2, max_tokens=30),
        ):
            for name in ("heads", "mlps", "residuals", "clean", "corrupted"):
                assert close(getattr(together, name), getattr(alone, name))
        for pair, length in enumerate(together.lengths):
            assert not together.heads[pair, :, :, length:].any()
            assert not together.mlps[pair, :, length:].any()
            assert not together.residuals[pair, :, length:].any()
            assert close(
                together.heads[pair, ..., :length],
                node_attribution(bridge, PAIRS[pair : pair + 1], ig_steps=2).heads[0],
            )

    def test_the_metric_of_both_runs_comes_along(self, bridge) -> None:
        for metric in ("logit_diff", "prob_diff"):
            found, exact = (
                node_attribution(bridge, PAIRS, metric=metric),
                run_interventions(bridge, PAIRS, [], metric=metric),
            )
            assert close(found.clean, exact.clean)
            assert close(found.corrupted, exact.corrupted)

    def test_no_padding_where_it_would_matter(self, monkeypatch) -> None:
        bridge = tiny("llama").bridge
        padded = node_attribution(bridge, PAIRS)
        monkeypatch.setattr(abilities_module, "abilities", lambda *model: replace(abilities(*model), causal=False))
        assert all(len(set(b.lengths)) == 1 for b in batching.chunks(bridge, PAIRS, "logit_diff", 1, 512))
        assert close(padded.heads, node_attribution(bridge, PAIRS).heads)


class TestIntegratedGradients:
    @pytest.mark.parametrize("name", in_turn(name for name in ARCHITECTURES if name != "mixtral"))  # routing jumps
    def test_the_embeddings_scores_tend_to_the_whole_difference(self, name) -> None:
        bridge = tiny(name).bridge
        errors = []
        for steps in (8, 64):
            found = node_attribution(bridge, PAIRS, ig_steps=steps)
            errors.append(np.abs(found.residuals[:, 0].sum(-1) - (found.clean - found.corrupted)).mean())
        assert errors[1] < errors[0] / 4
        assert errors[1] < 0.05 * np.abs(found.clean - found.corrupted).mean()

    def test_the_gradient_is_the_mean_over_points_from_the_corrupted_end(self) -> None:
        from transformer_lens.tools.analysis.attribution_patching import cache_activation_and_gradient

        bridge = tiny("llama").bridge
        found = node_attribution(bridge, PAIRS, ig_steps=4)
        place, clean, corrupted, metric = next(rows(bridge))
        start, name = "blocks.0.hook_resid_pre", "blocks.1.attn.hook_z"
        with torch.no_grad():
            caches = [bridge.run_with_cache(tokens)[1] for tokens in (clean, corrupted)]
        mean = 0
        for k in range(4):
            embedding = caches[1][start] + k / 4 * (caches[0][start] - caches[1][start])
            with bridge.hooks(fwd_hooks=[(start, lambda a, hook, e=embedding: e + 0 * a)]):
                mean += cache_activation_and_gradient(bridge, corrupted, metric, [start, name]).gradients[name][0] / 4
        expected = ((caches[0][name] - caches[1][name])[0] * mean).sum(-1).T
        assert close(found.heads[place, 1, :, : clean.shape[1]], expected.numpy())


class TestMetrics:
    def test_kl_is_to_the_clean_run(self) -> None:
        found = node_attribution(tiny("llama").bridge, PAIRS, metric="kl", ig_steps=128)
        assert found.clean == pytest.approx(0, abs=1e-6)
        assert (found.corrupted > 0.01).all()
        assert found.residuals[:, 0].sum(-1) == pytest.approx(-found.corrupted, rel=0.1)


class TestModels:
    @pytest.mark.parametrize("name", in_turn())
    def test_half_precision(self, name) -> None:
        bridge = build_tiny(name).bridge
        exact = node_attribution(bridge, PAIRS)
        bridge.to(torch.bfloat16)
        coarse = node_attribution(bridge, PAIRS)
        assert coarse.heads.dtype == coarse.clean.dtype == np.float32
        assert np.corrcoef(exact.heads.ravel(), coarse.heads.ravel())[0, 1] > 0.98

    @pytest.mark.parametrize("name", in_turn())
    def test_nothing_is_left_behind(self, name) -> None:
        bridge = build_tiny(name).bridge
        frozen = next(bridge.parameters())
        frozen.requires_grad_(False)
        wanted = [p.requires_grad for p in bridge.parameters()]
        bridge(torch.tensor([[3, 4]]))  # TransformerLens attaches some of its own at the first run
        before = hooks_on(bridge)
        node_attribution(bridge, PAIRS, ig_steps=2)
        assert [p.requires_grad for p in bridge.parameters()] == wanted
        assert all(p.grad is None for p in bridge.parameters())
        assert hooks_on(bridge) == before
        copy.deepcopy(bridge)

    def test_parameters_need_no_gradients(self) -> None:
        bridge = build_tiny("llama").bridge
        expected = node_attribution(bridge, PAIRS)
        bridge.requires_grad_(False)
        with torch.no_grad():
            assert close(node_attribution(bridge, PAIRS).heads, expected.heads)

    def test_hooks_of_others_stay(self) -> None:
        bridge = build_tiny("llama").bridge
        seen = []
        bridge.hook_dict["blocks.1.attn.hook_z"].add_hook(lambda activation, hook: seen.append(activation.shape[0]))
        node_attribution(bridge, PAIRS)
        before = len(seen)
        assert before
        bridge(torch.tensor([[0, 3, 4]]))
        assert len(seen) == before + 1


class TestErrors:
    @pytest.mark.parametrize("metric", ["loss", "accuracy"])
    def test_a_metric_of_several_positions(self, metric) -> None:
        with pytest.raises(UserError, match=f"'{metric}' is not one: choose logit_diff, prob_diff or kl"):
            node_attribution(tiny("llama").bridge, PAIRS, metric=metric)

    def test_plain_text(self) -> None:
        with pytest.raises(UserError, match="toy_text is plain text"):
            node_attribution(tiny("llama").bridge, TOY_TEXT.sample(2, seed=0))

    def test_no_pairs_and_no_steps(self) -> None:
        with pytest.raises(UserError, match="at least one prompt pair"):
            node_attribution(tiny("llama").bridge, PAIRS[:0])
        with pytest.raises(UserError, match="ig_steps must be 1"):
            node_attribution(tiny("llama").bridge, PAIRS, ig_steps=0)

    @pytest.mark.parametrize(
        ("name", "why"),
        [
            ("blocks.1.hook_nothing", "has no such hook"),
            ("blocks.1.hook_mlp_in", "never calls that hook"),  # only where a flag is set
            ("embed.hook_out", "never calls that hook"),  # but begins with the residual stream after it
            ("blocks.1.attn.hook_cos", "does not compute its logits from it"),  # but from a constant
        ],
    )
    def test_a_hook_that_is_not_there_is_named(self, monkeypatch, name, why) -> None:
        bridge = build_tiny("llama").bridge
        bridge.cfg.use_hook_mlp_in = "mlp_in" not in name
        monkeypatch.setattr(hooks.NodeHooks, "mlps", [name])
        with pytest.raises(UserError, match=rf"{name}, and tiny-llama {why}"):
            node_attribution(bridge, PAIRS)
        assert not any(point.fwd_hooks for point in bridge.hook_dict.values())

    def test_another_number_of_heads(self) -> None:
        z = torch.zeros(2, 5, 4, 8)
        assert gradients.by_unit(tiny("llama").bridge, "z", z.flatten(2), 4).shape == z.shape
        with pytest.raises(UserError, match=r"has \[4, 8\] at each token there, which are not 2 heads"):
            gradients.by_unit(tiny("llama").bridge, "z", z, 2)

    def test_nan_names_the_prompt(self) -> None:
        bridge = build_tiny("llama").bridge
        word = next(w for w in PAIRS[3].clean.split() if sum(w in p.clean.split() for p in PAIRS) == 1)
        token = bridge.tokenizer(word, add_special_tokens=False)["input_ids"][0]
        with torch.no_grad():
            bridge.original_model.get_input_embeddings().weight[token] = torch.nan
        with pytest.raises(FloatingPointError) as caught:
            node_attribution(bridge, PAIRS)
        assert repr(PAIRS[3].clean) in str(caught.value)
