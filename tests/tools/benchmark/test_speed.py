"""The benchmark of sweeps: operations counted by hand, both sides' cells equal, intervals and the command."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import lakatos_here
from models import TOY, TOY_TEXT, build_tokenizer, tiny

from lakatos.tools.behaviour import PromptPair, PromptPairs
from lakatos.tools.benchmark import PAIRS, sweep_document
from lakatos.tools.benchmark.operations import attribution_pass, forward_pass, needed, product_rate, profile
from lakatos.tools.benchmark.speed import Row, measure, ratio_interval
from lakatos.tools.benchmark.tasks import build_task
from lakatos.tools.errors import UserError
from lakatos.tools.intervention import Intervention, Runs, run_interventions
from lakatos.tools.model import random_weights as shapes

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).parents[3]
PAIR = PromptPair("0" * 16, "t", "A X", "B X", " gave", " to", {}, {})  # two tokens, the first differs
TWO_TOKENS = PromptPairs((PAIR,), "hand", "sha256:", None, "pairs", "exploration", 0)


class TestOperationsByHand:
    """The tiny llama: three blocks, d_model 32, four heads of 8 in two groups, an MLP of three 32 x 48; 50 tokens."""

    PROJECTIONS = 2 * (32 * 32 + 2 * 16 * 32 + 32 * 32 + 3 * 32 * 48)  # queries, keys and values, output, MLP
    AFTER = 2 * (32 * 32 + 3 * 32 * 48)  # output and MLP
    KEYS, QUERY = 2 * 2 * 16 * 32, 2 * 32 * 32
    SCORE = 2 * 2 * 4 * 8  # a query with a key, and a weight with a value, of four heads
    BLOCK = 2 * PROJECTIONS + 3 * SCORE  # two positions, the second with two keys
    LAST = 2 * KEYS + QUERY + 2 * SCORE + AFTER  # the second position's output alone
    ANSWERS = 2 * 2 * 32
    RUNS = 2 * (2 * BLOCK + LAST + ANSWERS)  # base and source

    @pytest.mark.parametrize(
        ("intervention", "expected"),
        [
            (Intervention("a2.h0@END"), AFTER + ANSWERS),
            (Intervention("a2.h0"), AFTER + ANSWERS),
            (Intervention("a2.h0@0"), 0),  # nothing reads it
            (Intervention("a0.h1"), 2 * AFTER + BLOCK + LAST + ANSWERS),
            (Intervention("a0.h1@0"), AFTER + (BLOCK - KEYS - QUERY) + LAST + ANSWERS),
            (Intervention("m1@END"), (KEYS + QUERY + 2 * SCORE + AFTER) + ANSWERS),
            (Intervention("m2@END"), ANSWERS),
            (Intervention("r1@0"), (BLOCK - KEYS - QUERY) + LAST + ANSWERS),
            (Intervention("r3@END"), ANSWERS),
            (Intervention("a0.h1", to="a1.h2.q"), 2 * 2 * (2 * 8 * 32) + 3 * SCORE + 2 * AFTER + LAST + ANSWERS),
        ],
        ids=str,
    )
    def test_one_cell(self, intervention, expected) -> None:
        bridge = tiny("llama").bridge
        assert needed(bridge, Runs(bridge, TWO_TOKENS), [intervention], "corrupted") == self.RUNS + expected

    def test_passes(self) -> None:
        bridge = tiny("llama").bridge
        vocabulary = 2 * 32 * bridge.cfg.d_vocab
        assert forward_pass(bridge, np.array([2])) == 3 * self.BLOCK + 2 * vocabulary
        back_and_forth = 3 * (2 * self.BLOCK + self.LAST + self.ANSWERS) + (2 * 3 + 2) * self.SCORE
        two, one = np.array([2]), np.array([1])
        assert attribution_pass(bridge, two, two, answer_only=True) == back_and_forth
        late = 2 * (self.PROJECTIONS + 2 * self.SCORE) + self.LAST - self.KEYS + self.ANSWERS
        forward = 2 * self.BLOCK + self.LAST + self.ANSWERS
        assert attribution_pass(bridge, two, one, answer_only=True) == forward + 2 * late + 3 * 2 * self.SCORE

    def test_plain_text_is_unembedded_in_full_up_to_the_token_before_the_last(self) -> None:
        bridge = tiny("llama").bridge
        text = replace(TWO_TOKENS, kind="text", pairs=(PromptPair("0" * 16, "t", "A X", "", "", "", {}, {}),))
        vocabulary = 2 * 32 * bridge.cfg.d_vocab
        found = needed(bridge, Runs(bridge, text), [Intervention("m2", "zero")], "clean")
        assert found == (3 * self.BLOCK + vocabulary) + vocabulary

    def test_what_is_not_counted_is_refused(self) -> None:
        bridge = tiny("llama").bridge
        with pytest.raises(ValueError, match="not counted"):
            needed(bridge, Runs(bridge, TWO_TOKENS), [Intervention(["a0.h1", "m1"])], "corrupted")
        with pytest.raises(UserError, match="experts"):
            forward_pass(tiny("mixtral").bridge, np.array([2]))

    def test_rate_and_profile_are_of_this_machine(self) -> None:
        bridge = tiny("llama").bridge
        assert product_rate(bridge, rows=64) > 1e6
        shares = profile(lambda: torch.randn(400, 400) @ torch.randn(400, 400), "cpu")
        assert shares["products"] > 0
        assert sum(shares.values()) == pytest.approx(1, abs=0.2)


class TestTasks:
    @pytest.mark.parametrize("name", PAIRS)
    @pytest.mark.parametrize("architecture", ["llama", "gpt2"])
    def test_both_sides_measure_the_same(self, architecture, name) -> None:
        bridge = tiny(architecture).bridge
        task = build_task(name, bridge, TOY, TOY_TEXT, pairs=4)
        drawn = np.random.default_rng(0).permutation(task.cells)[:8].tolist()
        ours = task.ours(range(task.cells))
        with task.around():
            peer = {cell: task.peer(cell) for cell in drawn}
        assert task.difference(ours, peer) < 1e-4
        spread = np.ptp(list(peer.values()), axis=0)
        assert (spread > 0).all()  # cells differ, so equality says something
        assert task.cells * task.peer_needs > task.needed
        assert not bridge.cfg.use_split_qkv_input

    def test_a_wrong_cell_is_seen(self) -> None:
        task = build_task("a", tiny("llama").bridge, TOY, TOY_TEXT, pairs=4)
        ours = task.ours(range(task.cells))
        assert task.difference(ours, {3: ours[3]}) == 0
        wrong = ours[3] + 0.5 * np.asarray(task.scale)
        assert task.difference(ours, {3: wrong}) == pytest.approx(0.5)

    def test_sizes(self) -> None:
        bridge = tiny("llama").bridge
        sizes = {name: build_task(name, bridge, TOY, TOY_TEXT, pairs=3).cells for name in PAIRS}
        length = sizes["b"] // 12
        assert sizes == {"a": 12, "b": 12 * length, "c": 6 * length, "d": 15, "e": 8, "f": 3}
        with pytest.raises(UserError, match="no task 'g'"):
            build_task("g", bridge, TOY, TOY_TEXT)


class TestMeasuring:
    def test_interval_contains_the_point_and_is_seeded(self) -> None:
        peer, ours = np.random.default_rng(1).gamma(20, 0.01, 40).tolist(), [1.0, 1.1, 1.05]
        low, high = ratio_interval(peer, ours, cells=100)
        assert low < 100 * np.mean(peer) / np.mean(ours) < high
        assert (low, high) == ratio_interval(peer, ours, cells=100)
        assert ratio_interval([0.2] * 5, [2.0], cells=50) == pytest.approx((5, 5))

    def test_a_row_is_consistent(self) -> None:
        bridge = tiny("llama").bridge
        said: list[str] = []
        task = build_task("a", bridge, TOY, TOY_TEXT, pairs=3)
        row = measure(bridge, task, samples=5, rounds=2, profiled=True, say=said.append)
        assert isinstance(row, Row)
        assert row.low <= row.ratio <= row.high
        assert row.ratio == pytest.approx(row.ours / row.peer)
        assert len(row.peer_seconds) == 5
        assert len(row.ours_seconds) == 2
        assert row.achieved == pytest.approx(row.needed / np.mean(row.ours_seconds))
        assert any("TransformerLens 3 cells" in line for line in said)

    def test_without_patience_ours_runs_once(self) -> None:
        bridge = tiny("llama").bridge
        document = sweep_document(
            bridge, "a", behaviour=TOY, control=TOY_TEXT, pairs=2, samples=2, rounds=3, patience=0.0
        )
        assert [len(row["ours_seconds"]) for row in document["rows"]] == [1]
        assert json.loads(json.dumps(document, allow_nan=False)) == json.loads(json.dumps(document))


class TestShapes:
    def test_random_weights_of_a_shape_are_run(self, monkeypatch, tmp_path) -> None:
        build_tokenizer().save_pretrained(tmp_path)
        monkeypatch.setitem(shapes.SHAPES, "gpt2-tiny", (2, 2, 16))
        for dtype in shapes.DTYPES:
            bridge = shapes.shaped_model("gpt2-tiny", dtype=dtype, tokenizer=str(tmp_path))
            assert (bridge.cfg.n_layers, bridge.cfg.n_heads, bridge.cfg.d_model) == (2, 2, 16)
            assert bridge.cfg.dtype == next(bridge.parameters()).dtype == getattr(torch, dtype)
            found = run_interventions(bridge, TOY.sample(3), [Intervention("a0.h1")])
            assert found.engine == "suffix"
            assert (found.clean != found.corrupted).all()
        with pytest.raises(UserError, match="--dtype"):
            shapes.shaped_model("gpt2-tiny", dtype="int8")


@pytest.mark.parametrize("as_json", [True, False])
def test_the_command_prints_one_document_or_tables(toy, as_json) -> None:
    behaviour, model = toy
    options = ["--model", model, "--behaviour", behaviour, "--tasks", "a,d", "--pairs", "2", "--samples", "2"]
    options += ["--rounds", "1", "--json" if as_json else "--profile"]
    status, printed, told = lakatos_here("bench", "sweep", *options)
    assert status == 0, told
    assert "a: ours 12 cells" in told
    if as_json:
        document = json.loads(printed)
        assert [row["task"] for row in document["rows"]] == ["a", "d"]
        assert all(row["difference"] < 1e-3 for row in document["rows"])
    else:
        assert "every head, all positions, 2 pairs" in printed
        assert "of attainable" in printed
        assert "products" in printed


def test_an_unknown_task_is_refused_with_the_ones_there_are() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "sweep.py"), "--tasks", "a,x"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "a, b, c, d, e, f" in done.stderr
