"""Embedded RASP programs: interpreter, Tracr, weights and engine must say the same of them."""

from __future__ import annotations

import json
import sys
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lakatos.tools.behaviour import SPLITS, load_behaviour, readiness_problems
from lakatos.tools.behaviour.donors import draw_donors
from lakatos.tools.behaviour.pairs import PromptPairs
from lakatos.tools.errors import UserError
from lakatos.tools.experiment.measuring import unigram_loss
from lakatos.tools.forward.abilities import abilities
from lakatos.tools.intervention import Intervention, Runs, run_interventions
from lakatos.tools.intervention.reference import measure_by_forward
from lakatos.tools.model import LoadedModel
from lakatos.tools.model.rasp import (
    PROGRAMS,
    RaspTruth,
    load_rasp,
    load_rasp_truth,
    program_of,
    random_program,
    rasp_behaviour,
)
from lakatos.tools.model.rasp.compiling import compile_program
from lakatos.tools.model.rasp.expressions import (
    INDICES,
    MIXED,
    TOKENS,
    Aggregate,
    Relation,
    Select,
    Width,
    evaluate,
    operations,
)
from lakatos.tools.model.rasp.loading import placement_of, rasp_behaviour_source
from lakatos.tools.model.rasp.placing import HEADS, LAYERS, every_component
from lakatos.tools.model.rasp.stored import compiled_program, write
from lakatos.tools.model.rasp.structure import computed_by, edges_of, needed, parts_of
from lakatos.tools.model.rasp.truth import predict
from lakatos.tools.model.wording import TEXT

FAST = ("shift", "landmark", "distinct")  # heads alone; two branches and an MLP; five parts one after another
NAMES = [name if name in FAST else pytest.param(name, marks=pytest.mark.heavy) for name in PROGRAMS]


class Bench(NamedTuple):
    """An embedded program, with prompts of its behaviour and their donors; shared between tests."""

    model: LoadedModel
    truth: RaspTruth
    pairs: PromptPairs
    donors: PromptPairs
    runs: Runs

    def lost(self, *interventions: Intervention) -> np.ndarray:
        """[n_interventions, n] of the gap, lost on the clean run."""
        effects = run_interventions(self.model, self.runs, interventions, base="clean")
        return (effects.clean - effects.values) / (effects.clean - effects.corrupted).mean()

    def gained(self, *interventions: Intervention) -> np.ndarray:
        """[n_interventions, n] of the gap, gained on the corrupted run."""
        effects = run_interventions(self.model, self.runs, interventions, base="corrupted")
        return (effects.values - effects.corrupted) / (effects.clean - effects.corrupted).mean()


@lru_cache
def bench(name: str, seed: int = 0) -> Bench:
    model, behaviour = load_rasp(name, seed), rasp_behaviour(name)
    pairs = behaviour.sample(32, seed=1, split="confirmation")
    donors = draw_donors(behaviour, pairs, model.tokenizer, seed=2)
    return Bench(model, load_rasp_truth(name, seed), pairs, donors, Runs(model.bridge, pairs, donors, pairs))


def ablate(*places: str, to: str | tuple[str, ...] = (), keep: bool = False) -> Intervention:
    return Intervention(places, "resample", to=to, keep=keep)


class TestInterpreter:
    @pytest.mark.parametrize(
        ("name", "row", "answer"),
        [
            ("shift", "ABCDE", "C"),
            ("previous_equal", "ABB", "yes"),
            ("copy_first", "EAAB", "A"),
            ("histogram", "ABACA", 3),
            ("duplicate", "ABAC", "no"),
            ("distinct", "ABACA", 3),
            ("parity", "ABACA", "no"),
            ("rank", "ABEAC", 3),
            ("majority", "ABABB", "B"),
            ("pointer", "ABADC", "A"),
            ("induction", "ABCA", "B"),
            ("induction", "ABACA", MIXED),
            ("induction", "ABC", None),
            ("chain", "ABCDA", "C"),
            ("count_next", "ABCBA", 2),
            ("bookends", "BAACE", "A"),
        ],
    )
    def test_worked_out_by_hand(self, name, row, answer) -> None:
        assert evaluate(PROGRAMS[name].expression, list(row))[-1] == answer

    def test_parentheses(self) -> None:
        depth = PROGRAMS["depth"].expression
        row = ["open", "open", "plain", "close", "close", "close"]
        assert evaluate(depth, row) == [1, 2, 2, 1, 0, "under"]

    def test_words_that_are_ignored_match_nothing(self) -> None:
        assert evaluate(PROGRAMS["histogram"].expression, ["A", None, "A", None]) == [1, 0, 2, 0]
        assert evaluate(PROGRAMS["shift"].expression, ["A", None, "B"]) == [None, None, "A"]

    @given(st.lists(st.sampled_from("ABC"), min_size=1, max_size=8))
    def test_against_python(self, row) -> None:
        same = Select(TOKENS, TOKENS, Relation("equal"))
        assert evaluate(Width(same), row) == [row[: i + 1].count(x) for i, x in enumerate(row)]
        back = Aggregate(Select(INDICES, INDICES, Relation("offset", (-1,))), TOKENS)
        assert evaluate(back, row) == [None, *row[:-1]]

    @given(st.sampled_from(list(PROGRAMS)), st.data())
    def test_against_tracrs_own(self, name, data) -> None:
        pytest.importorskip("tracr")
        from tracr.rasp.causal_eval import CausalEvaluator

        from lakatos.tools.model.rasp.compiling import _lowered

        program = PROGRAMS[name]
        row = data.draw(st.lists(st.sampled_from(program.alphabet), min_size=1, max_size=7))
        ours = evaluate(program.expression, row)
        if MIXED in ours:
            return  # Tracr averages numbers, and refuses words
        try:
            theirs = CausalEvaluator().evaluate(_lowered(program)[program.expression], row)
        except ValueError:  # an operation on the way is mixed where the answer does not depend on it
            return
        assert theirs == ours


class TestCompiled:
    @pytest.mark.parametrize("name", PROGRAMS)
    def test_what_comes_with_the_package_is_what_tracr_makes(self, name) -> None:
        pytest.importorskip("tracr")
        shipped, made = compiled_program(PROGRAMS[name]), compile_program(PROGRAMS[name])
        assert (shipped.program, shipped.directions) == (made.program, made.directions)
        assert [type(part) for part in parts_of(shipped)] == [type(part) for part in parts_of(made)]
        for one, other in zip(parts_of(shipped), parts_of(made), strict=True):
            for here, there in zip(one, other, strict=True):
                assert np.array_equal(here, there)

    def test_the_connections_of_one_worked_out_by_hand(self) -> None:
        found = edges_of(
            compiled_program(PROGRAMS["chain"])
        )  # previous, the one that followed, the one that followed it
        assert [tuple(edge) for edge in found] == [(0, 1, "k"), (0, 2, "k"), (1, 2, "q"), (2, None, "logits")]

    @pytest.mark.parametrize("name", PROGRAMS)
    def test_every_part_is_needed(self, name) -> None:
        compiled = compiled_program(PROGRAMS[name])
        assert needed(compiled) == set(range(len(parts_of(compiled))))
        steps = [sop for sop in operations(compiled.program.expression) if sop not in (TOKENS, INDICES)]
        assert {sop for computed in computed_by(compiled) for sop in computed} == set(steps)

    @pytest.mark.parametrize(("name", "seed"), product(FAST, range(20)))
    def test_parts_stand_after_what_they_read(self, name, seed) -> None:
        program = PROGRAMS[name]
        names = placement_of(program, seed).names
        assert len(set(names)) == len(names) <= LAYERS * (HEADS + 1)
        for edge in edges_of(compiled_program(program)):
            if edge.receiver is not None:
                sender, receiver = names[edge.sender], names[edge.receiver]
                assert (int(sender[1]), sender[0] == "m") < (int(receiver[1]), receiver[0] == "m")

    def test_a_file_that_was_changed_is_not_used(self, tmp_path, monkeypatch) -> None:
        program = PROGRAMS["shift"]
        write(compiled_program(program), tmp_path / "compiled", "shift")
        monkeypatch.setattr("lakatos.tools.model.rasp.stored.files", lambda _: tmp_path)
        assert len(parts_of(compiled_program(program))) == 2
        file = tmp_path / "compiled" / "shift.json"
        said = json.loads(file.read_text())
        file.write_text(json.dumps(said | {"sha256": "0"}))
        with pytest.raises(UserError, match="sha256"):
            compiled_program(program)
        file.write_text(json.dumps(said | {"program": "another"}))
        with pytest.raises(UserError, match="another program"):
            compiled_program(program)

    def test_without_tracr_the_extra_is_named(self, tmp_path, monkeypatch) -> None:
        monkeypatch.setenv("LAKATOS_CACHE", str(tmp_path))
        for module in ("tracr", "tracr.compiler"):
            monkeypatch.setitem(sys.modules, module, None)
        assert compiled_program(PROGRAMS["chain"]).heads
        with pytest.raises(UserError, match=r'pip install "lakatos\[groundtruth\]"'):
            compiled_program(random_program(1))


class TestBehaviours:
    @pytest.mark.parametrize("name", PROGRAMS)
    def test_the_program_gives_the_answers_and_no_prompt_is_in_both_splits(self, name) -> None:
        program, behaviour, seen = PROGRAMS[name], rasp_behaviour(name), {}
        for split in SPLITS:
            pairs = behaviour.sample(200, seed=3, split=split)
            for pair in pairs:
                for text, answer in ((pair.clean, pair.answer), (pair.corrupted, pair.wrong)):
                    symbols = [word if word in program.alphabet else None for word in text.split()]
                    assert f" {program.word(evaluate(program.expression, symbols)[-1])}" == answer
            seen[split] = {tuple(w for w in p.clean.split() if w in program.alphabet) for p in pairs}
            assert len(behaviour.templates_of(split)) >= 6
            assert len({len(pair.clean.split()) for pair in pairs}) > 1
        assert seen["exploration"].isdisjoint(seen["confirmation"])

    @pytest.mark.parametrize("name", NAMES)
    def test_they_are_ready_and_do_not_run_out(self, name) -> None:
        behaviour, control = rasp_behaviour(name), load_behaviour(TEXT)
        tokenizer = bench(name).model.tokenizer
        assert not readiness_problems(behaviour, {TEXT: control}, tokenizer, max_pairs=128)
        assert len(behaviour.sample(24 * 128, seed=0, split="confirmation")) == 24 * 128


class TestTruth:
    @pytest.mark.parametrize("name", NAMES)
    def test_the_model_answers_as_the_program(self, name) -> None:
        effects = run_interventions(bench(name).model, rasp_behaviour(name).sample(256, seed=5), [])
        assert (effects.clean > 6).mean() > 0.99
        assert (effects.corrupted < -6).mean() > 0.99
        assert effects.clean.std() > 0.01  # the noise is felt

    @pytest.mark.parametrize("name", NAMES)
    def test_exhaustive_patching_agrees_with_the_interpreter(self, name) -> None:
        """Of each part, prompt by prompt: what its ablation takes away, and what its clean activation brings back."""
        found, program = bench(name), PROGRAMS[name]
        names = placement_of(program).names
        lost = dict(zip(every_component(), found.lost(*map(ablate, every_component())), strict=True))
        restoring = [Intervention(c, "clean") for c in every_component()]
        gained = dict(zip(every_component(), found.gained(*restoring), strict=True))
        assert set(names) == set(found.truth.used)
        for place, computed in zip(names, computed_by(compiled_program(program)), strict=True):
            expected = predict(program, computed, list(found.pairs), list(found.donors))
            for measured, foretold in (
                (lost[place], (expected.clean - expected.ablated) / expected.gap),
                (gained[place], (expected.restored - expected.corrupted) / expected.gap),
            ):
                sure = ~np.isnan(foretold)
                assert sure.mean() > 0.4
                assert np.allclose(measured[sure], foretold[sure], atol=0.1)
            assert lost[place].mean() > 0.15
            assert found.truth.reading[place] == "specific"
        for place in found.truth.inert:
            assert abs(lost[place].mean()) < 0.02
            assert abs(gained[place].mean()) < 0.02
            assert found.truth.reading[place] == "inert"
        assert set(found.truth.reading) == set(every_component())

    @pytest.mark.parametrize("name", NAMES)
    def test_all_that_is_inert_together_and_the_circuit_alone(self, name) -> None:
        truth = bench(name).truth
        parts = [ablate(*(c for c in truth.circuit if c != part), keep=True) for part in truth.circuit]
        inert, kept, *less = bench(name).lost(ablate(*truth.inert), ablate(*truth.circuit, keep=True), *parts)
        assert max(abs(inert.mean()), abs(kept.mean())) < 0.02
        assert min(share.mean() for share in less) > 0.15
        assert abs(bench(name).gained(Intervention(truth.inert, "clean")).mean()) < 0.02

    @pytest.mark.parametrize("name", NAMES)
    def test_plain_text_is_predicted_well_whatever_is_ablated(self, name) -> None:
        model, text = bench(name).model, load_behaviour(TEXT)
        pairs = text.sample(16, seed=1, split="confirmation")
        runs = Runs(model.bridge, pairs, draw_donors(text, pairs, model.tokenizer, seed=2), pairs)
        effects = run_interventions(model, runs, list(map(ablate, every_component())), base="clean")
        spare = unigram_loss(pairs, model) - effects.clean.mean()
        assert spare > 1.0  # nats below the unigram loss
        assert abs(effects.values - effects.clean).mean(1).max() < 0.01 * spare

    @pytest.mark.parametrize("name", NAMES)
    def test_the_paths_are_those_of_the_truth(self, name) -> None:
        """The clean output of a part comes back by all its paths together, and by no other path at all."""
        truth = bench(name).truth
        for sender in truth.used:
            read = tuple(receiver for other, receiver in truth.edges if other == sender)
            others = tuple(place for place in _receivers(sender) if place not in (*read, "logits"))
            plan = [Intervention(sender, "clean"), Intervention(sender, "clean", to=read)]
            plan += [Intervention(sender, "clean", to=others)] if others else []
            plan += [Intervention(sender, "clean", to="logits")] if "logits" not in read else []
            whole, through, *beside = bench(name).gained(*plan)
            assert through.mean() == pytest.approx(whole.mean(), abs=0.02)
            assert all(abs(share.mean()) < 0.02 for share in beside)

    def test_nothing_in_the_weights_tells_parts_from_decoys(self) -> None:
        found = bench("landmark")
        for key, weights in found.model.bridge.original_model.state_dict().items():
            if "mask" not in key and key != "head._original_component.bias":  # which the model does not have
                assert weights.count_nonzero() == weights.numel(), key
        rows = torch.randint(3, 20, (8, 10))
        with torch.no_grad():
            _, cache = found.model.bridge.run_with_cache(rows)
        fixed = []
        for layer, head in product(range(LAYERS), range(HEADS)):
            assert cache[f"blocks.{layer}.attn.hook_z"][:, 1:, head].std(0).mean() > 0.01
            assert cache[f"blocks.{layer}.mlp.hook_out"].std(0).mean() > 0.001
            if cache[f"blocks.{layer}.attn.hook_pattern"][:, head].std(0).mean() < 0.01:
                fixed.append(f"a{layer}.h{head}")
        assert set(fixed) & set(found.truth.used), "heads that look back attend as they do whatever the words are"
        assert set(fixed) & set(found.truth.inert), "and so do some decoys"


def _receivers(sender: str) -> list[str]:
    """All that a component's output comes to but the logits."""
    layer, is_mlp = int(sender[1]), sender[0] == "m"
    later = range(layer + 1, LAYERS)
    heads = [f"a{x}.{part}" for x in later for h in range(HEADS) for part in (f"h{h}.q", f"g{h}.k", f"g{h}.v")]
    return [*heads, *(f"m{x}" for x in range(layer + is_mlp, LAYERS))]


def test_the_engine_drives_them_and_agrees_with_the_reference() -> None:
    found = bench("landmark")
    assert abilities(found.model.bridge).blocks
    sender, receiver = next(edge for edge in found.truth.edges if edge[1].endswith(".k"))
    plan = [Intervention(found.truth.used[-1], "zero"), ablate(sender, to=receiver), ablate(sender, keep=True)]
    effects = run_interventions(found.model, found.runs, plan, base="clean")
    for batch in found.runs.batches:
        expected = measure_by_forward(found.model.bridge, batch, plan, "clean", ["logit_diff"])[0]
        assert np.allclose(effects.values[:, batch.batch.index], expected, atol=1e-3)


class TestLoading:
    def test_by_name_and_seed(self) -> None:
        one, again, other = (load_rasp("planted:rasp-shift", seed) for seed in (3, 3, 4))
        assert (one.name, load_rasp("shift").name) == ("planted:rasp-shift#3", "planted:rasp-shift")
        assert one.weight_hash == again.weight_hash != other.weight_hash
        assert len({placement_of(PROGRAMS["shift"], seed).names for seed in range(5)}) > 1

    def test_the_random_state_is_left_alone(self) -> None:
        torch.manual_seed(0)
        expected = torch.rand(3)
        torch.manual_seed(0)
        load_rasp("shift", 9)
        assert torch.equal(torch.rand(3), expected)

    @pytest.mark.parametrize("name", ["typo", "random", "randomly"])
    def test_what_there_is_not_says_what_there_is(self, name) -> None:
        with pytest.raises(UserError, match=r"planted:rasp-shift, .*planted:rasp-random<number>"):
            program_of(name)


class TestRandomPrograms:
    def test_the_same_for_the_same_seed_and_others_for_others(self) -> None:
        random_program.cache_clear()
        one = random_program(1)
        random_program.cache_clear()
        assert random_program(1) == one
        assert random_program(4).expression != one.expression

    @pytest.mark.heavy
    @pytest.mark.parametrize("seed", [1, 4, 7])
    def test_their_models_do_what_the_interpreter_says(self, seed, tmp_path, monkeypatch) -> None:
        pytest.importorskip("tracr")
        monkeypatch.setenv("LAKATOS_CACHE", str(tmp_path))
        name = f"random{seed}"
        source = rasp_behaviour_source(name)
        assert source.startswith(str(tmp_path))
        found, program = bench(name), program_of(name)
        assert rasp_behaviour_source(name) == source
        names = placement_of(program).names
        lost = found.lost(*map(ablate, names), ablate(*found.truth.inert))
        for shares, computed in zip(lost, computed_by(compiled_program(program)), strict=False):
            expected = predict(program, computed, list(found.pairs), list(found.donors))
            foretold = (expected.clean - expected.ablated) / expected.gap
            sure = ~np.isnan(foretold)
            assert np.allclose(shares[sure], foretold[sure], atol=0.1)
        assert abs(lost[-1].mean()) < 0.02
