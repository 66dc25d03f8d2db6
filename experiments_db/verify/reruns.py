"""Re-runs: tolerances from the confirmation, prompts from the seed, the outcome from the stored numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from lakatos.experiments_db.log import Tested, explored_data, rerun_data, rerun_key, rerun_seed, to_data
from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.verify.comparing import same, spent
from lakatos.tools.behaviour import Behaviour
from lakatos.tools.evidence import Tolerance, decide, decided_after, effects_of, tolerances
from lakatos.tools.statistics import BATCH


def rerun_lies(rerun: m.Rerun, row: m.HypothesisRow, run: m.Run, prompts: Sequence[Tested]) -> Iterator[str]:
    """What of a re-run does not follow from the claim's confirmation and the re-run's own prompts.

    Args:
        row: the claim.
        run: the investigation that registered it.
        prompts: of its confirmation, in order.
    """
    here = f"reruns row {rerun.id} (hypothesis {row.id})"
    prediction = row.prediction()
    claim, battery = prediction.claim, prediction.battery
    behaviour = Behaviour.model_validate(run.behaviour_definition)
    stored = [Tolerance.model_validate(t) for t in rerun.record["tolerance"]]
    levels = tolerances(claim, battery, explored_data(row.calibration), to_data(prompts))
    if not same([t.model_dump() for t in levels], [t.model_dump() for t in stored]):
        yield f"{here}: its tolerances do not follow from the claim's confirmation"
    members = rerun.record.get("members", [row.claim_hash])
    if row.claim_hash not in members:
        yield f"{here}: its prompts are of other claims"
    seed = rerun_seed(int(rerun.seed), rerun_key(members), "pairs")
    expected = behaviour.stream(seed, "confirmation", claim.family)
    drawn = [(pair.uid, pair.template) for pair, _ in zip(expected, rerun.prompts, strict=False)]
    if drawn != [(p["uid"], p["template"]) for p in rerun.prompts]:
        yield f"{here}: its prompts are not those that its seed gives"
    if rerun.n != len(rerun.prompts) or rerun.n % BATCH or rerun.n > rerun.record["pairs"]:
        yield f"{here}: has {len(rerun.prompts)} prompts, and says {rerun.n} of at most {rerun.record['pairs']}"
    alpha = float(rerun.record["alpha"])

    data = rerun_data(rerun.prompts)
    again = decide(levels, effects_of(claim, battery, data), alpha)
    if again.outcome != rerun.outcome or not same([asdict(f) for f in again.lines], rerun.record["lines"]):
        yield f"{here}: {rerun.outcome} does not follow from its prompts ({again.outcome})"
    if decided_after(levels, effects_of(claim, battery, data), alpha, BATCH) != (again.outcome, rerun.n):
        yield f"{here}: was decided a batch earlier, and went on"
    if again.outcome == "undecided" and rerun.n < rerun.record["pairs"] and not rerun.record["exhausted"]:
        yield f"{here}: stopped before its last batch, undecided"
    if not spent(rerun) or not {"python", "packages"} <= rerun.environment.keys():
        yield f"{here}: does not say what it ran on, or what it cost"
