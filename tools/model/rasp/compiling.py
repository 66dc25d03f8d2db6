"""Programs compiled to transformer weights by Tracr (Lindner et al. 2023), in the basis that Tracr compiles to.

What is kept of a compiled program is plain matrices over named directions of the residual stream, and of each head and
MLP the operations that it computes. Embedding it into a larger transformer is `embedding`'s part. Tracr, and JAX with
it, is needed to compile; not to read what is compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lakatos.tools.errors import UserError
from lakatos.tools.model.rasp.expressions import (
    POSITIONS,
    Aggregate,
    Indices,
    Map,
    SequenceMap,
    Sop,
    Tokens,
    Value,
    Width,
    domain,
    operations,
)
from lakatos.tools.model.rasp.programs import Program

Matrix = NDArray[np.float32]
EXACTNESS = 400  # of the steps by which Tracr's MLPs tell numbers apart
SCORE = 100.0  # of a match, as compiled
START = "<start>"  # the special token before every prompt
_COUNTED = "_selector_width_attn_output"  # Tracr's name of the number that a head writes for a width


class Direction(NamedTuple):
    """One dimension of the compiled residual stream."""

    operation: int  # of `operations(program)`; -1: it holds 1 at every position
    value: Value | None  # that the operation can have; None where the direction holds a number itself


class CompiledHead(NamedTuple):
    layer: int
    query_key: Matrix  # [dims, dims]: score of (query, key); 100 for a match, 50 for the first token or nothing
    value_output: Matrix  # [dims, dims]: what is read at the key -> what is written at the query
    operation: int  # that it computes, or begins to compute
    averages: bool  # whether it takes the mean of several positions, so that their scores must be alike


class CompiledMlp(NamedTuple):
    layer: int
    read: Matrix  # [dims, neurons]
    write: Matrix  # [neurons, dims]
    operations: tuple[int, ...]  # that it computes


class Compiled(NamedTuple):
    """A program as heads and MLPs; `heads` come before `mlps` of the same layer."""

    program: Program
    directions: tuple[Direction, ...]
    heads: tuple[CompiledHead, ...]
    mlps: tuple[CompiledMlp, ...]

    @property
    def layers(self) -> int:
        return 1 + max([*(head.layer for head in self.heads), *(mlp.layer for mlp in self.mlps)])


def compile_program(program: Program) -> Compiled:
    """Compile a program with Tracr; a second or so.

    Raises:
        UserError: Tracr is not installed; or cannot compile this program.
    """
    try:
        from tracr.compiler import basis_inference, craft_graph_to_model, expr_to_craft_graph, rasp_to_graph
        from tracr.craft import bases, transformers
    except ImportError as error:
        raise UserError(
            f"The program {program.name!r} is not compiled yet, and Tracr, which compiles it, is not installed: "
            'pip install "lakatos[groundtruth]"'
        ) from error
    lowered = _lowered(program)
    graph = rasp_to_graph.extract_rasp_graph(lowered[program.expression])
    basis_inference.infer_bases(graph.graph, graph.sink, set(program.alphabet), POSITIONS)
    expr_to_craft_graph.add_craft_components_to_rasp_graph(
        graph.graph, bos_dir=bases.BasisDirection("tokens", START), causal=True, mlp_exactness=EXACTNESS
    )
    model = craft_graph_to_model.craft_graph_to_model(graph.graph, graph.sources)
    labels = {sop.label: number for number, sop in enumerate(lowered.values())}
    return _Reader(program, labels).compiled(model, transformers.MLP)


def _lowered(program: Program) -> dict[Sop, Any]:
    """The operations of a program in Tracr's own classes, in order."""
    from tracr.rasp import rasp

    found: dict[Sop, Any] = {}

    def select(sop: Aggregate | Width) -> Any:
        return rasp.Select(found[sop.select.keys], found[sop.select.queries], sop.select.relation)

    for number, sop in enumerate(operations(program.expression)):
        if isinstance(sop, Tokens):
            found[sop] = rasp.tokens
            continue
        if isinstance(sop, Indices):
            found[sop] = rasp.indices
            continue
        if isinstance(sop, Aggregate):
            made = rasp.Aggregate(select(sop), found[sop.sop])
        elif isinstance(sop, Width):
            made = rasp.SelectorWidth(select(sop))
        elif isinstance(sop, Map):
            made = rasp.Map(sop.entries.get, found[sop.inner], simplify=False)
        else:
            made = rasp.SequenceMap(_of_two(sop), found[sop.first], found[sop.second])
        found[sop] = made.named(f"operation{number}")
    return found


def _of_two(sop: SequenceMap) -> Callable[[Value, Value], Value | None]:
    return lambda one, other: sop.entries.get((one, other))


def _order(direction: Direction) -> tuple[int, bool, bool, int, str]:
    value = direction.value
    return (
        direction.operation,
        value is not None,
        isinstance(value, str),
        value if isinstance(value, int) else 0,
        str(value),
    )


class _Reader:
    """Reads Tracr's model of a program.

    Args:
        labels: Tracr's names of the operations -> their numbers.
    """

    def __init__(self, program: Program, labels: Mapping[str, int]) -> None:
        self._program = program
        self._operations = operations(program.expression)
        self._labels = labels
        self._place: dict[Any, int] = {}  # Tracr's direction -> dimension
        self._size = 0  # dimensions

    def compiled(self, model: Any, mlp_class: type) -> Compiled:
        """The model's blocks as halves of layers, attention and MLP in turn; halves that are not there are left out."""
        found = {direction: self._direction(direction) for direction in model.residual_space.basis}
        inputs = [(sop, v) for sop in self._operations if isinstance(sop, Tokens | Indices) for v in self._domain(sop)]
        given = {Direction(self._operations.index(sop), value) for sop, value in inputs}
        directions = sorted({*found.values(), *given}, key=_order)
        self._size = len(directions)
        self._place = {direction: directions.index(ours) for direction, ours in found.items()}
        heads, mlps, half = [], [], 0
        for block in model.blocks:
            half += half % 2 != isinstance(block, mlp_class)
            if half % 2:
                mlps.append(self._mlp(block, half // 2))
            else:
                heads += [self._head(head, half // 2) for head in block.as_multi().heads()]
            half += 1
        return Compiled(self._program, tuple(directions), tuple(heads), tuple(mlps))

    def _domain(self, sop: Sop) -> list[Value]:
        return [*domain(sop, self._program.alphabet), *([START] if isinstance(sop, Tokens) else [])]

    def _direction(self, direction: Any) -> Direction:
        if direction.name == "one":
            return Direction(-1, 1)
        return Direction(self._labels[direction.name.removesuffix(_COUNTED)], direction.value)

    def _head(self, head: Any, layer: int) -> CompiledHead:
        name = head.w_ov.output_space.basis[0].name
        return CompiledHead(
            layer,
            self._spread(head.w_qk.matrix, head.w_qk.left_space, head.w_qk.right_space),
            self._spread(head.w_ov.matrix, head.w_ov.input_space, head.w_ov.output_space),
            self._labels[name.removesuffix(_COUNTED)],
            averages=name.endswith(_COUNTED),
        )

    def _mlp(self, mlp: Any, layer: int) -> CompiledMlp:
        read, write = mlp.fst.matrix, mlp.snd.matrix
        written = {d.name for d in mlp.snd.output_space.basis if not d.name.endswith(_COUNTED)}
        return CompiledMlp(
            layer,
            self._spread(read, mlp.fst.input_space, None),
            self._spread(write, None, mlp.snd.output_space),
            tuple(sorted(self._labels[name] for name in written)),
        )

    def _spread(self, matrix: Any, rows: Any, columns: Any) -> Matrix:
        """A matrix over some directions as one over all of the stream; None: over neurons, which stay."""
        found = np.asarray(matrix, np.float32)
        for axis, space in enumerate((rows, columns)):
            if space is not None:
                wide = np.zeros((*found.shape[:axis], self._size, *found.shape[axis + 1 :]), np.float32)
                index = [self._place[d] for d in space.basis]
                wide[(slice(None),) * axis + (index,)] = found
                found = wide
        return found
