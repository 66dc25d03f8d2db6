"""Re-runs in the log: what a confirmed claim takes along, appending what came of it, and deriving that again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import numpy as np

from lakatos.experiments_db import models as m
from lakatos.experiments_db.hypothesis_file import FORMAT, Confirmed, HypothesisFile, ModelId, Prompts
from lakatos.experiments_db.reading import to_data
from lakatos.experiments_db.records import Entry
from lakatos.experiments_db.regression import Outcome, data_of, prompt_seed
from lakatos.experiments_db.store import Store
from lakatos.tools.battery import Data
from lakatos.tools.behaviour import PROMPT_GENERATOR, Behaviour
from lakatos.tools.errors import UserError
from lakatos.tools.hypothesis import CLAIM, Battery, control_names
from lakatos.tools.retest import decide, decided_after
from lakatos.tools.statistics import BATCH
from lakatos.tools.tolerance import ALPHA, Tolerance, effects_of, pairs_needed, short, tolerances

SHARES = ("node_effect", "necessity", "no_effect", "minimality", "mediation")  # kinds whose main effect is of the gap


def regressions(store: Store, accepted_only: bool = False) -> list[Entry]:
    """The confirmed claims that no reviewer retracted, in slot order; or only those whose reviews say accepted.

    Not those of runs whose model did not show the behaviour (`--allow-absent`): what is confirmed there is that nothing
    has an effect, and the behaviour itself is noise.
    """
    checked = store.all(m.Event, m.Event.kind == "checked")
    absent = {event.run_id for event in checked if not event.payload.get("present", True)}
    held = [e for e in store.hypotheses() if e.state == "confirmed" and e.run_id not in absent]
    confirmed = [e for e in held if e.standing != "retracted"]
    return [e for e in confirmed if e.standing == "accepted"] if accepted_only else confirmed


def file_of(store: Store, entry: Entry) -> HypothesisFile:
    """A confirmed claim with all that it takes to test it again.

    Raises:
        UserError: it is not confirmed.
    """
    if entry.state != "confirmed" or entry.evidence is None or entry.selected is None:
        raise UserError(
            f"{entry.text} is {entry.state}: only what is confirmed can be tested for still being true. "
            "`lakatos log --state confirmed` lists them."
        )
    run = store.run_row(entry.run_id)
    [row] = store.all(m.HypothesisRow, m.HypothesisRow.id == entry.id)
    behaviour = Behaviour.model_validate(run.behaviour_definition)
    wanted = control_names(entry.claim, behaviour)
    confirmed = store.data(entry.id)
    levels = tolerances(entry.claim, entry.battery, _explored(row), confirmed)
    main, line = entry.selected, entry.evidence.lines[0]
    share = short(line.mean / entry.battery.gap) if entry.claim.tested.kind in SHARES else None
    return HypothesisFile(
        lakatos=FORMAT,
        claim=entry.text,
        hash=entry.claim_hash,
        study=store.study.name,
        model=ModelId(name=entry.record["model"], weights=entry.record["weights"]),
        confirmed=Confirmed(
            registered_at=entry.registered_at,
            slot=entry.slot,
            e=short(entry.e),
            n=entry.evidence.n,
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


def append_rerun(store: Store, hypothesis_id: int, outcome: Outcome) -> m.Rerun:
    """Put a re-run into the log."""
    return store.add(
        m.Rerun(
            hypothesis_id=hypothesis_id,
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
            },
            prompts=list(outcome.prompts),
            forwards=outcome.forwards,
            seconds=outcome.seconds,
        )
    )


def rerun_lies(rerun: m.Rerun, row: m.HypothesisRow, run: m.Run, effects: Sequence[m.Effect]) -> Iterator[str]:
    """What of a re-run does not follow from the claim's confirmation and the re-run's own prompts.

    Args:
        row: the claim.
        run: the investigation that registered it.
        effects: of its confirmation, in order.
    """
    from lakatos.experiments_db.verify import same

    here = f"reruns row {rerun.id} (hypothesis {row.id})"
    claim, battery = CLAIM.validate_python(row.record["claim"]), Battery.model_validate(row.record["battery"])
    behaviour = Behaviour.model_validate(run.behaviour_definition)
    stored = [Tolerance.model_validate(t) for t in rerun.record["tolerance"]]
    levels = tolerances(claim, battery, _explored(row), to_data(list(effects)))
    if not same([t.model_dump() for t in levels], [t.model_dump() for t in stored]):
        yield f"{here}: its tolerances do not follow from the claim's confirmation"
    expected = behaviour.stream(prompt_seed(int(rerun.seed), row.claim_hash, "pairs"), "confirmation", claim.family)
    drawn = [(pair.uid, pair.template) for pair, _ in zip(expected, rerun.prompts, strict=False)]
    if drawn != [(p["uid"], p["template"]) for p in rerun.prompts]:
        yield f"{here}: its prompts are not those that its seed gives"
    if rerun.n != len(rerun.prompts) or rerun.n % BATCH or rerun.n > rerun.record["pairs"]:
        yield f"{here}: has {len(rerun.prompts)} prompts, and says {rerun.n} of at most {rerun.record['pairs']}"
    alpha = float(rerun.record["alpha"])

    data = data_of(rerun.prompts)
    again = decide(levels, effects_of(claim, battery, data), alpha)
    if again.outcome != rerun.outcome or not same([asdict(f) for f in again.lines], rerun.record["lines"]):
        yield f"{here}: {rerun.outcome} does not follow from its prompts ({again.outcome})"
    if decided_after(levels, effects_of(claim, battery, data), alpha, BATCH) != (again.outcome, rerun.n):
        yield f"{here}: was decided a batch earlier, and went on"
    if again.outcome == "undecided" and rerun.n < rerun.record["pairs"] and not rerun.record["exhausted"]:
        yield f"{here}: stopped before its last batch, undecided"


def _explored(row: m.HypothesisRow) -> Data:
    values = {name: np.array(column) for name, column in row.calibration["values"].items()}
    return Data(values, tuple(row.calibration["templates"]))
