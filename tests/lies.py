"""Lies that somebody may tell about a finished log: what is changed, and nothing of what finds it.

Each is told to a copy of the log of `full_log.py` (or to any finished log with such rows) by SQL with the guards off.
Rows are chosen by what they are, never by number: `tell(db, *lie.told)` of `tampering.py` tells one.
"""

from __future__ import annotations

from typing import NamedTuple


class Lie(NamedTuple):
    """One lie."""

    name: str  # what is claimed that is not so, in a few words
    table: str  # the table that it is mainly told in
    told: tuple[str, ...]  # SQL, in order


_FAILED = (
    "(SELECT h.id FROM hypotheses h JOIN evidence e ON e.hypothesis_id = h.id "
    "WHERE e.stop IN ('futility', 'exhausted') ORDER BY h.id {order} LIMIT 1)"
)
FIRST_FAILED = _FAILED.format(order="ASC")
LAST_FAILED = _FAILED.format(order="DESC")
CONFIRMED = "(SELECT hypothesis_id FROM reviews WHERE decision = 'accept')"  # reviewers look at what is confirmed
CRASHED = "(SELECT hypothesis_id FROM evidence WHERE stop = 'crashed' ORDER BY id LIMIT 1)"
BATCH = f"(SELECT id FROM batches WHERE hypothesis_id = {FIRST_FAILED} ORDER BY id LIMIT 1)"
STREAM = "(SELECT MIN(id) FROM streams)"
DRAW = f"(SELECT MIN(id) FROM draws WHERE stream_id = {STREAM})"
PROMPT = f"(SELECT MIN(id) FROM prompts WHERE draw_id = {DRAW})"
_CLEAN = '"logit_diff.clean"'
LLM_RUN = "(SELECT id FROM runs WHERE proposer = 'llm' ORDER BY id LIMIT 1)"
FIRST_RUN = "(SELECT MIN(id) FROM runs)"
GIVEN_UP = "(SELECT MAX(id) FROM runs)"
FINISHED = f"(SELECT id FROM events WHERE kind = 'finished' AND run_id = {FIRST_RUN})"
_ASKING = "kind = 'asking' AND json_extract(payload, '$.purpose') = 'propose'"
HOUR = "strftime('%Y-%m-%dT%H:%M:%f', substr({0}, 1, 23), '{1}') || substr({0}, 24)"  # a time moved, as it is written


def _without(hypothesis: str) -> tuple[str, ...]:
    """A claim goes, with all that speaks of it: its test, its reviews, its proposal."""
    chosen = f"CREATE TEMP TABLE gone AS SELECT id, proposal_id FROM hypotheses WHERE id = {hypothesis}"
    alone = "SELECT id FROM draws WHERE id NOT IN (SELECT draw_id FROM batches)"
    return (
        chosen,
        "DELETE FROM reviews WHERE hypothesis_id IN (SELECT id FROM gone)",
        "DELETE FROM reruns WHERE hypothesis_id IN (SELECT id FROM gone)",
        "DELETE FROM evidence WHERE hypothesis_id IN (SELECT id FROM gone)",
        "DELETE FROM extensions WHERE hypothesis_id IN (SELECT id FROM gone)",
        "DELETE FROM batches WHERE hypothesis_id IN (SELECT id FROM gone)",
        f"DELETE FROM prompts WHERE draw_id IN ({alone})",
        f"DELETE FROM draws WHERE id IN ({alone})",
        "DELETE FROM streams WHERE id NOT IN (SELECT stream_id FROM draws)",
        "DELETE FROM hypotheses WHERE id IN (SELECT id FROM gone)",
    )


def _set(table: str, column: str, value: str, where: str) -> tuple[str, ...]:
    return (f"UPDATE {table} SET {column} = {value} WHERE {where}",)


def _json(table: str, column: str, path: str, value: str, where: str) -> tuple[str, ...]:
    return _set(table, column, f"json_set({column}, '$.{path}', {value})", where)


LIES: tuple[Lie, ...] = (
    # studies
    Lie("the study's error rate was stricter", "studies", _set("studies", "alpha", "0.01", "1")),
    Lie(
        "the study had another secret",
        "studies",
        _set("studies", "secret", "replace(secret, substr(secret, 1, 4), '0000')", "1"),
    ),
    Lie("the secret came from a seed", "studies", _set("studies", "secret_source", "'seed'", "1")),
    Lie("the study was planned", "studies", _set("studies", "planned", "24", "1")),
    Lie("the study had another name", "studies", _set("studies", "name", "'pilot'", "1")),
    # runs
    Lie(
        "a run that was given up never was",
        "runs",
        (f"DELETE FROM events WHERE run_id = {GIVEN_UP}", f"DELETE FROM runs WHERE id = {GIVEN_UP}"),
    ),
    Lie("the model had another name", "runs", _set("runs", "model", "'gpt2'", f"id = {FIRST_RUN}")),
    Lie(
        "the model had another name, in the claims and the configuration too",
        "runs",
        (
            *_set("runs", "model", "'gpt2'", f"id = {FIRST_RUN}"),
            *_json("runs", "config", "model", "'gpt2'", f"id = {FIRST_RUN}"),
            *_json("hypotheses", "record", "model", "'gpt2'", f"run_id = {FIRST_RUN}"),
        ),
    ),
    Lie("the model had other weights", "runs", _set("runs", "weights", f"'sha256:{'0' * 64}'", f"id = {FIRST_RUN}")),
    Lie("another proposer", "runs", _set("runs", "proposer", "'random'", f"id = {FIRST_RUN}")),
    Lie("another seed of a run", "runs", _set("runs", "seed", "'7'", f"id = {FIRST_RUN}")),
    Lie("another seed of a run, of the right form", "runs", _set("runs", "seed", f"'{'7' * 32}'", f"id = {FIRST_RUN}")),
    Lie("another configuration", "runs", _json("runs", "config", "threshold", "0.2", f"id = {FIRST_RUN}")),
    Lie("more prompts were allowed", "runs", _json("runs", "config", "max_pairs", "256", f"id = {FIRST_RUN}")),
    Lie(
        "another version of torch", "runs", _json("runs", "environment", "packages.torch", "'1.0'", f"id = {FIRST_RUN}")
    ),
    Lie("another device", "runs", _json("runs", "environment", "device", "'NVIDIA H100'", f"id = {FIRST_RUN}")),
    Lie(
        "another question", "runs", _json("runs", "behaviour_definition", "question", "'Another?'", f"id = {FIRST_RUN}")
    ),
    Lie(
        "another reason to ask it",
        "runs",
        _json("runs", "behaviour_definition", "selected_because", "'It was the first.'", f"id = {FIRST_RUN}"),
    ),
    Lie("another name of the behaviour", "runs", _set("runs", "behaviour", "'another'", f"id = {FIRST_RUN}")),
    Lie(
        "other control texts",
        "runs",
        _set(
            "runs",
            "controls",
            "replace(controls, 'Ann', 'Amy')",
            f"id = {FIRST_RUN}",
        ),
    ),
    Lie("a run began an hour earlier", "runs", _set("runs", "at", HOUR.format("at", "-1 hour"), f"id = {LLM_RUN}")),
    # events
    Lie(
        "the reason to give up was another",
        "events",
        _json("events", "payload", "reason", "'out of time'", "kind = 'failed'"),
    ),
    Lie("giving up never happened", "events", ("DELETE FROM events WHERE kind = 'failed'",)),
    Lie(
        "the model shows the behaviour better",
        "events",
        _json("events", "payload", "accuracy", "0.99", "kind = 'checked' AND json_extract(payload, '$.present')"),
    ),
    Lie(
        "the gap was larger",
        "events",
        _json("events", "payload", "gap", "99.0", f"kind = 'checked' AND run_id = {FIRST_RUN}"),
    ),
    Lie(
        "the behaviour was absent",
        "events",
        _json("events", "payload", "present", "json('false')", f"kind = 'checked' AND run_id = {FIRST_RUN}"),
    ),
    Lie(
        "exploration saw other scores",
        "events",
        _json("events", "payload", "attributions[0].score", "0.0", f"kind = 'explored' AND run_id = {FIRST_RUN}"),
    ),
    Lie(
        "exploration saw other pairs",
        "events",
        _json("events", "payload", "pairs", "999", f"kind = 'explored' AND run_id = {FIRST_RUN}"),
    ),
    Lie(
        "exploration cost nothing",
        "events",
        _set("events", "forwards", "0.0", f"kind = 'explored' AND run_id = {FIRST_RUN}"),
    ),
    Lie(
        "exploration cost less than nothing",
        "events",
        _set("events", "seconds", "-1.0", f"kind = 'explored' AND run_id = {FIRST_RUN}"),
    ),
    Lie(
        "the run reported another head",
        "events",
        _json("events", "payload", "ledger_head", f"'sha256:{'e' * 64}'", f"id = {FINISHED}"),
    ),
    Lie(
        "the run reported more confirmed claims",
        "events",
        (f"UPDATE events SET payload = json_insert(payload, '$.confirmed[#]', {FIRST_FAILED}) WHERE id = {FINISHED}",),
    ),
    Lie(
        "the run reported fewer confirmed claims",
        "events",
        _json("events", "payload", "confirmed", "json('[]')", f"id = {FINISHED}"),
    ),
    Lie(
        "a run finished before it ended",
        "events",
        _set("events", "at", HOUR.format("at", "-1 hour"), f"id = {FINISHED}"),
    ),
    Lie("a run never finished", "events", (f"DELETE FROM events WHERE id = {FINISHED}",)),
    Lie("a run never started", "events", (f"DELETE FROM events WHERE kind = 'started' AND run_id = {FIRST_RUN}",)),
    Lie(
        "the behaviour was never checked",
        "events",
        (f"DELETE FROM events WHERE kind = 'checked' AND run_id = {FIRST_RUN}",),
    ),
    # LLM calls
    Lie("a failed request to the LLM was never made", "llm_calls", ("DELETE FROM llm_calls WHERE response IS NULL",)),
    Lie(
        "a failed request to the LLM was never made, nor logged",
        "llm_calls",
        (
            "DELETE FROM llm_calls WHERE response IS NULL",
            f"DELETE FROM events WHERE {_ASKING} AND json_extract(payload, '$.attempt') = 1",
            f"UPDATE events SET payload = json_set(payload, '$.attempt', 1) WHERE {_ASKING}",
        ),
    ),
    Lie("the LLM was asked without a word before", "events", ("DELETE FROM events WHERE kind = 'asking'",)),
    Lie("the LLM's prose was never asked for", "llm_calls", ("DELETE FROM llm_calls WHERE purpose = 'interpret'",)),
    Lie(
        "the LLM's prose was another",
        "llm_calls",
        _set("llm_calls", "response", "'All of it is true.'", "purpose = 'interpret'"),
    ),
    Lie(
        "the LLM answered otherwise",
        "llm_calls",
        _set(
            "llm_calls",
            "response",
            "replace(response, 'because', 'therefore')",
            "purpose = 'propose' AND response IS NOT NULL",
        ),
    ),
    Lie(
        "the LLM was asked otherwise",
        "llm_calls",
        _json(
            "llm_calls", "request", "messages[0].content", "'Guess.'", "purpose = 'propose' AND response IS NOT NULL"
        ),
    ),
    Lie("another LLM was asked", "llm_calls", _set("llm_calls", "model", "'gpt-9'", "1")),
    Lie(
        "another LLM was asked, in what was logged before too",
        "llm_calls",
        (
            *_set("llm_calls", "model", "'gpt-9'", "1"),
            *_json("events", "payload", "model", "'gpt-9'", "kind = 'asking'"),
        ),
    ),
    Lie(
        "another prompt file",
        "llm_calls",
        _set("llm_calls", "prompt_hash", f"'sha256:{'0' * 64}'", "purpose = 'propose'"),
    ),
    Lie("the LLM cost nothing", "llm_calls", _set("llm_calls", "tokens_in", "0", "1")),
    Lie("the LLM failed otherwise", "llm_calls", _set("llm_calls", "error", "'no answer'", "error IS NOT NULL")),
    Lie(
        "the LLM's proposals come from its prose",
        "llm_calls",
        (
            "UPDATE proposals SET llm_call_id = (SELECT id FROM llm_calls WHERE purpose = 'interpret') "
            "WHERE llm_call_id IS NOT NULL",
        ),
    ),
    # proposals
    Lie(
        "a proposal said something else",
        "proposals",
        _json(
            "proposals",
            "proposal",
            "claim.threshold",
            "0.3",
            f"id = (SELECT proposal_id FROM hypotheses WHERE id = {FIRST_FAILED})",
        ),
    ),
    Lie(
        "a proposal gave another rationale",
        "proposals",
        _json(
            "proposals",
            "proposal",
            "rationale",
            "'as I foresaw'",
            f"id = (SELECT proposal_id FROM hypotheses WHERE id = {FIRST_FAILED})",
        ),
    ),
    Lie(
        "a refused proposal said something else",
        "proposals",
        _json(
            "proposals",
            "proposal",
            "rationale",
            "'another'",
            "id = (SELECT proposal_id FROM refusals WHERE kind = 'untestable')",
        ),
    ),
    Lie(
        "a proposal and its refusal never were",
        "proposals",
        (
            "CREATE TEMP TABLE gone AS SELECT proposal_id AS id FROM refusals WHERE kind = 'untestable'",
            "DELETE FROM refusals WHERE kind = 'untestable'",
            "DELETE FROM proposals WHERE id IN (SELECT id FROM gone)",
        ),
    ),
    Lie(
        "a proposal was of a later round",
        "proposals",
        _set("proposals", "round", "2", "id = (SELECT MAX(id) FROM proposals)"),
    ),
    # refusals
    Lie("a refusal never was", "refusals", ("DELETE FROM refusals WHERE kind = 'malformed'",)),
    Lie(
        "a duplicate was malformed",
        "refusals",
        _set("refusals", "kind", "'malformed', duplicate_of = NULL", "kind = 'duplicate'"),
    ),
    Lie(
        "a duplicate could not be tested",
        "refusals",
        _set("refusals", "kind", "'untestable', duplicate_of = NULL", "kind = 'duplicate'"),
    ),
    Lie(
        "a duplicate was of another claim",
        "refusals",
        _set("refusals", "duplicate_of", f"{FIRST_FAILED}", "kind = 'duplicate'"),
    ),
    Lie(
        "what could not be read could not be tested",
        "refusals",
        _set("refusals", "kind", "'untestable'", "kind = 'malformed'"),
    ),
    Lie(
        "what could not be tested could not be read",
        "refusals",
        _set("refusals", "kind", "'malformed'", "kind = 'untestable'"),
    ),
    Lie(
        "another reason why a claim could not be tested",
        "refusals",
        _set("refusals", "reason", "'out of memory'", "kind = 'untestable'"),
    ),
    Lie(
        "another reason why a claim was a duplicate",
        "refusals",
        _set("refusals", "reason", "'it is tedious'", "kind = 'duplicate'"),
    ),
    Lie(
        "a registered proposal was refused",
        "refusals",
        (
            f"UPDATE refusals SET proposal_id = (SELECT proposal_id FROM hypotheses "
            f"WHERE id = {FIRST_FAILED}) WHERE kind = 'malformed'",
        ),
    ),
    # hypotheses
    Lie(
        "a failed claim was never made",
        "hypotheses",
        (*_without(FIRST_FAILED), "DELETE FROM proposals WHERE id IN (SELECT proposal_id FROM gone)"),
    ),
    Lie(
        "the newest failed claim was never made",
        "hypotheses",
        (*_without(LAST_FAILED), "DELETE FROM proposals WHERE id IN (SELECT proposal_id FROM gone)"),
    ),
    Lie("a failed claim was proposed and not registered", "hypotheses", _without(FIRST_FAILED)),
    Lie(
        "a claim had another threshold",
        "hypotheses",
        _json("hypotheses", "record", "claim.threshold", "0.01", f"id = {FIRST_FAILED}"),
    ),
    Lie(
        "a claim had another rationale",
        "hypotheses",
        _set("hypotheses", "rationale", "'as I foresaw'", f"id = {FIRST_FAILED}"),
    ),
    Lie(
        "another rationale, in its proposal too",
        "hypotheses",
        (
            *_set("hypotheses", "rationale", "'as I foresaw'", f"id = {FIRST_FAILED}"),
            *_json(
                "proposals",
                "proposal",
                "rationale",
                "'as I foresaw'",
                f"id = (SELECT proposal_id FROM hypotheses WHERE id = {FIRST_FAILED})",
            ),
        ),
    ),
    Lie(
        "a claim was predicted",
        "hypotheses",
        _json("hypotheses", "record", "predicted", "0.36", f"id = {FIRST_FAILED}"),
    ),
    Lie(
        "a claim's bar was lower",
        "hypotheses",
        _json("hypotheses", "record", "threshold", "10.0", f"id = {FIRST_FAILED}"),
    ),
    Lie(
        "a claim's slot weighed more",
        "hypotheses",
        _json("hypotheses", "record", "weight", "0.5", f"id = {FIRST_FAILED}"),
    ),
    Lie(
        "a claim was compared with others",
        "hypotheses",
        _json("hypotheses", "record", "battery.matched.random[0]", "'m2'", f"id = {CONFIRMED} OR id = {FIRST_FAILED}"),
    ),
    Lie(
        "a claim's exploration showed more",
        "hypotheses",
        _json("hypotheses", "calibration", "values.clean[0]", "99.0", f"id = {FIRST_FAILED}"),
    ),
    Lie(
        "a claim is about another component",
        "hypotheses",
        _set("hypotheses", "subject", "'m9'", f"id = {FIRST_FAILED}"),
    ),
    Lie(
        "a claim was registered earlier",
        "hypotheses",
        _set("hypotheses", "registered_at", HOUR.format("registered_at", "-1 hour"), f"id = {FIRST_FAILED}"),
    ),
    Lie(
        "a claim was registered later",
        "hypotheses",
        _set("hypotheses", "registered_at", HOUR.format("registered_at", "+1 hour"), f"id = {FIRST_FAILED}"),
    ),
    Lie(
        "a claim's registration cost nothing",
        "hypotheses",
        _set("hypotheses", "forwards", "0.0", f"id = {FIRST_FAILED}"),
    ),
    Lie(
        "a rival was the main claim",
        "hypotheses",
        _json(
            "hypotheses",
            "record",
            "role",
            "CASE json_extract(record, '$.role') WHEN 'main' THEN 'rival' ELSE 'main' END",
            f"id = {FIRST_FAILED}",
        ),
    ),
    # streams
    Lie(
        "a claim left its stream",
        "streams",
        _set("streams", "members", "json_remove(members, '$[0]')", f"id = {STREAM}"),
    ),
    Lie(
        "a claim joined an opened stream",
        "streams",
        _set(
            "streams",
            "members",
            "json_insert(members, '$[#]', (SELECT claim_hash FROM hypotheses ORDER BY id DESC LIMIT 1))",
            f"id = {STREAM}",
        ),
    ),
    Lie(
        "the claims of a stream stood in another order",
        "streams",
        _set(
            "streams",
            "members",
            "json_set(members, '$[0]', json_extract(members, '$[1]'), '$[1]', json_extract(members, '$[0]'))",
            f"id = {STREAM}",
        ),
    ),
    Lie("a stream had another nonce", "streams", _set("streams", "nonce", f"'{'a' * 32}'", f"id = {STREAM}")),
    Lie("a nonce was chosen", "streams", _set("streams", "nonce", "'lucky'", f"id = {STREAM}")),
    Lie("a stream had another seed", "streams", _set("streams", "seed", "'1'", f"id = {STREAM}")),
    Lie(
        "a stream was opened earlier",
        "streams",
        _set("streams", "at", HOUR.format("at", "-1 hour"), "id = (SELECT MAX(id) FROM streams)"),
    ),
    # draws
    Lie(
        "the newest draw never was",
        "draws",
        (
            "CREATE TEMP TABLE gone AS SELECT MAX(id) AS id FROM draws",
            "DELETE FROM batches WHERE draw_id IN (SELECT id FROM gone)",
            "DELETE FROM prompts WHERE draw_id IN (SELECT id FROM gone)",
            "DELETE FROM draws WHERE id IN (SELECT id FROM gone)",
        ),
    ),
    Lie(
        "a draw came before its stream was opened",
        "draws",
        _set("draws", "drawn_at", HOUR.format("drawn_at", "-1 hour"), f"id = {DRAW}"),
    ),
    Lie(
        "the clean run of all claims was better",
        "draws",
        _json("draws", "common", f"{_CLEAN}[3]", "99.0", f"id = {DRAW}"),
    ),
    Lie(
        "claims have a number less in common",
        "draws",
        _set("draws", "common", f"json_remove(common, '$.{_CLEAN}')", f"id = {DRAW}"),
    ),
    Lie(
        "claims have a prompt less in common",
        "draws",
        _set("draws", "common", f"json_remove(common, '$.{_CLEAN}[15]')", f"id = {DRAW}"),
    ),
    # prompts
    Lie("another prompt was measured", "prompts", _json("prompts", "prompt", "clean", "'another'", f"id = {PROMPT}")),
    Lie("another template", "prompts", _set("prompts", "template", "'another'", f"id = {PROMPT}")),
    Lie("a chosen prompt", "prompts", _set("prompts", "uid", "'chosen'", f"id = {PROMPT}")),
    Lie("a prompt was never measured", "prompts", (f"DELETE FROM prompts WHERE id = {PROMPT}",)),
    # batches
    Lie(
        "a batch never was",
        "batches",
        (f"DELETE FROM batches WHERE id = (SELECT MAX(id) FROM batches WHERE hypothesis_id = {FIRST_FAILED})",),
    ),
    Lie("a claim took another draw", "batches", _set("batches", "draw_id", f"1 + {DRAW}", f"id = {BATCH}")),
    Lie(
        "a claim had a prompt of its own",
        "batches",
        _set("batches", "draw_id", "NULL", f"id = {BATCH}"),
    ),
    Lie(
        "a prompt showed a larger effect",
        "batches",
        _json("batches", "own", "intervened[3]", "json_extract(own, '$.intervened[3]') + 0.5", f"id = {BATCH}"),
    ),
    Lie(
        "a prompt lacks a number",
        "batches",
        _set("batches", "own", "json_remove(own, '$.intervened')", f"id = {BATCH}"),
    ),
    Lie("a batch had another seed", "batches", _set("batches", "seed", "'1'", f"id = {BATCH}")),
    Lie(
        "a batch was drawn before its claim was registered",
        "batches",
        _set("batches", "drawn_at", HOUR.format("drawn_at", "-1 hour"), f"id = {BATCH}"),
    ),
    Lie(
        "a batch was drawn after it was stored",
        "batches",
        _set("batches", "drawn_at", HOUR.format("drawn_at", "+1 hour"), f"id = {BATCH}"),
    ),
    Lie("an e-value was higher", "batches", _set("batches", "e_after", "1e6", f"id = {BATCH}")),
    Lie("a batch was measured by another engine", "batches", _set("batches", "engine", "'gpu'", f"id = {BATCH}")),
    Lie("a batch cost less than nothing", "batches", _set("batches", "forwards", "-5.0", f"id = {BATCH}")),
    # evidence
    Lie("a failed test has no evidence", "evidence", (f"DELETE FROM evidence WHERE hypothesis_id = {FIRST_FAILED}",)),
    Lie("a crash never was", "evidence", (f"DELETE FROM evidence WHERE hypothesis_id = {CRASHED}",)),
    Lie(
        "a crashed claim was never made",
        "evidence",
        (
            *_without(CRASHED),
            "DELETE FROM refusals WHERE duplicate_of IN (SELECT id FROM gone)",
            "DELETE FROM proposals WHERE id IN (SELECT proposal_id FROM gone)",
        ),
    ),
    Lie(
        "a test crashed of something else",
        "evidence",
        _json("evidence", "record", "error", "'a power cut'", "stop = 'crashed'"),
    ),
    Lie(
        "a failed test had crashed",
        "evidence",
        (
            "UPDATE evidence SET stop = 'crashed', e = 0.0, "
            "record = json_set(record, '$.stop', 'crashed', '$.e', 0.0, '$.error', 'x') "
            f"WHERE hypothesis_id = {FIRST_FAILED}",
        ),
    ),
    Lie(
        "the evidence was stronger",
        "evidence",
        (f"UPDATE evidence SET e = 1e6, record = json_set(record, '$.e', 1e6) WHERE hypothesis_id = {FIRST_FAILED}",),
    ),
    Lie("the p-value was smaller", "evidence", _set("evidence", "p", "0.0", f"hypothesis_id = {FIRST_FAILED}")),
    Lie(
        "the mean effect was larger",
        "evidence",
        _json("evidence", "record", "lines[0].mean", "9.0", f"hypothesis_id = {FIRST_FAILED}"),
    ),
    # extensions
    Lie("a test was never extended", "extensions", ("DELETE FROM extensions",)),
    Lie("a test was extended by more", "extensions", _set("extensions", "pairs", "64", "1")),
    Lie("a test was extended earlier", "extensions", _set("extensions", "begun", "48", "1")),
    Lie(
        "a crash was extended",
        "extensions",
        (f"UPDATE extensions SET hypothesis_id = {CRASHED}",),
    ),
    # reviews
    Lie("a retraction never was", "reviews", ("DELETE FROM reviews WHERE decision = 'retract'",)),
    Lie("another reviewer", "reviews", _set("reviews", "author", "'Marie'", "decision = 'dispute'")),
    Lie("another decision", "reviews", _set("reviews", "decision", "'accept'", "decision = 'dispute'")),
    Lie("another reason of a reviewer", "reviews", _set("reviews", "reason", "'beautiful'", "decision = 'dispute'")),
    Lie("another score", "reviews", _set("reviews", "score", "5", "decision = 'score'")),
    Lie("a score beyond the scale", "reviews", _set("reviews", "score", "9", "decision = 'score'")),
    Lie("a decision that there is not", "reviews", _set("reviews", "decision", "'applaud'", "decision = 'dispute'")),
    Lie("a review without an author", "reviews", _set("reviews", "author", "''", "decision = 'dispute'")),
    Lie("a second review was blind", "reviews", _set("reviews", "blind", "1", "decision = 'accept'")),
    Lie(
        "a review was made earlier",
        "reviews",
        _set("reviews", "at", HOUR.format("at", "-1 hour"), "decision = 'retract'"),
    ),
    # re-runs
    Lie("a re-run never was", "reruns", ("DELETE FROM reruns WHERE id = (SELECT MIN(id) FROM reruns)",)),
    Lie("the newest re-run never was", "reruns", ("DELETE FROM reruns WHERE id = (SELECT MAX(id) FROM reruns)",)),
    Lie(
        "a re-run came out otherwise",
        "reruns",
        _set(
            "reruns",
            "outcome",
            "CASE outcome WHEN 'held' THEN 'failed' ELSE 'held' END",
            "id = (SELECT MAX(id) FROM reruns)",
        ),
    ),
    Lie(
        "a re-run showed other numbers",
        "reruns",
        ("UPDATE reruns SET prompts = json_set(prompts, '$[0].measured.intervened', 99.0)",),
    ),
    Lie(
        "a re-run was of another model",
        "reruns",
        _set("reruns", "model", "'gpt2'", "id = (SELECT MAX(id) FROM reruns)"),
    ),
    Lie("a re-run had another seed", "reruns", _set("reruns", "seed", "'99'", "id = (SELECT MAX(id) FROM reruns)")),
    # the ledger
    Lie(
        "an entry names another digest",
        "ledger",
        ("UPDATE ledger SET rows = replace(rows, 'sha256:', 'sha256:0') WHERE id = 3",),
    ),
    Lie("the log begins later", "ledger", (f"UPDATE ledger SET previous = 'sha256:{'1' * 64}' WHERE id = 1",)),
)
