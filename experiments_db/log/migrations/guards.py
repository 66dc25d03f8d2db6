"""Triggers: what the protocol demands of rows is refused by the database itself, for SQLite and PostgreSQL.

Tables are append-only. A slot is the study's next. A stream serves claims that were registered before it was opened, a
claim has one stream and another for each extension, and nobody joins. Draws, prompts and batches follow one another; a
batch is of a stream that its claim belongs to, carries the whole battery, and bets on no prompt a second time. A test
goes on as long as the registered rule has not stopped it; then its evidence is frozen, at the e-value after the last
prompt, until an extension lets it go on. Reviews have an author and a reason; one that calls itself blind is its
author's first of that hypothesis.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lakatos.experiments_db.log.migrations.guarding import Rule, made, names

# The protocol's numbers as revision 0004 writes them into databases. All of this text is frozen: another number, or
# another rule, is a new revision that drops the old triggers and makes new ones.
BATCH, FUTILE_BELOW, MIN_FOR_FUTILITY = 16, 0.2, 64

APPEND_ONLY = (
    "studies",
    "runs",
    "events",
    "llm_calls",
    "proposals",
    "refusals",
    "hypotheses",
    "streams",
    "draws",
    "prompts",
    "batches",
    "effects",
    "evidence",
    "extensions",
    "ledger",
    "reviews",
    "reruns",
)

_NUMBER = {  # a number of a claim's record
    "sqlite": "json_extract(h.record, '$.{}')",
    "postgresql": "(h.record::jsonb #>> '{{{}}}')::float",
}
_MEMBERS = {  # the claims that a stream names
    "sqlite": "json_each({}.members) AS member",
    "postgresql": "jsonb_array_elements_text({}.members::jsonb) AS member(value)",
}
_METRIC = {  # of a claim; a record leaves out what is the default
    "sqlite": "COALESCE(json_extract(h.record, '$.claim.metric'), 'logit_diff')",
    "postgresql": "COALESCE(h.record::jsonb #>> '{claim,metric}', 'logit_diff')",
}
_WANTED = {  # the names of a claim's measured numbers
    "sqlite": "json_each(h.record, '$.measures') AS wanted",
    "postgresql": "jsonb_array_elements_text(h.record::jsonb -> 'measures') AS wanted(value)",
}
_HAS = {  # whether a document has a name
    "sqlite": "json_type({0}, '$.\"' || {1} || '\"') IS NOT NULL",
    "postgresql": "jsonb_exists({0}::jsonb, {1})",
}


def rules(dialect: str) -> tuple[Rule, ...]:
    """What is asked of new rows. Raises ValueError for a dialect that has no triggers of ours."""
    if dialect not in _NUMBER:
        raise ValueError(f"lakatos keeps its log in SQLite or PostgreSQL, not in {dialect}")
    return (*_of_streams(dialect), *_of_tests(dialect), *_OF_PEOPLE)


def _of_streams(dialect: str) -> tuple[Rule, ...]:
    member = _MEMBERS[dialect]
    own = f"SELECT 1 FROM {member.format('NEW')} JOIN hypotheses h ON h.study_id = NEW.study_id "
    own += "AND h.claim_hash = member.value WHERE"
    extensions = "(SELECT COUNT(*) FROM extensions WHERE hypothesis_id = h.id)"
    return (
        Rule(
            "streams_of_registered_claims",
            "streams",
            f"NOT EXISTS (SELECT 1 FROM {member.format('NEW')}) OR EXISTS (SELECT 1 FROM {member.format('NEW')} "
            "WHERE NOT EXISTS (SELECT 1 FROM hypotheses WHERE study_id = NEW.study_id AND claim_hash = member.value))",
            "a stream serves claims that are registered in its study",
        ),
        Rule(
            "streams_once_for_a_claim",
            "streams",
            f"EXISTS ({own} (SELECT COUNT(*) FROM streams s WHERE s.study_id = NEW.study_id AND EXISTS "
            f"(SELECT 1 FROM {member.format('s')} WHERE member.value = h.claim_hash)) > {extensions})",
            "a claim has one stream of prompts, and another for each extension",
        ),
        Rule(
            "streams_before_evidence",
            "streams",
            f"EXISTS ({own} (SELECT COUNT(*) FROM evidence WHERE hypothesis_id = h.id) > {extensions})",
            "the evidence of this test is frozen",
        ),
        Rule(
            "draws_in_order",
            "draws",
            "NEW.number <> (SELECT COUNT(*) FROM draws WHERE stream_id = NEW.stream_id) "
            "OR NOT EXISTS (SELECT 1 FROM streams WHERE id = NEW.stream_id AND NEW.drawn_at > at)",
            "draws of a stream follow its opening and one another",
        ),
        Rule(
            "prompts_in_order",
            "prompts",
            f"NEW.place <> (SELECT COUNT(*) FROM prompts WHERE draw_id = NEW.draw_id) OR NEW.place >= {BATCH} "
            "OR NEW.stream_id <> (SELECT stream_id FROM draws WHERE id = NEW.draw_id) "
            "OR EXISTS (SELECT 1 FROM batches WHERE draw_id = NEW.draw_id)",
            "prompts of a draw follow one another, before anything is said of them",
        ),
        Rule(
            "batches_of_their_streams",
            "batches",
            "NOT EXISTS (SELECT 1 FROM draws d JOIN streams s ON s.id = d.stream_id JOIN hypotheses h "
            "ON h.id = NEW.hypothesis_id WHERE d.id = NEW.draw_id AND d.drawn_at = NEW.drawn_at "
            f"AND s.study_id = h.study_id AND EXISTS (SELECT 1 FROM {member.format('s')} "
            "WHERE member.value = h.claim_hash))",
            "a batch is of a stream that its claim belongs to: nobody joins an opened one",
        ),
        Rule(
            "batches_take_every_draw",
            "batches",
            "(SELECT number FROM draws WHERE id = NEW.draw_id) <> (SELECT COUNT(*) FROM batches b JOIN draws d "
            "ON d.id = b.draw_id WHERE b.hypothesis_id = NEW.hypothesis_id "
            "AND d.stream_id = (SELECT stream_id FROM draws WHERE id = NEW.draw_id))",
            "a test takes every draw of its stream, in order",
        ),
        Rule(
            "batches_bet_once",
            "batches",
            "EXISTS (SELECT 1 FROM prompts p JOIN prompts q ON q.uid = p.uid JOIN batches b ON b.draw_id = q.draw_id "
            "WHERE p.draw_id = NEW.draw_id AND b.hypothesis_id = NEW.hypothesis_id) "
            "OR EXISTS (SELECT 1 FROM prompts p JOIN hypotheses h ON h.id = NEW.hypothesis_id JOIN effects e "
            "ON e.claim_hash = h.claim_hash AND e.uid = p.uid WHERE p.draw_id = NEW.draw_id)",
            "a test bets once on a prompt",
        ),
        Rule("batches_whole_battery", "batches", f"EXISTS ({_lacks(dialect)})", "a prompt carries the whole battery"),
        Rule("effects_of_older_logs", "effects", "NEW.id = NEW.id", "prompts belong to draws of a stream"),
    )


def _lacks(dialect: str) -> str:
    """A name in record["measures"] that neither a new batch nor its draw has numbers for."""
    has, name = _HAS[dialect], "wanted.value"
    common = f"{_METRIC[dialect]} || '.' || {name}"
    return (
        f"SELECT 1 FROM hypotheses h, draws d, {_WANTED[dialect]} WHERE h.id = NEW.hypothesis_id "
        f"AND d.id = NEW.draw_id AND NOT ({has.format('NEW.own', name)}) "
        f"AND NOT ({has.format('d.common', name)}) AND NOT ({has.format('d.common', common)})"
    )


def _of_tests(dialect: str) -> tuple[Rule, ...]:
    n_max = _NUMBER[dialect].format("battery.n_max" if dialect == "sqlite" else "battery,n_max")
    threshold = _NUMBER[dialect].format("threshold")
    drawn = f"(b.number + 1) * {BATCH}"
    fired = (
        "SELECT 1 FROM batches b JOIN hypotheses h ON h.id = b.hypothesis_id LEFT JOIN extensions x "
        "ON x.id = (SELECT MAX(id) FROM extensions WHERE hypothesis_id = h.id) WHERE h.id = NEW.hypothesis_id "
        "AND b.number = (SELECT MAX(number) FROM batches WHERE hypothesis_id = NEW.hypothesis_id) "
        f"AND (b.e_after >= {threshold} OR {drawn} >= COALESCE(x.begun + x.pairs, {n_max}) "
        f"OR (b.e_after < {FUTILE_BELOW} AND {drawn} - COALESCE(x.begun, 0) >= {MIN_FOR_FUTILITY}))"
    )
    frozen = (
        "(SELECT COUNT(*) FROM evidence WHERE hypothesis_id = NEW.hypothesis_id) "
        "> (SELECT COUNT(*) FROM extensions WHERE hypothesis_id = NEW.hypothesis_id)"
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
        Rule("batches_before_evidence", "batches", frozen, "the evidence of this test is frozen"),
        Rule(
            "batches_until_the_rule_fires",
            "batches",
            f"EXISTS ({fired})",
            "the registered rule has stopped this test",
        ),
        Rule("evidence_frozen_once", "evidence", frozen, "the evidence of this test is frozen"),
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
            "extensions_of_ended_tests",
            "extensions",
            f"NOT {frozen} OR NOT EXISTS (SELECT 1 FROM evidence v WHERE v.stop IN ('exhausted', 'futility') AND "
            "v.id = (SELECT MAX(id) FROM evidence WHERE hypothesis_id = NEW.hypothesis_id)) "
            f"OR NEW.pairs < {BATCH} OR NEW.pairs % {BATCH} <> 0 OR NEW.begun <> {BATCH} * "
            "(SELECT COUNT(*) FROM batches WHERE hypothesis_id = NEW.hypothesis_id)",
            "what is extended is a test that ended for want of pairs or for futility",
        ),
    )


_OF_PEOPLE = (
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
        "NEW.blind AND EXISTS (SELECT 1 FROM reviews WHERE hypothesis_id = NEW.hypothesis_id AND author = NEW.author)",
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


def triggers(dialect: str) -> set[str]:
    """The names of all triggers that a database of this dialect must have."""
    return set(names(dialect, APPEND_ONLY, rules(dialect)))


def statements(dialect: str, tables: Iterable[str]) -> Iterator[str]:
    """The DDL that guards these tables in a dialect. Raises ValueError for one that has none."""
    guarded = tuple(tables)
    yield from made(dialect, guarded, [rule for rule in rules(dialect) if rule.table in guarded])
