"""The guards of revisions 0002 and 0003, as databases have them that were not upgraded yet.

Tables are append-only. A slot is the study's next. A batch is drawn after its claim was registered, in order, and as
long as the registered rule has not stopped the test; each of its prompts carries the whole battery. Evidence is frozen
when the rule stops the test, and its e-value is the one after the last prompt. Reviews have an author and a reason; one
that calls itself blind is its author's first of that hypothesis.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lakatos.experiments_db.log.migrations.guarding import Rule, made

# The protocol's numbers as the revisions 0002 and 0003 wrote them into databases. All of this text is frozen: another
# number, or another rule, is a new revision that drops the old triggers and makes new ones.
BATCH, FUTILE_BELOW, MIN_FOR_FUTILITY = 16, 0.2, 64

APPEND_ONLY = (
    "studies",
    "runs",
    "events",
    "llm_calls",
    "proposals",
    "refusals",
    "hypotheses",
    "batches",
    "effects",
    "evidence",
    "ledger",
    "reviews",
    "reruns",
)


_CLAIM = "FROM batches b JOIN hypotheses h ON h.id = b.hypothesis_id WHERE b.id = NEW.batch_id"
_FIELD = {  # a number of the claim's record
    "sqlite": "json_extract(h.record, '$.{path}')",
    "postgresql": "(h.record::jsonb #>> '{{{path}}}')::float",
}
_LACKS = {  # a name in record["measures"] that the prompt has no number for
    "sqlite": f"SELECT 1 FROM json_each((SELECT h.record {_CLAIM}), '$.measures') AS wanted "
    "WHERE json_type(NEW.measured, '$.\"' || wanted.value || '\"') IS NULL",
    "postgresql": "SELECT 1 FROM jsonb_array_elements_text("
    f"(SELECT (h.record::jsonb) -> 'measures' {_CLAIM})) AS wanted WHERE NOT jsonb_exists(NEW.measured::jsonb, wanted)",
}


def rules(dialect: str) -> tuple[Rule, ...]:
    """What is asked of new rows. Raises ValueError for a dialect that has no triggers of ours."""
    if dialect not in _LACKS:
        raise ValueError(f"lakatos keeps its log in SQLite or PostgreSQL, not in {dialect}")
    n_max = _FIELD[dialect].format(path="battery.n_max" if dialect == "sqlite" else "battery,n_max")
    threshold = _FIELD[dialect].format(path="threshold")
    drawn = f"(b.number + 1) * {BATCH}"
    fired = (
        "SELECT 1 FROM batches b JOIN hypotheses h ON h.id = b.hypothesis_id WHERE h.id = NEW.hypothesis_id "
        "AND b.number = (SELECT MAX(number) FROM batches WHERE hypothesis_id = NEW.hypothesis_id) "
        f"AND (b.e_after >= {threshold} OR {drawn} >= {n_max} "
        f"OR (b.e_after < {FUTILE_BELOW} AND {drawn} >= {MIN_FOR_FUTILITY}))"
    )
    return (
        Rule(
            "hypotheses_next_slot",
            "hypotheses",
            "NEW.slot <> 1 + COALESCE((SELECT MAX(slot) FROM hypotheses WHERE study_id = NEW.study_id), 0)",
            "a claim takes the next slot of its study",
        ),
        Rule(
            "batches_after_registration",
            "batches",
            "NOT EXISTS (SELECT 1 FROM hypotheses WHERE id = NEW.hypothesis_id AND NEW.drawn_at > registered_at)",
            "a batch must be drawn after its hypothesis was registered",
        ),
        Rule(
            "batches_in_order",
            "batches",
            "NEW.number <> (SELECT COUNT(*) FROM batches WHERE hypothesis_id = NEW.hypothesis_id)",
            "batches of a test follow one another",
        ),
        Rule(
            "batches_before_evidence",
            "batches",
            "EXISTS (SELECT 1 FROM evidence WHERE hypothesis_id = NEW.hypothesis_id)",
            "the evidence of this test is frozen",
        ),
        Rule(
            "batches_until_the_rule_fires",
            "batches",
            f"EXISTS ({fired})",
            "the registered rule has stopped this test",
        ),
        Rule(
            "effects_of_their_claim",
            "effects",
            f"NEW.claim_hash <> (SELECT h.claim_hash {_CLAIM})",
            "an effect belongs to the claim of its batch",
        ),
        Rule(
            "effects_in_order",
            "effects",
            f"NEW.place <> (SELECT COUNT(*) FROM effects WHERE batch_id = NEW.batch_id) OR NEW.place >= {BATCH}",
            "prompts of a batch follow one another",
        ),
        Rule(
            "effects_before_evidence",
            "effects",
            "EXISTS (SELECT 1 FROM evidence e JOIN batches b ON b.hypothesis_id = e.hypothesis_id "
            "WHERE b.id = NEW.batch_id)",
            "the evidence of this test is frozen",
        ),
        Rule("effects_whole_battery", "effects", f"EXISTS ({_LACKS[dialect]})", "a prompt carries the whole battery"),
        Rule(
            "evidence_of_its_prompts",
            "evidence",
            "CASE WHEN NEW.stop = 'crashed' THEN NEW.e <> 0 ELSE NOT EXISTS (SELECT 1 FROM batches b "
            "WHERE b.hypothesis_id = NEW.hypothesis_id AND ABS(b.e_after - NEW.e) <= 1e-9 * ABS(NEW.e) "
            "AND b.number = (SELECT MAX(number) FROM batches WHERE hypothesis_id = NEW.hypothesis_id)) END",
            "evidence is the e-value after the last prompt of its test",
        ),
        Rule(
            "evidence_when_the_rule_fires",
            "evidence",
            f"NEW.stop <> 'crashed' AND NOT EXISTS ({fired})",
            "the registered rule has not stopped this test",
        ),
        Rule(
            "reviews_signed",
            "reviews",
            "TRIM(NEW.author) = '' OR CASE NEW.decision WHEN 'score' THEN NEW.score IS NULL OR NEW.score NOT BETWEEN 1 "
            "AND 5 ELSE NEW.decision NOT IN ('accept', 'dispute', 'replicate', 'retract') OR NEW.score IS NOT NULL "
            "OR TRIM(NEW.reason) = '' END",
            "a review has an author, a known decision, and a score or a reason",
        ),
        Rule(
            "reviews_blind_first",
            "reviews",
            "NEW.blind AND EXISTS (SELECT 1 FROM reviews "
            "WHERE hypothesis_id = NEW.hypothesis_id AND author = NEW.author)",
            "only the first review that an author makes of a hypothesis can be blind",
        ),
        Rule(
            "reruns_of_tests",
            "reruns",
            "NEW.outcome NOT IN ('held', 'failed', 'undecided') OR NOT EXISTS (SELECT 1 FROM evidence "
            "WHERE hypothesis_id = NEW.hypothesis_id AND stop <> 'crashed')",
            "what is run again has been tested, and holds, fails or is undecided",
        ),
    )


def statements(dialect: str, tables: Iterable[str]) -> Iterator[str]:
    """The DDL that guards these tables in a dialect. Raises ValueError for one that has none."""
    guarded = tuple(tables)
    yield from made(dialect, guarded, [rule for rule in rules(dialect) if rule.table in guarded])
