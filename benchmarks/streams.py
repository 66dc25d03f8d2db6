"""What it saves to measure several draws of a stream at once; `investigation.py` tells what sharing a stream saves.

    python benchmarks/streams.py                        on the pretrained and on a planted model
    python benchmarks/streams.py --model smollm2-135m --behaviour ioi

Seconds of a draw of sixteen prompts, everything included (drawing, donors, control texts, base runs, arms, audits), of
nine claims of six kinds, where 1, 2 and 4 draws are measured at once. The median of the repeats counts, taken in turn,
so that a busy machine slows all of them alike.
"""

from __future__ import annotations

import argparse
import statistics
import time
import zlib

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
AT_ONCE = (1, 2, 4)


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

    measured(members, 1)  # what the model can do is tried once
    seconds: dict[int, list[float]] = {n: [] for n in AT_ONCE}
    for _ in range(repeats):
        for n, each in seconds.items():
            began = time.perf_counter()
            measured(members, n)
            each.append((time.perf_counter() - began) / n)
    first = statistics.median(seconds[1])
    print(f"{model.name} on {name}, {len(members)} claims, seconds of a draw")
    for n, each in seconds.items():
        print(f"  {n} at once {statistics.median(each):8.3f}   1 / {first / statistics.median(each):.2f}")


if __name__ == "__main__":
    main()
