"""What rows come to, worked out by hand; and rows in files that a kill cuts off."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakatos.agent.groundtruth.correlations import correlated
from lakatos.agent.groundtruth.measures import auroc, broken, stability, summary
from lakatos.agent.groundtruth.page import markdown
from lakatos.agent.groundtruth.picture import figure
from lakatos.agent.groundtruth.rows import Row, append, read
from lakatos.tools.errors import UserError


def row(arm="drill", model="planted:backup#1", seed=1, **fields):
    given = {"settings": "s", "ended": "finished", "ours": arm in ("drill", "random")}
    return Row(model=model, arm=arm, seed=seed, **(given | fields))


def arm_of(document, name):
    return next(arm for arm in document["arms"] if arm["arm"] == name)


class TestMeasures:
    def test_false_discoveries_and_power_by_hand(self):
        """backup: used are a0.h0, a1.h0, a2.h0 and, by everything, m0; edges to find are two."""
        edges = (("a0.h0", "a1.g0.k"), ("a0.h0", "a2.g0.k"), ("a0.h0", "a1.g1.k"))
        rows = [
            row(confirmed=4, false=1, groups=2, false_groups=1, components=("a0.h0", "m0", "a1.h1"), edges=edges),
            row(seed=2, confirmed=0),
        ]
        found = arm_of(summary(rows, "drill"), "drill")
        assert found["fdr"]["mean"] == pytest.approx(0.125)
        assert found["group_fdr"]["mean"] == pytest.approx(0.25)
        assert found["component_fdr"]["mean"] == pytest.approx((1 / 3) / 2)
        assert found["recall"]["mean"] == pytest.approx((1 / 3) / 2), "m0 is true, and not sought"
        assert found["edge_recall"]["mean"] == pytest.approx(0.25), "one of two, and none"
        assert found["edge_fdr"]["mean"] == pytest.approx(1 / 3), "a0.h0 -> a2.g0.k is there, and silent"
        assert found["true_findings"] == 2
        assert found["stability"]["mean"] == 0.0

    def test_a_baseline_is_compared_at_the_same_number_of_discoveries(self):
        rows = [
            row(components=("a0.h0", "a1.h0")),
            row("eap", components=("a0.h0",), ranking=("a0.h0", "m2", "a1.h0", "a2.h0")),
        ]
        found = arm_of(summary(rows, "drill"), "eap")
        assert found["recall"]["mean"] == pytest.approx(1 / 3)
        assert found["recall_at_same"]["mean"] == pytest.approx(1 / 3)
        assert found["component_fdr_at_same"]["mean"] == pytest.approx(1 / 2)
        assert found["recall_beside"]["mean"] == pytest.approx(-1 / 3)
        assert found["fdr"] is None, "it makes no claims"
        assert found["edge_recall"] is found["edge_fdr"] is None, "it names no edges"

    def test_edges_of_the_embedding_are_not_judged(self):
        edges = (("r0", "m2"), ("a0.h0", "a1.g0.k"), ("a0.h0", "a1.g1.k"))
        found = arm_of(summary([row("acdc", edges=edges)], "drill"), "acdc")
        assert found["edge_fdr"]["mean"] == pytest.approx(0.5)

    def test_null_twins_are_counted_by_investigation(self):
        twin = "planted:backup~permuted#1"
        rows = [row(model=twin, effects=1, confirmed=1, false=1), row(model=twin, seed=2, confirmed=3)]
        rows.append(row("p-none", model=twin, components=("m2",)))
        document = summary(rows, "drill")
        assert {own["arm"]: own["any"]["mean"] for own in document["null"]} == {"drill": 0.5, "p-none": 1.0}
        assert document["arms"] == []

    def test_readings_are_right_undecided_or_wrong(self):
        readings = (("a0.h0", "specific", "specific"), ("a1.h0", "none", "backed up"), ("m1", "specific", "inert"))
        (own,) = summary([row("exhaustive", ours=True, readings=readings)], "drill")["readings"]
        assert (own["right"], own["undecided"], own["wrong"]) == (1, 1, 1)
        assert [other["component"] for other in own["others"]] == ["a1.h0", "m1"]

    def test_what_could_not_be_run_counts_nowhere(self):
        document = summary([row(), row("acdc", ended="refused: too many edges")], "drill")
        assert [arm["arm"] for arm in document["arms"]] == ["drill"]
        assert [own["arm"] for own in document["refused"]] == ["acdc"]

    def test_stability_is_of_pairs_of_seeds_on_one_model(self):
        rows = [
            row(components=("a", "b")),
            row(seed=2, components=("b",)),
            row(model="planted:none#1", components=("c",)),
        ]
        assert stability(rows)["mean"] == pytest.approx(0.5)
        assert stability([row(), row(seed=2)]) is None, "nothing was found"

    @given(st.permutations(range(8)), st.sets(st.integers(0, 7)))
    def test_auroc_is_the_share_of_pairs_in_order(self, order, used):
        names = [str(k) for k in order]
        used = frozenset(map(str, used))
        pairs = [(one, other) for one in names if one in used for other in names if other not in used]
        right = sum(names.index(one) < names.index(other) for one, other in pairs)
        assert auroc(names, used) == pytest.approx(right / len(pairs) if pairs else 1.0)


class TestPromises:
    def test_they_hold_where_nothing_is_false(self):
        assert broken(summary([row(confirmed=3, groups=2), row(seed=2, confirmed=3, groups=1)], "drill")) == []

    def test_an_arm_that_confirms_what_is_false_is_named(self):
        """The broken twin: two of three claims are false in every run."""
        rows = [row("random", seed=k, confirmed=3, false=2, groups=1) for k in range(6)]
        assert broken(summary(rows, "random")) == ["random: the false discovery rate is 0.667, above 0.05."]

    def test_effects_in_null_twins_are_named(self):
        rows = [row(model="planted:none#1", seed=k, effects=int(k < 5), confirmed=1) for k in range(10)]
        assert "50.0% of investigations of null twins" in broken(summary(rows, "drill"))[0]


class TestFiles:
    def test_a_row_comes_back(self, tmp_path):
        path = tmp_path / "rows" / "x.jsonl"
        rows = [row(components=("a0.h0",), roles=(1, 2)), row("eap", edges=(("a0.h0", "logits"),), ranking=("a0.h0",))]
        for own in rows:
            append(path, own)
        assert read([path], Row) == rows

    @given(st.integers(0, 400))
    def test_a_line_that_a_kill_cut_off_is_written_over(self, tmp_path_factory, cut):
        path = tmp_path_factory.mktemp("rows") / "x.jsonl"
        append(path, row(seed=1))
        whole = path.read_bytes()
        path.write_bytes(whole + whole[: min(cut, len(whole) - 1)])
        assert read([path], Row) == [row(seed=1)]
        append(path, row(seed=2))
        assert read([path], Row) == [row(seed=1), row(seed=2)]

    def test_something_else_is_named(self, tmp_path):
        path = tmp_path / "x.jsonl"
        path.write_text('{"model": 1}\n')
        with pytest.raises(UserError, match=r"x\.jsonl, line 1, is no row .* another --out"):
            read([path], Row)


def test_the_page_and_the_figure_say_what_the_numbers_say():
    rows = [
        row(confirmed=2, groups=1, components=("a0.h0", "a1.h0"), wrong=("<b>a | claim</b> backs up",)),
        row("eap", components=("m2",), ranking=("m2", "a0.h0")),
        row(model="planted:none#1"),
    ]
    rows = [own.model_copy(update={"wrong": ()}) for own in rows]
    document = summary(rows, "drill")
    design = {"models": ["backup"], "twins": ["none"], "quick": True, "given": {"seeds": "1"}}
    document |= {"design": design, "versions": {}, "origins": {"backup": "set by hand"}, "techniques": correlated([])}
    page = markdown(document)
    assert "    lakatos bench groundtruth --quick --seeds 1" in page
    assert "| `drill` | 1 | 2.0 | 0.00 [0.00, 0.00]" in page
    assert "At the same number of discoveries no baseline finds more components." in page
    picture = figure(document)
    assert picture.count("<circle") == 4
    assert ">eap</text>" in picture
    json.dumps(document, allow_nan=False)


def test_a_page_of_null_twins_alone_says_what_there_is():
    document = summary([row(model="planted:none#1"), row("eap", model="planted:none#1", components=("m2",))], "drill")
    design = {"models": [], "twins": ["none"], "quick": False, "given": {}}
    document |= {"design": design, "versions": {}, "origins": {}, "techniques": correlated([])}
    page = markdown(document)
    assert "Of 1 investigations of null twins by `drill` 0.0 % confirm an effect." in page
    assert "realised false discovery rate" not in page
