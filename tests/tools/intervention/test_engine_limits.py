"""Where numbers could go wrong in silence: odd architectures, stale runs, donors elsewhere, scarce memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from models import TOY, TOY_TEXT, build_hf, build_tiny, build_tokenizer, tiny

from lakatos.tools.behaviour import draw_donors
from lakatos.tools.errors import UserError
from lakatos.tools.exploration import edge_attribution, node_attribution
from lakatos.tools.exploration.batching import chunks
from lakatos.tools.forward import Recording, Window
from lakatos.tools.forward.abilities import abilities
from lakatos.tools.forward.suffix import KeptKeys
from lakatos.tools.intervention import Intervention, Runs, audit, run_interventions
from lakatos.tools.intervention.reference import measure_by_forward

PAIRS = TOY.sample(6, seed=1)
DONORS = draw_donors(TOY, PAIRS, build_tokenizer(), seed=2)


def difference(bridge: Any, batch: Any, logits: torch.Tensor) -> list[float]:
    """Of the answers' logits at END, read off by hand."""
    return [
        float(row[end, answer] - row[end, wrong])
        for row, end, answer, wrong in zip(logits, batch.positions["END"], batch.answer, batch.wrong, strict=True)
    ]


class TestOddArchitectures:
    @pytest.mark.parametrize("name", ["granite", "cohere"])
    def test_scaled_logits_are_the_models(self, name) -> None:
        bridge = build_tiny(name).bridge
        runs = Runs(bridge, PAIRS)
        found = run_interventions(bridge, runs, [Intervention("a1.h2", "clean"), Intervention("m1@S2", "clean")])
        assert found.engine == "suffix"
        with torch.no_grad():
            for batch in runs.batches:
                logits = bridge.original_model(batch.tokens("clean")).logits
                expected = difference(bridge, batch.batch, logits)
                assert found.clean[batch.batch.index] == pytest.approx(expected, abs=1e-4)
                slow = measure_by_forward(bridge, batch, [Intervention("a1.h2", "clean")], "corrupted", ["logit_diff"])
                assert found.values[0, batch.batch.index] == pytest.approx(slow[0, 0], abs=1e-4)
        assert node_attribution(bridge, PAIRS).clean == pytest.approx(found.clean, abs=1e-4)

    def test_attribution_refuses_logits_that_it_would_get_wrong(self, monkeypatch) -> None:
        model = build_tiny("llama")
        monkeypatch.setattr(model.bridge.adapter, "apply_output_logits_transform", lambda logits: 2 * logits)
        assert not abilities(model.bridge).unembeds
        assert run_interventions(model, PAIRS, [Intervention("a1")]).engine == "reference"
        for attribute in (node_attribution, edge_attribution):
            with pytest.raises(UserError, match="not what its last norm and unembedding make"):
                attribute(model.bridge, PAIRS)

    @pytest.mark.parametrize("place", ["a1.h2", "a1.h2.q", "a1.g2.v"])
    def test_heads_that_cannot_be_told_apart_are_refused(self, place) -> None:
        with pytest.raises(UserError, match=rf"{place}: blocks\.1\.attn\.hook_\w is \[2, .*cannot be told apart"):
            run_interventions(build_tiny("deepseek_v3"), PAIRS, [Intervention(place, "zero")])

    @pytest.mark.heavy
    def test_a_second_way_from_the_embeddings_is_noticed(self) -> None:
        """Gemma 4's blocks are told of the embeddings beside the stream: not additive, and not all in the stream."""
        model = build_tiny("gemma4")
        runs = Runs(model.bridge, PAIRS, DONORS)
        plan = [Intervention("e", "resample"), Intervention("e@S2", "zero"), Intervention("a1.h2", "resample")]
        found = run_interventions(model, runs, plan, base="clean")
        assert found.engine == "reference"
        assert "embeddings by another way" in found.notices[0]
        assert run_interventions(model, runs, plan[2:], base="clean").engine == "suffix"
        with pytest.raises(UserError, match="paths need blocks that add"):
            run_interventions(model, runs, [Intervention("a0.h1", "zero", to="a2.g0.k")], base="clean")

    @pytest.mark.parametrize("name", ["bert", "mamba"])
    def test_paths_where_blocks_do_not_add(self, name) -> None:
        with pytest.raises(UserError, match="paths need blocks that add"):
            run_interventions(build_tiny(name), PAIRS, [Intervention("r1", "zero", to="logits")], base="clean")

    @pytest.mark.parametrize("name", ["mamba", "bloom"])
    def test_what_cannot_be_driven_is_measured_and_said(self, name) -> None:
        model = build_tiny(name)
        found = run_interventions(model, PAIRS, [Intervention("r1@S2"), Intervention("r1@IO")])
        assert found.engine == "reference"
        assert found.notices[0].startswith("Measured by whole forward passes: ")
        assert np.abs(found.values[0] - found.corrupted).max() > 1e-3
        assert found.values[1] == pytest.approx(found.corrupted, abs=1e-5)  # the same in both prompts


class TestWhatWasAsked:
    def test_unknown_words(self) -> None:
        with pytest.raises(UserError, match="source is one of clean, corrupted, resample, mean, zero, not 'ZERO'"):
            Intervention("a1.h2", "ZERO")  # type: ignore[arg-type]
        with pytest.raises(UserError, match="base is one of clean, corrupted, not 'Clean'"):
            run_interventions(tiny("llama"), PAIRS, [Intervention("a1")], base="Clean")  # type: ignore[arg-type]

    @pytest.mark.parametrize("plan", [["a1.h2"], Intervention("a1.h2"), "a1.h2"])
    def test_no_list_of_interventions(self, plan) -> None:
        with pytest.raises(UserError, match="Give a list of interventions"):
            run_interventions(tiny("llama"), PAIRS, plan)

    def test_donors_beside_runs(self) -> None:
        bridge = tiny("llama").bridge
        with pytest.raises(UserError, match="belong to the Runs"):
            run_interventions(bridge, Runs(bridge, PAIRS), [Intervention("a1", "resample")], donors=DONORS)

    def test_runs_of_another_model(self) -> None:
        with pytest.raises(UserError, match="of another model"):
            run_interventions(tiny("gpt2"), Runs(tiny("llama").bridge, PAIRS), [Intervention("a1")])

    def test_runs_of_other_weights_or_hooks(self) -> None:
        bridge = build_tiny("llama").bridge
        runs, plan = Runs(bridge, PAIRS), [Intervention("a1")]
        run_interventions(bridge, runs, plan)
        with torch.no_grad():
            bridge.original_model.lm_head.weight.mul_(1.3)
        with pytest.raises(UserError, match="weights or hooks were changed"):
            run_interventions(bridge, runs, plan)
        runs = Runs(bridge, PAIRS)
        bridge.hook_dict["blocks.1.hook_mlp_out"].add_hook(lambda activation, hook: activation * 0)
        with pytest.raises(UserError, match="weights or hooks were changed"):
            run_interventions(bridge, runs, plan)

    def test_a_hook_that_means_one_position(self) -> None:
        bridge = build_tiny("llama").bridge
        plan = [Intervention("a1.h2@END", "zero"), Intervention("m1@S2", "resample")]
        run_interventions(bridge, PAIRS, plan, donors=DONORS)  # so that it was tried before

        def hook(activation: torch.Tensor, hook: Any) -> torch.Tensor:
            activation = activation.clone()
            activation[:, 3] = 0
            return activation

        bridge.hook_dict["blocks.2.hook_resid_pre"].add_hook(hook)
        runs = Runs(bridge, PAIRS, DONORS)
        found = run_interventions(bridge, runs, plan, base="clean")
        assert found.engine == "reference"
        for batch in runs.batches:
            expected = measure_by_forward(bridge, batch, plan, "clean", ["logit_diff"])[0]
            assert found.values[:, batch.batch.index] == pytest.approx(expected, abs=1e-5)

    def test_controls_have_no_corrupted_run(self) -> None:
        texts = TOY_TEXT.sample(4)
        with pytest.raises(UserError, match="plain text has no corrupted run"):
            run_interventions(tiny("llama"), PAIRS, [Intervention("a1", "clean")], controls={"text": texts})
        with pytest.raises(UserError, match="plain text has no corrupted run"):
            run_interventions(tiny("llama"), texts, [Intervention("a1", "corrupted")], base="clean")

    def test_a_control_named_like_a_metric(self) -> None:
        with pytest.raises(UserError, match="name of a metric: kl"):
            run_interventions(
                tiny("llama"), PAIRS, [Intervention("a1", "zero")], metric=["kl"], controls={"kl": TOY_TEXT.sample(2)}
            )

    def test_no_prompts(self) -> None:
        for pairs, dataset in ((PAIRS[:0], None), (PAIRS, PAIRS[:0])):
            with pytest.raises(UserError, match="There are no prompts"):
                run_interventions(tiny("llama"), pairs, [Intervention("a1")], dataset=dataset)

    def test_loss_of_pairs(self) -> None:
        with pytest.raises(UserError, match="loss is of plain text alone"):
            run_interventions(tiny("llama"), PAIRS, [Intervention("a1")], metric="loss")

    def test_donors_without_the_position(self) -> None:
        bare = replace(DONORS, pairs=tuple(replace(p, spans_clean={}, spans_corrupted={}) for p in DONORS))
        plan = [Intervention("a1@END", "resample")]
        assert run_interventions(tiny("llama"), PAIRS, plan, base="clean", donors=bare).values.shape == (1, 6)
        with pytest.raises(UserError, match="The donor prompts have no position 'S2'"):
            run_interventions(tiny("llama"), PAIRS, [Intervention("a1@S2", "resample")], base="clean", donors=bare)

    def test_a_stream_and_what_it_holds_are_not_sent_together(self) -> None:
        for senders in (["a0", "m0", "r1"], ["r0", "r1"], ["e", "r1"], ["e", "r0"]):
            with pytest.raises(UserError, match="counted twice"):
                run_interventions(tiny("llama"), PAIRS, [Intervention(senders, to="a2.g1.v")])

    def test_a_stream_goes_with_what_is_written_after_it(self) -> None:
        bridge = tiny("llama").bridge
        runs = Runs(bridge, PAIRS, DONORS)
        places = (["e", "m0"], ["r0", "a1.h2"], ["r1", "m1"], ["r1@S2", "r1", "a1"], ["r3", "r3@8"])
        plan = [Intervention(place, "resample", to="logits") for place in places]
        found = run_interventions(bridge, runs, plan, base="clean")
        for batch in runs.batches:
            expected = measure_by_forward(bridge, batch, plan, "clean", ["logit_diff"])[0]
            assert found.values[:, batch.batch.index] == pytest.approx(expected, abs=1e-5)

    @pytest.mark.parametrize("how", ["data", "module hook", "swapped hook"])
    def test_changes_that_pytorch_does_not_count(self, how) -> None:
        bridge = build_tiny("llama").bridge
        point = bridge.hook_dict["blocks.1.hook_mlp_out"]
        point.add_hook(lambda activation, hook: activation * 2)
        runs, plan = Runs(bridge, PAIRS), [Intervention("a1")]
        run_interventions(bridge, runs, plan)
        if how == "data":
            bridge.original_model.lm_head.weight.data.mul_(1.5)
        elif how == "module hook":
            bridge.original_model.model.layers[1].mlp.register_forward_hook(lambda module, args, output: output * 0)
        else:
            point.remove_hooks()
            point.add_hook(lambda activation, hook: activation * 3)
        with pytest.raises(UserError, match="weights or hooks were changed"):
            run_interventions(bridge, runs, plan)

    def test_a_hook_on_a_module_counts_as_the_users(self) -> None:
        bridge = build_tiny("llama").bridge

        def hook(module: Any, args: Any, output: torch.Tensor) -> torch.Tensor:
            output = output.clone()
            output[:, 8] = 0
            return output

        bridge.original_model.model.layers[1].mlp.register_forward_hook(hook)
        runs, plan = Runs(bridge, PAIRS), [Intervention("a0.h1@3", "zero"), Intervention("m0@2", "zero")]
        found = run_interventions(bridge, runs, plan, base="clean")
        assert found.engine == "reference"
        for batch in runs.batches:
            expected = measure_by_forward(bridge, batch, plan, "clean", ["logit_diff"])[0]
            assert found.values[:, batch.batch.index] == pytest.approx(expected, abs=1e-5)

    def test_as_many_heads_as_tokens_are_tried(self) -> None:
        model = build_tiny("deepseek_v3", num_attention_heads=6, num_key_value_heads=6)
        with pytest.raises(UserError, match="cannot be told apart"):
            run_interventions(model, PAIRS, [Intervention("a1.h2.q@3", "zero")], base="clean")

    @pytest.mark.heavy
    def test_one_large_channel_hides_nothing(self) -> None:
        hf = build_hf("gemma4")
        with torch.no_grad():
            hf.model.embed_tokens.weight[:, 0] = 3000.0
        assert not abilities(build_tiny("gemma4", hf=hf.bfloat16(), dtype=torch.bfloat16).bridge).adds
        assert abilities(build_tiny("llama", hf=build_hf("llama").bfloat16(), dtype=torch.bfloat16).bridge).adds

    def test_nothing_is_no_component(self) -> None:
        with pytest.raises(UserError, match="Give a component"):
            Intervention(None)  # type: ignore[arg-type]


class TestValues:
    def test_what_a_donor_shares_is_put_back_after_something_upstream(self) -> None:
        """Its IO is elsewhere, in a prefix that is the same: the stream changes, and later places are put back."""
        bridge = tiny("llama").bridge
        runs = Runs(bridge, PAIRS, DONORS)
        for batch in runs.batches:
            tokens, positions = batch.donors
            batch.donors = tokens.copy(), {**positions, "IO": batch.batch.positions["IO"] + 1}
            batch.donors[0][:, :7] = batch.batch.clean[:, :7]
        places = (["r1@IO", "m1@5"], ["r1@IO", "a1@6"], ["r1@IO", "r2@5"], ["r1@IO", "m1"], ["r1@IO"])
        plan = [Intervention(place, "resample") for place in places]
        found = run_interventions(bridge, runs, plan, base="clean")
        assert found.engine == "suffix", "the audit would have had all of it measured by the reference"
        for batch in runs.batches:
            expected = measure_by_forward(bridge, batch, plan, "clean", ["logit_diff"])[0]
            assert found.values[:, batch.batch.index] == pytest.approx(expected, abs=1e-5)
        assert np.abs(found.values[0] - found.values[-1]).max() > 1e-3

    def test_kl_is_from_the_base_run(self) -> None:
        bridge = tiny("llama").bridge
        for base, other in (("clean", "corrupted"), ("corrupted", "clean")):
            found = run_interventions(bridge, PAIRS, [Intervention("r0", other)], base=base, metric="kl")
            assert getattr(found, base) == pytest.approx(0, abs=1e-6)
            assert (getattr(found, other) > 1e-3).all()
            assert found.values[0] == pytest.approx(getattr(found, other), abs=1e-5)  # the whole prompt was replaced

    def test_a_token_that_cannot_come_is_no_nan(self) -> None:
        plan = [Intervention("a1.h2"), Intervention("m1")]
        free = run_interventions(tiny("phi"), PAIRS, plan)
        hf = build_hf("phi")
        with torch.no_grad():
            hf.lm_head.bias[1] = -torch.inf  # <pad>
        found = run_interventions(build_tiny("phi", hf=hf), PAIRS, plan, metric=["logit_diff", "kl"])
        assert found.values == pytest.approx(free.values, abs=1e-5)
        assert (found.of("kl").values.max(axis=1) > 1e-3).all()

    def test_nan_in_any_metric_is_named(self, monkeypatch) -> None:
        from lakatos.tools.intervention import batch_runs

        measured = batch_runs.pair_metric
        monkeypatch.setattr(
            batch_runs, "pair_metric", lambda metric, *a: measured(metric, *a) * (torch.nan if metric == "kl" else 1)
        )
        with pytest.raises(FloatingPointError, match=r"gave nan \(kl\)"):
            run_interventions(tiny("llama"), PAIRS, [Intervention("a1")], metric=["logit_diff", "kl"])

    def test_keys_of_a_window_take_the_place_of_the_base_runs(self) -> None:
        """Worked out by hand: two prompts of three tokens, and windows of two tokens that begin anywhere."""
        keys = torch.tensor([[10.0, 11.0, 12.0], [20.0, 21.0, 22.0]])[:, None, :, None]  # [row, group, pos, d_head]
        window = Window(rows=torch.tensor([1, 0, 1]), start=torch.tensor([1, 0, 0]), width=2)
        own = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])[:, None, :, None]
        expected = torch.tensor([[20.0, 1.0, 2.0], [3.0, 4.0, 12.0], [5.0, 6.0, 22.0]])[:, None, :, None]
        found, values = KeptKeys({0: (keys, -keys)}, window).update(own, -own, 0)
        assert torch.equal(found, expected)
        assert torch.equal(values, -expected)
        assert keys.flatten().tolist() == [10, 11, 12, 20, 21, 22], "the base run's stay what they were"


class TestMemory:
    def test_a_smaller_stack_is_remembered(self, monkeypatch) -> None:
        resume, sizes = Recording.resume, []

        def small(run: Recording, window: Any, since: Any, hooks: Any) -> torch.Tensor:
            sizes.append(len(window.rows))
            if len(window.rows) > 4:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return resume(run, window, since, hooks)

        bridge = tiny("llama").bridge
        abilities(bridge)
        monkeypatch.setattr(Recording, "resume", small)
        monkeypatch.setattr("lakatos.tools.intervention.stacks._TOKENS", {"cpu": 240, "cuda": 240})
        plan = [Intervention(f"a0.h{head}@{at}", "zero") for head in range(4) for at in range(10)]
        with pytest.warns(ResourceWarning):
            found = run_interventions(bridge, PAIRS, plan, base="clean")
        assert sum(size > 4 for size in sizes) <= 6
        assert len(found.notices) <= 6

    def test_runs_that_do_not_fit(self, monkeypatch) -> None:
        bridge = tiny("llama").bridge
        abilities(bridge)

        def record(*_args: Any, **_kwargs: Any) -> Recording:
            raise torch.OutOfMemoryError("CUDA out of memory")

        monkeypatch.setattr(Recording, "record", record)
        with pytest.raises(UserError, match="runs of 6 prompts do not fit into memory"):
            run_interventions(bridge, PAIRS, [Intervention("a1")])

    def test_scarce_memory_is_no_property_of_a_model(self, monkeypatch) -> None:
        bridge = build_tiny("llama").bridge
        with monkeypatch.context() as patched:
            patched.setattr(Recording, "resume", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("no")))
            with pytest.raises(torch.OutOfMemoryError):
                abilities(bridge)
        assert abilities(bridge).blocks

    def test_a_dataset_is_run_a_few_prompts_at_a_time_and_once_for_all_components(self, monkeypatch) -> None:
        bridge = tiny("llama").bridge
        plan = [Intervention(place, "mean") for place in ("a1.h2@END", "m1@S2", "a0", "m1.n3")]
        dataset = TOY.sample(20, seed=9)
        freely = run_interventions(bridge, PAIRS, plan, base="clean", dataset=dataset)
        record, rows = Recording.record.__func__, []

        def recorded(cls: Any, model: Any, tokens: torch.Tensor, *rest: Any, **more: Any) -> Recording:
            rows.append(len(tokens))
            return record(cls, model, tokens, *rest, **more)

        monkeypatch.setattr(Recording, "record", classmethod(recorded))
        for name in ("A_CALL", "SORTS", "SHARE"):  # what is audited is run besides
            monkeypatch.setattr(audit, name, 0)
        found = run_interventions(bridge, PAIRS, plan, base="clean", dataset=dataset, memory=200_000)
        assert found.values == pytest.approx(freely.values, abs=1e-5)
        assert max(rows) <= 4
        means = sum(rows) - 2 * len(PAIRS)
        assert means == 20, "the dataset is run once"

    def test_attribution_runs_few_tokens_at_once_too(self) -> None:
        """Pairs that differ late: few positions are differentiated, but whole prompts are run."""
        bridge = tiny("llama").bridge
        late = replace(PAIRS, pairs=tuple(p for p in TOY.sample(40, seed=3)))
        for batch in chunks(bridge, late, "logit_diff", 1, 16):
            assert len(batch.index) == 1 or batch.clean.size <= 4 * 16
