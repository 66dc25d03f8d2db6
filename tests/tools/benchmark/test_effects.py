"""Descriptions of effects, worked out by hand; false confirmations on effects whose mean is known."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from commands import lakatos_here
from models import TOY, TOY_TEXT, build_tiny, tiny

from lakatos.tools.benchmark import survey_document
from lakatos.tools.benchmark.effects import (
    ENOUGH,
    GROUPS,
    Measured,
    Row,
    add_counts,
    describe,
    e_at_looks,
    excess_kurtosis,
    false_positives,
    shuffled,
    skewness,
    summarise,
)
from lakatos.tools.benchmark.survey import choose_components, measure_effects
from lakatos.tools.errors import UserError
from lakatos.tools.exploration import Attribution
from lakatos.tools.intervention import Intervention, run_interventions
from lakatos.tools.statistics import e_value, scale


def measured(explored: object, confirmed: object, gap: float = 10.0) -> Measured:
    """Of components named c0, c1, ..; two templates in turns; the gap is the same on every prompt."""
    before, after = np.asarray(explored, float), np.asarray(confirmed, float)
    return Measured(
        behaviour="made",
        components=tuple(f"c{i}" for i in range(len(before))),
        groups=tuple(GROUPS[i % 3] for i in range(len(before))),
        explored=before,
        confirmed=after,
        clean=np.full(before.shape[1], gap),
        corrupted=np.zeros(before.shape[1]),
        templates_explored=tuple("ab"[i % 2] for i in range(before.shape[1])),
        templates_confirmed=tuple("ab"[i % 2] for i in range(after.shape[1])),
    )


def test_moments_by_hand_and_as_in_scipy() -> None:
    # mean 1; squares 1 1 1 9, cubes -1 -1 -1 27, fourth powers 1 1 1 81
    assert skewness([0, 0, 0, 4]) == pytest.approx(6 / 3**1.5)
    assert excess_kurtosis([0, 0, 0, 4]) == pytest.approx(21 / 9 - 3)
    x = np.random.default_rng(0).exponential(size=500) * 7 - 3
    assert skewness(x) == pytest.approx(scipy.stats.skew(x))
    assert excess_kurtosis(x) == pytest.approx(scipy.stats.kurtosis(x))
    assert math.isnan(skewness([2, 2]))
    assert math.isnan(excess_kurtosis([2, 2]))


def test_looks_are_after_whole_batches_and_at_the_end() -> None:
    x = np.random.default_rng(1).normal(0.4, 1, 40)
    expected = [e_value(np.clip(x[:n] / 3, -1, 1), 0.1 / 3) for n in (16, 32, 40)]
    assert e_at_looks(x, 3.0, 0.1) == pytest.approx(expected)
    assert len(e_at_looks(x[:32], 3.0, 0.1)) == 2
    assert len(e_at_looks(x[:5], 3.0, 0.1)) == 1


def test_a_row_by_hand() -> None:
    # as explored, 1 and 3 in turns: mean 2, sd sqrt(64/63), so that the range is 1.1 * 3
    row = describe(measured([[-1, -3] * 32], [[-2] * 14 + [-4, 4]]))[0]
    assert (row.component, row.group, row.direction) == ("c0", "strongest", "opposes")
    sd_explored = math.sqrt(64 / 63)
    sd = math.sqrt((14 * 0.25**2 + 2.25**2 + 5.75**2) / 15)
    assert (row.mean_explored, row.mean) == (2.0, 1.75)
    assert (row.sd_explored, row.sd) == (pytest.approx(sd_explored), pytest.approx(sd))
    assert row.largest == pytest.approx(4 / sd)
    assert row.clip_rate == 2 / 16
    assert row.below
    assert row.drift == pytest.approx(-0.25 / sd_explored)
    assert (row.d_explored, row.d) == (pytest.approx(1 / sd_explored), pytest.approx(0.75 / sd))  # delta 1
    assert row.icc_explored == pytest.approx(1.0)
    assert row.e == pytest.approx(e_value([2 / 3.3] * 14 + [1, -1], 1 / 3.3))
    assert (row.confirmed, row.confirmed_late) == (False, False)


def test_confirmed_is_at_any_look_and_late_needs_more() -> None:
    rows = describe(measured([[4, 6] * 32] * 2, [[5] * 16 + [-9] * 112, [5] * 128]))
    assert rows[0].e < 1
    assert [(row.confirmed, row.confirmed_late) for row in rows] == [(True, False), (True, True)]
    assert (rows[0].below, rows[1].below, rows[1].clip_rate) == (True, False, 0.0)
    assert math.isnan(rows[1].largest)


def test_the_summary_leaves_out_what_is_undefined() -> None:
    rows = describe(measured([[4, 6] * 32] * 4, [[5] * 128, [4, 6] * 64, [5] * 128, [-9] * 128]))
    found = summarise(rows)
    assert list(found) == ["all", *GROUPS]
    assert found["all"]["components"] == 4
    assert found["all"]["mean"] == pytest.approx([-6.9, 5, 5])
    assert found["all"]["confirmed"] == 0.75
    assert found["all"]["clipped_often"] == 0.25
    assert found["all"]["confirmed_with_icc_above_0.2"] == 1
    assert found["random"]["sd"] == pytest.approx([math.sqrt(128 / 127)] * 3)
    assert found["weakest"]["skewness"] is None


def nulls(n: int, seed: int = 0) -> Measured:
    """Effects of +1 on nine prompts of ten and of -9 on the tenth: the mean is zero, the tail is on one side."""
    rng = np.random.default_rng(seed)
    return measured(*(np.where(rng.random((n, k)) < 0.1, -9.0, 1.0) for k in (64, 128)))


def test_null_effects_are_rarely_confirmed_and_real_ones_mostly() -> None:
    n = 400
    allowed = n * (0.05 + 2 * math.sqrt(0.05 * 0.95 / n))
    found = false_positives(nulls(n))
    assert found["components"] == n
    assert max(found["supports"], found["opposes"]) <= allowed
    rng = np.random.default_rng(1)
    real = measured(rng.normal(0.6, 1, (n, 64)), rng.normal(0.6, 1, (n, 128)), gap=1.0)
    found = false_positives(real)
    assert found["supports"] > 0.9 * n
    assert found["opposes"] == 0
    assert found["beyond"] > 0.8 * n
    at_delta = false_positives(replace(real, clean=np.full(64, 6.0)))
    assert at_delta["beyond"] <= allowed


def test_a_range_from_the_confirmation_effects_themselves_is_caught() -> None:
    """The broken twin: a batch without the tail looks harmless, so its range is small and the bets are large."""
    confirmed = nulls(400).confirmed
    wrong = 0
    for x in confirmed:
        looks = range(16, 129, 16)
        s = [max(3 * x[:n].std(ddof=1), 1.1 * np.abs(x[:n]).max()) for n in looks]
        wrong += any(e_at_looks(x[:n], s_n, 0.0)[-1] >= ENOUGH for n, s_n in zip(looks, s, strict=True))
    assert wrong > 0.1 * len(confirmed)


def test_shuffled_labels_change_signs_by_pair_and_leave_no_effect() -> None:
    rng = np.random.default_rng(2)
    real = measured(rng.normal(1, 1, (60, 64)), rng.normal(1, 1, (60, 128)))
    found = shuffled(real, 3)
    for before, after in ((real.explored, found.explored), (real.confirmed, found.confirmed)):
        signs = after / before
        assert set(np.unique(signs)) == {-1.0, 1.0}
        assert (signs == signs[0]).all()
    assert (found.clean == real.clean * (found.explored / real.explored)[0]).all()
    assert found.gap == pytest.approx(found.clean.std(ddof=1))
    assert (shuffled(real, 3).explored == found.explored).all()
    assert (shuffled(real, 4).explored != found.explored).any()
    counts = add_counts(false_positives(shuffled(real, seed)) for seed in range(20))
    assert counts["components"] == 20 * 60
    assert counts["supports"] + counts["opposes"] + counts["beyond"] <= 3 * 0.05 * 20 * 60


def test_components_are_chosen_by_rank_by_chance_and_from_the_weak_end() -> None:
    names = ["m2@END", "a1.h1", "a2.h0@S2", "a0.h0@END", "a0.h1@END", "m1@S2", "a0.h2@END", "m0@END", "a0.h3@IO"]
    ranked = [Attribution(name, 9.0 - i, 0.0 if name.endswith("IO") else 1.0) for i, name in enumerate(names)]
    chosen = choose_components(ranked, 6, seed=0)
    assert [name for name, group in chosen.items() if group == "strongest"] == ["m2@END", "a2.h0@S2"]
    assert [name for name, group in chosen.items() if group == "weakest"] == ["a0.h2@END", "a0.h1@END"]
    assert {name for name, group in chosen.items() if group == "random"} <= {"a0.h0@END", "m1@S2", "m0@END"}
    assert choose_components(ranked, 6, seed=0) == chosen
    assert len(choose_components(ranked, 900, seed=0)) == 7


def test_measured_effects_are_those_of_denoising() -> None:
    model = tiny("llama")
    found = measure_effects(model, TOY, components=6, pairs=16, seed=4)
    assert (found.explored.shape, found.confirmed.shape) == ((6, 64), (6, 16))
    pairs = TOY.sample(16, 4, "confirmation")
    effects = run_interventions(model, pairs, [Intervention(found.components[3], "clean")], base="corrupted")
    assert found.confirmed[3] == pytest.approx(effects.values[0] - effects.corrupted, abs=1e-5)
    assert found.templates_confirmed == tuple(pair.template for pair in pairs)


def test_the_document_is_json_and_has_every_figure() -> None:
    model, null = tiny("llama"), build_tiny("llama", seed=8)
    said: list[str] = []
    options = {"components": 9, "pairs": 32, "shuffles": 2, "seed": 0}
    document = survey_document(model, null, [TOY], **options, say=said.append)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert said[0].startswith("toy: 9 components")
    entry = document["behaviours"][0]
    assert set(entry["components"]) == set(Row.__dataclass_fields__)
    assert {len(column) for column in entry["components"].values()} == {9}
    assert entry["components"]["group"] == [group for group in GROUPS for _ in range(3)]
    assert entry["false_positives"]["shuffled"]["components"] == 18
    assert document["false_positives"]["reinitialised"]["components"] == 9
    assert "reinitialised" not in survey_document(model, None, [TOY], **options)["false_positives"]
    with pytest.raises(UserError, match="plain text"):
        survey_document(model, None, [TOY_TEXT], **options)
    with pytest.raises(UserError, match="3 at least"):
        survey_document(model, None, [TOY], **options | {"components": 2})


@pytest.mark.parametrize("as_json", [True, False])
def test_the_command_prints_one_document_or_tables(toy, tmp_path, as_json) -> None:
    behaviour, model = toy
    out = tmp_path / "effects.json"
    options = ["--model", model, "--behaviours", behaviour, "--components", "6", "--pairs", "32", "--shuffles", "2"]
    options += ["--out", str(out), *(["--json"] if as_json else ["--no-null"])]
    status, printed, told = lakatos_here("bench", "effects", *options)
    assert status == 0, told
    assert "toy: 6 components" in told
    document = json.loads(out.read_text())
    if as_json:
        assert json.loads(printed) == document
        assert document["false_positives"]["reinitialised"]["components"] == 6
    else:
        assert "false confirmations" in printed
        assert "strongest" in printed
        assert "reinitialised" not in document["false_positives"]


def test_a_file_that_cannot_be_written_is_said(toy, tmp_path) -> None:
    from lakatos.agent.cli.bench import effects

    behaviour, model = toy
    with pytest.raises(UserError, match="Cannot write"):
        effects(behaviour, model, 3, 16, 1, False, "cpu", 0, False, tmp_path / "no" / "where.json")


def test_too_few_explored_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="64"):
        describe(measured([[1.0, 2.0]], [[1.0] * 16]))
    assert scale([1.0, 2.0] * 32) == pytest.approx(2.2)
