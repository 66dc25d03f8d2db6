"""Where hypotheses come from. A proposer sees exploration only; what it says is data and decides nothing.

attribution   the strongest rows of the attribution table, with rivals and nulls among them; no LLM
random        any components at all: the control arm, under the same protocol
file          a human's own, from YAML
replication   what this study has confirmed, on prompt families that took no part in it
llm           a language model (see `investigation.py` for how it is asked)
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from lakatos.tools.claim import AnyClaim, claim_fields
from lakatos.tools.component import Component
from lakatos.tools.errors import UserError
from lakatos.tools.records import canonical_json

Proposal = dict[str, Any]  # of the form of `lakatos.tools.claim.Hypothesis`, not yet judged


@dataclass(frozen=True)
class Explored:
    """What exploration found, as it stands in the log."""

    gap: float  # mean clean - corrupted metric on exploration pairs
    attributions: Sequence[dict[str, Any]]  # component, score, sd; strongest first
    positions: Sequence[str]
    n_layers: int
    n_heads: int


def from_attribution(explored: Explored, how_many: int, threshold: float) -> list[Proposal]:
    """Claims about the strongest components at named positions, rivals to them, and that the weakest heads do nothing.

    Of `how_many`: about half node effects, a third necessity; from two on at least one null, from four on one rival.
    """
    rows = [(Component.parse(r["component"]), float(r["score"])) for r in explored.attributions]
    at_position = [r for r in rows if r[0].position is not None]
    nulls = max(1, how_many // 8) if how_many > 1 else 0
    rivals = max(1, how_many // 8) if how_many > 3 else 0
    necessity = (how_many - nulls - rivals) * 2 // 5
    effects = how_many - nulls - rivals - necessity

    proposals = [_node_effect(c, s, explored, threshold) for c, s in at_position[:effects]]
    supporting = (r for r in rows if r[0].position is None and r[1] > 0)
    proposals += [_necessity(c, s, explored, threshold) for c, s in islice(supporting, necessity)]
    used = {component for component, _ in at_position[:effects]}
    proposals += list(islice(_rivals(at_position, used, explored, threshold), rivals))
    weakest = [r for r in reversed(at_position) if r[0].kind == "head" and r[0].position == "END" and r[0] not in used]
    proposals += [_no_effect(c, s, explored, threshold) for c, s in weakest[:nulls]]
    return proposals


def at_random(explored: Explored, how_many: int, threshold: float, seed: str) -> list[Proposal]:
    """Claims about components drawn uniformly: what a search without insight would register."""
    rng = random.Random(f"propose:{seed}")
    proposals = []
    for _ in range(how_many):
        head = rng.random() < 0.75
        index = rng.randrange(explored.n_heads) if head else None
        layer = rng.randrange(explored.n_layers)
        if rng.random() < 0.5:
            component = Component(layer, "head" if head else "mlp", index, rng.choice(list(explored.positions)))
            claim: dict[str, Any] = {"kind": "node_effect", "direction": rng.choice(["supports", "opposes"])}
        else:
            component = Component(layer, "head" if head else "mlp", index)
            claim = {"kind": "necessity"}
        claim |= {"components": [str(component)], "threshold": threshold}
        proposals.append({"claim": claim, "rationale": "Drawn at random.", "role": "main"})
    return proposals


def to_replicate(confirmed: Sequence[tuple[str, AnyClaim]], families: Sequence[str], how_many: int) -> list[Proposal]:
    """Each confirmed claim on each prompt family.

    Args:
        confirmed: text and claim.

    Raises:
        UserError: there is nothing to replicate, or nowhere.
    """
    if not families:
        raise UserError("The behaviour has no prompt families to replicate on: give it families: in its file.")
    if not confirmed:
        raise UserError(
            "Nothing is confirmed yet of this behaviour and model in this study: run another proposer first."
        )
    proposals = []
    for text, claim in confirmed:
        for family in families:
            fields = {"kind": "generalisation", "parent": claim_fields(claim), "family": family}
            proposals.append({"claim": fields, "rationale": f"Replicates on {family}: {text}.", "role": "main"})
    return proposals[:how_many]


def from_file(path: str | None) -> list[Proposal]:
    """A YAML file: a list of hypotheses, or a mapping with `hypotheses`. Each is judged when it is registered.

    Raises:
        UserError: no such file, or not such a list.
    """
    if path is None:
        raise UserError("--proposer file needs --claims FILE.yaml, a list of hypotheses.")
    try:
        content = yaml.safe_load(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"Cannot read the claims in {path}: {error}") from error
    listed = content.get("hypotheses") if isinstance(content, dict) else content
    if not isinstance(listed, list) or not listed:
        raise UserError(
            f"{path} must hold a list of hypotheses, for example:\n"
            "- claim: a9.h6@END carries ioi (denoising, logit_diff, >= 10% of gap)\n  rationale: why it should hold"
        )
    proposals = [item if isinstance(item, dict) else {"claim": str(item)} for item in listed]
    try:
        canonical_json(proposals).encode()
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{path} holds a value that JSON cannot ({error}): put dates and the like in quotes."
        ) from error
    return proposals


def _node_effect(
    component: Component, score: float, explored: Explored, threshold: float, role: str = "main", why: str = ""
) -> Proposal:
    fraction = score / explored.gap if explored.gap > 0 else 0.0
    rationale = why or f"Attribution patching estimates that denoising it restores {fraction:+.1%} of the gap."
    claim = {
        "kind": "node_effect",
        "components": [str(component)],
        "direction": "supports" if score >= 0 else "opposes",
        "threshold": threshold,
    }
    return {"claim": claim, "rationale": rationale, "predicted": abs(fraction), "role": role}


def _necessity(component: Component, score: float, explored: Explored, threshold: float) -> Proposal:
    fraction = score / explored.gap if explored.gap > 0 else 0.0
    return {
        "claim": {"kind": "necessity", "components": [str(component)], "threshold": threshold},
        "rationale": f"Its attributions over all positions sum to {fraction:+.1%} of the gap.",
        "predicted": fraction,
        "role": "main",
    }


def _no_effect(component: Component, score: float, explored: Explored, threshold: float) -> Proposal:
    fraction = score / explored.gap if explored.gap > 0 else 0.0
    claim = {
        "kind": "no_effect",
        "components": [str(component)],
        "intervention": "denoising",
        "threshold": threshold,
    }
    why = f"Among the weakest attributions: {fraction:+.2%} of the gap."
    return {"claim": claim, "rationale": why, "predicted": fraction, "role": "null"}


def _rivals(
    rows: Sequence[tuple[Component, float]], used: set[Component], explored: Explored, threshold: float
) -> Iterator[Proposal]:
    """For each strong component: the strongest unused one of its kind and position, if it can from its layer."""
    for strong in [component for component, _ in rows if component in used]:
        others = [r for r in rows if (r[0].position, r[0].kind) == (strong.position, strong.kind) and r[0] not in used]
        others.sort(key=lambda r: r[0].layer != strong.layer)
        if others:
            other, score = others[0]
            used.add(other)
            why = f"Rival to {strong}: it reads the same position and could do the same work."
            yield _node_effect(other, score, explored, threshold, role="rival", why=why)
