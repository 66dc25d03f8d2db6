"""What a verdict costs where claims share a stream of prompts, and where each has a stream of its own.

    python benchmarks/investigation.py                  32 node effects at S2 and END of ioi, on the pretrained model
    python benchmarks/investigation.py --claims demo    what `--proposer attribution` puts forward
    python benchmarks/investigation.py --model planted:induction --behaviour planted_recall --positions KEY,END \
        --number 4 --pairs 32 --parts 1                 the same in seconds
    python benchmarks/investigation.py --agreement      whether both ways come to the same verdicts: planted models
    python benchmarks/investigation.py --log FILE       bytes that a log holds for a tested claim, table by table

Both ways are a run's own: claims are registered once, and the log is copied; then `finish_tests` is called for all of
them (they share a stream), or for one after the other (each opens its own). Every claim is tested until its own rule
stops it. The claims that are tested alone come in parts, and before each part all are tested together, so that a busy
machine slows both ways alike.

A verdict's forward passes are those of one prompt, as the engine counts them; its seconds are told apart by phases that
exclude one another. "attainable" is what the machine makes of plain forward passes of the same prompts in batches of
one length, without hooks, every position unembedded.

What bounds the rest: base runs are shared, interventions are not (but for claims whose arms are equal). A claim that is
tested alone pays two base runs a prompt, and each of its four arms pays the blocks and positions after it. At END that
is little, at S2 it is as much as all that follows S2. So the gain grows with the number of claims and falls with how
early their components are; of necessity, whose arms are run at all positions and on the control too, it is small.
Claims that bet on templates and claims that bet on prompts have a stream for each unit, so base runs are made twice.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from investigation_logs import bytes_told
from investigation_parts import PHASES, Clock, attainable, copied, registered, verdicts

from lakatos.agent.config import RunConfig
from lakatos.agent.run.context import Context
from lakatos.agent.run.testing import finish_tests
from lakatos.agent.view import Proposal
from lakatos.tools.behaviour import load_behaviour
from lakatos.tools.claim import DEFAULT_THRESHOLD
from lakatos.tools.model import LoadedModel, load_model


def main() -> None:
    """Run what was asked for, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--behaviour", default="ioi")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--claims", choices=["nodes", "demo"], default="nodes")
    parser.add_argument("--number", type=int, help="how many claims (32 nodes, or the 16 of `--proposer attribution`)")
    parser.add_argument("--positions", default="S2,END", help="of the node effects")
    parser.add_argument("--pairs", type=int, default=128, help="most pairs of a test")
    parser.add_argument("--parts", type=int, default=4, help="in which claims are tested alone")
    parser.add_argument("--repeats", type=int, help="1; of --agreement 6")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--agreement", action="store_true")
    parser.add_argument("--log", metavar="FILE")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.log:
        found, text = bytes_told(given.log)
    elif given.agreement:
        from agreement import agreements

        found, text = agreements(given.repeats or 6)
    else:
        found, text = compare(given)
    print(json.dumps(found, indent=2) if given.json else text)


def node_effects(model: LoadedModel, positions: Sequence[str], number: int, seed: int) -> list[Proposal]:
    """Distinct heads, and an MLP for every four of them, at random layers and positions."""
    rng, cfg = random.Random(seed), model.cfg
    chosen: dict[str, None] = {}
    while len(chosen) < number:
        layer, place = rng.randrange(cfg.n_layers), rng.choice(positions)
        name = f"m{layer}" if rng.random() < 0.2 else f"a{layer}.h{rng.randrange(cfg.n_heads)}"
        chosen[f"{name}@{place}"] = None
    claims = [{"kind": "node_effect", "components": [c], "threshold": DEFAULT_THRESHOLD} for c in chosen]
    return [{"claim": claim, "rationale": "chosen at random", "role": "main"} for claim in claims]


def compare(given: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Both ways, part by part: what was found, and the same as a table."""
    model = load_model(given.model, device=given.device)
    demo = given.claims == "demo"
    number = given.number or (16 if demo else 32)
    proposals = None if demo else node_effects(model, given.positions.split(","), number, given.seed)
    limits = {"hypotheses": number, "max_pairs": given.pairs, "seed": given.seed}
    config = RunConfig(model=given.model, device=given.device, proposer="attribution", **limits)
    clocks = {"own": Clock(), "shared": Clock()}
    asked: dict[str, list[int]] = {"own": [], "shared": []}
    rates = []
    with tempfile.TemporaryDirectory(prefix="lakatos-investigation-") as folder:
        first = registered(Path(folder) / "registered.db", model, given.behaviour, config, proposals)
        claims = [entry.id for entry in first.entries()]
        prompts = load_behaviour(given.behaviour).sample(64, given.seed, "confirmation")
        for repeat in range(given.repeats or 1):
            own = copied(first, Path(folder) / f"own-{repeat}.db")
            for part in range(given.parts):
                rates.append(attainable(model, prompts))
                shared = copied(first, Path(folder) / f"shared-{repeat}-{part}.db")
                asked["shared"] += _tested(shared, [claims], clocks["shared"])
                asked["own"] += _tested(own, [[key] for key in claims[part :: given.parts]], clocks["own"])
        found = {
            "model": model.name,
            "behaviour": given.behaviour,
            "claims": [entry.text for entry in first.entries()],
            "attainable": statistics.median(rates),
            "ways": {way: _figures(clock, len(asked[way])) for way, clock in clocks.items()},
            "pairs": {way: statistics.mean(pairs) for way, pairs in asked.items()},
            "ended": {"own": verdicts(own), "shared": verdicts(shared)},
        }
    return found, _table(found)


def _tested(run: Context, groups: Sequence[Sequence[int]], clock: Clock) -> list[int]:
    """Test claims group by group, each on a stream of its own; the pairs of each claim."""
    with clock.running(run):
        for group in groups:
            finish_tests(run, only=group)
    ended = {entry.id: entry.evidence for entry in run.entries()}
    pairs = [evidence.n for group in groups for key in group if (evidence := ended[key]) is not None]
    assert len(pairs) == sum(map(len, groups))
    return pairs


def _figures(clock: Clock, tests: int) -> dict[str, Any]:
    """Seconds and forward passes of a verdict, by phase."""
    return {
        "verdicts": tests,
        "seconds": {phase: clock.seconds[phase] / tests for phase in PHASES},
        "forwards": {phase: clock.forwards[phase] / tests for phase in PHASES},
    }


def _table(found: dict[str, Any]) -> str:
    ways, rate = found["ways"], found["attainable"]
    lines = [
        f"{found['model']} on {found['behaviour']}, {len(found['claims'])} claims; "
        f"attainable: {rate:.1f} plain forward passes a second",
        f"{'a verdict':<16} {'own s':>9} {'shared s':>9} {'ratio':>6}   {'own passes':>10} {'shared':>9} {'ratio':>6}",
    ]
    sums = {way: {unit: sum(each[unit].values()) for unit in ("seconds", "forwards")} for way, each in ways.items()}
    for phase in (*PHASES, "all"):
        cells = []
        for unit, digits, wide in (("seconds", 3, 9), ("forwards", 1, 10)):
            pair = [(sums[w][unit] if phase == "all" else ways[w][unit][phase]) for w in ("own", "shared")]
            ratio = f"{pair[0] / pair[1]:6.1f}" if pair[1] > 1e-9 else f"{'-':>6}"
            cells.append(f"{pair[0]:{wide}.{digits}f} {pair[1]:9.{digits}f} {ratio}")
        lines.append(f"{phase:<16} {'   '.join(cells)}")
    for way in ways:
        share = sums[way]["forwards"] / sums[way]["seconds"] / rate
        lines.append(
            f"{way:<7} {ways[way]['verdicts']} verdicts, {found['pairs'][way]:.0f} pairs each, "
            f"{sums[way]['forwards'] / sums[way]['seconds']:.1f} passes/s: {share:.0%} of attainable; "
            + ", ".join(f"{stop} {n}" for stop, n in sorted(found["ended"][way].items()))
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
