"""What a compiled program's parts read and write, read off its weights.

Two parts are connected where the later one reads a direction of the residual stream that the earlier one writes. The
parts are numbered: the heads first, then the MLPs, in the order of `Compiled`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from lakatos.tools.model.rasp.compiling import Compiled, CompiledHead, CompiledMlp
from lakatos.tools.model.rasp.expressions import Sop, operations

Input = Literal["q", "k", "v", "mlp", "logits"]


class Edge(NamedTuple):
    """A part reads what another one writes."""

    sender: int  # number of a part
    receiver: int | None  # number of a part; None: the logits
    input: Input


def parts_of(compiled: Compiled) -> list[CompiledHead | CompiledMlp]:
    return [*compiled.heads, *compiled.mlps]


def computed_by(compiled: Compiled) -> list[tuple[Sop, ...]]:
    """Of each part the operations whose values it writes, or, for a head that counts, begins to compute."""
    found = operations(compiled.program.expression)
    numbers = [p.operations if isinstance(p, CompiledMlp) else (p.operation,) for p in parts_of(compiled)]
    return [tuple(found[number] for number in each) for each in numbers]


def output_directions(compiled: Compiled) -> list[int]:
    """The dimensions of the answer, in the order of its values."""
    answer = len(operations(compiled.program.expression)) - 1
    return [i for i, d in enumerate(compiled.directions) if d.operation == answer and d.value is not None]


def edges_of(compiled: Compiled) -> list[Edge]:
    """All connections between parts, and from parts to the logits."""
    parts = parts_of(compiled)
    answer = set(output_directions(compiled))
    found = []
    for sender, part in enumerate(parts):
        written = _written(part)
        for receiver, other in enumerate(parts):
            if _moment(part) < _moment(other):
                found += [Edge(sender, receiver, name) for name, read in _read(other).items() if read & written]
        if written & answer:
            found.append(Edge(sender, None, "logits"))
    return found


def needed(compiled: Compiled) -> set[int]:
    """The parts from which something comes to the logits."""
    edges, found = edges_of(compiled), set[int]()
    while True:
        more = {e.sender for e in edges if e.receiver is None or e.receiver in found}
        if more <= found:
            return found
        found |= more


def _moment(part: CompiledHead | CompiledMlp) -> tuple[int, bool]:
    return part.layer, isinstance(part, CompiledMlp)


def _written(part: CompiledHead | CompiledMlp) -> set[int]:
    matrix = part.write if isinstance(part, CompiledMlp) else part.value_output
    return set(np.nonzero(matrix.any(axis=0))[0].tolist())


def _read(part: CompiledHead | CompiledMlp) -> dict[Input, set[int]]:
    if isinstance(part, CompiledMlp):
        return {"mlp": set(np.nonzero(part.read.any(axis=1))[0].tolist())}
    asks, answers = part.query_key.any(axis=1), part.query_key.any(axis=0)
    values = part.value_output.any(axis=1)
    return {
        "q": set(np.nonzero(asks)[0].tolist()),
        "k": set(np.nonzero(answers)[0].tolist()),
        "v": set(np.nonzero(values)[0].tolist()),
    }
