"""Mechanisms built from a study's log: confirmed claims, each in the part of the mechanism that it speaks of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from lakatos.experiments_db.documents import entry_line
from lakatos.experiments_db.log import Entry
from lakatos.experiments_db.mechanism.explained import explained_by
from lakatos.experiments_db.mechanism.mechanism import (
    Absent,
    Backup,
    Circuit,
    Looks,
    Mechanism,
    Node,
    Open,
    Path,
    Reading,
)
from lakatos.experiments_db.mechanism.words import sentences
from lakatos.experiments_db.store import StudyReader
from lakatos.tools.behaviour import Behaviour
from lakatos.tools.claim import (
    AnyParent,
    AttentionRole,
    Mediation,
    Minimality,
    Necessity,
    NodeEffect,
    NoEffect,
    Sufficiency,
    claim_fields,
    claim_of,
)
from lakatos.tools.claim import Backup as BackupClaim
from lakatos.tools.component import Component
from lakatos.tools.errors import NotThere
from lakatos.tools.records import content_hash


def run_mechanism(store: StudyReader, run_id: int) -> Mechanism:
    """The mechanism that a run has found.

    Raises:
        UserError: there is no such run in this study.
    """
    store.own_run(run_id)
    return mechanism_of(store, [run_id], store.hypotheses(run_id))


def study_mechanism(store: StudyReader, behaviour: str, model: str | None = None) -> Mechanism:
    """The mechanism that all runs of a study about a behaviour have found, as its newest run defines it.

    Args:
        model: its name; None: that of the newest run about the behaviour.

    Raises:
        UserError: no run of the study is about them.
    """
    runs = runs_about(store, behaviour, model)
    return mechanism_of(store, runs, [e for e in store.hypotheses() if e.run_id in runs])


def runs_about(store: StudyReader, behaviour: str, model: str | None = None) -> list[int]:
    """The runs of a study about a behaviour on a model, as the newest of them defines it; oldest first.

    Args:
        model: its name; None: that of the newest run about the behaviour.

    Raises:
        UserError: no run of the study is about them.
    """
    about = [run for run in store.runs() if run.behaviour == behaviour and model in (None, run.model)]
    if not about:
        raise NotThere(
            f"No run of this study is about {behaviour}{f' on {model}' if model else ''}: see `lakatos runs`."
        )
    newest = store.run_row(about[-1].id)
    return [run.id for run in about if _asks(store.run_row(run.id)) == _asks(newest)]


def _asks(row: Any) -> tuple[str, str]:
    return row.weights, row.behaviour_hash


def mechanism_of(store: StudyReader, runs: Sequence[int], entries: Sequence[Entry]) -> Mechanism:
    """The mechanism that hypotheses of some runs of one question make up.

    Args:
        runs: oldest first.
        entries: their hypotheses.
    """
    row = store.run_row(runs[-1])
    shape = entries[0].prediction.shape if entries else None
    found = Mechanism(
        behaviour=row.behaviour,
        question=str(row.behaviour_definition.get("question", "")),
        model=row.model,
        study=store.study.name,
        runs=tuple(runs),
        n_layers=shape.n_layers if shape else 0,
        n_heads=shape.n_heads if shape else 0,
        n_groups=shape.n_key_value_heads if shape else 0,
        positions=_positions(row.behaviour_definition),
        families=tuple(row.behaviour_definition.get("families", ())),
        tested=sum(e.evidence is not None for e in entries),
        confirmed=sum(e.state == "confirmed" for e in entries),
        explained=explained_by(store, runs, entries),
        open=tuple(_open(store, runs, entries)),
        lines=tuple(entry_line(e) for e in entries),
        **_parts(entries),
    )
    return replace(found, sentences=tuple(sentences(found)))


def _positions(definition: dict[str, Any]) -> tuple[str, ...]:
    """A behaviour's named positions; of one that cannot be read (verification says so), the one that all have."""
    try:
        return tuple(Behaviour.model_validate(definition).named_positions)
    except ValueError:
        return ("END",)


class _About:
    """All that was tested of one claim: on the behaviour itself, and on its families."""

    def __init__(self) -> None:
        self.confirmed: list[Entry] = []
        self.unshown: list[str] = []

    def add(self, entry: Entry) -> None:
        if entry.state == "confirmed":
            self.confirmed.append(entry)
        elif entry.claim.family is not None and entry.evidence is not None:
            self.unshown.append(entry.claim.family)

    @property
    def entry(self) -> Entry:
        """The confirmed claim: of the behaviour itself, where it is confirmed there."""
        return min(self.confirmed, key=lambda e: (e.claim.family is not None, e.id))

    @property
    def backing(self) -> dict[str, Any]:
        families = [e.claim.family for e in self.confirmed if e.claim.family is not None]
        return {
            "claims": tuple(sorted(e.id for e in self.confirmed)),
            "families": tuple(families),
            "unshown": tuple(self.unshown),
        }

    @property
    def fraction(self) -> float | None:
        """The main effect as a fraction of the gap, signed: negative opposes."""
        evidence, claim = self.entry.evidence, self.entry.claim.tested
        if evidence is None or evidence.effect is None or not claim.of_gap:
            return None
        sign = -1 if getattr(claim, "direction", "supports") == "opposes" else 1
        return sign * evidence.effect.mean / self.entry.battery.gap


def _parts(entries: Iterable[Entry]) -> dict[str, tuple[Any, ...]]:
    """The parts of a mechanism, by the names of its fields."""
    about: dict[str, _About] = defaultdict(_About)
    readings: list[Reading] = []
    for entry in entries:
        about[content_hash(claim_fields(entry.claim.tested))].add(entry)
        if entry.state == "inconclusive" and entry.reading and entry.claim.family is None:
            readings += [
                Reading((entry.id,), component=c, reading=entry.reading) for c in entry.claim.tested.components
            ]
    found: dict[str, list[Any]] = defaultdict(list)
    nodes: dict[str, Node] = {}
    for own in about.values():
        if not own.confirmed:
            continue
        claim = own.entry.claim.tested
        if isinstance(claim, NodeEffect | Necessity):
            for component in claim.components:
                nodes[component] = _node(claim, component, own, nodes.get(component))
        else:
            name, part = _part(claim, own)
            found[name].append(part)
    found["nodes"] = sorted(nodes.values(), key=lambda node: _place(node.component))
    return {name: tuple(parts) for name, parts in found.items()} | {"readings": tuple(readings)}


def _place(text: str) -> tuple[int, str, int, str]:
    component = Component.parse(text)
    return component.layer, component.kind, component.index or 0, str(component.position or "")


def _node(claim: NodeEffect | Necessity, component: str, own: _About, known: Node | None) -> Node:
    """A component as one more claim shows it."""
    node = known or Node((), component=component)
    merged: dict[str, Any] = {k: tuple(dict.fromkeys((*getattr(node, k), *v))) for k, v in own.backing.items()}
    merged["claims"] = tuple(sorted(merged["claims"]))
    node = replace(node, **merged)
    together = claim.components if len(claim.components) > 1 else ()
    if isinstance(claim, Necessity):
        kept = node.together if node.effect is not None else together
        if node.lost is not None and together:  # what it costs alone is known
            return replace(node, necessary=True)
        return replace(node, necessary=True, lost=own.fraction, together=kept)
    if node.effect is not None and together:  # its own effect is known
        return node
    return replace(node, effect=own.fraction, direction=claim.direction, together=together)


def _part(claim: AnyParent, own: _About) -> tuple[str, Any]:
    """Any other part of a mechanism, and the field that it belongs to."""
    told = own.backing
    match claim:
        case Mediation():
            told |= {"senders": claim.components, "receivers": claim.receivers, "share": claim.share}
            return "paths", Path(**told, effect=own.fraction, direction=claim.direction)
        case AttentionRole():
            effect = own.entry.evidence.effect if own.entry.evidence else None
            told |= {"attends_from": claim.attends_from, "attends_to": claim.attends_to}
            return "looks", Looks(**told, heads=claim.components, margin=effect.mean if effect else None)
        case BackupClaim():
            return "backups", Backup(**told, components=claim.components, of=claim.backed_up, effect=own.fraction)
        case Sufficiency():
            told |= {"faithfulness": claim.faithfulness, "rival": own.entry.prediction.role == "rival"}
            return "circuits", Circuit(**told, components=claim.components)
        case Minimality():
            told |= {"kind": "minimality", "backups": dict(claim.backups)}
            return "circuits", Circuit(**told, components=claim.components)
        case NoEffect():
            return "absent", Absent(**told, components=claim.components, margin=claim.threshold)
        case _:
            raise AssertionError(f"a mechanism has no part for {claim.name()}")


def _open(store: StudyReader, runs: Sequence[int], entries: Sequence[Entry]) -> Iterable[Open]:
    """What is consistent with the evidence and not shown: rivals, undecided claims, what was not tested."""
    for entry in entries:
        if entry.state == "inconclusive" and not entry.reading and entry.prediction.role != "null":
            yield Open(entry.text, "rival" if entry.prediction.role == "rival" else "undecided", entry.id)
    behaviour, registered = store.run_row(runs[-1]).behaviour, {entry.text for entry in entries}
    left = [proposal for run_id in runs for stage in store.stages(run_id) for proposal in stage["left"]]
    for text in dict.fromkeys(claim_of(proposal, behaviour) for proposal in left):
        if text not in registered:
            yield Open(text, "not tested")
