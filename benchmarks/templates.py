"""What to bet on, prompts or templates: false confirmations and power on real effects, by number of templates.

    python benchmarks/templates.py [BEHAVIOUR ...]      default: ioi gendered_pronoun subject_verb; three minutes

The effects of the strongest components on many prompts of every confirmation template are measured once. Then tests are
simulated by drawing T templates at random, as a writer of templates would, and 128 prompts of these. With every
component's mean over templates shifted to exactly the threshold, a confirmation is false; as measured, it is power.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

from lakatos.tools.behaviour import load_behaviour
from lakatos.tools.claim import Part
from lakatos.tools.evidence import Unit, scale_of
from lakatos.tools.exploration import attribution_patching
from lakatos.tools.intervention import Intervention, run_interventions
from lakatos.tools.model import load_model
from lakatos.tools.statistics import PER_TEMPLATE, clip, e_path, intraclass_correlation, standardised_effect

COMPONENTS, PROMPTS, EACH, TESTS = 8, 128, 8, 400
TEMPLATES = (6, 12, 32, 64)
BARS = (20.0, 4000.0)


@dataclass
class Effects:
    """One component's effects, oriented by exploration."""

    explored: np.ndarray  # [64]
    templates: list[str]  # [64] of the explored
    confirmed: np.ndarray  # [template, EACH]
    delta: float


def measure(name: str) -> list[Effects]:
    """The strongest components of a behaviour."""
    model, behaviour = load_model().bridge, load_behaviour(name)
    rows = attribution_patching(model, behaviour.sample(24, 0))
    places = [row.component for row in rows if "@" in row.component][:COMPONENTS]

    def effects(pairs):
        found = run_interventions(model, pairs, [Intervention(c, "clean") for c in places], base="corrupted")
        return found.values - found.corrupted, found.clean - found.corrupted

    explored = behaviour.sample(64, 1)
    x, gap = effects(explored)
    n = len(behaviour.templates_of("confirmation"))
    y, _ = effects(behaviour.sample(n * EACH, 2, "confirmation", per_template=EACH))
    signs = np.sign(x.mean(1))
    return [
        Effects(s * a, [p.template for p in explored], (s * b).reshape(n, EACH), 0.1 * float(gap.mean()))
        for s, a, b in zip(signs, x, y, strict=True)
    ]


def rates(effects: Effects, templates: int, unit: Unit, rng: np.random.Generator, null: bool) -> np.ndarray:
    """How often a test reaches each bar at any look: [bar]."""
    shift = effects.delta - effects.confirmed.mean() if null else 0.0
    part = Part("effect", effects.explored + shift, effects.delta, "logits")
    s = scale_of(part, effects.templates, unit)
    hits = np.zeros(len(BARS))
    for _ in range(TESTS):
        drawn = effects.confirmed[rng.integers(0, len(effects.confirmed), templates)] + shift
        if unit == "template":
            x = rng.permuted(drawn, axis=1)[:, :PER_TEMPLATE].mean(1)[: PROMPTS // PER_TEMPLATE]
        else:
            x = drawn[rng.integers(0, templates, PROMPTS), rng.integers(0, EACH, PROMPTS)]
        path = e_path(clip(x, s), effects.delta / s)
        looks = path[15::16] if unit == "prompt" else path[7::8] if len(path) >= 8 else path[-1:]
        hits += [looks.max() >= bar for bar in BARS]
    return hits / TESTS


def main() -> None:
    """Print one table a behaviour."""
    for name in sys.argv[1:] or ("ioi", "gendered_pronoun", "subject_verb"):
        found = measure(name)
        correlations = [
            intraclass_correlation(e.confirmed.ravel(), np.repeat(np.arange(len(e.confirmed)), EACH)) for e in found
        ]
        ds = [standardised_effect(e.confirmed.ravel(), e.delta) for e in found]
        print(f"\n{name}: {len(found)} strongest components, {len(found[0].confirmed)} templates")
        print(f"  intraclass correlation by template: {', '.join(f'{c:.2f}' for c in correlations)}")
        print(f"  d beyond a tenth of the gap:        {', '.join(f'{d:.2f}' for d in ds)}")
        true = [e for e, d in zip(found, ds, strict=True) if d > 0.5]
        print(f"  {'templates':>9} {'bet on':>9}  false at e >= 20, >= 4000   power (d > .5) at 20, at 4000")
        for templates in TEMPLATES:
            for unit in ("prompt", "template"):
                rng = np.random.default_rng(0)
                false = np.mean([rates(e, templates, unit, rng, null=True) for e in found], axis=0)
                power = np.mean([rates(e, templates, unit, rng, null=False) for e in true], axis=0) if true else [0, 0]
                print(
                    f"  {templates:>9} {unit:>9}  {false[0]:>16.3f} {false[1]:>8.4f}"
                    f"   {power[0]:>21.2f} {power[1]:>7.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
