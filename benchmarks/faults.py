"""Small faults, each with the tests that must catch it: the table of `mutations.py`."""

from __future__ import annotations

from typing import NamedTuple

STATISTICS = ("tests/tools/test_statistics.py",)
MULTIPLICITY = ("tests/tools/test_multiplicity.py",)
STORE = "tests/experiments_db/test_store.py::"
VERIFY = "tests/experiments_db/test_verify.py::"
_EVERY_KIND = "tests/tools/intervention/test_intervention.py::TestEqualsTheReference::test_every_kind_at_every_position"
ENGINE = tuple(f"{_EVERY_KIND}[llama-{source}-clean]" for source in ("corrupted", "resample"))
_VALUES = "tests/tools/intervention/test_engine_limits.py::TestValues::"
ELSEWHERE = (_VALUES + "test_what_a_donor_shares_is_put_back_after_something_upstream",)
_LIE = "test_each_lie_is_found_as_told_and_after_everything_was_computed_anew_and_by_a_seal"
LIE = f"tests/experiments_db/test_lies.py::{_LIE}[{{}}]"
CLAIMS = ("tests/tools/claim/test_hypothesis.py",)


class Mutation(NamedTuple):
    """One fault."""

    name: str
    old: str  # occurs once in the packages
    new: str
    tests: tuple[str, ...]  # arguments of pytest


MUTATIONS = (
    Mutation(
        "statistics: stakes are not divided by 1 + d",
        "/ (1 + threshold)\n    capital",
        "/ 1.0\n    capital",
        STATISTICS,
    ),
    Mutation(
        "statistics: the best stake in hindsight",
        "path: Floats = best + np.log(np.exp(capital - best[..., None, :]).mean(axis=-2))",
        "path: Floats = best",
        STATISTICS,
    ),
    Mutation("statistics: one line of a claim is enough", "values.min(axis=0)", "values.max(axis=0)", STATISTICS),
    Mutation("statistics: a narrower clip range", "s = max(3 * float(values", "s = max(2 * float(values", STATISTICS),
    Mutation("statistics: a one-sided interval", "math.log(2 / (1 - level))", "math.log(1 / (1 - level))", STATISTICS),
    Mutation("statistics: a p-value of zero", "return (1 + hits) / (1 + flips)", "return hits / flips", STATISTICS),
    Mutation(
        "stopping rule: futility at once",
        "e < FUTILE_BELOW and n - since >= MIN_FOR_FUTILITY",
        "e < FUTILE_BELOW or n - since >= MIN_FOR_FUTILITY",
        STATISTICS,
    ),
    Mutation("stopping rule: a batch too many", '"exhausted" if n >= n_max', '"exhausted" if n > n_max', STATISTICS),
    Mutation("multiplicity: later slots cost nothing", "1 - 2 * block", "1 - block", MULTIPLICITY),
    Mutation(
        "multiplicity: a plan gets more of alpha",
        "PLANNED_SHARE: Final = 0.8",
        "PLANNED_SHARE: Final = 0.9",
        MULTIPLICITY,
    ),
    Mutation("multiplicity: the bar falls with the weight", "1 / (alpha * weight)\n", "weight / alpha\n", MULTIPLICITY),
    Mutation("multiplicity: e-BH forgets m", "* descending >= m / alpha", "* descending >= 1 / alpha", MULTIPLICITY),
    Mutation(
        "multiplicity: Holm upside down", "np.arange(values.size, 0, -1)", "np.arange(1, values.size + 1)", MULTIPLICITY
    ),
    Mutation(
        "multiplicity: wordings of one truth count apart",
        "_, member = np.unique(labels, return_inverse=True)\n    counted",
        "member = np.arange(labels.size)\n    counted",
        MULTIPLICITY,
    ),
    Mutation(
        "guards: a slot can be left out",
        '"NEW.slot <> 1 + COALESCE',
        '"NEW.slot < 1 + COALESCE',
        (STORE + "test_a_slot_cannot_be_left_out_or_taken_twice",),
    ),
    Mutation(
        "guards: drawn before its stream was opened",
        "NEW.drawn_at > at)",
        "NEW.drawn_at > '')",
        (STORE + "test_a_draw_cannot_come_before_its_stream_or_the_registration",),
    ),
    Mutation(
        "guards: any e-value is evidence",
        "<= 1e-9 * ABS(NEW.e)",
        "<= 1e9 * ABS(NEW.e)",
        (STORE + "test_evidence_is_what_its_last_batch_says",),
    ),
    Mutation(
        "guards: a part of the battery is enough",
        'f"EXISTS ({_lacks(dialect)})"',
        '"1 = 0"',
        (STORE + "test_a_prompt_without_its_whole_battery_is_refused",),
    ),
    Mutation(
        "guards: anybody joins an opened stream",
        '"WHERE member.value = h.claim_hash))"',
        "\"WHERE member.value <> ''))\"",
        (STORE + "test_nobody_joins_an_opened_stream",),
    ),
    Mutation(
        "engine: a block too many is read at the answer's position only",
        "component.layer == self.n_layers - (not component.known.read_later)",
        "component.layer >= self.n_layers - 1 - (not component.known.read_later)",
        ENGINE,
    ),
    Mutation(
        "engine: what differs begins a position later",
        "np.where(other.any(1), other.argmax(1), self.length)",
        "np.where(other.any(1), other.argmax(1) + 1, self.length)",
        ENGINE,
    ),
    Mutation(
        "engine: a thousandth too much is written",
        "= tensor(values, view.device).to(view.dtype)",
        "= tensor(values, view.device).to(view.dtype) * 1.001",
        ENGINE,
    ),
    Mutation(
        "engine: what a donor has at another place is taken for the prompt's own",
        "(at < differ) & (at == there)",
        "at < differ",
        ELSEWHERE,
    ),
    Mutation(
        "engine: a donor's token at the prompt's own place",
        'component.position is not None and source == "resample":',
        'component.position is not None and source == "clean":',
        ELSEWHERE,
    ),
    Mutation(
        "engine: keys and values of the base run stay",
        "found[cell, :, self.window.positions] = part.transpose(1, 2)",
        "found[cell, :, self.window.positions] += 0 * part.transpose(1, 2)",
        # numbers stay right: the trials of a model notice, and prompts run again as a whole
        (_VALUES + "test_keys_of_a_window_take_the_place_of_the_base_runs",),
    ),
    Mutation(
        "engine: nothing is amiss in an audit",
        "np.allclose(found, expected, rtol=0.0, atol=allowed",
        "np.allclose(found, expected, rtol=0.0, atol=1e9",
        ("tests/tools/intervention/test_audit.py",),
    ),
    Mutation(
        "metric: the wrong answer minus the right one",
        "values[rows, answer] - values[rows, wrong]",
        "values[rows, wrong] - values[rows, answer]",
        ("tests/tools/test_metric.py",),
    ),
    Mutation(
        "verify: e-values are believed",
        "if not same(e, batch.e_after):",
        "if not same(e, e):",
        (LIE.format("an-e-value-was-higher"),),
    ),
    Mutation(
        "verify: stopped early is evidence",
        'again.stop == "interrupted"',
        'again.stop == "never"',
        (VERIFY + "test_evidence_of_a_test_that_was_stopped_early_is_named",),
    ),
    Mutation(
        "verify: entries of the ledger may have any hash",
        "entry.previous != previous or entry.compute_hash() != entry.entry_hash",
        "entry.previous != previous",
        (VERIFY + "test_a_lie_that_the_digests_follow_is_told_by_the_hash_of_its_entry",),
    ),
    Mutation(
        "verify: a draw may lack what its claims have in common",
        "if set(draw.common) != wanted:",
        "if set(draw.common) > wanted:",
        (LIE.format("claims-have-a-number-less-in-common"),),
    ),
    Mutation(
        "streams: a test that goes on meets prompts that it has bet on",
        "members, run.store.passed_over(stream)",
        "members, frozenset[str]()",
        ("tests/experiments_db/test_lies.py::test_the_honest_log_has_every_kind_of_row_and_verifies",),
    ),
    Mutation("claim hash: of any weights", 'facts = {"weights": weights,', 'facts = {"weights": "",', CLAIMS),
    Mutation(
        "claim hash: controls do not count", '"controls": dict(controls), "claim"', '"controls": {}, "claim"', CLAIMS
    ),
    Mutation(
        "seeds: one for every purpose",
        'f"{key}|{purpose}".encode()',
        "key.encode()",
        (STORE + "test_seeds_depend_on_secret_claim_and_purpose",),
    ),
    Mutation(
        "seeds: one for every claim",
        'f"{key}|{purpose}".encode()',
        "purpose.encode()",
        (STORE + "test_seeds_depend_on_secret_claim_and_purpose",),
    ),
)
