"""Compiled programs as files: weights as safetensors, and beside them JSON that says what each part computes.

The programs with names come with the package, so that nobody needs Tracr for them; others are compiled once and kept
in the cache folder. A file is used only if it is of exactly this program, and if its hash is the one that is written
beside it. Matrices are stored as the places and values of what is not zero.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from lakatos.tools.errors import UserError
from lakatos.tools.model.embedded import cache_folder
from lakatos.tools.model.rasp.compiling import (
    EXACTNESS,
    Compiled,
    CompiledHead,
    CompiledMlp,
    Direction,
    Matrix,
    compile_program,
)
from lakatos.tools.model.rasp.describing import described
from lakatos.tools.model.rasp.programs import PROGRAMS, Program
from lakatos.tools.records import content_hash


def compiled_program(program: Program) -> Compiled:
    """A program's weights: from the package, from the cache, or compiled and put there.

    Raises:
        UserError: Tracr is needed and not installed; a stored file is broken, or the cache cannot be written.
    """
    shipped = files("lakatos.tools.model.rasp") / "compiled"
    if program.name in PROGRAMS and _is_there(shipped, program.name):
        return _read(program, shipped, program.name)
    folder, stem = cached_folder(), f"{program.name}-{digest(program)[7:19]}"
    if not _is_there(folder, stem):
        write(compile_program(program), folder, stem)
    return _read(program, folder, stem)


def cached_folder() -> Path:
    """Where compiled programs, and the behaviours that are made for them, are kept."""
    return cache_folder() / "rasp"


def digest(program: Program) -> str:
    """What identifies the weights of a program."""
    return content_hash([described(program), EXACTNESS])


def write(compiled: Compiled, folder: Path, stem: str) -> None:
    """Write the two files, the JSON last. Raises UserError where the folder cannot be written."""
    tensors: dict[str, Any] = {}
    for name, matrix in _matrices(compiled).items():
        places = np.nonzero(matrix)
        tensors |= {f"{name}.at": np.stack(places).astype(np.int16), f"{name}.values": matrix[places]}
    weights = save(tensors)
    said = {
        "program": digest(compiled.program),
        "sha256": hashlib.sha256(weights).hexdigest(),
        "operations": described(compiled.program)["operations"],
        "directions": [list(direction) for direction in compiled.directions],
        "heads": [[head.layer, head.operation, head.averages] for head in compiled.heads],
        "mlps": [[mlp.layer, mlp.read.shape[1], list(mlp.operations)] for mlp in compiled.mlps],
    }
    text = json.dumps(said, ensure_ascii=False).replace('"operations"', '\n"operations"').replace("], [", "],\n[")
    put(folder / f"{stem}.safetensors", weights)
    put(folder / f"{stem}.json", (text + "\n").encode())


def put(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, whoever else is writing it. Raises UserError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as scratch:
            made = Path(scratch) / path.name
            made.write_bytes(content)
            made.replace(path)
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error}. Set LAKATOS_CACHE to a folder that can be written.") from error


def _is_there(folder: Traversable, stem: str) -> bool:
    return all((folder / f"{stem}.{ending}").is_file() for ending in ("safetensors", "json"))


def _read(program: Program, folder: Traversable, stem: str) -> Compiled:
    weights, where = (folder / f"{stem}.safetensors").read_bytes(), folder / stem
    mend = f"remove {where}.safetensors and .json, and they will be made again"
    if program.name in PROGRAMS:
        mend = "install lakatos again, or make them with python -m lakatos.tools.model.rasp"
    try:
        said = json.loads((folder / f"{stem}.json").read_text("utf-8"))
        if said["program"] != digest(program):
            raise UserError(f"{where}.json is of another program than {program.name!r}: {mend}.")
        if said["sha256"] != hashlib.sha256(weights).hexdigest():
            raise UserError(f"{where}.safetensors is not what {where}.json describes, by its sha256: {mend}.")
        return _assembled(program, said, load(weights))
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise UserError(f"{where}.json and .safetensors cannot be read ({error}): {mend}.") from error


def _assembled(program: Program, said: dict[str, Any], tensors: dict[str, Any]) -> Compiled:
    dims = len(said["directions"])

    def matrix(name: str, rows: int, columns: int) -> Matrix:
        found = np.zeros((rows, columns), np.float32)
        found[tuple(tensors[f"{name}.at"].astype(int))] = tensors[f"{name}.values"]
        return found

    heads = tuple(
        CompiledHead(
            layer,
            matrix(f"head{i}.query_key", dims, dims),
            matrix(f"head{i}.value_output", dims, dims),
            operation,
            averages,
        )
        for i, (layer, operation, averages) in enumerate(said["heads"])
    )
    mlps = tuple(
        CompiledMlp(
            layer,
            matrix(f"mlp{i}.read", dims, neurons),
            matrix(f"mlp{i}.write", neurons, dims),
            tuple(operations),
        )
        for i, (layer, neurons, operations) in enumerate(said["mlps"])
    )
    return Compiled(program, tuple(Direction(*direction) for direction in said["directions"]), heads, mlps)


def _matrices(compiled: Compiled) -> dict[str, Matrix]:
    found: dict[str, Matrix] = {}
    for i, head in enumerate(compiled.heads):
        found |= {f"head{i}.query_key": head.query_key, f"head{i}.value_output": head.value_output}
    for i, mlp in enumerate(compiled.mlps):
        found |= {f"mlp{i}.read": mlp.read, f"mlp{i}.write": mlp.write}
    return found
