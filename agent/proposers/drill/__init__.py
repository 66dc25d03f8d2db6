"""From a list of heads to a mechanism, by a fixed rule: stage after stage, from exploration and the verdicts so far.

where    which components carry the behaviour: over all depths and named positions
how      who reads what from whom, and where heads look
who      who steps in when a confirmed component is missing
enough   a circuit that is enough, and a rival that shares nothing with it
far      what of it holds on other prompt families
budget   how many hypotheses a stage may spend, and what a candidate promises

Every candidate is measured on exploration prompts before it costs a slot. No language model; deterministic from the
run's seed. docs/drill.md states the rule.
"""

from __future__ import annotations

from lakatos.agent.proposers.drill.budget import SHARES, Stage, share, used_up
from lakatos.agent.proposers.drill.enough import enough
from lakatos.agent.proposers.drill.far import far
from lakatos.agent.proposers.drill.how import how
from lakatos.agent.proposers.drill.where import where
from lakatos.agent.proposers.drill.who import who
from lakatos.agent.proposers.protocol import Proposed
from lakatos.agent.view import Searched, View

STAGES: dict[str, Stage] = {"where": where, "how": how, "who": who, "enough": enough, "far": far}


def drill(view: View) -> Proposed:
    """The hypotheses of the next stage that has any, with what it looked at and what its budget did not reach."""
    done = {searched.stage for searched in view.searched}
    searched: list[Searched] = []
    for name, stage in STAGES.items():
        if name in done or used_up(view):
            continue
        budget = share(name, view.how_many, view.proposed)
        found = stage(view)
        chosen, left = found[:budget], found[budget:]
        searched.append(Searched(name, tuple(c.proposal for c in chosen), tuple(c.proposal for c in left if c.passes)))
        if chosen:
            break
    return Proposed([p for own in searched for p in own.proposals], searched=tuple(searched))


__all__ = ["SHARES", "STAGES", "drill"]
