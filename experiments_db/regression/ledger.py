"""Re-runs in the log: what a confirmed claim takes along, appending what came of it, and deriving that again."""

from __future__ import annotations

from dataclasses import asdict

from lakatos.experiments_db.log import Entry, Rerun, Unreadable, reading
from lakatos.experiments_db.regression.file import FORMAT, Confirmed, HypothesisFile, ModelId, Prompts
from lakatos.experiments_db.regression.outcome import Outcome
from lakatos.experiments_db.store import Store
from lakatos.experiments_db.verdict import Interval
from lakatos.tools.behaviour import PROMPT_GENERATOR, Behaviour
from lakatos.tools.claim import claim_hash, control_names
from lakatos.tools.errors import UserError
from lakatos.tools.evidence import ALPHA, Evidence, pairs_needed, short, tolerances


def regressions(store: Store, accepted_only: bool = False) -> list[Entry]:
    """The confirmed claims that no reviewer retracted, in slot order; or only those whose reviews say accepted.

    Not those of runs whose model did not show the behaviour (`--allow-absent`): what is confirmed there is that nothing
    has an effect, and the behaviour itself is noise.
    """
    checked = store.every_event("checked")
    absent = {event.run_id for event in checked if not event.payload.get("present", True)}
    held = [e for e in store.hypotheses() if e.state == "confirmed" and e.run_id not in absent]
    confirmed = [e for e in held if e.standing != "retracted"]
    return [e for e in confirmed if e.standing == "accepted"] if accepted_only else confirmed


def file_of(store: Store, entry: Entry) -> HypothesisFile:
    """A confirmed claim with all that it takes to test it again.

    Raises:
        UserError: it is not confirmed.
        Unreadable: somebody has forged it.
    """
    if entry.state != "confirmed" or entry.evidence is None or entry.selected is None:
        raise UserError(
            f"{entry.text} is {entry.state}: only what is confirmed can be tested for still being true. "
            "`lakatos log --state confirmed` lists them."
        )
    with reading(f"hypotheses row {entry.id}, its run or its prompts"):
        return _file(store, entry, entry.evidence, entry.selected)


def _file(store: Store, entry: Entry, evidence: Evidence, main: Interval) -> HypothesisFile:
    run = store.run_row(entry.run_id)
    behaviour = Behaviour.model_validate(run.behaviour_definition)
    facts = {"weights": run.weights, "behaviour": behaviour.hash}
    identity = claim_hash(entry.claim, **facts, controls=entry.prediction.controls, study=store.study.name)
    if identity != entry.claim_hash:
        raise Unreadable(f"hypotheses row {entry.id} has not the hash of its claim, weights and behaviour")
    wanted = control_names(entry.claim, behaviour)
    confirmed = store.data(entry.id)
    levels = tolerances(entry.claim, entry.battery, store.calibration(entry.id), confirmed)
    line = evidence.lines[0]
    share = short(line.mean / entry.battery.gap) if entry.claim.tested.of_gap else None
    return HypothesisFile(
        lakatos=FORMAT,
        claim=entry.text,
        hash=entry.claim_hash,
        study=store.study.name,
        model=ModelId(name=entry.prediction.model, weights=entry.prediction.weights),
        confirmed=Confirmed(
            registered_at=entry.registered_at,
            slot=entry.slot,
            e=short(entry.e),
            n=evidence.n,
            effect=short(line.mean),
            low=short(main.low),
            high=short(main.high),
            level=short(main.level),
            unit=line.unit,
            of_gap=share,
        ),
        alpha=ALPHA,
        pairs=pairs_needed(entry.claim, entry.battery, levels, confirmed),
        tolerance=levels,
        generator=PROMPT_GENERATOR,
        battery=entry.battery,
        behaviour=Prompts.of(behaviour),
        controls=tuple(Prompts.of(Behaviour.model_validate(run.controls[name])) for name in wanted),
    )


def append_rerun(store: Store, hypothesis_id: int, outcome: Outcome) -> Rerun:
    """Put a re-run into the log."""
    return store.add_rerun(
        hypothesis_id,
        model=outcome.model,
        weights=outcome.weights,
        outcome=outcome.outcome,
        n=outcome.n,
        seed=str(outcome.seed),
        environment=outcome.environment,
        record={
            "alpha": outcome.alpha,
            "pairs": outcome.pairs,
            "exhausted": outcome.exhausted,
            "tolerance": [t.model_dump(mode="json") for t in outcome.hypothesis.tolerance],
            "lines": [asdict(line) for line in outcome.decision.lines],
            **({"members": list(outcome.members)} if len(outcome.members) > 1 else {}),
        },
        prompts=list(outcome.prompts),
        forwards=outcome.forwards,
        seconds=outcome.seconds,
    )
