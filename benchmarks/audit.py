"""What the engine's self-checks cost: the trials of a model, and the audit of calls, on the embedded model.

    python benchmarks/audit.py [--calls 120] [--pairs 16]

Each call measures five interventions on fresh pairs of ioi, as a batch of a test does. Printed are the seconds and
forward passes of the trials on long prompts (once a process), of the audit while the model is new, and afterwards.
"""

from __future__ import annotations

import argparse
import time

from lakatos.tools.behaviour import load_behaviour
from lakatos.tools.forward.abilities import abilities
from lakatos.tools.intervention import NEW, SHARE, Effects, Intervention, run_interventions
from lakatos.tools.model import load_model

PLAN = [Intervention(place, "clean") for place in ("a23.h3@END", "a22.h1@END", "a24.h8@END", "m0@S2", "m1@S2")]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=120)
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    model, behaviour = load_model(device=asked.device), load_behaviour("ioi")
    for longest in (0, 24, 300):
        began = time.perf_counter()
        abilities(model.bridge, longest)
        print(
            f"trials up to {longest or 6:>3} tokens: {time.perf_counter() - began:6.2f} s, once a process", flush=True
        )
    calls: list[tuple[Effects, float]] = []
    for seed in range(asked.calls):
        pairs = behaviour.sample(asked.pairs, seed)
        began = time.perf_counter()
        calls.append((run_interventions(model, pairs, PLAN), time.perf_counter() - began))
    audited = 0
    new = next(k for k, (effects, _) in enumerate(calls, 1) if (audited := audited + effects.audited.cells) >= NEW)
    for label, some in ((f"first {new} calls, the model is new", calls[:new]), ("calls after these", calls[new:])):
        spent = sum(effects.forwards for effects, _ in some)
        on_audit = sum(effects.audited.forwards for effects, _ in some)
        seconds = sum(took for _, took in some) / len(some)
        cells = sum(effects.audited.cells for effects, _ in some)
        print(
            f"{label}: {cells} cells audited, {on_audit / spent:.1%} of {spent:,.0f} forward passes; "
            f"{seconds:.3f} s a call"
        )
    bare = [took for effects, took in calls[new:] if not effects.audited.cells]
    late = [took for effects, took in calls[new:]]
    share = 1 - sum(bare) / len(bare) * len(late) / sum(late)
    print(f"seconds of these calls that are the audit's: {share:.1%} (aim: {SHARE:.0%} of the passes)")
    print(f"engine: {', '.join(sorted({effects.engine for effects, _ in calls}))}; card or processor: {asked.device}")


if __name__ == "__main__":
    main()
