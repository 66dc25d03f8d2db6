"""How often does a re-run of a confirmed claim err? Both errors, over simulated and over real effects.

    python benchmarks/regression_errors.py                     simulated claims: about 2 minutes
    python benchmarks/regression_errors.py --db lakatos.db     real re-runs too: about half an hour

Simulated claims go through the protocol: constants from 64 exploration prompts, batches until its rule stops the test.
Only what it confirms is tested again, with the confirmed (so: selected) means. Each is tested again three times:

    true       nothing has changed                            may fail in at most 1 of 1,000
    halved     the mean is half of what was confirmed         must fail with probability .99
    true half  the mean is half of its true value             not promised: may be more than half of the confirmed

Effects are Gaussian, skewed to either side, heavy-tailed, of two kinds of prompts, or differ by template, of several
sizes; halving shifts them, so that their spread stays: the harder case. Real re-runs are on the confirmed model, and on
copies in which the claimed heads' output weights are scaled to .45. Exit 1 if a promise is broken by more than two
standard errors.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from lakatos.tools.claim import NodeEffect
from lakatos.tools.evidence import (
    ALPHA,
    MOST_PAIRS,
    Battery,
    Data,
    decided_after,
    e_process,
    effects_of,
    fixed,
    pairs_needed,
    stopped,
    tolerances,
)
from lakatos.tools.statistics import BATCH

GAP = 10.0
TEMPLATES = 64
CAP = 128  # prompts of a confirmation
CONFIRMED = 1000.0  # the e-value: with a few confirmed claims beside it, less than the 4,000 that it takes alone
PROMISED = {"true": ("failed", ALPHA), "halved": ("failed", 0.99)}
SHAPES = ("gaussian", "skewed up", "skewed down", "heavy-tailed", "two kinds", "templates")
SIZES = (
    (0.55, 0.02),
    (0.65, 0.2),
    (0.8, 0.02),
    (1.0, 0.3),
    (1.5, 0.02),
    (1.5, 0.5),
    (2.5, 0.3),
    (4.0, 0.1),
)  # mean / sd, delta / mean


def noise(shape: str, rng: np.random.Generator, template: np.ndarray, of_template: np.ndarray) -> np.ndarray:
    """Mean 0, variance 1, [n]; where templates differ, 30 % of it is theirs."""
    n = len(template)
    if shape.startswith("skewed"):
        return (rng.exponential(size=n) - 1) * (1 if shape == "skewed up" else -1)
    if shape == "heavy-tailed":
        return rng.standard_t(3, size=n) / math.sqrt(3)
    if shape == "two kinds":
        return np.where(rng.random(n) < 0.8, 0.5, -2.0) + 0.05 * rng.standard_normal(n)
    if shape == "templates":
        return math.sqrt(0.3) * of_template[template] + math.sqrt(0.7) * rng.standard_normal(n)
    return rng.standard_normal(n)


class World:
    """One claim with a known effect, in units of its spread."""

    def __init__(self, shape: str, mean: float, seed: list[int]) -> None:
        self.shape, self.mean = shape, mean
        self.rng = np.random.default_rng(seed)
        self.of_template = self.rng.standard_normal(TEMPLATES)
        self.of_template -= self.of_template.mean()
        self.of_template /= self.of_template.std()

    def draw(self, template: np.ndarray, less: float = 0.0) -> Data:
        """The battery's numbers on prompts of these templates, the effect being smaller by `less`."""
        n = len(template)
        corrupted = self.rng.standard_normal(n) - GAP / 2
        effect = self.mean - less + noise(self.shape, self.rng, template, self.of_template)
        values = {"clean": corrupted + GAP, "corrupted": corrupted, "intervened": corrupted + effect}
        values |= {f"random.{k}": corrupted + 0.1 * self.rng.standard_normal(n) for k in range(3)}
        return Data(values, tuple(f"t{t}" for t in template))

    def prompts(self, n: int) -> np.ndarray:
        """Templates drawn anew for each prompt."""
        return self.rng.integers(0, TEMPLATES, n)


def claims(shape: str, size: tuple[float, float], wanted: int, seed: int) -> Iterator[tuple[str, str, int]]:
    """(case, outcome, prompts) of every re-run of so many confirmed claims."""
    mean, share = size
    claim = NodeEffect(components=("a1.h0",), threshold=round(max(share * mean / GAP, 1e-4), 4))
    draft = Battery.draft(GAP, {}, {"random": ("a1.h1", "a1.h2", "a1.h3")})
    found = tried = 0
    while found < wanted and tried < 20 * wanted:
        tried += 1
        world = World(shape, mean, [seed, SHAPES.index(shape), SIZES.index(size), tried])
        explored = world.draw(world.prompts(64))
        battery = fixed(claim, draft, explored, CAP, TEMPLATES)
        order = world.prompts(CAP)
        if battery.unit == "template":
            order = np.repeat(world.rng.permutation(TEMPLATES), 2)
        done: list[Data] = []
        while stopped(claim, battery, 4 * CONFIRMED, done) is None:
            done.append(world.draw(order[BATCH * len(done) : BATCH * (len(done) + 1)]))
        confirmed = Data.join(done)
        if e_process(claim, battery, confirmed)[-1] < CONFIRMED:
            continue
        found += 1
        levels = tolerances(claim, battery, explored, confirmed)
        most = min(pairs_needed(claim, battery, levels, confirmed), MOST_PAIRS)
        lost = min(level.lost for level in levels)
        for case, less in (("true", 0.0), ("halved", mean - lost), ("true half", mean / 2)):
            effects = effects_of(claim, battery, world.draw(world.prompts(most), less))
            yield case, *decided_after(levels, effects, ALPHA, BATCH)


def cell(task: tuple[str, tuple[float, float], int, int]) -> list[tuple[str, str, int]]:
    return list(claims(*task))


def simulated(wanted: int, seed: int, workers: int) -> list[dict]:
    """A row per shape, size and case."""
    tasks = [(shape, size, wanted, seed) for shape in SHAPES for size in SIZES]
    rows = []
    with ProcessPoolExecutor(workers) as pool:
        for task, found in zip(tasks, pool.map(cell, tasks), strict=True):
            gathered = defaultdict(list)
            for case, outcome, n in found:
                gathered[case].append((outcome, n))
            for case, runs in gathered.items():
                rows.append(row(case, runs, shape=task[0], mean_sd=task[1][0], delta_mean=task[1][1]))
            print(f"{task[0]}, mean {task[1][0]} sd: {len(found) // 3} confirmed", file=sys.stderr)
    return rows


def row(case: str, runs: list[tuple[str, int]], **about: object) -> dict:
    counts = Counter(outcome for outcome, _ in runs)
    told = {name: counts[name] for name in ("held", "failed", "undecided")}
    return {**about, "case": case, "runs": len(runs), **told, "pairs": float(np.mean([n for _, n in runs]))}


def real(db: str, runs: int, seed: int) -> list[dict]:
    """Re-runs of what a database has confirmed: on its model, and with the claimed heads' output scaled down."""
    from lakatos.experiments_db import open_store
    from lakatos.experiments_db.regression import file_of, regressions, rerun, share_left
    from lakatos.tools.model import load_model

    store = open_store(db, create=False)
    files = [file_of(store, entry) for entry in regressions(store)]
    heads = [f for f in files if f.typed.kind == "node_effect" and all(c.kind == "head" for c in f.typed.parsed())]
    rows = []
    for case, chosen in (("true", files), ("halved", heads)):
        per_claim = math.ceil(runs / max(1, len(chosen)))
        for file in chosen:
            with tempfile.TemporaryDirectory() as folder:
                name = file.model.name if case == "true" else weakened(file, Path(folder))
                model = load_model(name)
                found, left = [], []
                for k in range(per_claim):
                    outcome = rerun(file, model, seed=seed + k)
                    found.append((outcome.outcome, outcome.n))
                    left.append(share_left(file.tolerance[0], outcome.decision.lines[0].mean))
            rows.append(row(case, found, claim=file.title, left=float(np.mean(left))))
            print(f"{case}: {file.title}: {Counter(o for o, _ in found)}", file=sys.stderr)
    return rows


def weakened(file, folder: Path, share: float = 0.45) -> str:
    """A copy of the model in which what the claimed heads write is scaled to a share of it; 0 ablates them."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from lakatos.tools.model import EMBEDDED, embedded_folder

    source = embedded_folder() if file.model.name == EMBEDDED else file.model.name
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    for component in file.typed.parsed():
        weight = model.model.layers[component.layer].self_attn.o_proj.weight
        width = weight.shape[1] // model.config.num_attention_heads
        with torch.no_grad():
            weight[:, component.index * width : (component.index + 1) * width] *= share
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return str(folder)


def summary(rows: list[dict], by: str) -> list[dict]:
    """Rates of failing, pooled over everything but `by` and case, with standard errors."""
    pooled = defaultdict(Counter)
    for r in rows:
        pooled[r[by], r["case"]].update({k: r[k] for k in ("runs", "held", "failed", "undecided")})
    return [
        {by: key, "case": case, **c, "rate": c["failed"] / c["runs"], "se": deviation(c["failed"], c["runs"])}
        for (key, case), c in pooled.items()
    ]


def deviation(hits: int, runs: int) -> float:
    """Standard error of a rate; never zero (Agresti & Coull 1998)."""
    rate = (hits + 2) / (runs + 4)
    return math.sqrt(rate * (1 - rate) / (runs + 4))


def broken(rows: list[dict]) -> list[str]:
    """Promises that are not kept, by more than two standard errors."""
    found = []
    for r in rows:
        if r["case"] == "true" and r["rate"] - 2 * math.sqrt(ALPHA / r["runs"]) > ALPHA:
            found.append(f"true claims fail: {r}")
        if r["case"] == "halved" and r["rate"] + 2 * r["se"] < PROMISED["halved"][1]:
            found.append(f"halved claims do not fail: {r}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--claims", type=int, default=200, help="confirmed claims of each shape and size")
    parser.add_argument("--db", help="also run again what this database has confirmed")
    parser.add_argument("--real", type=int, default=50, help="real re-runs of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    began = time.monotonic()
    rows = simulated(given.claims, given.seed, given.workers) if given.claims else []
    pooled = summary(rows, "shape")
    measured = real(given.db, given.real, given.seed) if given.db else []
    lies = broken(pooled + summary(measured, "claim"))
    if given.json:
        json.dump({"rows": rows, "by_shape": pooled, "real": measured, "broken": lies}, sys.stdout, indent=1)
    else:
        for r in rows:
            print(
                f"{r['shape']:<14} mean {r['mean_sd']:.2f} sd, delta {r['delta_mean']:.2f} mean  {r['case']:<10} "
                f"{r['runs']:>5}: {r['held']:>5} held {r['failed']:>5} failed {r['undecided']:>5} undecided "
                f"{r['pairs']:>5.0f} pairs"
            )
        for r in pooled:
            print(
                f"{r['shape']:<14} {r['case']:<10} {r['runs']:>6} runs: {r['failed']:>6} failed = {r['rate']:.4f} "
                f"(s.e. {r['se']:.4f}), {r['undecided']} undecided"
            )
        for case, worst in (("true", max), ("halved", min)):
            if cells := [r for r in rows if r["case"] == case]:
                r = worst(cells, key=lambda r: r["failed"] / r["runs"])
                print(
                    f"worst cell, {case}: {r['shape']}, mean {r['mean_sd']} sd, delta {r['delta_mean']} mean: "
                    f"{r['failed'] / r['runs']:.4f} (s.e. {deviation(r['failed'], r['runs']):.4f}) fail"
                )
        for r in measured:
            print(
                f"{r['claim']:<45} {r['case']:<8} {r['runs']:>3} runs: {r['held']} held, {r['failed']} failed, "
                f"{r['undecided']} undecided, {r['pairs']:.0f} pairs, {r['left']:.0%} left"
            )
    print("\n".join(lies) or "both promises kept", file=sys.stderr)
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    return 1 if lies else 0


if __name__ == "__main__":
    sys.exit(main())
