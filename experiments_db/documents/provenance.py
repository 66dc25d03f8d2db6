"""What lies behind a hypothesis: how it was proposed, whom it is kin to, and what did not go straight."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

from lakatos.experiments_db.log import Entry
from lakatos.experiments_db.store import Store
from lakatos.tools.claim import AnyClaim, Arms, opposes
from lakatos.tools.evidence import PLANNED_D, Prediction
from lakatos.tools.statistics import sample_size

_UNCAPPED = 10**9
_MOST = 50  # relatives of one sort


@dataclass(frozen=True)
class Kin:
    """Other hypotheses of the study, by number."""

    parents: tuple[int, ...]  # what it generalises
    replications: tuple[int, ...]  # what generalises it to another prompt family
    opposites: tuple[int, ...]  # whose confirmation refutes it
    rivals: tuple[int, ...]  # proposed beside it as the other explanation
    same_place: tuple[int, ...]  # other claims about exactly these components

    @property
    def all(self) -> set[int]:
        """Every one of them."""
        return {*self.parents, *self.replications, *self.opposites, *self.rivals, *self.same_place}


def kin(store: Store, entry: Entry) -> Kin:
    """Whom a hypothesis is related to. Of each sort, at most the first fifty."""
    sorts: dict[str, list[int]] = {"parents": [], "replications": [], "opposites": [], "same_place": []}
    for key, claim in store.about_the_same(entry.id, entry.prediction).items():
        sorts[_sort(entry.claim, claim)].append(key)
    return Kin(rivals=tuple(rivals(store, entry)), **{name: tuple(ids[:_MOST]) for name, ids in sorts.items()})


def rivals(store: Store, entry: Entry) -> dict[int, Prediction]:
    """The rivals of a claim that were proposed beside it, or what it is a rival of; at most the first fifty."""
    role = entry.prediction.role
    wanted = "main" if role == "rival" else "rival"
    beside = store.proposed_beside(entry.id) if role != "null" else {}
    return dict(islice(((key, fellow) for key, fellow in beside.items() if fellow.role == wanted), _MOST))


def proposal_document(store: Store, entry: Entry) -> dict[str, Any]:
    """The proposal word for word, and the requests to a language model of its round, failed attempts too."""
    proposal = store.proposal_of(entry.id)
    calls = store.calls(entry.run_id, proposal.round)
    return {
        "round": proposal.round,
        "place": proposal.place,
        "at": proposal.at,
        "proposal": proposal.proposal,
        "calls": [
            {
                "id": call.id,
                "at": call.at,
                "purpose": call.purpose,
                "attempt": call.attempt,
                "model": call.model,
                "prompt": call.prompt,
                "prompt_hash": call.prompt_hash,
                "tokens": call.tokens_in + call.tokens_out,
                "error": call.error,
                "request": call.request,
                "response": call.response,
                "proposed_this": call.id == proposal.llm_call_id,
            }
            for call in calls
        ],
    }


def deviations(store: Store, entry: Entry) -> list[str]:
    """Whatever did not go straight: retries, interruptions, fallbacks, clipping, caps. Empty where all did."""
    found = []
    calls = proposal_document(store, entry)["calls"]
    failed = [call for call in calls if call["error"]]
    if failed:
        found.append(f"{len(failed)} of {len(calls)} requests to the language model failed and were repeated")
    until = store.frozen_at(entry.id) or "9"
    for event in store.events(entry.run_id, "stopped", "resumed", "failed"):
        if entry.registered_at < event.at < until:
            reason = f": {event.payload['reason']}" if event.payload.get("reason") else ""
            found.append(f"between registration and evidence the run was {event.kind}{reason}")
    engines = {batch.engine for batch in store.batches(entry.id)}
    if "reference" in engines and isinstance(entry.claim.tested.measured(entry.battery.matched), Arms):
        found.append(
            "measured by the reference engine, one forward pass at a time: the fast one does not fit the model"
        )
    if entry.evidence is not None:
        found += [
            f"{line.name}: {100 * line.clip_rate:.1f} % of the prompts were clipped, or clipping changed its sign"
            for line in entry.evidence.lines
            if line.flagged
        ]
        if entry.crashed:
            found.append(f"the test crashed after {entry.evidence.n} prompts; its slot stays spent")
    found += [f"the test had ended after {n} prompts, and was extended by {more}" for n, more in entry.extensions]
    d = entry.battery.predicted_d
    if sample_size(min(d, PLANNED_D) if d > 0 else PLANNED_D, _UNCAPPED) > entry.battery.n_max:
        found.append(f"the run's limit cut the planned sample down to {entry.battery.n_max} prompt pairs")
    if store.study.secret_source == "seed":
        found.append("the study's secret follows from a seed: whoever knew it could have known the prompts beforehand")
    return found


def _sort(claim: AnyClaim, other: AnyClaim) -> str:
    if claim.generalises(other):
        return "parents"
    if other.generalises(claim):
        return "replications"
    return "opposites" if opposes(claim, other) else "same_place"
