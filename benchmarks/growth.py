"""How the engine's time and memory grow: synthetic models with random weights, one factor varied at a time.

    python benchmarks/growth.py                   tables, and docs/growth.svg
    python benchmarks/growth.py --quick           smaller, in half a minute
    python benchmarks/growth.py --device cuda --scale 8 --dtype bfloat16

Time: seconds of one `run_interventions` on layers, positions, prompts and cells (interventions), everything included;
prompts of a pair differ from their second token on, so nearly every position runs again. Memory: the most that a call
with `memory=` held at once beside the model, in a process of its own, against that limit.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import resource
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from lakatos.tools.behaviour import PromptPair, PromptPairs
from lakatos.tools.benchmark import timed
from lakatos.tools.intervention import Intervention, run_interventions
from lakatos.tools.model import wrap_model

FACTORS = {
    "layers": (2, 4, 8, 16, 32),
    "positions": (16, 32, 64, 128, 256),
    "prompts": (2, 4, 8, 16, 32),
    "cells": (8, 16, 32, 64, 128),
}
BASE = {"layers": 8, "positions": 32, "prompts": 8, "cells": 32}
LIMITS = (64, 128, 256, 512, 1024)  # MB
HELD = {"layers": 8, "positions": 64, "prompts": 64, "cells": 16}  # what memory is measured on
WIDTH, HEADS, NEURONS, WORDS = 256, 8, 704, 1000
MEGA = 1 << 20


def main() -> None:
    """Both tables and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--repeats", type=int, default=3, help="the fastest counts")
    parser.add_argument("--scale", type=int, default=1, help="times so many prompts and cells: for a GPU")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--picture", type=Path, default=Path(__file__).parents[1] / "docs" / "growth.svg")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--hold", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.hold is not None:
        print(json.dumps(held(options.hold * MEGA, options)))
        return
    grown = {name: growth(name, options) for name in FACTORS}
    limits = LIMITS[:2] if options.quick else LIMITS
    memory = [held_apart(limit, options) for limit in limits]
    if options.json:
        print(json.dumps({"base": BASE, "scale": options.scale, "seconds": grown, "memory": memory}, indent=2))
    else:
        print_tables(grown, memory, options)
    options.picture.parent.mkdir(parents=True, exist_ok=True)
    options.picture.write_text(picture(grown))
    say(f"wrote {options.picture}")


def growth(name: str, options: argparse.Namespace) -> list[tuple[int, float]]:
    """(value, seconds) of one factor, the others at their base."""
    found = []
    for value in FACTORS[name][: 3 if options.quick else None]:
        sizes = scaled(BASE | {name: value}, options.scale)
        model, pairs, plan = setting(sizes, options)
        run_interventions(model, pairs, plan[:1])
        repeats = 1 if options.quick else options.repeats
        call = lambda: run_interventions(model, pairs, plan)  # noqa: B023, E731 - called here only
        seconds = min(timed(call, options.device)[1] for _ in range(repeats))
        found.append((sizes[name], seconds))
        say(f"{name} {sizes[name]}: {seconds:.3f} s")
    return found


def setting(sizes: dict[str, int], options: argparse.Namespace) -> tuple[Any, PromptPairs, list[Intervention]]:
    """A model, prompts and interventions of these sizes: neurons spread evenly over the layers, at all positions."""
    from transformer_lens.model_bridge import TransformerBridge

    config = LlamaConfig(
        hidden_size=WIDTH, num_hidden_layers=sizes["layers"], num_attention_heads=HEADS, num_key_value_heads=HEADS,
        intermediate_size=NEURONS, vocab_size=WORDS, max_position_embeddings=4096, initializer_range=0.05,
        bos_token_id=0, eos_token_id=0, pad_token_id=0,
    )  # fmt: skip
    dtype = getattr(torch, options.dtype)
    torch.manual_seed(0)
    drawn = AutoModelForCausalLM.from_config(config, dtype=dtype).eval().to(options.device)
    bridge = TransformerBridge.boot_transformers(
        "growth-llama", hf_model=drawn, tokenizer=words(), device=options.device, dtype=dtype
    )
    model = wrap_model(bridge, name="growth").bridge
    rng = random.Random(0)
    pairs = []
    for number in range(sizes["prompts"]):
        clean = [f"w{rng.randrange(1, WORDS)}" for _ in range(sizes["positions"])]
        other = next(word for word in ("w3", "w4") if word != clean[1])
        corrupted = [clean[0], other, *clean[2:]]
        texts = (" ".join(clean), " ".join(corrupted), " w1", " w2")
        pairs.append(PromptPair(f"{number:016x}", "random", *texts, {}, {}))
    prompts = PromptPairs(tuple(pairs), "growth", "sha256:", None, "pairs", "exploration", 0)
    layers, cells = sizes["layers"], sizes["cells"]
    return model, prompts, [Intervention(f"m{i * layers // cells}.n{i % NEURONS}") for i in range(cells)]


def words() -> PreTrainedTokenizerFast:
    """A word is a token."""
    known = Tokenizer(WordLevel({f"w{i}": i for i in range(WORDS)}, unk_token="w0"))
    known.pre_tokenizer = Whitespace()
    names = {"bos_token": "w0", "eos_token": "w0", "pad_token": "w0", "unk_token": "w0"}
    return PreTrainedTokenizerFast(tokenizer_object=known, name_or_path="growth", add_bos_token=True, **names)


def held_apart(limit: int, options: argparse.Namespace) -> dict[str, Any]:
    """`held`, in a process of its own: an allocator keeps what an earlier call gave back."""
    command = [sys.executable, __file__, "--hold", str(limit), "--device", options.device, "--dtype", options.dtype]
    command += ["--scale", str(options.scale)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"the run with memory={limit} MB failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    say(f"memory={limit} MB: {found['peak'] / MEGA:.0f} MB held at most")
    return found


def held(limit: int, options: argparse.Namespace) -> dict[str, Any]:
    """The most memory held beside the model during a call with this limit, in bytes, and its seconds."""
    model, pairs, plan = setting(scaled(HELD, options.scale), options)
    run_interventions(model, pairs[:2], plan[:2], memory=limit)  # what is loaded and tried once
    gpu = options.device.startswith("cuda")
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated() if gpu else now()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        effects, seconds = timed(lambda: run_interventions(model, pairs, plan, memory=limit), options.device)
    after = torch.cuda.max_memory_allocated() if gpu else peak()
    return {"limit": limit, "peak": after - before, "seconds": seconds, "notices": list(effects.notices)}


def now() -> int:
    """Bytes resident; the peak begins anew where the system allows it (Linux)."""
    clear = Path("/proc/self/clear_refs")
    if not clear.exists():
        return peak()
    clear.write_text("5")
    return status("VmRSS")


def peak() -> int:
    """The most bytes that were resident at once."""
    if Path("/proc/self/status").exists():
        return status("VmHWM")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def status(field: str) -> int:
    """A field of this process's status, in bytes."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(field))
    return int(line.split()[1]) * 1024


def scaled(sizes: dict[str, int], scale: int) -> dict[str, int]:
    """So many times the prompts and the cells."""
    return {name: size * scale if name in ("prompts", "cells") else size for name, size in sizes.items()}


def exponent(points: Sequence[tuple[int, float]]) -> float:
    """How time grows between the two largest values: 1 is in proportion."""
    (x0, y0), (x1, y1) = points[-2:]
    return math.log(y1 / y0) / math.log(x1 / x0)


def print_tables(
    grown: dict[str, list[tuple[int, float]]], memory: list[dict[str, Any]], options: argparse.Namespace
) -> None:
    """Seconds by factor, and memory by limit."""
    base = ", ".join(f"{size} {name}" for name, size in scaled(BASE, options.scale).items())
    print(f"d_model {WIDTH}, {HEADS} heads, {options.dtype} on {options.device}; where not varied: {base}\n")
    print("| factor | " + " | ".join("value: seconds" for _ in next(iter(grown.values()))) + " | grows as |")
    print("|---" * (len(next(iter(grown.values()))) + 2) + "|")
    for name, points in grown.items():
        cells = " | ".join(f"{value}: {seconds:.3g}" for value, seconds in points)
        print(f"| {name} | {cells} | {name}^{exponent(points):.2f} |")
    print("\n| memory= | held at most | of the limit | seconds | notices |\n|---|---|---|---|---|")
    for row in memory:
        share = row["peak"] / row["limit"]
        print(
            f"| {row['limit'] // MEGA} MB | {row['peak'] / MEGA:.0f} MB | {share:.0%} | {row['seconds']:.2f} "
            f"| {len(row['notices'])} |"
        )


def picture(grown: dict[str, list[tuple[int, float]]]) -> str:
    """Four log-log panels with one scale of seconds: measured, and in proportion (dashed)."""
    panel, high, left, top = 210, 220, 64, 34
    every = [seconds for points in grown.values() for _, seconds in points]
    low, up = math.floor(math.log10(min(every))), math.ceil(math.log10(max(every)))
    up = max(up, low + 1)

    def y(seconds: float) -> float:
        return top + high * (up - math.log10(seconds)) / (up - low)

    ink, line = "#7d8590", "#3b82f6"
    parts = [
        f'<text x="14" y="{top + high / 2}" transform="rotate(-90 14 {top + high / 2})" text-anchor="middle">'
        "time of a sweep (seconds)</text>"
    ]
    for number, (name, points) in enumerate(grown.items()):
        x0 = left + number * (panel + 26)
        first, last = math.log2(points[0][0]), math.log2(points[-1][0])

        def x(value: float, x0: float = x0, first: float = first, last: float = last) -> float:
            return x0 + 12 + (panel - 24) * (math.log2(value) - first) / (last - first)

        parts.append(f'<rect x="{x0}" y="{top}" width="{panel}" height="{high}" fill="none" stroke="{ink}"/>')
        grows = f"grows as {name}^{exponent(points):.2f}"
        parts.append(f'<text x="{x0 + panel / 2}" y="{top - 10}" text-anchor="middle">{grows}</text>')
        parts.append(f'<text x="{x0 + panel / 2}" y="{top + high + 36}" text-anchor="middle">{name} (number of)</text>')
        for power in range(low, up + 1):
            at = y(10.0**power)
            parts.append(f'<path d="M{x0} {at:.1f}h{panel}" stroke="{ink}" stroke-opacity=".3"/>')
            if number == 0:
                parts.append(f'<text x="{x0 - 6}" y="{at + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
        for value, _ in points:
            parts.append(f'<text x="{x(value):.1f}" y="{top + high + 17}" text-anchor="middle">{value}</text>')
        middle, seconds = points[len(points) // 2]
        ends = [(value, seconds * value / middle) for value in (points[0][0], points[-1][0])]
        clipped = [(v, min(max(s, 10.0**low), 10.0**up)) for v, s in ends]
        (va, sa), (vb, sb) = [(middle * s / seconds, s) for _, s in clipped]
        parts.append(
            f'<path d="M{x(va):.1f} {y(sa):.1f}L{x(vb):.1f} {y(sb):.1f}" stroke="{ink}" stroke-dasharray="4 4"/>'
        )
        where = [f"{x(value):.1f} {y(seconds):.1f}" for value, seconds in points]
        parts.append(f'<path d="M{"L".join(where)}" fill="none" stroke="{line}" stroke-width="2"/>')
        parts += [f'<circle cx="{p.split()[0]}" cy="{p.split()[1]}" r="3.5" fill="{line}"/>' for p in where]
    width, height = left + 4 * (panel + 26), top + high + 68
    parts.append(f'<text x="{left}" y="{height - 10}">blue: measured; dashed: in proportion to the factor</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="{ink}">\n<title>Time of a sweep against layers, '
        "positions, prompts and cells</title>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
