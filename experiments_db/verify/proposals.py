"""Proposals: each is a slot or a refusal, with the reason that reading it again gives."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.verify.log import WholeLog, explores
from lakatos.prompts import version_of
from lakatos.tools.behaviour import Behaviour
from lakatos.tools.claim import Hypothesis, claim_hash, control_names, describe, read_hypothesis, read_proposals
from lakatos.tools.claim.drafts import Exchange, drafted
from lakatos.tools.errors import ProposalError, UserError
from lakatos.tools.evidence import Prediction

_KINDS = ("malformed", "duplicate", "untestable")
ROUNDS = {"drill": 5, "tools": 16, "mcp": 50}  # that a run may have which was not told how many; others have one
_AROUND = 3  # since this version of the prompt, JSON is read from within fences and prose


def proposal_lies(run: m.Run, log: WholeLog) -> Iterator[str]:
    """What of a run's proposals is not in order: their numbers, where they come from, what became of them."""
    rounds: dict[int, list[m.Proposal]] = defaultdict(list)
    for proposal in log.of_run("proposals", run.id):
        here, own = f"proposals row {proposal.id}", rounds[proposal.round]
        skipped = sum(log.dropped_whole(run, number) for number in range(1, proposal.round)) if not own else 0
        if proposal.place != len(own) or (not own and proposal.round != len(rounds) + skipped):
            yield f"{here}: place {proposal.place} of round {proposal.round} is not the next one of run {run.id}"
        own.append(proposal)
        if proposal.id in log.hypothesis_of and proposal.id in log.refusal_of:
            yield f"{here}: was registered and refused"
        if (proposal.llm_call_id is not None) != (run.proposer == "llm"):
            yield f"{here}: names a request to a language model, or lacks one, unlike the proposer of run {run.id}"
    if run.proposer in ("drill", "attribution", "random") and run.config:
        for proposal in log.of_run("proposals", run.id):
            if proposal.proposal not in log.put_forward(run, proposal.round, [proposal]):
                continue  # a person has added it
            if read_hypothesis(proposal.proposal, run.behaviour).claim.tested.threshold != run.config["threshold"]:
                yield f"proposals row {proposal.id}: has another threshold than run {run.id} was configured with"
    style = (run.config or {}).get("llm_style") if run.proposer == "llm" else None
    most = (run.config or {}).get("rounds") or ROUNDS.get(style or run.proposer, 1)
    if run.config and rounds and max(rounds) > most:
        yield f"runs row {run.id}: has {max(rounds)} rounds, and {most} were configured"
    if run.proposer == "llm" and not explores(run):
        over = any(event.kind == "finished" for event in log.of_run("events", run.id))
        asked = {c.round for c in log.of_run("llm_calls", run.id) if c.purpose == _purpose(run)} if over else set()
        for number in sorted({*rounds, *asked}):
            yield from _answer(run, number, rounds.get(number, []), log)


def registered_lies(row: m.HypothesisRow, told: Prediction, proposal: m.Proposal, run: m.Run) -> Iterator[str]:
    """What was registered is what was proposed."""
    read = read_hypothesis(proposal.proposal, run.behaviour)
    if proposal.run_id != row.run_id:
        yield f"hypotheses row {row.id}: comes from a proposal of run {proposal.run_id}, not of run {row.run_id}"
    if read.claim != told.claim:
        yield f"hypotheses row {row.id}: its claim is not the one of proposals row {proposal.id}"
    differ = [name for name in ("role", "predicted") if getattr(read, name) != getattr(told, name)]
    if differ or read.rationale != row.rationale:
        yield f"hypotheses row {row.id}: its {', '.join(differ) or 'rationale'} is not that of its proposal"


def refusal_lies(refusal: m.Refusal, log: WholeLog) -> Iterator[str]:
    """A refusal has the kind and the reason that reading its proposal again gives, as far as no model is needed."""
    here = f"refusals row {refusal.id}"
    proposal = log.row("proposals", refusal.proposal_id)
    run = log.row("runs", proposal.run_id)
    if refusal.kind not in _KINDS or not refusal.reason:
        yield f"{here}: there is no refusal of kind {refusal.kind!r} and reason {refusal.reason[:40]!r}"
    if (refusal.duplicate_of is not None) != (refusal.kind == "duplicate"):
        yield f"{here}: is {refusal.kind}, and names {refusal.duplicate_of} as its twin"
        return
    try:
        read = read_hypothesis(proposal.proposal, run.behaviour)
    except ProposalError as error:
        if refusal.kind != "malformed":
            yield f"{here}: is {refusal.kind}, and proposals row {proposal.id} cannot be read ({error})"
        return
    if refusal.kind == "malformed":
        yield f"{here}: is malformed, and proposals row {proposal.id} can be read"
        return
    twin = _twin(read, refusal, run, log)
    if twin is None and refusal.kind == "duplicate":
        yield f"{here}: hypotheses row {refusal.duplicate_of} is not the same claim, registered before"
    elif twin is not None and refusal.kind == "untestable":
        yield f"{here}: is untestable, and proposals row {proposal.id} is the claim of hypotheses row {twin.id}"
    elif twin is not None:
        text = f"registered already as hypothesis {twin.id} ({describe(read.claim, run.behaviour)})"
        raced = f"this claim is registered already, as hypothesis {twin.id}"
        if refusal.duplicate_of != twin.id or refusal.reason not in (text, raced):
            yield f"{here}: its reason is not that its claim is hypothesis {twin.id}"


def _twin(read: Hypothesis, refusal: m.Refusal, run: m.Run, log: WholeLog) -> m.HypothesisRow | None:
    """The same claim in the study, registered before the refusal."""
    behaviour = Behaviour.model_validate(run.behaviour_definition)
    try:
        wanted = control_names(read.claim, behaviour)
    except UserError:
        return None
    known = {name: Behaviour.model_validate(run.controls[name]).hash for name in wanted}
    identity = claim_hash(
        read.claim,
        weights=run.weights,
        behaviour=run.behaviour_hash,
        controls=known,
        study=log.row("studies", run.study_id).name,
    )
    before = log.place(refusal)
    rows: list[m.HypothesisRow] = list(log["hypotheses"].values())
    for row in rows:
        if row.claim_hash == identity and row.study_id == run.study_id and log.place(row) < before:
            return row
    return None


def _purpose(run: m.Run) -> str:
    """What a run asks its language model in order to get hypotheses."""
    return "question" if (run.config or {}).get("llm_style") == "form" else "propose"


def _answer(run: m.Run, number: int, proposals: list[m.Proposal], log: WholeLog) -> Iterator[str]:
    """The proposals of a round are what its answer says."""
    here = f"proposals row {proposals[0].id}" if proposals else f"runs row {run.id}"
    calls = [c for c in log.of_run("llm_calls", run.id) if (c.round, c.purpose) == (number, _purpose(run))]
    answered = [c for c in calls if c.response is not None]
    if not answered or {p.llm_call_id for p in proposals} - {answered[-1].id}:
        yield f"{here}: round {number} of run {run.id} does not come from the last answer of that round"
        return
    if _purpose(run) == "question":
        given_up = [e.payload for e in log.of_run("events", run.id) if e.kind == "failed"]
        tried = max((p["attempts"] for p in given_up if p.get("round") == number and "attempts" in p), default=0)
        said = [Exchange(c.request["schema"], c.response) for c in calls[tried:] if c.response is not None]
        if drafted(said, run.config["threshold"])[: run.config["hypotheses"]] != log.put_forward(
            run, number, proposals
        ):
            yield f"{here}: round {number} of run {run.id} is not what its questions were answered"
        return
    text = answered[-1].response or ""
    try:
        alone = version_of(answered[-1].prompt) < _AROUND
        expected = read_proposals(text, alone=alone)[: run.config.get("hypotheses")]
    except ProposalError:
        expected = [{"text": text}]
    if expected != log.put_forward(run, number, proposals):
        yield f"{here}: round {number} of run {run.id} is not what llm_calls row {answered[-1].id} answered"
