"""The log as plain documents: what tables, --json, reports and exports all show, so that they show the same numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lakatos.experiments_db.documents.against import against
from lakatos.experiments_db.documents.line import entry_line, few_templates
from lakatos.experiments_db.documents.study import study_document
from lakatos.experiments_db.log import Entry, LLMCall, Review, RunRecord, agreement, reading, to_data
from lakatos.experiments_db.store import Store
from lakatos.experiments_db.verdict import STATES, Judgement, correct, family_of
from lakatos.tools.component import Component
from lakatos.tools.errors import UserError
from lakatos.tools.evidence import e_process, parts_of


def runs_document(store: Store) -> list[dict[str, Any]]:
    """Every investigation, with spend and denominators."""
    judged = store.judgements()
    return [_run_line(store, run, judged) for run in store.runs()]


def log_document(store: Store, run_id: int | None = None, state: str | None = None) -> dict[str, Any]:
    """Denominators, hypotheses and refusals of a run, or of everything.

    Raises:
        UserError: no such state.
    """
    if state is not None and state not in STATES:
        raise UserError(f"There is no state {state!r}; there are {', '.join(STATES)}.")
    entries = [e for e in store.hypotheses(run_id) if state in (None, e.state)]
    return {
        "study": study_document(store),
        "run": run_id,
        "counts": asdict(store.counts(run_id)),
        "hypotheses": [entry_line(e) for e in entries],
        "refused": [asdict(r) for r in store.refused(run_id)],
    }


def run_document(store: Store, run_id: int) -> dict[str, Any]:
    """One investigation whole: selection statement, presence, exploration, hypotheses, refusals, prose, spend.

    Raises:
        UserError: there is no such run in this study.
    """
    facts = run_facts(store, run_id)
    return {
        **_run_line(store, store.run(run_id), store.judgements()),
        **facts,
        "looked_at_before": _looked_at_before(store, run_id),
        "unlisted_before": 0,
        "hypotheses": [hypothesis_document(store, e) for e in store.hypotheses(run_id)],
        "refused": [asdict(r) for r in store.refused(run_id)],
    }


def run_facts(store: Store, run_id: int) -> dict[str, Any]:
    """What a run was about, what happened in it, what exploration found, what a language model said.

    Raises:
        UserError: there is no such run in this study.
    """
    row, events, calls = store.own_run(run_id), store.events(run_id), store.calls(run_id)
    payloads = {event.kind: event.payload for event in events}
    definition = row.behaviour_definition
    return {
        "study": study_document(store),
        "behaviour_version": definition["version"],
        "behaviour_hash": row.behaviour_hash,
        **{name: definition[name] for name in ("question", "selected_because", "considered")},
        "weights": row.weights,
        "config": row.config,
        "environment": row.environment,
        "presence": payloads.get("checked"),
        "explored": payloads.get("explored"),
        "phases": [{"phase": p, "seconds": s, "forwards": f} for p, s, f in store.phases(run_id)],
        "timeline": [
            {"at": e.at, "kind": e.kind, "reason": e.payload.get("reason") or e.payload.get("author")} for e in events
        ],
        "prose": [c.response for c in calls if c.purpose == "interpret" and c.response],
        "llm": [call_line(c) for c in calls],
    }


def hypothesis_document(store: Store, entry: Entry) -> dict[str, Any]:
    """One hypothesis whole: the frozen record, every line of its battery, every prompt with its numbers."""
    with reading(f"hypotheses row {entry.id}, or what belongs to it,"):
        return _whole(store, entry)


def _whole(store: Store, entry: Entry) -> dict[str, Any]:
    prompts = store.prompts(entry.id)
    data = to_data(prompts)
    parts = parts_of(entry.claim, entry.battery, data.values) if prompts else []
    return {
        **entry_line(entry),
        "scope": scope(entry),
        "rationale": entry.rationale,
        "record": entry.prediction.record(),
        "reviews": [review_line(r) for r in store.reviews([entry.id])],
        "evidence": entry.evidence.model_dump(mode="json") if entry.evidence else None,
        "batches": [
            {
                "number": b.number,
                "drawn_at": b.drawn_at,
                "e_after": b.e_after,
                "engine": b.engine,
                "forwards": b.forwards,
            }
            for b in store.batches(entry.id)
        ],
        "streams": _streams(store, entry),
        "extensions": [{"begun": begun, "pairs": pairs} for begun, pairs in entry.extensions],
        "against": against(store, entry),
        "e_path": e_process(entry.claim, entry.battery, data).tolist() if prompts else [],
        "explored": _explored(store, entry),
        "runs": entry.claim.tested.shown(entry.battery.matched) if prompts else [],
        "prompts": [
            {
                "uid": prompt.uid,
                "template": prompt.template,
                **prompt.prompt,
                "measured": prompt.measured,
                "effects": {part.name: float(part.effect[place]) for part in parts},
            }
            for place, prompt in enumerate(prompts)
        ],
    }


def _streams(store: Store, entry: Entry) -> list[dict[str, Any]]:
    """The streams of prompts that a claim was tested on, and how many claims shared each."""
    own = [stream for stream in store.streams() if entry.claim_hash in stream.members]
    return [{"id": s.id, "opened_at": s.at, "nonce": s.nonce, "claims": len(s.members)} for s in own]


def review_line(review: Review) -> dict[str, Any]:
    """One review as a flat row."""
    names = ("id", "hypothesis_id", "at", "author", "decision", "score", "reason", "blind")
    return {name: getattr(review, name) for name in names}


def call_line(call: LLMCall) -> dict[str, Any]:
    """One request to a language model as a flat row."""
    return {
        "purpose": call.purpose,
        "model": call.model,
        "prompt": call.prompt,
        "tokens": call.tokens_in + call.tokens_out,
        "error": call.error,
    }


def reviews_document(store: Store) -> dict[str, Any]:
    """Every review of the study, oldest first, and how far reviewers agree."""
    rows = store.reviews()
    return {"reviews": [review_line(r) for r in rows], "agreement": [asdict(a) for a in agreement(rows)]}


def correction_document(store: Store, method: str, alpha: float | None, family: str) -> dict[str, Any]:
    """A correction over the same rows: per hypothesis, what it says, beside the official verdict.

    Raises:
        UserError: no such method or family, or alpha is none.
    """
    slots = store.slots()
    found = correct(slots, store.study.alpha, method, alpha, family)
    judged = store.judgements(slots)
    return {
        "method": method,
        "works_on": found.works_on,
        "corrected": found.number_is,
        "alpha": found.alpha,
        "family": family,
        "families": found.families,
        "official": found.official,
        "confirmed": found.total,
        "officially_confirmed": sum(j.state == "confirmed" for j in judged.values()),
        "hypotheses": [
            {
                "id": slot.id,
                "slot": slot.slot,
                "run": slot.run_id,
                "kind": slot.kind,
                "behaviour": slot.behaviour,
                "group": judged[slot.id].group,
                "components": slot.subject.split("+"),
                "e": slot.frozen_e,
                "p": slot.frozen_p,
                "state": judged[slot.id].state,
                "family": family_of(slot, family),
                "confirmed": found.confirmed(slot.id),
                "corrected": found.number(slot.id),
            }
            for slot in slots
        ],
    }


def scope(entry: Entry) -> str:
    """What a verdict speaks of: prompts of which kind, and of which templates."""
    battery, templates = entry.battery, entry.prediction.templates
    corpus, family = entry.prediction.corpus, entry.claim.family
    if corpus is not None:
        return f"the {corpus.pairs} pairs of a given list, and nothing beyond it"
    where = f"the family {family}" if family else "the behaviour"
    if battery.unit == "template":
        return f"templates like the {templates} of {where}: each is one bet"
    if few_templates(entry):
        few = "effects differ by template, and there are too few to bet on"
        return f"prompts of these {templates} templates of {where}; {few}"
    return f"prompts like those of {where}"


def heat_map(document: dict[str, Any]) -> list[dict[str, Any]]:
    """For each component that a run's hypotheses name: layer, column (head or MLP), state and effect as a fraction."""
    cells = []
    for hypothesis in document["hypotheses"]:
        for text in hypothesis["components"]:
            component = Component.parse(text)
            cells.append(
                {
                    "id": hypothesis["id"],
                    "component": text,
                    "kind": component.kind,
                    "layer": component.layer,
                    "index": component.index,
                    "state": hypothesis["state"],
                    "fraction": hypothesis["fraction"],
                }
            )
    return cells


def _run_line(store: Store, run: RunRecord, judged: Mapping[int, Judgement]) -> dict[str, Any]:
    return {
        "id": run.id,
        "study": run.study,
        "at": run.at,
        "behaviour": run.behaviour,
        "model": run.model,
        "proposer": run.proposer,
        "status": run.status,
        "seed": run.seed,
        "counts": asdict(store.counted(judged, run.id)),
        "forwards": run.forwards,
        "seconds": run.seconds,
        "tokens": run.tokens,
        "llm_calls": run.llm_calls,
        "money": run.money,
    }


def _looked_at_before(store: Store, run_id: int) -> list[dict[str, Any]]:
    """Task selection: every run in this database before this one, whatever its study, and what became of it."""
    studies = store.every_study()
    judged = {key: judgement for study in studies for key, judgement in study.judgements().items()}
    return [
        {
            "run": r.id,
            "behaviour": r.behaviour,
            "model": r.model,
            "status": r.status,
            "tested": counts.tested,
            "confirmed": counts.confirmed,
        }
        for r in sorted((r for study in studies for r in study.runs()), key=lambda r: r.id)
        if r.id < run_id
        for counts in [store.counted(judged, r.id)]
    ]


def _explored(store: Store, entry: Entry) -> dict[str, Any]:
    """The main effect on the exploration pairs that the battery's constants come from: seen before registration."""
    seen = store.calibration(entry.id)
    main = parts_of(entry.claim, entry.battery, seen.values)[0]
    return {"mean": float(main.effect.mean()), "effects": main.effect.tolist(), "templates": list(seen.templates)}
