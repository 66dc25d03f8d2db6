"""The engine against three oracles: the reference, TransformerLens, and a model worked out by hand."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import product
from math import sqrt
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from models import (
    ARCHITECTURES,
    HEADS,
    LAYERS,
    NEURONS,
    TOY,
    TOY_TEXT,
    build_hf,
    build_tiny,
    build_tokenizer,
    hooks_on,
    in_turn,
    tiny,
)

from lakatos.tools.behaviour import PromptPair, PromptPairs, draw_donors, encode, load_behaviour
from lakatos.tools.component import KINDS as KNOWN
from lakatos.tools.errors import UserError
from lakatos.tools.forward import Recording
from lakatos.tools.forward.abilities import abilities
from lakatos.tools.intervention import Effects, Intervention, Runs, run_interventions
from lakatos.tools.intervention.reference import measure_by_forward
from lakatos.tools.metric import pair_metric

PAIRS = TOY.sample(10, seed=1)  # two token lengths, one of them of as many prompts as tokens would allow
DONORS = draw_donors(TOY, PAIRS, build_tokenizer(), seed=2)
DATASET = TOY.sample(12, seed=9)
KINDS = ("a1.h2", "a1", "m1", "m1.n7", "r1")
POSITIONS = ("", "@S2", "@END", "@3")
SOURCES = ("clean", "corrupted", "resample", "mean", "zero")
SMALL = (
    "a1.h2.q",
    "a0.g1.k",
    "a1.g1.v@S2",
    "a1.h3.pattern@END",
    "a0.h0.pattern",
    "e",
    "e@S2",
    "r3",
    "a2.h1",
    "a2.g0.v",
)
SENDERS = ("a0.h1", "m0@S2", "a0@END", "e@S2", "r1", "m0.n3", "a0.h1.q", "a0.g1.v@S2", "a0.h2.pattern")
RECEIVERS = ("a1.h2.q", "a2.g0.k", "a2.g1.v@S2", "m2", "m1@END", "logits", "a2.h0.q")
PARALLEL = ("gpt_neox", "phi")  # attention and MLP read the same stream


def has(name: str, place: str) -> bool:
    """OPT's attention is computed inside one module; a mixture of experts has no neurons of its own."""
    return not (name == "opt" and "pattern" in place) and not (name == "mixtral" and ".n" in place)


def is_defined(intervention: Intervention) -> bool:
    """A mean attention pattern is, at one token index: here names are at several."""
    named = [c for c in intervention.components if c.kind == "pattern" and isinstance(c.position, str)]
    return intervention.source != "mean" or not named


def by_reference(model: Any, runs: Runs, interventions: list[Intervention], base: Any, metric: Any) -> np.ndarray:
    """[n_interventions, n_pairs] by whole forward passes."""
    values = np.empty((len(interventions), len(runs.pairs)))
    for batch in runs.batches:
        values[:, batch.batch.index] = measure_by_forward(model, batch, interventions, base, [metric])[0]
    return values


def assert_close(found: Effects, expected: np.ndarray, tolerance: float = 1e-5) -> None:
    """Equal to a hundred-thousandth of what prompts differ by, which is less than a ten-thousandth of any gap here."""
    assert found.engine == "suffix"
    assert np.abs(found.values - expected).max() < tolerance * max(1e-2, expected.std())


@pytest.fixture(scope="module", params=in_turn())
def architecture(request: Any) -> tuple[Any, Runs]:
    bridge = tiny(request.param).bridge
    return bridge, Runs(bridge, PAIRS, DONORS, DATASET)


@pytest.fixture
def kinds(request: Any, architecture: Any) -> list[str]:
    name = request.node.callspec.params["architecture"]
    return [kind for kind in KINDS if has(name, kind)]


# where the architecture is not the point
ANY_TWO = pytest.mark.parametrize(
    "architecture", ["llama", pytest.param("gpt2", marks=pytest.mark.heavy)], indirect=True, scope="module"
)


class TestEqualsTheReference:
    @pytest.mark.parametrize("base", ["clean", "corrupted"])
    @pytest.mark.parametrize("source", SOURCES)
    def test_every_kind_at_every_position(self, architecture, kinds, source, base) -> None:
        bridge, runs = architecture
        plan = [Intervention(kind + at, source) for kind, at in product(kinds, POSITIONS)]
        together = ["a2.h0@END", "a0.h1@S2", "m1@3", "r2@IO", "a1@END", "a1.h2", "e@S2", "a1.h0.q@IO", *kinds[3:4]]
        plan.append(Intervention(together, source))
        found = run_interventions(bridge, runs, plan, base=base)
        assert_close(found, by_reference(bridge, runs, plan, base, "logit_diff"))
        if source != base:  # equal, but not because nothing happens
            own = getattr(found, base)
            assert (np.abs(found.values - own).max(axis=1) > 1e-3).sum() >= len(plan) // 2

    @pytest.mark.parametrize(("base", "source"), [("clean", "resample"), ("corrupted", "clean"), ("clean", "mean")])
    def test_queries_keys_values_patterns_embeddings_and_the_last_stream(
        self, request, architecture, base, source
    ) -> None:
        bridge, runs = architecture
        name = request.node.callspec.params["architecture"]
        places = [place for place in SMALL if has(name, place) and (source != "mean" or place != "a1.h3.pattern@END")]
        plan = [Intervention(place, source) for place in places]
        found = run_interventions(bridge, runs, plan, base=base)
        assert_close(found, by_reference(bridge, runs, plan, base, "logit_diff"))
        moved = np.abs(found.values - getattr(found, base)).max(axis=1) > 1e-4
        assert moved.all(), [str(i) for i, m in zip(plan, moved, strict=True) if not m]

    @pytest.mark.parametrize(("base", "source"), [("clean", "resample"), ("corrupted", "clean"), ("clean", "zero")])
    def test_paths_with_everything_else_frozen(self, request, architecture, base, source) -> None:
        bridge, runs = architecture
        name = request.node.callspec.params["architecture"]
        senders = [place for place in SENDERS if has(name, place)]
        plan = [Intervention(sender, source, to=to) for sender, to in product(senders, RECEIVERS)]
        plan.append(Intervention(["a0.h1", "m0@S2", "a1@END"], source, to=["a2.g1.v", "m2"]))
        plan += [Intervention(stream, source, to="logits") for stream in ("r3", "r3@END", "r2@S2")]
        if name not in PARALLEL:
            plan += [Intervention("a1.h1", source, to="m1"), Intervention("a1.h1@S2", source, to=["m1", "a2.h1.q"])]
        found = run_interventions(bridge, runs, plan, base=base)
        assert_close(found, by_reference(bridge, runs, plan, base, "logit_diff"))
        assert (np.abs(found.values - getattr(found, base)).max(axis=1) > 1e-5).mean() > 0.6

    @pytest.mark.parametrize("source", ["resample", "mean", "zero"])
    def test_circuits_and_their_complement(self, architecture, source) -> None:
        bridge, runs = architecture
        circuit = ["a0.h1", "a1.h2@S2", "m1@END", "a2", "m2"]
        plan = [
            Intervention(circuit, source, keep=True),
            Intervention(circuit, source),
            Intervention([], source, keep=True),
        ]
        whole = [f"{kind}{layer}" for kind, layer in product("am", range(LAYERS))]
        plan.append(Intervention(whole, source, keep=True))
        found = run_interventions(bridge, runs, plan, base="clean")
        assert_close(found, by_reference(bridge, runs, plan, "clean", "logit_diff"))
        assert found.values[3] == pytest.approx(found.clean, abs=1e-5), "keeping everything changes nothing"
        heads = [f"a{layer}.h{head}" for layer, head in product(range(LAYERS), range(HEADS))]
        every_place = Intervention([*heads, *(place for place in whole if place[0] == "m")], source)
        everything = run_interventions(bridge, runs, [every_place], base="clean")
        assert found.values[2] == pytest.approx(everything.values[0], abs=1e-4)

    @pytest.mark.parametrize("metric", ["prob_diff", "kl"])
    def test_every_metric(self, architecture, kinds, metric) -> None:
        bridge, runs = architecture
        plan = [Intervention(kind, "resample") for kind in kinds]
        found = run_interventions(bridge, runs, plan, base="clean", metric=metric)
        assert_close(found, by_reference(bridge, runs, plan, "clean", metric))

    @ANY_TWO
    def test_several_metrics_and_a_control_in_one_pass(self, architecture) -> None:
        bridge, runs = architecture
        plan = [Intervention("a1.h2@END", "zero"), Intervention("m1", "zero")]
        texts = TOY_TEXT.sample(6)
        found = run_interventions(
            bridge, runs, plan, base="clean", metric=["logit_diff", "prob_diff", "kl"], controls={"text": texts}
        )
        for metric in ("logit_diff", "prob_diff", "kl"):
            alone = run_interventions(bridge, runs, plan, base="clean", metric=metric)
            assert found.of(metric).metric == metric
            for name in ("values", "clean", "corrupted"):
                assert getattr(found.of(metric), name) == pytest.approx(getattr(alone, name), abs=1e-5)
        anywhere = [Intervention("a1.h2", "zero"), Intervention("m1", "zero")]
        alone = run_interventions(bridge, texts, anywhere, base="clean")
        assert found.of("text").values == pytest.approx(alone.values, abs=1e-6)
        assert found.forwards > alone.forwards

    def test_plain_text_is_measured_by_its_loss(self, architecture, kinds) -> None:
        bridge, _ = architecture
        texts = TOY_TEXT.sample(6)
        runs = Runs(bridge, texts, draw_donors(TOY_TEXT, texts, bridge.tokenizer, seed=2), TOY_TEXT.sample(8, seed=3))
        plan = [Intervention(kind, source) for kind, source in product(kinds, ("resample", "mean", "zero"))]
        found = run_interventions(bridge, runs, plan, base="clean", metric="logit_diff")
        assert_close(found, by_reference(bridge, runs, plan, "clean", "loss"))
        for batch in encode(texts, bridge.tokenizer):
            tokens = torch.from_numpy(batch.clean)
            with torch.no_grad():
                log_probs = bridge.original_model(tokens).logits[:, :-1].log_softmax(-1)
            loss = torch.nn.functional.nll_loss(log_probs.transpose(1, 2), tokens[:, 1:], reduction="none").mean(1)
            assert found.clean[batch.index] == pytest.approx(loss.numpy(), abs=1e-5)

    @settings(max_examples=7, deadline=None)
    @given(data=st.data())
    def test_any_intervention(self, request, architecture, data) -> None:
        bridge, runs = architecture
        name = request.node.callspec.params["architecture"]
        layer, head, group = st.integers(0, LAYERS - 1), st.integers(0, HEADS - 1), st.integers(0, 1)
        place = st.one_of(
            st.builds("a{}.h{}{}".format, layer, head, st.sampled_from(["", ".q", ".pattern"])),
            st.builds("a{}.g{}.{}".format, layer, group, st.sampled_from("kv")),
            st.builds("m{}.n{}".format, layer, st.integers(0, NEURONS - 1)),
            st.builds("{}{}".format, st.sampled_from("amr"), layer),
            st.sampled_from(["e", f"r{LAYERS}"]),
        ).filter(lambda text: has(name, text))
        at = st.sampled_from(["", "@IO", "@S2", "@END", "@0", "@8"])
        several = st.lists(st.builds(str.__add__, place, at), min_size=1, max_size=5)
        some = st.builds(Intervention, several, st.sampled_from(SOURCES)).filter(is_defined)
        plan = data.draw(st.lists(some, min_size=1, max_size=4))
        base = data.draw(st.sampled_from(["clean", "corrupted"]))
        found = run_interventions(bridge, runs, plan, base=base)
        assert_close(found, by_reference(bridge, runs, plan, base, "logit_diff"))

    @ANY_TWO
    def test_however_little_runs_at_once(self, architecture, kinds) -> None:
        bridge, runs = architecture
        plan = [Intervention(kind + at, "clean") for kind, at in product(kinds, POSITIONS)]
        plan += [Intervention(kind, "zero") for kind in kinds]
        plan += [Intervention("a0.h1", "clean", to=to) for to in RECEIVERS[:4]]
        whole = run_interventions(bridge, runs, plan)
        assert_close(run_interventions(bridge, runs, plan, memory=1), whole.values)  # one cell
        some = slice(None, None, 3)  # every kind, and most places
        assert_close(run_interventions(bridge, PAIRS, plan[some], memory=1), whole.values[some])
        for prompts in (runs, PAIRS):
            assert_close(run_interventions(bridge, prompts, plan, memory=100_000), whole.values)

    @ANY_TWO
    @pytest.mark.parametrize("n", [1, 10, 11])
    def test_batches_of_any_size(self, architecture, n) -> None:
        """One prompt (broadcast masks), and as many prompts as tokens (11: ambiguous first dimensions)."""
        bridge, _ = architecture
        short = [pair for pair in TOY.sample(60, seed=3) if pair.template == "short"][:n]
        runs = Runs(bridge, replace(PAIRS, pairs=tuple(short)))
        assert [b.batch.clean.shape for b in runs.batches] == [(n, 11)]
        plan = [Intervention(kind, "clean") for kind in (*KINDS[:3], "r1@S2", "a0.h1@END")]
        assert_close(run_interventions(bridge, runs, plan), by_reference(bridge, runs, plan, "corrupted", "logit_diff"))


class TestEqualsTransformerLens:
    """`transformer_lens.patching` shares no line with either of our two ways."""

    @pytest.mark.parametrize("name", in_turn())
    def test_every_head_and_block_of_a_tiny_model(self, name) -> None:
        from transformer_lens import patching

        bridge = tiny(name).bridge
        runs = Runs(bridge, PAIRS)
        batch = encode(PAIRS, bridge.tokenizer)[0]  # the shortest prompts, not padded
        clean, corrupted = torch.from_numpy(batch.clean), torch.from_numpy(batch.corrupted)
        answer, wrong = torch.from_numpy(batch.answer), torch.from_numpy(batch.wrong)
        length = clean.shape[1]

        def metric(logits: torch.Tensor) -> torch.Tensor:
            return pair_metric("logit_diff", logits[:, -1], answer, wrong)

        with torch.no_grad():
            cache = bridge.run_with_cache(clean)[1]
            sweeps = {
                "a{}.h{}": patching.get_act_patch_attn_head_out_all_pos,
                "a{0}.h{2}@{1}": patching.get_act_patch_attn_head_out_by_pos,
                "a{}@{}": patching.get_act_patch_attn_out,
                "m{}@{}": patching.get_act_patch_mlp_out,
                "r{}@{}": patching.get_act_patch_resid_pre,
                "a{}.h{}.q": patching.get_act_patch_attn_head_q_all_pos,
                "a{}.h{}.pattern": patching.get_act_patch_attn_head_pattern_all_pos,
            }
            for form, sweep in sweeps.items():
                if not has(name, form):
                    continue
                theirs = sweep(bridge, corrupted, cache, metric, reduce="none")
                plan = [Intervention(form.format(*row), "clean") for row in theirs.index_df.to_numpy().tolist()]
                assert len(plan) in (LAYERS * HEADS, LAYERS * HEADS * length, LAYERS * length)
                ours = run_interventions(bridge, runs, plan)
                assert_close(ours._replace(values=ours.values[:, batch.index]), theirs.values.flatten(0, -2).numpy())

    @pytest.mark.parametrize("name", in_turn(name for name in ARCHITECTURES if name not in ("gemma2", "gemma3", "opt")))
    def test_direct_paths(self, name) -> None:
        """Theirs adds what the sender writes to the receiver's own copy of the residual stream."""
        from transformer_lens import patching

        bridge = build_tiny(name).bridge
        batch = encode(PAIRS, bridge.tokenizer)[0]
        clean, corrupted = torch.from_numpy(batch.clean), torch.from_numpy(batch.corrupted)
        answer, wrong = torch.from_numpy(batch.answer), torch.from_numpy(batch.wrong)
        short = replace(PAIRS, pairs=tuple(PAIRS[int(i)] for i in batch.index))
        letters = "q" if bridge.cfg.n_key_value_heads not in (None, HEADS) else "qkv"
        with torch.no_grad():
            caches = [bridge.run_with_cache(tokens)[1] for tokens in (clean, corrupted)]
            for letter in letters:
                theirs = patching.get_act_patch_direct_path(
                    bridge,
                    corrupted,
                    *caches,
                    lambda logits: pair_metric("logit_diff", logits[:, -1], answer, wrong).mean(),
                    src_layer=0,
                    src_head=1,
                    component=letter,
                    verbose=False,
                )
                to = [f"a{layer}.{'h' if letter == 'q' else 'g'}{h}.{letter}" for layer in (1, 2) for h in range(HEADS)]
                ours = run_interventions(bridge, short, [Intervention("a0.h1", "clean", to=place) for place in to])
                assert ours.values.mean(1) == pytest.approx(theirs[1:].flatten().numpy(), abs=1e-5)
                assert np.abs(ours.values - ours.corrupted).max() > 1e-3

    @pytest.mark.smollm2
    def test_some_cells_of_a_pretrained_model(self, smollm2) -> None:
        import pandas as pd
        from transformer_lens import patching

        pairs = load_behaviour("ioi").sample(3)
        runs = Runs(smollm2.bridge, pairs)
        cells = [(3, 5, 1), (15, 14, 8), (28, 15, 4)]
        plan = [Intervention(f"a{layer}.h{head}@{at}", "clean") for layer, at, head in cells]
        ours = run_interventions(smollm2, runs, plan)
        assert ours.engine == "suffix"
        gap = np.abs(ours.clean - ours.corrupted).mean()
        for batch in encode(pairs, smollm2.tokenizer):
            answer, wrong = torch.from_numpy(batch.answer), torch.from_numpy(batch.wrong)
            with torch.no_grad():
                names = [f"blocks.{layer}.attn.hook_z" for layer, _, _ in cells]
                cache = smollm2.bridge.run_with_cache(torch.from_numpy(batch.clean), names_filter=names)[1]
                theirs = patching.generic_activation_patch(
                    smollm2.bridge,
                    torch.from_numpy(batch.corrupted),
                    cache,
                    lambda logits, a=answer, w=wrong: pair_metric("logit_diff", logits[:, -1], a, w),
                    patching.layer_pos_head_vector_patch_setter,
                    "z",
                    index_df=pd.DataFrame(cells, columns=["layer", "pos", "head"]),
                    reduce="none",
                )
            assert np.abs(ours.values[:, batch.index] - theirs.values.numpy()).max() < 1e-4 * gap


@pytest.mark.accept
@pytest.mark.smollm2
def test_a_pretrained_model_against_the_reference(smollm2) -> None:
    ioi = load_behaviour("ioi")
    pairs = ioi.sample(3)
    runs = Runs(smollm2.bridge, pairs, draw_donors(ioi, pairs, smollm2.tokenizer, seed=1), ioi.sample(8, seed=5))
    places = (
        "a23.h3@END",
        "a20.h0.q",
        "a12.g2.k",
        "a9.g1.v@S2",
        "a23.h7.pattern@END",
        "m0@S2",
        "m29",
        "m7.n100",
        "r15@S2",
    )
    plan = [Intervention(place, source) for place in (*places, "r30", "e") for source in ("resample", "mean", "zero")]
    plan = [intervention for intervention in plan if is_defined(intervention)]
    plan += [Intervention(places, "resample"), Intervention(["a23.h3", "m0"], "mean", keep=True)]
    plan += [Intervention("a20.h0", "resample", to=to) for to in ("a23.h7.q", "a24.g1.v", "m25", "logits")]
    found = run_interventions(smollm2, runs, plan, base="clean")
    assert found.engine == "suffix"
    gap = np.abs(found.clean - found.corrupted).mean()
    assert np.abs(found.values - by_reference(smollm2.bridge, runs, plan, "clean", "logit_diff")).max() < 1e-4 * gap
    assert (np.abs(found.values - found.clean).max(axis=1) > 1e-3 * gap).mean() > 0.8


class TestWorkedOutByHand:
    """Two layers of attention, two heads of two dimensions, four residual dimensions; uniform attention, no MLP.

    Embeddings: A = (1, 1, 1, 1), B = (-1, 1, 1, 1), X = (1, 1, 1, 1); norms divide by the root mean square.
    a0.h0 reads dimension 0 and adds (0, 0, 2, 4) times it; a1.h1 reads dimension 3 and adds (0, 3, 0, 0) times it.
    logit(answer) is dimension 1 after the last norm, logit(wrong) is 0. Prompts "A X" (clean) and "B X" (corrupted).

    After block 0, clean: both positions (1, 1, 3, 5), rms 3. Corrupted: A's place (-1, 1, -1, -3), rms sqrt 3, and
    X (1, 1, 1, 1), as 1 and -1 average to 0.
    """

    READ_CLEAN, READ_CORRUPTED, READ_OTHER = 5 / 3, 1.0, -sqrt(3)  # dimension 3 after the norm of block 1

    @staticmethod
    def metric(read: float, before: tuple[float, float, float, float]) -> float:
        """Dimension 1 after the last norm, where a1.h1 has read this much on average."""
        after = (before[0], before[1] + 3 * read, before[2], before[3])
        return after[1] / sqrt(sum(x * x for x in after) / 4)

    @pytest.fixture(scope="class")
    def runs(self) -> Runs:
        sizes = {"hidden_size": 4, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2}
        hf = build_hf("llama", **sizes, head_dim=2, intermediate_size=2, rms_norm_eps=0.0, tie_word_embeddings=False)
        tokenizer = build_tokenizer()
        a, b, x, answer = (tokenizer.convert_tokens_to_ids(w) for w in ("A", "B", "X", "gave"))
        with torch.no_grad():
            for name, weight in hf.named_parameters():
                weight.fill_(1.0 if "norm" in name else 0.0)
            hf.model.embed_tokens.weight[[a, x]] = 1.0
            hf.model.embed_tokens.weight[b] = torch.tensor([-1.0, 1.0, 1.0, 1.0])
            hf.lm_head.weight[answer, 1] = 1.0
            first, second = (block.self_attn for block in hf.model.layers)
            first.v_proj.weight[0, 0] = 1.0
            first.o_proj.weight[:, 0] = torch.tensor([0.0, 0.0, 2.0, 4.0])
            second.v_proj.weight[2, 3] = 1.0
            second.o_proj.weight[1, 2] = 3.0
        pair = PromptPair("0" * 16, "t", "A X", "B X", " gave", " to", {}, {})
        pairs = PromptPairs((pair,), "hand", "sha256:", None, "pairs", "exploration", 0)
        return Runs(build_tiny("llama", hf=hf).bridge, pairs)

    def test_patching_and_zeroing_each_head(self, runs) -> None:
        full, bare = (1.0, 1.0, 3.0, 5.0), (1.0, 1.0, 1.0, 1.0)
        clean, corrupted, other = self.READ_CLEAN, self.READ_CORRUPTED, self.READ_OTHER
        cases = [
            ("clean", "a0.h0", "zero", self.metric(1.0, bare)),  # nothing is written: 4 / rms(1, 4, 1, 1)
            ("clean", "a1.h1", "zero", 1 / 3),  # 1 / rms(1, 1, 3, 5)
            ("clean", "a1.h0", "zero", self.metric(clean, full)),  # writes nothing
            ("clean", "a0.h0@0", "corrupted", self.metric((other + clean) / 2, full)),
            ("clean", "a0.h0@END", "corrupted", self.metric((clean + corrupted) / 2, bare)),
            ("clean", "a1.h1@END", "corrupted", self.metric((other + corrupted) / 2, full)),
            ("clean", "a1.h1@0", "corrupted", self.metric(clean, full)),  # nothing after it reads position 0
            ("corrupted", "a0.h0@END", "clean", self.metric((other + clean) / 2, full)),
            ("corrupted", "r1@END", "clean", self.metric((other + clean) / 2, full)),
            ("corrupted", "r0@0", "clean", self.metric(clean, full)),
            ("corrupted", "a1", "clean", self.metric(clean, bare)),
        ]
        assert 4 / sqrt(19 / 4) == pytest.approx(self.metric(1.0, bare))
        for base, component, source, expected in cases:
            found = run_interventions(runs.model, runs, [Intervention(component, source)], base=base)
            assert found.clean[0] == pytest.approx(self.metric(clean, full), abs=1e-5)  # 6 / rms(1, 6, 3, 5)
            assert found.corrupted[0] == pytest.approx(self.metric((other + corrupted) / 2, bare), abs=1e-5)
            assert found.values[0, 0] == pytest.approx(expected, abs=1e-5), (base, component, source)

    def test_paths_and_circuits(self, runs) -> None:
        """Directly a0.h0 writes dimensions 2 and 3 of the stream's end; a1.h1 reads what it writes at both places."""
        full, bare = (1.0, 1.0, 3.0, 5.0), (1.0, 1.0, 1.0, 1.0)
        clean, corrupted = self.READ_CLEAN, self.READ_CORRUPTED
        cases = [
            # without what a0.h0 writes, every value is 1, and 1 is read at both places; the stream itself keeps it
            (Intervention("a0.h0", "zero", to="a1.g1.v"), self.metric(1.0, full)),
            (Intervention("a0.h0@END", "zero", to="a1.g1.v"), self.metric((clean + 1.0) / 2, full)),
            (Intervention("a0.h0", "zero", to="a1.g1.v@0"), self.metric((clean + 1.0) / 2, full)),
            (Intervention("a0.h0", "zero", to="a1.h1.q"), self.metric(clean, full)),  # attention is uniform anyway
            # the direct effect: a1.h1 still reads the clean run's
            (Intervention("a0.h0", "zero", to="logits"), self.metric(clean, bare)),
            (Intervention("a0.h0", "corrupted", to="logits"), self.metric(clean, bare)),
            (Intervention("a0.h0@0", "zero", to="logits"), self.metric(clean, full)),
            (Intervention("a1.h1", "zero", to="logits"), self.metric(0.0, full)),
            (Intervention(["a0.h0", "a1.h1"], "zero", keep=True), self.metric(clean, full)),
            (Intervention("a0.h0", "zero", keep=True), self.metric(0.0, full)),
            (Intervention("a1.h1", "zero", keep=True), self.metric(1.0, bare)),
            (Intervention("a1.g1.v", "zero"), self.metric(0.0, full)),
            (Intervention("a1.g1.v@0", "zero"), self.metric(clean / 2, full)),
            (Intervention("a1.h1.pattern", "zero"), self.metric(0.0, full)),
            (Intervention("r2", "corrupted"), self.metric((self.READ_OTHER + corrupted) / 2, bare)),
            (Intervention("e@0", "corrupted"), self.metric((self.READ_OTHER + corrupted) / 2, bare)),
        ]
        for intervention, expected in cases:
            found = run_interventions(runs.model, runs, [intervention], base="clean")
            assert found.values[0, 0] == pytest.approx(expected, abs=1e-5), str(intervention)

    def test_heads_together(self, runs) -> None:
        both = run_interventions(runs.model, runs, [Intervention(["a0.h0", "a1.h1"], "zero")], base="clean")
        assert both.values[0, 0] == pytest.approx(1.0, abs=1e-5)  # 1 / rms(1, 1, 1, 1)


class TestIdentities:
    def test_the_first_residual_stream_is_the_whole_prompt(self, architecture) -> None:
        bridge, runs = architecture
        into_corrupted = run_interventions(bridge, runs, [Intervention("r0", "clean")], base="corrupted")
        into_clean = run_interventions(bridge, runs, [Intervention("r0", "corrupted")], base="clean")
        assert into_corrupted.values[0] == pytest.approx(into_corrupted.clean, abs=1e-5)
        assert into_clean.values[0] == pytest.approx(into_clean.corrupted, abs=1e-5)

    def test_the_whole_prompt_of_the_donor_gives_the_donors_logits(self, architecture) -> None:
        bridge, runs = architecture
        found = run_interventions(bridge, runs, [Intervention("r0", "resample")], base="clean").values[0]
        for batch in runs.batches:
            with torch.no_grad():
                logits = bridge.original_model(batch.tokens("resample")).logits
            logits = logits[torch.arange(len(logits)), batch.positions("END")]
            answer, wrong = (torch.from_numpy(t) for t in (batch.batch.answer, batch.batch.wrong))
            assert found[batch.batch.index] == pytest.approx(pair_metric("logit_diff", logits, answer, wrong), abs=1e-4)

    def test_a_donors_position_is_the_donors_own(self, architecture) -> None:
        """IO is the second word here and the first of the donor, at prompts of equally many tokens."""
        bridge, _ = architecture
        pair = next(p for p in TOY.sample(20) if p.template == "short")
        donor = next(p for p in TOY.sample(20, split="confirmation") if p.template == "short2")
        pairs, donors = (replace(PAIRS, pairs=(p,)) for p in (pair, donor))
        runs = Runs(bridge, pairs, donors)
        batch = runs.batches[0]
        assert (batch.positions("IO").item(), batch.positions("IO", "resample").item()) == (2, 1)

        def hook(activation: torch.Tensor, hook: Any) -> torch.Tensor:
            activation = activation.clone()
            activation[0, 2] = theirs["blocks.1.hook_mlp_out"][0, 1]
            return activation

        with torch.no_grad():
            theirs = bridge.run_with_cache(batch.tokens("resample"))[1]
            logits = bridge.run_with_hooks(batch.tokens("clean"), fwd_hooks=[("blocks.1.hook_mlp_out", hook)])[0, -1]
        expected = (logits[batch.batch.answer[0]] - logits[batch.batch.wrong[0]]).item()
        plan = [Intervention("m1@IO", "resample")]
        assert run_interventions(bridge, runs, plan, base="clean").values == pytest.approx(expected, abs=1e-5)
        assert by_reference(bridge, runs, plan, "clean", "logit_diff") == pytest.approx(expected, abs=1e-5)

    @pytest.mark.parametrize("base", ["clean", "corrupted"])
    def test_a_run_patched_into_itself_is_unchanged(self, architecture, kinds, base) -> None:
        bridge, runs = architecture
        plan = [Intervention(kind + at, base) for kind, at in product(kinds, POSITIONS)]
        found = run_interventions(bridge, runs, plan, base=base)
        assert found.values == pytest.approx(np.broadcast_to(getattr(found, base), found.values.shape), abs=1e-5)

    def test_base_metrics_are_those_of_the_hugging_face_model(self, architecture) -> None:
        bridge, runs = architecture
        found = run_interventions(bridge, runs, [])
        for batch in encode(PAIRS, bridge.tokenizer):
            answer, wrong = torch.from_numpy(batch.answer), torch.from_numpy(batch.wrong)
            for tokens, values in ((batch.clean, found.clean), (batch.corrupted, found.corrupted)):
                with torch.no_grad():
                    logits = bridge.original_model(torch.from_numpy(tokens)).logits[:, -1]
                expected = pair_metric("logit_diff", logits, answer, wrong)
                assert values[batch.index] == pytest.approx(expected.numpy(), abs=1e-5)

    def test_prompts_measured_together_are_as_if_measured_alone(self, architecture, kinds) -> None:
        """Prompts of several lengths share a batch, padded on the right; alone, each is as long as it is."""
        bridge, _ = architecture
        plan = [Intervention(kind + at, "clean") for kind, at in product(kinds, POSITIONS)]
        together = run_interventions(bridge, PAIRS, plan)
        assert len({len(b.clean[0]) for b in encode(PAIRS, bridge.tokenizer)}) > 1
        alone = [run_interventions(bridge, PAIRS[k : k + 1], plan).values[:, 0] for k in range(len(PAIRS))]
        assert together.values == pytest.approx(np.stack(alone, axis=1), abs=1e-4)

    def test_text_loss_does_not_see_padding(self, architecture) -> None:
        bridge, _ = architecture
        texts = TOY_TEXT.sample(8)
        together = run_interventions(bridge, texts, [Intervention("m1", "zero")], base="clean")
        alone = [
            run_interventions(bridge, texts[k : k + 1], [Intervention("m1", "zero")], base="clean") for k in range(8)
        ]
        assert together.clean == pytest.approx([a.clean[0] for a in alone], abs=1e-4)
        assert together.values[0] == pytest.approx([a.values[0, 0] for a in alone], abs=1e-4)
        assert len({len(b.clean[0]) for b in encode(texts, bridge.tokenizer)}) > 1

    def test_forwards_are_counted_once(self) -> None:
        bridge = tiny("llama").bridge
        runs = Runs(bridge, PAIRS)
        first = run_interventions(bridge, runs, [Intervention("a1", "clean")])
        again = run_interventions(bridge, runs, [Intervention("a1", "clean")])
        n = len(PAIRS)
        late = sum((batch.batch.lengths - batch.batch.positions["S2"]).max() for batch in runs.batches)
        share = late / max(batch.batch.clean.shape[1] for batch in runs.batches)  # of the positions, from S2 on
        measured = [found.forwards - found.audited.forwards for found in (first, again)]
        assert measured[0] == pytest.approx(2 * n + measured[1])  # both runs, with what the clean one is read for
        assert measured[1] == pytest.approx(n * share * (LAYERS - 1) / LAYERS)
        plan = [Intervention("a1@IO"), Intervention("m2@S2")]
        run_interventions(bridge, runs, plan)
        nowhere = run_interventions(bridge, runs, plan)
        assert nowhere.forwards == nowhere.audited.forwards, (
            "nothing before S2 differs, and nothing but END is read of the last block"
        )
        assert nowhere.values == pytest.approx(np.stack([nowhere.corrupted] * 2))


class TestRefuses:
    @pytest.mark.parametrize(
        ("component", "says"),
        [
            ("a1.h99", "heads 0 to 3, not 99"),
            ("a7", "layers 0 to 2"),
            ("a1@S3", "no position 'S3'"),
            ("a1@11", "shortest prompt has 11 tokens"),  # enough for the longer template, not for the shorter
        ],
    )
    def test_what_is_not_there(self, component, says) -> None:
        with pytest.raises(UserError, match=says) as caught:
            run_interventions(tiny("llama"), PAIRS, [Intervention("m0"), Intervention(component)])
        assert component in str(caught.value)

    @pytest.mark.parametrize(
        ("sender", "receiver", "says"),
        [
            ("a1.h0", "a1.h2.q", "a1.h2.q does not read what a1.h0 writes"),
            ("m1", "a0.h1.q", "a0.h1.q does not read what m1 writes"),
            ("m1", "m1", "m1 does not read what m1 writes"),
            ("r2", "a1.g0.k", "a1.g0.k does not read what r2 writes"),
            ("a0.h0", "a1.h1", "a receiver is a9.h6.q"),
            ("a0.h0", ["logits", "m2"], "logits are a receiver of their own"),
            ("a0.h0", "a1.g2.k", "key-value groups 0 to 1, not 2"),
        ],
    )
    def test_paths_that_are_none(self, sender, receiver, says) -> None:
        with pytest.raises(UserError, match=says):
            run_interventions(tiny("llama"), PAIRS, [Intervention(sender, to=receiver)])

    def test_an_attention_that_its_mlp_does_not_read(self) -> None:
        with pytest.raises(UserError, match=r"m1 does not read what a1\.h0 writes"):
            run_interventions(tiny("gpt_neox"), PAIRS, [Intervention("a1.h0", to="m1")])

    def test_circuits_of_neurons(self) -> None:
        with pytest.raises(UserError, match="keep= takes heads"):
            run_interventions(tiny("llama"), PAIRS, [Intervention("m1.n3", keep=True)])

    def test_a_circuit_along_a_path(self) -> None:
        with pytest.raises(UserError, match="cannot be combined"):
            run_interventions(tiny("llama"), PAIRS, [Intervention("a0.h1", to="logits", keep=True)])

    def test_neurons_of_a_mixture_of_experts(self) -> None:
        with pytest.raises(UserError, match=r"m1\.n3: the MLP of layer 1 is a mixture of experts"):
            run_interventions(tiny("mixtral"), PAIRS, [Intervention("m1.n3")])

    @pytest.mark.parametrize("engine", ["suffix", "reference"])
    def test_a_pattern_that_is_computed_inside_a_module(self, engine, monkeypatch) -> None:
        model = build_tiny("opt")
        if engine == "reference":
            monkeypatch.setattr(Recording, "resume", TestFallsBack().refuse)
        with pytest.raises(UserError, match="hook_pattern: this model computes it inside one module"):
            run_interventions(model, PAIRS, [Intervention("a1.h3.pattern")])

    @pytest.mark.parametrize("source", ["zero", "clean"])
    def test_a_hook_that_is_never_reached(self, monkeypatch, source) -> None:
        unasked = replace(KNOWN["neuron"], hook="attn.hook_result")  # not computed unless it is asked for
        monkeypatch.setitem(KNOWN, "neuron", unasked)
        with pytest.raises(UserError, match=r"m1\.n3: this model never reaches blocks\.1\.attn\.hook_result"):
            run_interventions(tiny("llama"), PAIRS, [Intervention("m1.n3", source)])

    def test_an_unknown_metric(self) -> None:
        with pytest.raises(UserError, match="metric is one of logit_diff, prob_diff, kl, not 'accuracy'"):
            run_interventions(tiny("llama"), PAIRS, [Intervention("a1")], metric="accuracy")

    def test_means_without_a_dataset(self) -> None:
        with pytest.raises(UserError, match="pass dataset="):
            run_interventions(tiny("llama"), PAIRS, [Intervention("a1", "mean")], base="clean")

    def test_means_of_patterns_from_several_places(self) -> None:
        plan = [Intervention("a1.h3.pattern@END", "mean")]
        with pytest.raises(UserError, match=r"a1\.h3\.pattern@END: END is at several token indices"):
            run_interventions(tiny("llama"), PAIRS, plan, base="clean", dataset=DATASET)
        short, others = ([p for p in pairs if p.template == "short"] for pairs in (PAIRS, DATASET))
        pairs, dataset = replace(PAIRS, pairs=tuple(short)), replace(DATASET, pairs=tuple(others))
        runs = Runs(tiny("llama").bridge, pairs, None, dataset)
        found = run_interventions(tiny("llama"), runs, plan, base="clean")
        assert_close(found, by_reference(tiny("llama").bridge, runs, plan, "clean", "logit_diff"))

    def test_means_where_no_prompt_of_the_dataset_reaches(self) -> None:
        short = replace(DATASET, pairs=tuple(p for p in DATASET if p.template == "short"))
        with pytest.raises(UserError, match=r"a1: the dataset to average over has no prompt of 14 tokens or more"):
            run_interventions(tiny("llama"), PAIRS, [Intervention("a1", "mean")], base="clean", dataset=short)

    def test_an_index_that_only_the_prompts_of_another_batch_have(self) -> None:
        bridge = tiny("llama").bridge
        with pytest.raises(UserError, match="shortest prompt has 11 tokens"):
            run_interventions(bridge, Runs(bridge, PAIRS, at_once=1), [Intervention("a1@11")])

    def test_resampling_without_donors(self) -> None:
        with pytest.raises(UserError, match="needs donor prompts"):
            run_interventions(tiny("llama"), PAIRS, [Intervention("a1", "resample")], base="clean")

    def test_too_few_donors(self) -> None:
        with pytest.raises(UserError, match="10 pairs need as many donor prompts, not 9"):
            Runs(tiny("llama").bridge, PAIRS, DONORS[:9])

    def test_donors_of_another_length(self) -> None:
        turned = replace(DONORS, pairs=DONORS.pairs[::-1])
        assert any(a.template != b.template for a, b in zip(PAIRS, turned, strict=True))
        with pytest.raises(UserError, match="as many tokens"):
            Runs(tiny("llama").bridge, PAIRS, turned)

    def test_clean_and_corrupted_of_unequal_length(self) -> None:
        pair = PromptPair("0" * 16, "t", "A X", "A B X", " gave", " to", {}, {})
        pairs = PromptPairs((pair,), "odd", "sha256:", None, "pairs", "exploration", 0)
        with pytest.raises(UserError, match="differ in length"):
            run_interventions(tiny("llama"), pairs, [Intervention("a1")])

    def test_nothing_to_intervene_on(self) -> None:
        with pytest.raises(UserError, match="at least one component"):
            Intervention([])

    def test_a_broken_model_is_named(self) -> None:
        hf = build_hf("llama")
        with torch.no_grad():
            hf.model.layers[1].mlp.up_proj.weight[0, 0] = torch.nan
        with pytest.raises(FloatingPointError, match=f"clean run of '{PAIRS[0].clean}' gave nan"):
            run_interventions(build_tiny("llama", hf=hf), PAIRS, [Intervention("a1")])

    def test_a_poisoned_intervention_is_named_with_its_prompt(self) -> None:
        model = build_tiny("llama")
        assert abilities(model.bridge).blocks
        place, donor = next((i, d) for i, d in enumerate(DONORS) if d.clean.split()[1] not in PAIRS[i].clean)
        pairs, donors = PAIRS[place : place + 1], DONORS[place : place + 1]
        token = model.tokenizer.convert_tokens_to_ids(donor.clean.split()[1])
        with torch.no_grad():
            model.bridge.original_model.get_input_embeddings().weight[token] = torch.inf
        plan = [Intervention("a1", "zero"), Intervention(["m1@END", "a0"], "resample")]
        with pytest.raises(FloatingPointError, match=r"Intervening on m1@END \+ a0 in .* gave nan") as caught:
            run_interventions(model, pairs, plan, base="clean", donors=donors)
        assert pairs[0].clean in str(caught.value)


class TestMemory:
    PLAN = tuple(Intervention(place, "clean") for place in ("a0.h1", "a1@S2", "m1", "r1@END"))

    def failing(self, monkeypatch: Any, most: int, error: Exception) -> list[int]:
        """Blocks of more cells than that do not fit."""
        sizes: list[int] = []
        resume = Recording.resume

        def resumed(run: Recording, window: Any, since: Any, hooks: Any) -> torch.Tensor:
            sizes.append(len(window.rows))
            if len(window.rows) > most:
                raise error
            return resume(run, window, since, hooks)

        monkeypatch.setattr(Recording, "resume", resumed)
        return sizes

    @pytest.mark.parametrize(
        "error",
        [
            RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
            torch.OutOfMemoryError("CUDA out of memory"),
            MemoryError(),
        ],
    )
    def test_a_stack_that_does_not_fit_is_halved_and_the_caller_told(self, monkeypatch, error) -> None:
        bridge = tiny("llama").bridge
        whole = run_interventions(bridge, PAIRS, self.PLAN)
        assert whole.notices == ()
        sizes = self.failing(monkeypatch, 6, error)
        with pytest.warns(ResourceWarning, match=r"A stack of \d+ cells did not fit into memory"):
            found = run_interventions(bridge, PAIRS, self.PLAN)
        assert found.values == pytest.approx(whole.values, abs=1e-5)
        assert found.notices[0].startswith("A stack of")
        assert sum(size for size in sizes if size <= 6) == 4 * len(PAIRS)

    def test_one_prompt_that_does_not_fit(self, monkeypatch) -> None:
        self.failing(monkeypatch, 0, MemoryError())
        with pytest.raises(UserError, match=r"a0\.h1.*: one prompt does not fit"), pytest.warns(ResourceWarning):
            run_interventions(tiny("llama"), PAIRS, self.PLAN)

    def test_another_error_is_not_taken_for_that(self, monkeypatch) -> None:
        self.failing(monkeypatch, 6, RuntimeError("shapes do not match"))
        with pytest.raises(RuntimeError, match="shapes do not match"):
            run_interventions(tiny("llama"), PAIRS, self.PLAN)

    def test_little_memory_means_fewer_prompts_and_smaller_stacks_at_once(self, monkeypatch) -> None:
        sizes = self.failing(monkeypatch, 10**9, MemoryError())
        run_interventions(tiny("llama"), PAIRS, self.PLAN)
        freely, sizes[:] = list(sizes), []
        run_interventions(tiny("llama"), PAIRS, self.PLAN, memory=200_000)
        assert sum(sizes) == sum(freely)
        assert max(sizes) < max(freely)

    def test_progress_counts_every_cell_and_ends(self) -> None:
        seen: list[tuple[int, int]] = []
        run_interventions(tiny("llama"), PAIRS, self.PLAN, memory=200_000, progress=lambda k, of: seen.append((k, of)))
        assert seen == sorted(seen)
        assert seen[-1] == (len(self.PLAN) * len(PAIRS), len(self.PLAN) * len(PAIRS))
        assert len(seen) > 2


@pytest.mark.parametrize("name", in_turn(["llama", "gpt2", "gemma3"]))
def test_bfloat16(name) -> None:
    """Equal to the reference up to the rounding of bf16, which is what each differs from float32 by."""
    exact = tiny(name).bridge
    hf = build_hf(name).to(torch.bfloat16)
    half = build_tiny(name, hf=hf, dtype=torch.bfloat16).bridge
    assert next(half.parameters()).dtype == torch.bfloat16
    plan = [Intervention(place, "clean") for place in ("a1.h2", "m1@S2", "r1@END", "a1.g1.v")]
    plan.append(Intervention("a0.h1", "clean", to="a1.h2.q"))
    found = run_interventions(half, PAIRS, plan)
    assert found.engine == "suffix"
    runs = Runs(half, PAIRS)
    slow = by_reference(half, runs, plan, "corrupted", "logit_diff")
    right = run_interventions(exact, PAIRS, plan)
    rounding = np.abs(slow - right.values).mean()
    assert 0 < np.abs(found.values - right.values).mean() < 2 * rounding
    assert rounding < 0.1 * right.values.std()


REASONS = {
    "raises": "its blocks give other numbers when they are called again (this block cannot be called again)",
    "differs": "its blocks give other numbers when they are called again",
}


class TestFallsBack:
    def refuse(self, *_args: Any, **_kwargs: Any) -> torch.Tensor:
        raise RuntimeError("this block cannot be called again")

    @pytest.mark.parametrize("how", ["raises", "differs"])
    def test_to_the_reference_and_says_so(self, monkeypatch, how) -> None:
        plan = [Intervention(kind + "@S2", source) for kind, source in product(KINDS, SOURCES)]
        plan += [Intervention("a0.h1", "clean", to="a1.h2.q"), Intervention(["a1.h1", "m2"], "resample", keep=True)]
        expected = run_interventions(tiny("llama"), PAIRS, plan, donors=DONORS, dataset=DATASET)
        resume = Recording.resume
        wrong = {"raises": self.refuse, "differs": lambda *a, **k: resume(*a, **k).roll(1, -1)}[how]
        monkeypatch.setattr(Recording, "resume", wrong)
        model = build_tiny("llama")
        found = run_interventions(model, PAIRS, plan, donors=DONORS, dataset=DATASET)
        assert (found.engine, expected.engine) == ("reference", "suffix")
        for name in ("values", "clean", "corrupted"):
            assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=1e-5)
        assert found.forwards > expected.forwards
        assert found.notices == (f"Measured by whole forward passes: {REASONS[how]}.",)

    @pytest.mark.parametrize("layer", range(LAYERS))
    def test_whichever_block_is_the_odd_one(self, layer) -> None:
        """Something that gives another result for stacked prompts: resuming from any layer is tried."""
        model = build_tiny("llama")

        def fickle(_module: Any, args: Any, output: Any) -> Any:
            return output + 0.1 * output.roll(1, -1) if len(output) > 2 else output

        model.bridge.blocks[layer].register_forward_hook(fickle)
        assert not abilities(model.bridge).blocks

    def test_where_a_block_is_told_what_an_earlier_one_computed(self) -> None:
        """Resuming would hand on the base run's value; without an intervention nobody would notice."""
        model = build_tiny("llama")
        hf, blocks, told = model.bridge.original_model, model.bridge.blocks, {"inside": False}
        hf.register_forward_pre_hook(lambda *_: told.update(inside=True))
        hf.register_forward_hook(lambda *_: told.update(inside=False))

        def tell(_module: Any, args: Any, kwargs: Any) -> Any:
            more = told["first"].mean(-1)[:, None, None] if told["inside"] else 0.0
            return args, {**kwargs, "attention_mask": kwargs["attention_mask"] + more}

        blocks[0].register_forward_hook(lambda _module, _args, output: told.update(first=output))
        blocks[2].register_forward_pre_hook(tell, with_kwargs=True)
        plan = [Intervention("a0", "clean"), Intervention("m1", "clean")]
        found = run_interventions(model, PAIRS, plan)
        assert found.engine == "reference"


class TestLeavesTheModelAlone:
    @ANY_TWO
    def test_no_hook_stays(self, architecture, kinds) -> None:
        bridge, runs = architecture
        before = hooks_on(bridge)
        run_interventions(bridge, runs, [Intervention(kind, source) for kind in kinds for source in SOURCES])
        run_interventions(bridge, runs, [Intervention("a0.h1", to=to) for to in RECEIVERS])
        assert hooks_on(bridge) == before

    def test_no_hook_stays_after_an_error(self) -> None:
        model = build_tiny("llama")
        runs = Runs(model.bridge, PAIRS)
        run_interventions(model, runs, [Intervention("a1")])
        before = hooks_on(model.bridge)
        block = model.bridge.blocks[2]
        block.forward = TestFallsBack().refuse
        with pytest.raises(RuntimeError, match="cannot be called again"):
            run_interventions(model, runs, [Intervention(["a0.h1", "m1"])])
        with pytest.raises(RuntimeError, match="cannot be called again"):
            Recording.record(model.bridge, runs.batches[0].tokens("clean"))
        assert hooks_on(model.bridge) == before

    def test_a_hook_of_the_users_stays_and_counts(self) -> None:
        model = build_tiny("llama")
        bridge = model.bridge
        handle = bridge.hook_dict["blocks.1.hook_mlp_out"].add_hook(lambda activation, hook: activation * 0)
        found = run_interventions(model, PAIRS, [Intervention("a0", "clean")])
        assert found.engine == "reference"
        assert "hooks of your own" in found.notices[0]
        assert bridge.hook_dict["blocks.1.hook_mlp_out"].fwd_hooks == [handle]
        handle.hook.remove()
        bridge.hook_dict["blocks.1.hook_mlp_out"].fwd_hooks.clear()
        without = run_interventions(model, PAIRS, [Intervention(["a0", "m1"], "clean"), Intervention("m1", "zero")])
        assert found.corrupted == pytest.approx(without.values[1], abs=1e-5)

    def test_no_weight_changes(self) -> None:
        model = build_tiny("gpt2")
        before = copy.deepcopy(model.bridge.original_model.state_dict())
        plan = [Intervention(kind, source) for kind, source in product(KINDS, SOURCES)]
        run_interventions(model, PAIRS, plan, donors=DONORS, dataset=DATASET)
        after = model.bridge.original_model.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)
