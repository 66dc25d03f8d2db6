"""Task (a) of the sweep, every head at all positions, through nnsight and pyvene beside ours: cells/s of each.

    python benchmarks/peers.py                        SmolLM2, 32 IOI pairs, 40 random cells of each library
    python benchmarks/peers.py --pairs 8 --samples 4  a quick look
    python benchmarks/peers.py --env FOLDER           where the libraries are installed, or already are

The libraries live in an environment of their own, made on first use with pip from the index that pip is set to (a few
hundred MB; torch of this environment's version, nnsight, pyvene). Each runs the same tokens in a process of its own,
one cell after another, pairs of one length a call; the clean activations are recorded before and not timed. Ours
includes its base and source runs. What does not install or cannot run the model is named with the reason.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LIBRARIES = ("nnsight", "pyvene")


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=32)
    parser.add_argument("--samples", type=int, default=40, help="cells that each library runs, drawn at random")
    parser.add_argument("--rounds", type=int, default=3, help="how often ours runs whole")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--env", type=Path, help="default: peers-env in the cache folder")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--measure", nargs=2, metavar=("LIBRARY", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*options.measure)))
    else:
        compare(options)


def compare(options: argparse.Namespace) -> None:
    """Run ours here and each library in its environment."""
    import numpy as np
    import torch

    from lakatos.tools.behaviour import encode, load_behaviour
    from lakatos.tools.model import cache_folder, embedded_folder, load_model

    say(f"threads: {torch.get_num_threads()}")
    model = load_model(say=say)
    pairs = load_behaviour("ioi").sample(options.pairs, options.seed)
    cells = [(layer, head) for layer in range(model.cfg.n_layers) for head in range(model.cfg.n_heads)]
    seconds, ours = run_ours(model, pairs, cells, options.rounds)
    drawn = np.random.default_rng(options.seed).permutation(len(cells))[: options.samples].tolist()
    names = ("index", "clean", "corrupted", "answer", "wrong")
    work = {
        "folder": str(embedded_folder()),
        "threads": torch.get_num_threads(),
        "d_head": model.cfg.d_head,
        "cells": [cells[cell] for cell in drawn],
        "groups": [{name: getattr(b, name).tolist() for name in names} for b in encode(pairs, model.tokenizer)],
    }
    del model
    gap = float(np.abs(ours.clean - ours.corrupted).mean())
    speed = len(cells) / float(np.mean(seconds))
    rows: list[dict[str, Any]] = [{"library": "lakatos", "version": "", "cells_per_s": speed, "ratio": 1.0}]
    environment = options.env or cache_folder() / "peers-env"
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "work.json"
        file.write_text(json.dumps(work))
        for library in LIBRARIES:
            row: dict[str, Any] = {"library": library}
            rows.append(row)
            try:
                found = run_in(prepared(environment, library), library, file)
            except RuntimeError as error:
                row["reason"] = str(error)
                continue
            each = float(np.mean(found["seconds"]))
            theirs = np.array(found["values"])  # [cell, pair]
            row |= {"version": found["version"], "cells_per_s": 1 / each, "ratio": speed * each}
            row |= {"difference": float(np.abs(theirs - ours.values[drawn]).max()) / gap, "seconds": found["seconds"]}
    if options.json:
        document = {"pairs": options.pairs, "cells": len(cells), "ours_seconds": seconds, "rows": rows}
        print(json.dumps(document, indent=2))
    else:
        print_rows(rows)


def run_ours(model: Any, pairs: Any, cells: list[tuple[int, int]], rounds: int) -> tuple[list[float], Any]:
    """Seconds of each round of all cells, and what the last one found."""
    from lakatos.tools.intervention import Intervention, run_interventions

    plan = [Intervention(f"a{layer}.h{head}") for layer, head in cells]
    run_interventions(model, pairs, plan[:2])
    seconds, ours = [], None
    for _ in range(rounds):
        began = time.perf_counter()
        ours = run_interventions(model, pairs, plan)
        seconds.append(time.perf_counter() - began)
        say(f"ours: {len(cells)} cells in {seconds[-1]:.2f} s")
    assert ours is not None
    return seconds, ours


def print_rows(rows: list[dict[str, Any]]) -> None:
    """The table; a library that did not run has its reason."""
    print(f"{'library':<16} {'cells/s':>9} {'ours is':>9}  largest difference")
    for row in rows:
        name = f"{row['library']} {row.get('version', '')}"
        if "reason" in row:
            print(f"{name:<16} did not run: {row['reason']}")
            continue
        difference = "" if "difference" not in row else f"{row['difference']:.1e} of the mean gap"
        print(f"{name:<16} {row['cells_per_s']:>9.2f} {row['ratio']:>8.1f}x  {difference}")


def prepared(environment: Path, library: str) -> Path:
    """The Python of the libraries' environment, with this library in it. Raises RuntimeError with pip's reason."""
    import torch

    python = environment / "bin" / "python"
    if not python.exists():
        say(f"making {environment}")
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    if run([str(python), "-c", f"import {library}"]).returncode:
        say(f"installing {library} there")
        wanted = [f"torch=={torch.__version__.partition('+')[0]}", "transformers", library]
        done = run([str(python), "-m", "pip", "install", "--quiet", *wanted])
        if done.returncode:
            raise RuntimeError(f"it does not install: {done.stderr.strip()[-400:]}")
    return python


def run_in(python: Path, library: str, file: Path) -> dict[str, Any]:
    """What `measure` prints there. Raises RuntimeError with the end of what went wrong."""
    done = run([str(python), __file__, "--measure", library, str(file)])
    if done.returncode:
        raise RuntimeError(f"it cannot run this model: {done.stderr.strip()[-400:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(library: str, file: str) -> dict[str, Any]:
    """In the libraries' environment: seconds of each cell, and its values [pair]."""
    from importlib.metadata import version

    import torch
    from transformers import AutoModelForCausalLM

    work = json.loads(Path(file).read_text())
    torch.set_num_threads(work["threads"])
    model = AutoModelForCausalLM.from_pretrained(work["folder"], dtype=torch.float32).eval()
    groups = [{name: torch.tensor(values) for name, values in group.items()} for group in work["groups"]]
    with torch.no_grad():
        clean = [recorded(model, group["clean"]) for group in groups]
        cell = {"nnsight": with_nnsight, "pyvene": with_pyvene}[library](
            model, work["d_head"], sorted({layer for layer, _ in work["cells"]})
        )
        n = sum(len(group["index"]) for group in groups)

        def values(layer: int, head: int) -> list[float]:
            found = torch.zeros(n)
            for group, z in zip(groups, clean, strict=True):
                logits = cell(group["corrupted"], z[layer], layer, head)[:, -1]
                row = torch.arange(len(logits))
                found[group["index"]] = logits[row, group["answer"]] - logits[row, group["wrong"]]
            return found.tolist()

        values(*work["cells"][0])
        seconds, measured = [], []
        for layer, head in work["cells"]:
            began = time.perf_counter()
            measured.append(values(layer, head))
            seconds.append(time.perf_counter() - began)
    return {"version": version(library), "seconds": seconds, "values": measured}


Cell = Callable[[Any, Any, int, int], Any]  # tokens, clean activations [n, pos, heads * d_head], layer, head -> logits


def with_nnsight(model: Any, d_head: int, _layers: list[int]) -> Cell:
    """One trace a cell."""
    from nnsight import NNsight

    wrapped = NNsight(model)

    def cell(tokens: Any, z: Any, layer: int, head: int) -> Any:
        part = slice(head * d_head, (head + 1) * d_head)
        with wrapped.trace(tokens):
            wrapped.model.layers[layer].self_attn.o_proj.input[:, :, part] = z[:, :, part]
            logits = wrapped.output.logits.save()
        return logits

    return cell


def with_pyvene(model: Any, d_head: int, layers: list[int]) -> Cell:
    """One intervenable model a layer, made before; the clean activations are given, so the source is not run again."""
    import pyvene

    built = {}
    for layer in layers:
        place = pyvene.RepresentationConfig(layer, "head_attention_value_output", "h", 1)
        config = pyvene.IntervenableConfig([place], intervention_types=pyvene.VanillaIntervention)
        built[layer] = pyvene.IntervenableModel(config, model)

    def cell(tokens: Any, z: Any, layer: int, head: int) -> Any:
        source = z.unflatten(-1, (-1, d_head)).transpose(1, 2)[:, head : head + 1]  # [n, 1, pos, d_head]
        where = {"base": [[[head]] * len(tokens)]}
        return built[layer]({"input_ids": tokens}, None, where, source_representations=source)[1].logits

    return cell


def recorded(model: Any, tokens: Any) -> list[Any]:
    """[layer] the input [n, pos, heads * d_head] of each output projection."""
    found: list[Any] = []
    handles = [
        block.self_attn.o_proj.register_forward_pre_hook(lambda _module, given: found.append(given[0].clone()))
        for block in model.model.layers
    ]
    model(tokens)
    for handle in handles:
        handle.remove()
    return found


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """A command, with what it says."""
    return subprocess.run(command, capture_output=True, text=True, check=False)


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
