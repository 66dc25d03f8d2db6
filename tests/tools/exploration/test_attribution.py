"""Our rows against TransformerLens's numbers, and against what they must add up to."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
import torch
from models import HEADS, LAYERS, TOY, build_tiny, tiny

from lakatos.tools.behaviour import encode
from lakatos.tools.component import Component
from lakatos.tools.exploration import (
    attention_by_role,
    attribution_patching,
    direct_logit_attribution,
    node_attribution,
)
from lakatos.tools.intervention import Intervention, run_interventions

PAIRS = TOY.sample(6, seed=1)
PLACES = LAYERS * (HEADS + 1)


@pytest.fixture(scope="module")
def bridge():
    return tiny("llama").bridge


@pytest.fixture(scope="module")
def patched(bridge):
    return {row.component: row for row in attribution_patching(bridge, PAIRS)}


class TestAttributionPatching:
    def test_rows_are_transformer_lenss_node_scores(self, bridge, patched) -> None:
        from transformer_lens.tools.analysis.attribution_patching import attribution_patch

        expected = defaultdict(list)
        for batch in encode(PAIRS, bridge.tokenizer):
            for row, (answer, wrong) in enumerate(zip(batch.answer, batch.wrong, strict=True)):
                nodes = attribution_patch(
                    bridge,
                    torch.from_numpy(batch.clean[row : row + 1]),
                    torch.from_numpy(batch.corrupted[row : row + 1]),
                    lambda logits, a=answer, w=wrong: logits[0, -1, a] - logits[0, -1, w],
                ).node_scores
                for name in ("IO", "S2", "END", None):
                    for layer in range(LAYERS):
                        for head in (*range(HEADS), None):
                            kind = "mlp" if head is None else "head"
                            of_place = [
                                score
                                for node, score in nodes.items()
                                if (node.layer, node.head) == (layer, head)
                                and node.kind == ("mlp_out" if head is None else "attn_head_out")
                                and (name is None or batch.positions[name][row] == node.position)
                            ]
                            expected[str(Component(layer, kind, head, name))].append(sum(of_place))
        assert len(patched) == PLACES * 4 == len(expected)
        for name, values in expected.items():
            assert patched[name].score == pytest.approx(np.mean(values), abs=1e-5)
            assert patched[name].sd == pytest.approx(np.std(values), abs=1e-5)

    def test_strongest_first(self, bridge) -> None:
        scores = [abs(row.score) for row in attribution_patching(bridge, PAIRS[:2])]
        assert scores == sorted(scores, reverse=True)
        assert scores[0] > 0

    def test_the_sign_and_size_are_those_of_denoising(self) -> None:
        """Nearly so in the last block, where only the last norm is not linear."""
        bridge = tiny("gpt_neox").bridge
        rows = {row.component: row.score for row in attribution_patching(bridge, PAIRS)}
        names = ["m2@END", *(f"a2.h{h}@END" for h in range(HEADS))]
        exact = run_interventions(bridge, PAIRS, [Intervention(name, "clean") for name in names])
        effects = (exact.values - exact.corrupted).mean(axis=1)
        assert np.corrcoef(effects, [rows[name] for name in names])[0, 1] > 0.9
        assert rows["a2.h0@IO"] == pytest.approx(0, abs=1e-7)  # what the last block writes earlier cannot matter

    def test_integrated_gradients_are_averaged_likewise(self, bridge) -> None:
        rows = {row.component: row for row in attribution_patching(bridge, PAIRS, ig_steps=3)}
        nodes = node_attribution(bridge, PAIRS, ig_steps=3)
        places = nodes.positions["S2"]
        assert rows["m1"].score == pytest.approx(nodes.mlps[:, 1].sum(-1).mean(), abs=1e-6)
        at_s2 = [nodes.heads[pair, 2, 3, place] for pair, place in enumerate(places)]
        assert rows["a2.h3@S2"].score == pytest.approx(np.mean(at_s2), abs=1e-6)
        assert rows["a2.h3@S2"].sd == pytest.approx(np.std(at_s2), abs=1e-6)

    def test_progress_is_told(self, bridge) -> None:
        told = []
        attribution_patching(bridge, PAIRS[:2], progress=lambda done, of: told.append((done, of)))
        assert told == [(1, 2), (2, 2)]


class TestDirectLogitAttribution:
    @pytest.fixture(scope="class")
    def rows(self, bridge):
        return {row.component: row.score for row in direct_logit_attribution(bridge, PAIRS)}

    def test_rows_and_the_embedding_add_up_to_the_logit_difference(self, bridge, rows) -> None:
        assert len(rows) == PLACES
        assert all(Component.parse(name).position is None for name in rows)
        embedding = []  # the only other thing that writes into a Llama's residual stream
        for batch in encode(PAIRS, bridge.tokenizer):
            with torch.no_grad():
                cache = bridge.run_with_cache(torch.from_numpy(batch.clean))[1]
                final = cache[f"blocks.{LAYERS - 1}.hook_resid_post"][:, -1]
                norm, unembed = bridge.original_model.model.norm, bridge.original_model.lm_head.weight
                scale = (final.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()
                direction = unembed[torch.from_numpy(batch.answer)] - unembed[torch.from_numpy(batch.wrong)]
                normed = cache["blocks.0.hook_resid_pre"][:, -1] / scale * norm.weight
                embedding += (normed * direction).sum(-1).tolist()
        clean = run_interventions(bridge, PAIRS, []).clean
        assert sum(rows.values()) + np.mean(embedding) == pytest.approx(clean.mean(), abs=1e-4)

    def test_a_model_whose_gradients_were_taken_can_still_be_copied(self) -> None:
        bridge = build_tiny("gpt2").bridge
        attribution_patching(bridge, PAIRS[:2])
        assert direct_logit_attribution(bridge, PAIRS[:2])

    def test_the_model_itself_is_not_folded(self) -> None:
        bridge = build_tiny("llama").bridge
        before = run_interventions(bridge, PAIRS, []).clean
        weights = {k: v.clone() for k, v in bridge.original_model.state_dict().items()}
        direct_logit_attribution(bridge, PAIRS[:2])
        assert all(torch.equal(weights[k], v) for k, v in bridge.original_model.state_dict().items())
        assert run_interventions(bridge, PAIRS, []).clean == pytest.approx(before)


class TestAttentionByRole:
    @pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2"])
    def test_masses_are_shares(self, name) -> None:
        bridge = tiny(name).bridge
        rows = attention_by_role(bridge, PAIRS)
        assert len(rows) == LAYERS * HEADS * 3
        assert {row.to for row in rows} == {"IO", "S2", "END"}
        assert all(0 <= row.mass <= 1 for row in rows)
        assert [row.mass for row in rows] == sorted((row.mass for row in rows), reverse=True)
        by_head = defaultdict(float)
        for row in rows:
            by_head[row.component] += row.mass
        assert all(0 < total <= 1 + 1e-6 for total in by_head.values())

    def test_are_those_of_hugging_face(self, bridge) -> None:
        batch = encode(PAIRS, bridge.tokenizer)[0]
        some = PAIRS[int(batch.index[0]) : int(batch.index[0]) + 1]
        with torch.no_grad():
            _, cache = bridge.run_with_cache(torch.from_numpy(batch.clean[:1]))
        pattern = cache["blocks.1.attn.hook_pattern"][0]
        rows = {(row.component, row.to): row.mass for row in attention_by_role(bridge, some)}
        for head in range(HEADS):
            assert pattern[head, -1].sum() == pytest.approx(1, abs=1e-5)
            expected = pattern[head, -1, batch.positions["S2"][0]].item()
            assert rows[f"a1.h{head}", "S2"] == pytest.approx(expected)
