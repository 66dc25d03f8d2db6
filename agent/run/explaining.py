"""How much of the behaviour the confirmed nodes of a run make up together, on prompts that no claim was tested on."""

from __future__ import annotations

from collections.abc import Sequence

from lakatos.agent.run.context import Context
from lakatos.experiments_db.log import EXPLAINED, Entry, stream_key
from lakatos.tools.behaviour import Exhausted
from lakatos.tools.claim import Necessity, NodeEffect
from lakatos.tools.errors import UserError
from lakatos.tools.experiment import draw_prompts
from lakatos.tools.intervention import Intervention, Runs, run_interventions

PAIRS = 32


def explain(run: Context) -> None:
    """Patch all confirmed nodes together, and ablate them together; each prompt's numbers become an event.

    Which nodes these are is settled before the prompts are drawn. Nothing is measured where no node is confirmed, or
    where the behaviour has no fresh prompts left.
    """
    entries = run.entries()
    nodes = [e for e in entries if e.state == "confirmed" and isinstance(e.claim, NodeEffect | Necessity)]
    if not nodes or run.store.event_of(run.run_id, EXPLAINED) is not None:
        return
    try:
        _measure(run, nodes, entries)
    except (Exhausted, UserError, FloatingPointError) as error:
        run.watcher.say(f"how much the confirmed nodes explain together cannot be measured: {error}")


def _measure(run: Context, nodes: Sequence[Entry], tested: Sequence[Entry]) -> None:
    began = run.interruptions.clock()
    components = tuple(dict.fromkeys(c for entry in nodes for c in entry.claim.tested.components))
    key = stream_key([entry.claim_hash for entry in nodes], EXPLAINED)
    run.going("how much is explained", 0, 1)
    prompts = draw_prompts(
        run.behaviour,
        [],
        run.model.tokenizer,
        n=PAIRS,
        skip=0,
        split="confirmation",
        seeds=lambda purpose: run.store.seed(key, purpose),
        donors=True,
        without={prompt.uid for entry in tested for prompt in run.store.prompts(entry.id)},
    ).prompts
    runs = Runs(run.model.bridge, prompts.pairs, prompts.donors)
    patched = run_interventions(run.model.bridge, runs, [Intervention(components, "clean")], base="corrupted")
    ablated = run_interventions(run.model.bridge, runs, [Intervention(components, "resample")], base="clean")
    payload = {
        "hypotheses": [entry.id for entry in nodes],
        "components": list(components),
        "uids": [pair.uid for pair in prompts.pairs],
        "templates": [pair.template for pair in prompts.pairs],
        "clean": patched.clean.tolist(),
        "corrupted": patched.corrupted.tolist(),
        "patched": patched.values[0].tolist(),
        "ablated": ablated.values[0].tolist(),
    }
    run.log(EXPLAINED, payload, patched.forwards + ablated.forwards, began)
