"""What holds of six tokens need not hold of sixty: models are tried on prompts as long as those at hand; the audit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from models import TOY, VOCABULARY, build_tiny, build_tokenizer, tiny
from transformers import (
    AutoModelForCausalLM,
    FalconConfig,
    GPTNeoConfig,
    LlamaConfig,
    MambaConfig,
    OPTConfig,
    Phi3Config,
    RwkvConfig,
)

from lakatos.tools.behaviour import PromptPair, PromptPairs, encode
from lakatos.tools.errors import UserError
from lakatos.tools.exploration import node_attribution
from lakatos.tools.forward import Recording
from lakatos.tools.forward.abilities import abilities
from lakatos.tools.intervention import BatchRuns, Intervention, Runs, audit, run_interventions
from lakatos.tools.intervention.reference import measure_by_forward
from lakatos.tools.model import load_model

COMMON: dict[str, Any] = {"vocab_size": len(VOCABULARY), "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1}
PLAN = [Intervention("a0.h1@S2", "zero"), Intervention(["a1.h1@S2", "m0@IO", "r1@END"], "zero"), Intervention("m1")]
PAIRS = TOY.sample(10, seed=1)  # of 11 and of 14 tokens


def build(config: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        hf = AutoModelForCausalLM.from_config(config).eval()
    hf.config.architectures = [type(hf).__name__]
    return build_tiny(config.model_type, hf=hf)


def neo(window: int, positions: int = 40) -> Any:
    kinds = [[["global", "local"], 2]]
    sizes = {"hidden_size": 32, "num_layers": 4, "num_heads": 4, "initializer_range": 0.3}
    return build(
        GPTNeoConfig(**sizes, attention_types=kinds, window_size=window, max_position_embeddings=positions, **COMMON)
    )


def alone(model: Any, pairs: PromptPairs, plan: list[Intervention], base: Any = "corrupted") -> np.ndarray:
    """The reference on batches of one length."""
    values = np.empty((len(plan), len(pairs)))
    for batch in encode(pairs, model.tokenizer):
        found = measure_by_forward(model.bridge, BatchRuns(model.bridge, batch, False), plan, base, ["logit_diff"])
        values[:, batch.index] = found[0]
    return values


def long_pairs(lengths: list[int]) -> PromptPairs:
    words, pairs = VOCABULARY[3:], []
    for number, length in enumerate(lengths):
        clean = [words[(7 * k + 3 * number) % len(words)] for k in range(length)]
        corrupted = [*clean[:-9], words[number], *clean[-8:]]
        spans, texts = [], [" ".join(clean), " ".join(corrupted)]
        for text in texts:
            spans.append({"S2": (len(text) - len(clean[-1]), len(text))})
        pairs.append(PromptPair(f"{number:016x}", "t", *texts, " Ann", " Bob", *spans))
    return PromptPairs(tuple(pairs), "long", "sha256:0", None, "pairs", "exploration", 0)


class TestLocalAttention:
    @pytest.mark.parametrize("window", [5, 8, 12])
    def test_prompts_of_several_lengths(self, window) -> None:
        model = neo(window)
        found = run_interventions(model, PAIRS, PLAN)
        assert found.values == pytest.approx(alone(model, PAIRS, PLAN), abs=1e-4)
        assert (found.engine, found.notices) == ("suffix", ()), "it is driven, and rightly, without windows"

    def test_a_window_that_only_long_prompts_reach(self) -> None:
        model, pairs = neo(256, 2048), long_pairs([291, 292, 293, 294])
        plan = [Intervention("a1.h1@280", "zero"), Intervention("m0@S2", "zero")]
        assert abilities(model.bridge).windows, "six tokens do not show it"
        found = run_interventions(model, pairs, plan)
        assert found.values == pytest.approx(alone(model, pairs, plan), abs=1e-4)

    def test_attribution(self) -> None:
        model = neo(8)
        together = node_attribution(model.bridge, PAIRS)
        for length in (11, 14):
            same = np.flatnonzero(together.lengths == length)
            assert len(same)
            one = node_attribution(model.bridge, replace(PAIRS, pairs=tuple(PAIRS[int(k)] for k in same)))
            scale = float(np.abs(one.heads).max())
            assert together.heads[same][..., :length] == pytest.approx(one.heads, abs=1e-4 * scale)


class TestRotationsThatDependOnTheLength:
    @pytest.mark.parametrize("kind", ["dynamic", "longrope"])
    def test_runs_can_be_reused(self, kind) -> None:
        sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}
        sizes |= {"initializer_range": 0.3}
        if kind == "dynamic":
            rope = {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 100.0}
            model = build(LlamaConfig(**sizes, rope_parameters=rope, max_position_embeddings=12, **COMMON))
        else:
            rope = {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [3.0] * 4, "rope_theta": 100.0}
            rope |= {"original_max_position_embeddings": 12}
            model = build(Phi3Config(**sizes, rope_parameters=rope, max_position_embeddings=40, **COMMON))
        runs = Runs(model.bridge, PAIRS)
        first = run_interventions(model, runs, PLAN)
        again = run_interventions(model, runs, PLAN)
        assert first.values == pytest.approx(again.values, abs=1e-5)
        assert first.values == pytest.approx(alone(model, PAIRS, PLAN), abs=1e-4)
        assert not any("disagree" in notice for notice in first.notices)

    def test_changed_weights_are_still_noticed(self) -> None:
        model = build_tiny("llama")
        runs = Runs(model.bridge, PAIRS)
        with torch.no_grad():
            model.bridge.original_model.get_input_embeddings().weight[5] += 1
        with pytest.raises(UserError, match="weights or hooks were changed"):
            run_interventions(model, runs, PLAN)


class TestAudit:
    def test_a_model_that_was_trusted_wrongly_is_measured_anew(self, monkeypatch) -> None:
        model, expected = build_tiny("llama"), run_interventions(tiny("llama"), PAIRS, PLAN)
        abilities(model.bridge, 40)
        resume, slope = Recording.resume, torch.linspace(-0.2, 0.2, 32)

        def wrong_for_stacks(self: Recording, window: Any, since: Any, hooks: Any) -> torch.Tensor:
            return resume(self, window, since, hooks) + (slope if len(since) > 4 else 0.0)

        monkeypatch.setattr(Recording, "resume", wrong_for_stacks)
        found = run_interventions(model, PAIRS, PLAN)
        assert found.engine == "reference"
        assert found.values == pytest.approx(expected.values, abs=1e-4)
        assert "the engine and the reference disagree" in found.notices[0]
        assert "when resumed" in found.notices[0]
        assert run_interventions(model, PAIRS, PLAN).engine == "reference", "nor is it trusted later"

    def test_one_wrong_intervention_of_its_own_sort_is_found(self, monkeypatch) -> None:
        """Twenty right ones do not hide it: every sort is audited when it is new."""
        model = build_tiny("llama")
        abilities(model.bridge, 40)
        for seed in range(12):
            run_interventions(model, TOY.sample(4, seed=seed), [Intervention("a1.h1", "clean")])
        from lakatos.tools.intervention import Plan

        start = Plan.begin
        late = lambda self, c, s: start(self, c, s) + (c.kind == "mlp")  # noqa: E731 - begins a token too late
        monkeypatch.setattr(Plan, "begin", late)
        plan = [*(Intervention(f"a1.h{head}", "clean") for head in range(4)), Intervention("m0", "zero")]
        long = replace(PAIRS, pairs=tuple(p for p in PAIRS if p.template == "long"))
        assert run_interventions(model, long, plan).engine == "reference"

    @pytest.mark.heavy
    def test_what_it_costs(self) -> None:
        model = build_tiny("llama")
        calls = [run_interventions(model, TOY.sample(16, seed=seed), PLAN) for seed in range(80)]
        assert all(call.audited.cells >= audit.A_CALL for call in calls[: audit.NEW // 4])
        late = calls[40:]
        share = sum(c.audited.forwards for c in late) / sum(c.forwards for c in late)
        assert 0 < share < 2 * audit.SHARE
        assert all(call.engine == "suffix" for call in calls)

    def test_every_metric_and_source_is_audited_without_complaint(self) -> None:
        from lakatos.tools.behaviour import draw_donors

        model = build_tiny("gpt2")
        donors, dataset = draw_donors(TOY, PAIRS, model.tokenizer, 3), TOY.sample(20, seed=9)
        plan = [
            Intervention(place, source)
            for place in ("a1.h1", "m1@S2", "a2.h0.pattern", "a0.g1.v", "e", "r1@END")
            for source in ("clean", "resample", "mean", "zero")
            if (place, source) != ("a2.h0.pattern", "mean")
        ]
        plan += [Intervention("a0.h1", "clean", to="a1.h2.q"), Intervention("a0.h1", "mean", to="logits")]
        plan += [Intervention(["a1.h1", "m2"], "mean", keep=True)]
        audited = 0
        for _ in range(8):
            found = run_interventions(
                model, PAIRS, plan, donors=donors, dataset=dataset, metric=["kl", "logit_diff", "prob_diff"]
            )
            assert found.engine == "suffix", found.notices
            audited += found.audited.cells
        assert audited >= len(plan), "each is a sort of its own"


class TestRefusedByName:
    @pytest.mark.parametrize("architecture", ["bloom", "llama"])
    def test_a_dataset_that_is_too_short(self, architecture) -> None:
        """On either engine: what has no mean is not zero."""
        sample = TOY.sample(30, seed=5)
        short = replace(sample, pairs=tuple(p for p in sample.pairs if p.template == "short"))
        for place in ("a1", "m1", "a0.h1"):
            with pytest.raises(UserError, match=f"{place}: the dataset to average over has no prompt of 14 tokens"):
                run_interventions(tiny(architecture), PAIRS, [Intervention(place, "mean")], dataset=short)
        with pytest.raises(UserError, match="no prompt of 14 tokens"):
            run_interventions(tiny(architecture), PAIRS, [Intervention("m1", "mean", keep=True)], dataset=short)

    @pytest.mark.parametrize("kind", ["mamba", "rwkv"])
    def test_keep_without_attention(self, kind) -> None:
        sizes = {"hidden_size": 32, "num_hidden_layers": 3, **COMMON}
        configs = {"mamba": MambaConfig(state_size=4, **sizes), "rwkv": RwkvConfig(attention_hidden_size=32, **sizes)}
        with pytest.raises(UserError, match=r"all but nothing: keep= replaces every other head and MLP\. a0\.h0: this"):
            run_interventions(build(configs[kind]), PAIRS, [Intervention([], "zero", keep=True)])

    def test_means_where_embeddings_are_projected(self) -> None:
        sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "ffn_dim": 48, "dropout": 0.0}
        model = build(
            OPTConfig(
                **sizes, word_embed_proj_dim=16, do_layer_norm_before=False, init_std=0.3,
                max_position_embeddings=40, **COMMON,
            )
        )  # fmt: skip
        dataset = TOY.sample(12, seed=9)
        found = run_interventions(
            model, PAIRS, [Intervention("e", "mean"), Intervention("a1", "mean")], dataset=dataset
        )
        embedding = model.bridge.original_model.get_input_embeddings().weight
        longest = [batch.clean for batch in encode(dataset, model.tokenizer)]
        means = [np.concatenate([b[:, at] for b in longest if b.shape[1] > at]) for at in range(11)]
        first = encode(PAIRS, model.tokenizer)[0]
        expected = torch.stack([embedding[torch.from_numpy(ids)].mean(0) for ids in means])[None]

        def replaced(_module: Any, _args: Any, out: torch.Tensor) -> torch.Tensor:
            return expected.expand_as(out)

        hook = model.bridge.original_model.get_input_embeddings().register_forward_hook(replaced)
        with torch.no_grad():
            logits = model.bridge.original_model(torch.from_numpy(first.corrupted)).logits[:, -1]
        hook.remove()
        rows = torch.arange(len(logits))
        difference = logits[rows, first.answer] - logits[rows, first.wrong]
        assert found.values[0, first.index] == pytest.approx(difference.numpy(), abs=1e-4)

    def test_a_model_that_transformer_lens_cannot_boot(self, tmp_path) -> None:
        config = FalconConfig(
            hidden_size=32, num_hidden_layers=2, num_attention_heads=4, new_decoder_architecture=True, num_kv_heads=2,
            **COMMON,
        )  # fmt: skip
        AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "falcon")
        build_tokenizer().save_pretrained(tmp_path / "falcon")
        with pytest.raises(UserError, match=r"Cannot load the model '.*falcon': split_with_sizes"):
            load_model(str(tmp_path / "falcon"))

    def test_a_model_that_transformer_lens_boots_and_cannot_run(self) -> None:
        sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 48}
        model = build(OPTConfig(**sizes, word_embed_proj_dim=32, do_layer_norm_before=False, **COMMON))
        with pytest.raises(UserError, match="TransformerLens loads tiny-opt but cannot run it: RuntimeError"):
            run_interventions(model, PAIRS, PLAN)
