"""Edge attribution against TransformerLens, against the exact path patch, and against the nodes it must add up to."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
import torch
from models import HEADS, LAYERS, TOY, TOY_TEXT, VOCABULARY, build_hf, build_tiny, tiny
from transformers import AutoModelForCausalLM, GraniteConfig, Olmo2Config, PhiConfig

from lakatos.tools.behaviour import encode
from lakatos.tools.errors import UserError
from lakatos.tools.exploration import edge_attribution, node_attribution
from lakatos.tools.exploration.edges import EdgeScores

PAIRS = TOY.sample(6, seed=1)  # of two lengths
ADDITIVE = ["gpt2", "llama", "gpt_neox", "qwen3"]
SMALL: dict[str, Any] = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "initializer_range": 0.3,
    "pad_token_id": 1,
}


def build_other(config: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        hf = AutoModelForCausalLM.from_config(config).eval()
    hf.config.architectures = [type(hf).__name__]
    return build_tiny("other", hf=hf).bridge


def check_sums(bridge: Any, edges: EdgeScores, ig_steps: int = 1) -> None:
    nodes = node_attribution(bridge, PAIRS, ig_steps=ig_steps)
    out = dict(zip(edges.senders, edges.scores.sum(2).T, strict=True))
    assert out.pop("r0") == pytest.approx(nodes.residuals[:, 0].sum(-1), abs=1e-5)
    for layer in range(LAYERS):
        assert out.pop(f"m{layer}") == pytest.approx(nodes.mlps[:, layer].sum(-1), abs=1e-5)
        for head in range(HEADS):
            assert out.pop(f"a{layer}.h{head}") == pytest.approx(nodes.heads[:, layer, head].sum(-1), abs=1e-5)
    assert not out


class TestScores:
    @pytest.mark.parametrize("name", ["gpt2", "gpt_neox"])
    def test_each_prompts_are_transformer_lenss(self, name) -> None:
        from transformer_lens.tools.analysis.attribution_patching import EdgeAttributionConfig, attribution_patch

        def label(node: Any) -> str:
            part = {"q_input": ".q", "k_input": ".k", "v_input": ".v", "attn_head_out": ""}.get(node.kind)
            other = {"embed": "r0", "logits": "logits"}.get(node.kind, f"m{node.layer}")
            return other if part is None else f"a{node.layer}.{'g' if part in ('.k', '.v') else 'h'}{node.head}{part}"

        bridge = build_tiny(name).bridge
        found = edge_attribution(bridge, PAIRS)
        for batch in encode(PAIRS, bridge.tokenizer):
            for row, (place, answer, wrong) in enumerate(zip(batch.index, batch.answer, batch.wrong, strict=True)):
                expected: dict[tuple[str, str], float] = defaultdict(float)
                scores = attribution_patch(
                    bridge,
                    torch.from_numpy(batch.clean[row : row + 1]),
                    torch.from_numpy(batch.corrupted[row : row + 1]),
                    lambda logits, a=answer, w=wrong: logits[0, -1, a] - logits[0, -1, w],
                    EdgeAttributionConfig("edge"),
                ).edge_scores
                for (sender, receiver), score in scores.items():
                    expected[label(sender), label(receiver)] += score
                assert len(expected) == found.downstream.sum()
                for (sender, receiver), score in expected.items():
                    at = found.senders.index(sender), found.receivers.index(receiver)
                    assert found.downstream[at]
                    assert found.scores[place][at] == pytest.approx(score, abs=1e-5)

    @pytest.mark.parametrize("name", ["llama", "qwen3"])
    def test_are_derivatives_of_the_path_patch(self, name) -> None:
        """Where key-value groups are shared: a small part of the sender's change, added to what one receiver reads."""
        bridge = tiny(name).bridge
        found = edge_attribution(bridge, PAIRS)
        layers = bridge.original_model.model.layers
        batch = encode(PAIRS, bridge.tokenizer)[0]
        clean, corrupted = (torch.from_numpy(t[:1]) for t in (batch.clean, batch.corrupted))
        with torch.no_grad():
            runs = [bridge.run_with_cache(tokens)[1] for tokens in (clean, corrupted)]

            def written(sender: str, run: Any) -> torch.Tensor:
                if sender == "r0":
                    return run["blocks.0.hook_resid_pre"]
                if sender[0] == "m":
                    return run[f"blocks.{sender[1]}.hook_mlp_out"]
                z = run[f"blocks.{sender[1]}.attn.hook_z"]
                alone = torch.zeros_like(z)
                alone[:, :, int(sender[-1])] = z[:, :, int(sender[-1])]
                return layers[int(sender[1])].self_attn.o_proj(alone.flatten(2))

            def logit_difference(receiver: str, change: torch.Tensor) -> float:
                if receiver == "logits":
                    hook_name = f"blocks.{LAYERS - 1}.hook_resid_post"
                    hook = lambda activation, hook: activation + change  # noqa: E731
                elif receiver[0] == "m":
                    hook_name = f"blocks.{receiver[1]}.mlp.hook_in"
                    read = runs[1][f"blocks.{receiver[1]}.hook_resid_mid"] + change
                    new = layers[int(receiver[1])].post_attention_layernorm(read)
                    hook = lambda activation, hook: new  # noqa: E731
                else:
                    layer, (unit, part) = layers[int(receiver[1])], receiver[3:].split(".")
                    hook_name = f"blocks.{receiver[1]}.attn.hook_{part}"
                    read = runs[1][f"blocks.{receiver[1]}.hook_resid_pre"] + change
                    new = getattr(layer.self_attn, f"{part}_proj")(layer.input_layernorm(read))

                    def hook(activation: torch.Tensor, hook: Any) -> torch.Tensor:
                        activation = activation.clone()
                        activation[:, :, int(unit[1])] = new.reshape(*activation.shape)[:, :, int(unit[1])]
                        return activation

                logits = bridge.run_with_hooks(corrupted, fwd_hooks=[(hook_name, hook)])[0, -1]
                return float(logits[batch.answer[0]] - logits[batch.wrong[0]])

            edges = [tuple(edge) for edge in np.argwhere(found.downstream)]
            units = defaultdict(list)
            for edge in edges:
                units[found.receivers[edge[1]].rpartition(".")[2][0]].append(edge)
            assert set(units) == set("qkvml")
            chosen = [edge for same in units.values() for edge in random.Random(0).sample(same, 12)]
            exact = []
            for sender, receiver in chosen:
                change = written(found.senders[sender], runs[0]) - written(found.senders[sender], runs[1])
                up, down = (logit_difference(found.receivers[receiver], step * change) for step in (0.01, -0.01))
                exact.append((up - down) / 0.02)
        ours = [found.scores[batch.index[0]][edge] for edge in chosen]
        assert np.abs(exact).max() > 0.2
        assert ours == pytest.approx(exact, abs=2e-3, rel=0.02)

    @pytest.mark.parametrize("ig_steps", [1, 3])
    @pytest.mark.parametrize("name", ADDITIVE)
    def test_the_edges_out_of_a_node_add_up_to_it(self, name, ig_steps) -> None:
        bridge = tiny(name).bridge
        check_sums(bridge, edge_attribution(bridge, PAIRS, ig_steps=ig_steps), ig_steps)

    @pytest.mark.parametrize("name", ADDITIVE)
    def test_prompts_of_several_lengths_are_scored_as_each_by_itself(self, name) -> None:
        bridge = tiny(name).bridge
        together, alone = edge_attribution(bridge, PAIRS), edge_attribution(bridge, PAIRS, max_tokens=1)
        for field in ("scores", "clean", "corrupted"):
            assert np.allclose(getattr(together, field), getattr(alone, field), rtol=1e-4, atol=2e-5)

    def test_other_metrics_and_progress(self) -> None:
        bridge, told = tiny("llama").bridge, []
        found = edge_attribution(
            bridge, PAIRS, metric="prob_diff", max_tokens=20, progress=lambda *done: told.append(done)
        )
        nodes = node_attribution(bridge, PAIRS, metric="prob_diff")
        assert found.scores[:, 0].sum(-1) == pytest.approx(nodes.residuals[:, 0].sum(-1), abs=1e-5)
        assert found.clean == pytest.approx(nodes.clean, abs=1e-5)
        assert told == [(done, 6) for done in range(1, 7)]


class TestGraph:
    def test_names(self) -> None:
        found = edge_attribution(tiny("llama").bridge, PAIRS[:2])
        assert found.senders[:6] == ("r0", "a0.h0", "a0.h1", "a0.h2", "a0.h3", "m0")
        assert found.receivers[:9] == (
            *("a0.h0.q", "a0.h1.q", "a0.h2.q", "a0.h3.q"),
            *("a0.g0.k", "a0.g1.k", "a0.g0.v", "a0.g1.v"),
            "m0",
        )
        assert found.receivers[-1] == "logits"
        assert found.scores.shape == (2, 1 + LAYERS * (HEADS + 1), LAYERS * (HEADS + 5) + 1)
        assert found.scores.dtype == np.float32
        assert "a1.g3.k" in edge_attribution(tiny("gpt2").bridge, PAIRS[:2]).receivers  # no groups

    def test_nothing_goes_upstream(self) -> None:
        found = edge_attribution(tiny("llama").bridge, PAIRS)
        assert not found.scores[:, ~found.downstream].any()
        assert found.scores[:, found.downstream].any(0).mean() > 0.95
        edges = {(found.senders[s], found.receivers[r]) for s, r in np.argwhere(found.downstream)}
        assert {("r0", "a0.h0.q"), ("a0.h1", "m0"), ("m0", "a1.g0.v"), ("m2", "logits"), ("r0", "logits")} <= edges
        assert not {("a0.h1", "a0.h1.q"), ("m0", "m0"), ("m1", "a1.g0.v"), ("a2.h0", "m1")} & edges

    def test_side_by_side_an_mlp_does_not_read_its_own_layers_heads(self) -> None:
        bridges = [tiny("gpt_neox").bridge, build_tiny("gpt_neox", use_parallel_residual=False).bridge]
        for bridge, reads in zip(bridges, (False, True), strict=True):
            found = edge_attribution(bridge, PAIRS)
            assert found.downstream[found.senders.index("a1.h0"), found.receivers.index("m1")] == reads
            check_sums(bridge, found)


class TestModels:
    def test_one_norm_for_attention_and_mlp(self) -> None:
        bridge = build_other(PhiConfig(**SMALL))
        check_sums(bridge, edge_attribution(bridge, PAIRS))

    @pytest.mark.parametrize("name", ADDITIVE)
    def test_half_precision(self, name) -> None:
        bridge = build_tiny(name).bridge
        exact = edge_attribution(bridge, PAIRS)
        bridge.to(torch.bfloat16)
        coarse = edge_attribution(bridge, PAIRS)
        assert coarse.scores.dtype == np.float32
        assert np.corrcoef(exact.scores.ravel(), coarse.scores.ravel())[0, 1] > 0.98

    @pytest.mark.parametrize("name", ADDITIVE)
    def test_nothing_is_left_behind(self, name) -> None:
        bridge = build_tiny(name).bridge
        next(bridge.parameters()).requires_grad_(False)
        wanted = [p.requires_grad for p in bridge.parameters()]
        edge_attribution(bridge, PAIRS, ig_steps=2)
        assert [p.requires_grad for p in bridge.parameters()] == wanted
        assert all(p.grad is None for p in bridge.parameters())
        assert not any(point.fwd_hooks or point.bwd_hooks for point in bridge.hook_dict.values())

    def test_parameters_need_no_gradients(self) -> None:
        bridge = build_tiny("llama").bridge
        expected = edge_attribution(bridge, PAIRS)
        bridge.requires_grad_(False)
        with torch.no_grad():
            assert np.allclose(edge_attribution(bridge, PAIRS).scores, expected.scores, atol=1e-5)


class TestErrors:
    def test_blocks_that_normalise_or_scale_what_attention_writes(self) -> None:
        for name, bridge in (
            ("gemma2", tiny("gemma2").bridge),
            ("other", build_other(GraniteConfig(**SMALL, residual_multiplier=0.5))),
        ):
            with pytest.raises(UserError, match=rf"edges of tiny-{name} cannot be scored.* a\d.h\d .*node_attribution"):
                edge_attribution(bridge, PAIRS)
            assert not any(point.fwd_hooks for point in bridge.hook_dict.values())
            assert np.isfinite(node_attribution(bridge, PAIRS).heads).all()

    def test_what_nodes_refuse(self) -> None:
        with pytest.raises(UserError, match="'loss' is not one"):
            edge_attribution(tiny("llama").bridge, PAIRS, metric="loss")
        with pytest.raises(UserError, match="toy_text is plain text"):
            edge_attribution(tiny("llama").bridge, TOY_TEXT.sample(2, seed=0))

    def test_a_hook_that_is_not_there_is_named(self, monkeypatch) -> None:
        with pytest.raises(UserError, match=r"blocks.0.ln1.hook_in, and tiny-other has no such hook"):
            edge_attribution(build_other(Olmo2Config(**SMALL)), PAIRS)
        bridge = build_tiny("llama").bridge
        monkeypatch.setattr(bridge.cfg, "n_key_value_heads", 4)
        with pytest.raises(
            UserError, match=r"blocks.0.attn.hook_k, and tiny-llama has \[2, 8\].* not 4 heads or groups"
        ):
            edge_attribution(bridge, PAIRS)

    def test_nan_names_the_prompt(self) -> None:
        hf = build_hf("llama")
        word = next(w for w in PAIRS[3].clean.split() if sum(w in p.clean.split() for p in PAIRS) == 1)
        bridge = build_tiny("llama", hf=hf).bridge
        with torch.no_grad():
            hf.get_input_embeddings().weight[bridge.tokenizer.convert_tokens_to_ids(word)] = torch.nan
        with pytest.raises(FloatingPointError) as caught:
            edge_attribution(bridge, PAIRS)
        assert repr(PAIRS[3].clean) in str(caught.value)
