"""What a language model is told before it proposes or interprets: the findings, the verdicts, the refusals, in lines.

Each line is of a bounded length, and each table of a bounded number of lines, so that a prompt stays a prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lakatos.agent.proposers.schema import most_together
from lakatos.agent.words import refusal, shortened, verdict
from lakatos.experiments_db.log import Entry, Refused
from lakatos.prompts import Prompt
from lakatos.tools.behaviour import Behaviour
from lakatos.tools.component import Shape

_COMPONENTS = 24
_DIRECT = 6  # of them at least, by what they write on the answer
_PLACES = 2  # positions of a component, or what a head looks at
_WEAKEST = 6
_ENTRIES = 60
_REFUSED = 30
_OPINION = 2000
_LOOKED_AT = 0.05  # of a head's attention, at least


def proposal_prompt(
    prompt: Prompt,
    behaviour: Behaviour,
    model: str,
    shape: Shape,
    gap: float,
    findings: Mapping[str, Any],
    *,
    how_many: int,
    entries: Sequence[Entry] = (),
    refused: Sequence[Refused] = (),
    opinion: str = "",
) -> str:
    """The prompt that asks for hypotheses, written out.

    Args:
        model: its name.
        gap: between clean and corrupted prompts, in logits.
        findings: the exploration event.
        entries: what this run has registered.
        opinion: what the model said of these verdicts when it was last asked.
    """
    components, weakest = findings_by_component(findings)
    most_heads, most_mixed = most_together(shape)
    named = list(behaviour.texts("exploration").values()) if len(behaviour.named_positions) > 1 else []
    return prompt.render(
        behaviour=behaviour.name,
        question=behaviour.question,
        model=model,
        n_layers=shape.n_layers,
        n_heads=shape.n_heads,
        n_groups=shape.n_key_value_heads,
        most_heads=most_heads,
        most_mixed=most_mixed,
        positions=behaviour.named_positions,
        templates=list(dict.fromkeys([*named[:1], *named[-1:]])),
        families=list(behaviour.families),
        gap=gap,
        exemplars=findings["exemplars"],
        components=components,
        weakest=weakest,
        tested=[verdict(entry) for entry in entries[-_ENTRIES:]],
        older=max(0, len(entries) - _ENTRIES),
        refused=[refusal(row, behaviour.name) for row in refused[-_REFUSED:]],
        opinion=shortened(opinion, _OPINION),
        how_many=how_many,
    )


def findings_by_component(findings: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """A line for each of the strongest components with all that was found of it, and the names of the weakest heads."""
    patched: dict[str, list[str]] = {}
    for row in findings["attributions"]:  # the largest first
        name, _, position = row["component"].partition("@")
        places = patched.setdefault(name, [])
        if len(places) < _PLACES:
            places.append(f"{position or 'all positions'} {row['score']:+.2f} (sd {row['sd']:.2f})")
    direct = {row["component"].partition("@")[0]: row["score"] for row in findings["direct"]}
    looks: dict[str, list[str]] = {}
    for row in findings["attention"]:
        seen = looks.setdefault(row["component"], [])
        if row["mass"] >= _LOOKED_AT and len(seen) < _PLACES:
            seen.append(f"{row['to']} {row['mass']:.2f}")
    written = sorted(direct, key=lambda name: -abs(direct[name]))[:_DIRECT]
    strongest = list(patched)[:_COMPONENTS]
    chosen = [*strongest, *(name for name in written if name not in strongest)]
    lines = []
    for name in chosen:
        facts = [f"patched {', '.join(patched[name])}"] if name in patched else []
        facts += [f"direct {direct[name]:+.2f}"] if name in direct else []
        facts += [f"looks at {', '.join(looks[name])}"] if looks.get(name) else []
        lines.append(f"{name}: {'; '.join(facts)}")
    weakest = [name for name in reversed(patched) if ".h" in name and name not in chosen]
    return lines, weakest[:_WEAKEST]
