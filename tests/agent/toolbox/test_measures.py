"""What tools show, against the same computed otherwise, on the toy model."""

from __future__ import annotations

import re
from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from models import build_hf, build_tiny
from transformer_lens import head_detector
from transformer_lens.tools.analysis.logit_lens import logit_lens
from workbench import Bench, put, rows

from lakatos.tools.behaviour import encode
from lakatos.tools.claim import read_hypothesis
from lakatos.tools.component import Component
from lakatos.tools.experiment import draw_prompts
from lakatos.tools.experiment.attention import Looking, attention_masses
from lakatos.tools.exploration import head_scores
from lakatos.tools.exploration.attention import FIRST, REST
from lakatos.tools.intervention import Intervention, Runs, run_interventions

HEADS = [f"a{layer}.h{head}" for layer in range(3) for head in range(4)]


@pytest.fixture(scope="module")
def drawn(shared):
    """The prompts of every measurement, drawn anew; and the donors."""
    run = shared.run
    found = draw_prompts(
        run.behaviour,
        [],
        run.model.tokenizer,
        n=16,
        skip=0,
        split="exploration",
        seeds=lambda purpose: run.seed(f"search:{purpose}"),
        donors=True,
    ).prompts
    return found.pairs, found.donors


ASKED = [
    (["m1@END"], "denoising", []),
    (["a0.h1@S2", "m0"], "noising", []),
    (["m2"], "resample", []),
    (["a1.h0"], "zero", []),
    (["m0"], "denoising", ["logits"]),
    (["a0.h1"], "denoising", ["m2", "a1.g0.k"]),
]


def test_effects_are_those_of_run_interventions(shared, drawn, loaded):
    asked = [{"components": c, "intervention": how, "to": to} for c, how, to in ASKED]
    shown = {row[0]: row for row in rows(shared.says("effects", {"interventions": asked}))}
    runs = Runs(loaded.bridge, *drawn)
    plain = run_interventions(loaded.bridge, runs, [], base="clean")
    gap = max((plain.clean - plain.corrupted).mean(), plain.clean.std(ddof=1))
    for components, how, to in ASKED:
        source = {"denoising": "clean", "noising": "corrupted"}.get(how, how)
        base = "corrupted" if how == "denoising" else "clean"
        own = Intervention(
            tuple(map(Component.parse, components)),
            source,
            to=tuple(t if t == "logits" else Component.parse(t) for t in to),
        )
        found = run_interventions(loaded.bridge, runs, [own], base=base)
        moved = found.values[0] - found.corrupted if how == "denoising" else found.clean - found.values[0]
        _, mean, sd, beside, *_ = shown[f"{own} ({how})"]
        assert float(mean) == pytest.approx((moved / gap).mean(), rel=0.01, abs=1e-6)
        assert float(sd) == pytest.approx((moved / gap).std(ddof=1), rel=0.01, abs=1e-6)
        assert beside.endswith(("of 9", "of 10")) or int(beside.rpartition(" ")[2]) >= 1


def test_what_an_effect_registers_as_is_a_claim_of_that_form(shared):
    asked = [{"components": c, "intervention": how, "to": to} for c, how, to in ASKED]
    kinds = set()
    for _, mean, *_, claim in rows(shared.says("effects", {"interventions": asked})):
        if claim:
            read = read_hypothesis({"claim": claim}, "toy").claim
            kinds.add(read.kind)
            assert getattr(read, "direction", "supports") == (
                "supports" if float(mean) >= 0 or read.kind == "no_effect" else "opposes"
            )
    assert {"node_effect", "no_effect"} & kinds


def test_shares_of_attention_add_up_to_1_and_are_those_of_tests(shared, drawn, loaded):
    found = shared.run and shared.view.searching.attention([Component.parse(h) for h in HEADS])
    named = shared.view.behaviour.named_positions
    for text, shares in zip(HEADS, found, strict=True):
        for source in named:
            whole = sum(share for (own, _), share in shares.items() if own == source)
            assert whole == pytest.approx(1, abs=1e-5)
            (masses,) = attention_masses(loaded, drawn[0], [Looking((Component.parse(text),), source)])
            for to in named:
                assert shares[source, to] == pytest.approx(masses[to].mean(), abs=1e-6)
            assert {to for own, to in shares if own == source} == {*named, FIRST, REST}


def test_attention_shows_these_shares(shared):
    exact = dict(zip(HEADS, shared.view.searching.attention([Component.parse(h) for h in HEADS]), strict=True))
    for name, share, claim in rows(shared.says("attention", {"heads": HEADS, "attends_from": "END"})):
        head, _, places = name.partition(" ")
        source, _, to = places.partition("->")
        assert source == "END"
        assert float(share) == pytest.approx(exact[head][source, to], rel=0.01)
        assert bool(claim) == (to in shared.view.behaviour.named_positions and to != source)


@pytest.mark.parametrize("position", ["END", "S2"])
def test_lens_is_that_of_transformer_lens(shared, drawn, loaded, position):
    pairs, model = drawn[0], loaded.bridge
    difference, first = defaultdict(float), defaultdict(float)
    for batch in encode(pairs, model.tokenizer):
        for row, tokens in enumerate(batch.clean):
            at = int(batch.positions[position][row])
            with torch.no_grad():
                shown = logit_lens(model, torch.from_numpy(tokens)[None], positions=at).readout.values
            logits = shown.reshape(-1, shown.shape[-1]).double()
            for layer, own in enumerate(logits):
                difference[layer] += float(own[batch.answer[row]] - own[batch.wrong[row]]) / len(pairs)
                first[layer] += float(own.argmax() == batch.answer[row]) / len(pairs)
    told = rows(shared.says("lens", {"position": position}))
    assert (
        [name for name, *_ in told] == [f"r{layer}" for layer in range(4)] == [f"r{layer}" for layer in sorted(first)]
    )
    for layer, (_, found, share, _) in enumerate(told):
        assert float(found) == pytest.approx(difference[layer], rel=0.01, abs=1e-4)
        assert float(share) == pytest.approx(first[layer], abs=0.01)


def test_the_last_row_of_the_lens_is_the_models_own_answer(shared, drawn, loaded):
    plain = run_interventions(loaded.bridge, Runs(loaded.bridge, *drawn), [], base="clean")
    last = shared.view.searching.lens("END")[-1]
    assert last.difference == pytest.approx(plain.clean.mean(), rel=1e-4)


@pytest.mark.parametrize("score", ["previous", "duplicate", "induction"])
def test_head_scores_are_those_of_detect_head(loaded, score):
    """It divides by all queries, and a score here by those of which something is expected."""
    model = loaded.bridge
    half = torch.randint(0, int(model.cfg.d_vocab), (4, 24), generator=torch.Generator().manual_seed(0))
    kind = "induction_head" if score == "induction" else f"{score}_token_head"
    expected = np.zeros((3, 4))
    for row in torch.cat([half, half], 1):
        pattern = getattr(head_detector, f"get_{kind}_detection_pattern")(row[None])
        like = SimpleNamespace(
            cfg=SimpleNamespace(n_ctx=99, n_layers=3, n_heads=4, device="cpu", dtype=torch.float32),
            to_tokens=lambda _, row=row: row[None],
            run_with_cache=model.run_with_cache,
        )
        with torch.no_grad():
            found = head_detector.detect_head(like, "", pattern).numpy()
        expected += found * len(row) / int((pattern.sum(-1) > 0).sum()) / 4
    for own in head_scores(model):
        assert getattr(own, score) == pytest.approx(expected[own.head.layer, own.head.index], abs=1e-4)


def test_heads_ranks_and_shows_these_scores(shared, loaded):
    exact = {str(own.head): own for own in head_scores(loaded.bridge)}
    found = rows(shared.says("heads", {"score": "copying"}))
    ranked = [abs(exact[name].copying) for name, *_ in found]
    assert ranked == sorted(ranked, reverse=True)
    for name, *scores in found:
        assert [float(s) for s in scores] == pytest.approx(list(exact[name][1:]), rel=0.01, abs=1e-6)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_head_that_is_made_to_copy_copies(sign):
    hf = build_hf("llama", 0)
    attention = hf.model.layers[1].self_attn
    with torch.no_grad():
        hf.lm_head.weight.copy_(hf.model.embed_tokens.weight)
        values = torch.linalg.qr(torch.randn(32, 8, generator=torch.Generator().manual_seed(0)))[0]  # [d_model, d_head]
        attention.v_proj.weight[8:16] = values.T  # of the second group, whose heads are h2 and h3
        attention.o_proj.weight[:, 16:24] = sign * values
    scores = {str(own.head): own.copying for own in head_scores(build_tiny("llama", hf=hf).bridge)}
    assert scores["a1.h2"] == pytest.approx(sign, abs=1e-4)
    assert abs(scores["a1.h1"]) < 0.95


def test_attribution_is_what_exploration_found(shared):
    found = {row["component"]: row for row in shared.view.findings["attributions"]}
    gap = shared.view.explored.gap
    told = rows(shared.says("attribution", {"component": "mlp"}))
    assert [name for name, *_ in told] == [name for name in found if name.startswith("m")]
    for name, effect, sd, _ in told:
        assert float(effect) == pytest.approx(found[name]["score"] / gap, rel=0.01, abs=1e-6)
        assert float(sd) == pytest.approx(found[name]["sd"] / gap, rel=0.01, abs=1e-6)


def test_reads_shows_the_edges_at_a_component(shared):
    edges = {(s, r): v for s, own in shared.view.searching.edges.items() for r, v in own.items()}
    told = {tuple(name.split(" -> ")): float(v) for name, v, _ in rows(shared.says("reads", {"component": "m1"}))}
    assert set(told) == {edge for edge in edges if "m1" in edge}
    assert all(v == pytest.approx(edges[edge], rel=0.01, abs=1e-9) for edge, v in told.items())


def test_backups_are_measured_against_the_gap(shared):
    (growth,) = shared.view.searching.stepping_in([Component.parse("m0")])
    gap = shared.view.explored.gap
    told = {name: float(more) for name, more, _ in rows(shared.says("backups", {"missing": ["m0"]}))}
    assert {f"{later} for m0" for later in growth} == set(told)
    assert all(told[f"{k} for m0"] == pytest.approx(v / gap, rel=0.01, abs=1e-9) for k, v in growth.items())


def test_examples_and_vary_show_what_the_model_answers(shared, loaded):
    for name, arguments in (("examples", {"n": 6}), ("vary", {"n": 3, "template": "short", "containing": ["Ann"]})):
        found = rows(shared.says(name, arguments))
        assert len(found) == arguments["n"]
        for template, clean, _, shown, _, answer, wrong, _ in found:
            tokens = torch.tensor([[0, *loaded.bridge.tokenizer(clean, add_special_tokens=False)["input_ids"]]])
            with torch.no_grad():
                logits = loaded.bridge(tokens)[0, -1]
            ids = [loaded.bridge.tokenizer(t, add_special_tokens=False)["input_ids"][0] for t in (answer, wrong)]
            assert float(shown) == pytest.approx(float(logits[ids[0]] - logits[ids[1]]), rel=0.01, abs=0.01)
            assert name == "examples" or (template == "short" and "Ann" in clean)


def test_vary_shows_pairs_that_were_not_shown_before(bench):
    seen = [row[1] + row[2] for row in rows(bench.says("examples", {"n": 24}))]
    for template in ("short", None, "short"):
        shown = [row[1] + row[2] for row in rows(bench.says("vary", {"n": 8, "template": template}))]
        assert not set(shown) & set(seen)
        seen += shown


HOLD = ["a2.h3@END has no effect on toy (denoising, < 20% of gap)", "r2@END carries toy (denoising, >= 10% of gap)"]


def test_a_draft_expects_about_as_many_pairs_as_a_test_takes(explored_log, loaded, tmp_path):
    bench = Bench(explored_log, tmp_path, loaded, max_pairs=128)
    said = bench.says("draft", {"claims": HOLD})
    expected = [int(n.replace(",", "")) for n in re.findall(r"about ([\d,]+) pairs at this rate", said)]
    effects = [float(n) for n in re.findall(r"Main effect (\S+)", said)]
    bench.test(bench.call("register", put(*HOLD)))
    for entry, pairs, effect in zip(bench.view.entries, expected, effects, strict=True):
        assert entry.state == "confirmed"
        assert pairs / 8 <= 16 * entry.batches <= 8 * pairs
        assert effect == pytest.approx(entry.evidence.lines[0].mean, abs=0.2 * entry.prediction.battery.gap)


def test_a_draft_of_what_is_not_so_says_that_it_would_fail(shared):
    false = "a0.h1@END carries toy (denoising, >= 75% of gap)"
    assert "would not be confirmed" in shared.says("draft", {"claims": [false]})
