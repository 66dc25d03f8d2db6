"""Path patching: what receivers become when only the direct paths into them carry the replaced activations.

Everything between is frozen to the base run, so a sender reaches a receiver through the residual stream alone: the
receiver's input is the base run's plus the change of what the sender writes there. Senders and receivers are one block
each; only what follows the receivers is run to the end.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch

from lakatos.tools.component import Component
from lakatos.tools.errors import UserError
from lakatos.tools.forward import Hooks
from lakatos.tools.forward.abilities import abilities
from lakatos.tools.intervention.intervention import LOGITS, Intervention
from lakatos.tools.intervention.layout import by_position
from lakatos.tools.intervention.plan import Chunk, Plan
from lakatos.tools.intervention.writes import Writes
from lakatos.tools.model import Bridge


class Sent(NamedTuple):
    """What cells' senders of one block change of what it writes to the residual stream."""

    block: int  # of the sender; read by later blocks
    branch: str  # attention, mlp or stream
    cells: np.ndarray  # [k] of the chunk
    change: torch.Tensor  # [k, width, d_model]


def check_path(model: Bridge, intervention: Intervention) -> None:
    """Refuse paths that no model has, or that this one has not.

    Raises:
        UserError
    """
    if not intervention.receivers:
        return
    if intervention.keep:
        raise UserError(f"{intervention}: keep= and to= cannot be combined.")
    if not abilities(model).adds:
        raise UserError(
            f"{intervention}: paths need blocks that add their attention's and their MLP's output to the residual "
            f"stream and nothing else; those of {model.cfg.model_name} do not."
        )
    streams = {str(replace(c, position=None)): c.layer for c in intervention.components if c.known.branch == "stream"}
    inside = [
        c for c in intervention.components if c.known.branch != "stream" and c.layer < max(streams.values(), default=0)
    ]
    if len(streams) > 1 or inside:
        raise UserError(
            f"{intervention}: a residual stream holds what was written before it, and would be counted twice; send "
            "them separately."
        )
    for receiver in intervention.receivers:
        if receiver == LOGITS:
            if len(intervention.receivers) > 1:
                raise UserError(f"{intervention}: logits are a receiver of their own; measure the others separately.")
            continue
        assert isinstance(receiver, Component)
        if not receiver.known.receives:
            raise UserError(f"{receiver}: a receiver is a9.h6.q, a9.g2.k, a9.g2.v, an MLP (m5) or logits.")
        for sender in intervention.components:
            if not sender.known.sends:
                raise UserError(f"{sender}: a path cannot begin there.")
            if not _reaches(model, sender, receiver):
                raise UserError(f"{sender} -> {receiver}: {receiver} does not read what {sender} writes.")


def received(plan: Plan, chunk: Chunk) -> Writes:
    """What is to be written at the receivers of the cells."""
    sent = _send(plan, chunk)
    writes = Writes()
    for receiver in {r: None for number in np.unique(chunk.intervention) for r in plan.interventions[number].receivers}:
        assert isinstance(receiver, Component)
        reads = np.array([receiver in plan.interventions[number].receivers for number in chunk.intervention])
        cells = np.flatnonzero(reads)
        value = _receive(plan, chunk, cells, sent, receiver)
        at = plan.at(receiver)
        if at is None:
            cell, step = np.divmod(np.arange(len(cells) * chunk.width), chunk.width)
        else:
            step = at[chunk.row[cells]] - chunk.start[cells]
            cell, step = np.flatnonzero(step >= 0), step[step >= 0]
        found = value[torch.from_numpy(cell), torch.from_numpy(step)]
        found = found if receiver.index is None else found[:, receiver.index]
        writes.add(receiver, plan.n_layers, cells[cell], step, receiver.index, found)
    return writes


def direct(plan: Plan, chunk: Chunk) -> torch.Tensor:
    """The residual stream [cell, width, d_model] after the last block, changed by the senders' own writing alone."""
    final = chunk.window(plan.device).of(plan.batch.recording(plan.base).hidden[-1])
    for part in _send(plan, chunk):
        final[torch.from_numpy(part.cells)] += part.change
    return final


def _send(plan: Plan, chunk: Chunk) -> list[Sent]:
    places = {
        (component.block(plan.n_layers), component.known.branch, _stream(component, plan.n_layers))
        for number in np.unique(chunk.intervention)
        for component in plan.interventions[number].components
    }
    return [_sent(plan, chunk, *place) for place in sorted(places)]


def _sent(plan: Plan, chunk: Chunk, block: int, branch: str, stream: int) -> Sent:
    """What the senders of one block and branch change; of a residual stream, of the one before block `stream`."""

    def senders(intervention: Intervention) -> list[Component]:
        place = block, branch, stream
        return [
            c
            for c in intervention.components
            if (c.block(plan.n_layers), c.known.branch, _stream(c, plan.n_layers)) == place
        ]

    has = np.array([bool(senders(plan.interventions[number])) for number in chunk.intervention])
    cells = np.flatnonzero(has)
    part = chunk.take(cells)
    window = part.window(plan.device)
    writes = plan.writes(part, senders)
    recording = plan.batch.recording(plan.base)
    if branch == "stream":
        name = Component(stream, "residual").hook_name(plan.n_layers)
        before = window.of(recording.hidden[stream])
        after = writes.apply(name, before)
    else:
        out = _output(block, branch)
        name = out.hook_name(plan.n_layers)
        before = window.of(plan.activation(out, plan.base))
        hooks = writes.hooks()
        if set(hooks) <= {name}:
            after = writes.apply(name, before)
        else:
            after = _capture(plan, part, block, window.of(recording.hidden[block]), hooks, out)
    writes.check()
    return Sent(block, branch, cells, after - before)


def _receive(plan: Plan, chunk: Chunk, cells: np.ndarray, sent: list[Sent], receiver: Component) -> torch.Tensor:
    """[cell, width, ...] the activation at the receiver's hook point."""
    part = chunk.take(cells)
    window = part.window(plan.device)
    stream = window.of(plan.batch.recording(plan.base).hidden[receiver.layer])
    attention: torch.Tensor | None = None
    if receiver.kind == "mlp":
        attention = window.of(plan.activation(_output(receiver.layer, "attention"), plan.base))
    place = np.full(len(chunk.row), -1)
    place[cells] = np.arange(len(cells))
    for block, branch, senders, change in sent:
        here = place[senders] >= 0
        to, change = torch.from_numpy(place[senders][here]), change[torch.from_numpy(np.flatnonzero(here))]
        if block < receiver.layer or branch == "stream":
            stream[to] += change
        elif attention is not None:
            attention[to] += change
    hooks: Hooks = {}
    if attention is not None:
        frozen = attention
        hooks = {_output(receiver.layer, "attention").hook_name(plan.n_layers): [lambda *_, **__: frozen]}
    return _capture(plan, part, receiver.layer, stream, hooks, receiver)


def _capture(
    plan: Plan, part: Chunk, block: int, stream: torch.Tensor, hooks: Hooks, component: Component
) -> torch.Tensor:
    """The component's activation [cell, width, ...] when its block reads `stream`; the rest of the block is not run."""

    def keep(activation: torch.Tensor, hook: Any = None) -> None:  # noqa: ARG001 - TransformerLens names it
        raise _Seen(by_position(component, activation))

    name = component.hook_name(plan.n_layers)
    every = {**hooks, name: [*hooks.get(name, ()), keep]}
    try:
        plan.batch.recording(plan.base).block(block, part.window(plan.device), stream, every)
    except _Seen as seen:
        return seen.activation
    raise UserError(f"{component}: this model never reaches {name}.")


class _Seen(Exception):
    """Ends a block once what is wanted of it is there."""

    def __init__(self, activation: torch.Tensor) -> None:
        super().__init__("the activation was reached")
        self.activation = activation


def _output(block: int, branch: str) -> Component:
    return Component(block, "mlp" if branch == "mlp" else "attention")


def _stream(component: Component, n_layers: int) -> int:
    """Which residual stream a sender is: that before this block, or after the last; -1: another kind of sender."""
    return min(component.layer, n_layers) if component.known.branch == "stream" else -1


def _reaches(model: Bridge, sender: Component, receiver: Component) -> bool:
    if sender.known.branch == "stream":
        return sender.layer <= receiver.layer
    if sender.layer == receiver.layer:  # an MLP reads its own block's attention, but where both read the same stream
        sequential = f"blocks.{receiver.layer}.hook_resid_mid" in model.hook_dict
        return sequential and sender.known.branch == "attention" and receiver.kind == "mlp"
    return sender.layer < receiver.layer
