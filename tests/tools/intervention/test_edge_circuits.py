"""Circuits of edges: their ends are the clean and the corrupted run; one edge is a path patch, a node all its edges."""

from __future__ import annotations

import random

import numpy as np
import pytest
from models import TOY, TOY_TEXT, tiny

from lakatos.tools.behaviour import load_behaviour
from lakatos.tools.errors import UserError
from lakatos.tools.exploration import edge_attribution
from lakatos.tools.intervention import EdgeRuns, Intervention, run_interventions
from lakatos.tools.model import load_model

PAIRS = TOY.sample(4, seed=1)  # of two lengths
DRIVEN = ["gpt2", "llama", "gpt_neox", "qwen3"]  # learned positions; grouped; parallel; normalised queries


@pytest.fixture(scope="module", params=DRIVEN)
def edges(request) -> EdgeRuns:
    return EdgeRuns(tiny(request.param), PAIRS)


def test_the_graph_is_that_of_edge_attribution(edges) -> None:
    scored, graph = edge_attribution(edges.runs.model, PAIRS), edges.graph
    assert (graph.senders, graph.receivers) == (scored.senders, scored.receivers)
    assert (graph.downstream == scored.downstream).all()
    named = [name[1:].split(".")[0] for name in graph.receivers[:-1]]
    assert [*graph.layer_of] == [*map(int, named), graph.layers]


def test_the_ends_are_the_clean_and_the_corrupted_run(edges) -> None:
    whole = run_interventions(edges.runs.model, PAIRS, [], base="clean", metric=["logit_diff", "kl"])
    every, none = edges.graph.downstream, np.zeros_like(edges.graph.downstream)
    for metric in ("logit_diff", "kl"):
        assert edges.measure(every, metric) == pytest.approx(whole.of(metric).clean, abs=1e-4)
        assert edges.measure(none, metric) == pytest.approx(whole.of(metric).corrupted, abs=1e-4)


def test_cutting_one_edge_is_path_patching(edges) -> None:
    graph, drawn = edges.graph, random.Random(0)
    there = [(int(s), int(r)) for s, r in np.argwhere(graph.downstream)]
    chosen = [*drawn.sample(there, 24), *((s, r) for s, r in there if graph.senders[s] == "r0" and r % 5 == 0)]
    paths = [Intervention(graph.senders[s], "corrupted", to=graph.receivers[r]) for s, r in chosen]
    expected = run_interventions(edges.runs.model, PAIRS, paths, base="clean").values
    for (sender, receiver), values in zip(chosen, expected, strict=True):
        kept = graph.downstream.copy()
        kept[sender, receiver] = False
        assert edges.measure(kept) == pytest.approx(values, abs=1e-4), (
            graph.senders[sender],
            graph.receivers[receiver],
        )


def test_cutting_all_edges_out_of_nodes_is_replacing_them(edges) -> None:
    graph, drawn = edges.graph, random.Random(1)
    for _ in range(4):
        gone = drawn.sample(graph.senders[1:], 5)
        kept = graph.downstream.copy()
        kept[[graph.senders.index(name) for name in gone]] = False
        expected = run_interventions(edges.runs.model, PAIRS, [Intervention(gone, "corrupted")], base="clean").values[0]
        assert edges.measure(kept) == pytest.approx(expected, abs=1e-4)


def test_what_was_run_before_does_not_matter(edges) -> None:
    drawn = np.random.default_rng(2)
    circuits = [
        edges.graph.downstream & (drawn.random(edges.graph.downstream.shape) < share) for share in (0.9, 0.5, 0.8)
    ]
    found = [edges.measure(kept) for kept in circuits]
    for kept, values in zip(circuits, found, strict=True):
        assert EdgeRuns(edges.runs.model, PAIRS).measure(kept) == pytest.approx(values, abs=1e-5)
    assert not np.allclose(found[0], found[1])


def test_what_is_counted_is_less_where_later_edges_are_cut() -> None:
    runs = EdgeRuns(tiny("gpt2"), PAIRS)
    assert 2 <= runs.take_forwards() / len(PAIRS) <= 6  # both runs, and up to three parts of each block
    late = runs.graph.downstream.copy()
    late[0, -1] = False
    runs.measure(late)
    assert runs.take_forwards() == 0  # no block reads otherwise than before
    early = runs.graph.downstream.copy()
    early[0, 0] = False
    runs.measure(early)
    assert runs.take_forwards() > 0


def test_the_planted_path_is_the_one_that_counts() -> None:
    runs = EdgeRuns(load_model("planted:induction"), load_behaviour("planted_recall").sample(6))
    graph = runs.graph
    kept = np.zeros_like(graph.downstream)
    for sender, receiver in (
        ("r0", "a0.g0.v"), ("a0.h0", "a1.g0.k"), ("a1.h0", "logits"), ("r0", "m0"), ("m0", "a1.g0.v"), ("m0", "a1.h0.q")
    ):  # fmt: skip
        kept[graph.senders.index(sender), graph.receivers.index(receiver)] = True
    whole = runs.measure(graph.downstream)
    assert abs(runs.measure(kept) - whole).max() < 0.5
    kept[graph.senders.index("a0.h0"), graph.receivers.index("a1.g0.k")] = False
    assert runs.measure(kept).max() < -6


def test_refusals() -> None:
    with pytest.raises(UserError, match="plain text"):
        EdgeRuns(tiny("gpt2"), TOY_TEXT.sample(2))
    with pytest.raises(UserError, match="Cut nodes instead"):
        EdgeRuns(tiny("gemma2"), PAIRS)
    runs = EdgeRuns(tiny("gpt2"), PAIRS)
    with pytest.raises(UserError, match="downstream"):
        runs.measure(np.ones_like(runs.graph.downstream))


def test_a_run_that_breaks_down_names_the_prompt(monkeypatch) -> None:
    runs = EdgeRuns(tiny("gpt2"), PAIRS)
    monkeypatch.setattr(type(runs._batches[0]), "measure", lambda self, *_: np.full(len(self.runs), np.nan))
    with pytest.raises(FloatingPointError, match=r"then|when"):
        runs.measure(runs.graph.downstream)
