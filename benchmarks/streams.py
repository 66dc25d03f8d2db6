"""What it saves to measure the claims of a stream together, and several of its draws at once.

    python benchmarks/streams.py                        on the pretrained and on a planted model
    python benchmarks/streams.py --model smollm2-135m --behaviour ioi

Seconds of a draw of sixteen prompts, everything included (drawing, donors, control texts, base runs, arms, audits): of
nine claims of six kinds, each by itself and all together, and together with 2 and 4 draws at once. The median of the
repeats counts, taken in turn, so that a busy machine slows all of them alike.
"""

from __future__ import annotations

import argparse
import statistics
import time
import zlib
from collections.abc import Callable
from functools import partial

from lakatos.tools.behaviour import load_behaviour
from lakatos.tools.claim import (
    AnyClaim,
    AttentionRole,
    Mediation,
    Necessity,
    NodeEffect,
    NoEffect,
    Sufficiency,
    draw_matched,
)
from lakatos.tools.component import Shape
from lakatos.tools.evidence import Battery
from lakatos.tools.experiment import Draw, Member, measure_draws
from lakatos.tools.model import LoadedModel, load_model

MODELS = (("smollm2-135m", "ioi"), ("planted:induction", "planted_recall"))
AT_ONCE = (2, 4)


def main() -> None:
    """A table for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--behaviour")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    for name, behaviour in [(given.model, given.behaviour)] if given.model else MODELS:
        compare(load_model(name, device=given.device), behaviour, given.repeats)


def claims(model: LoadedModel, positions: list[str]) -> list[AnyClaim]:
    """Some of each kind, on heads and MLPs that any model has."""
    last, end = int(model.cfg.n_layers) - 1, "END"
    early = positions[0]
    return [
        NodeEffect(components=(f"a{last}.h0@{end}",)),
        NodeEffect(components=(f"a{last}.h1@{end}",), intervention="noising"),
        NodeEffect(components=(f"a0.h1@{early}",), intervention="noising"),
        NodeEffect(components=(f"m{last}@{end}",)),
        Necessity(components=(f"a{last}.h1",)),
        Mediation(components=(f"a0.h0@{early}",), receivers=("logits",), matched_random=3),
        Sufficiency(components=("m0", f"a{last}.h0", f"a{last}.h1")),
        AttentionRole(components=(f"a{last}.h0",), attends_from=end, attends_to=early),
        NoEffect(components=(f"a{last}.h2@{early}",)),
    ]


def compare(model: LoadedModel, name: str, repeats: int) -> None:
    """Print the seconds of a draw, each way."""
    behaviour = load_behaviour(name)
    controls = [load_behaviour(control) for control in behaviour.controls]
    shape = Shape.of(model.cfg)
    members = []
    for claim in claims(model, behaviour.named_positions):
        matched = (
            {"positions": ("elsewhere",)} if isinstance(claim, AttentionRole) else draw_matched(claim, shape, "seed")
        )
        matched |= {"shuffled": ()} if isinstance(claim, Sufficiency) else {}
        members.append(Member(claim, Battery.draft(1.0, {}, matched)))

    def measured(own: list[Member], n: int) -> None:
        draws = [Draw.of(own, behaviour, controls, k, lambda purpose: zlib.crc32(purpose.encode())) for k in range(n)]
        for draw in measure_draws(draws, own, model):
            for place in range(len(own)):
                if isinstance(error := draw.data(place), Exception):
                    raise error

    ways: dict[str, tuple[int, Callable[[], object]]] = {
        "each by itself": (1, lambda: [measured([member], 1) for member in members]),
        "together": (1, lambda: measured(members, 1)),
    }
    for n in AT_ONCE:
        ways[f"together, {n} at once"] = (n, partial(measured, members, n))
    ways["together"][1]()  # what the model can do is tried once
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(repeats):
        for way, (n, run) in ways.items():
            began = time.perf_counter()
            run()
            seconds[way].append((time.perf_counter() - began) / n)
    first = statistics.median(seconds["each by itself"])
    print(f"{model.name} on {name}, {len(members)} claims, seconds of a draw")
    for way, each in seconds.items():
        print(f"  {way:<22} {statistics.median(each):8.3f}   1 / {first / statistics.median(each):.2f}")


if __name__ == "__main__":
    main()
