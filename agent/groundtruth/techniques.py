"""What each technique says of every head and MLP of a model whose mechanism is known: it takes part, or it does not.

denoising, noising         activation patching, clean into corrupted and back (Zhang & Nanda 2024)
zero, mean, resample       ablation on the clean run
direct effect              resample ablation that reaches the logits alone, everything between frozen
path patching              denoising along each single path to a later head's query, key or value, to an MLP or to the
                           logits: the largest (Wang et al. 2022)
attribution patching       a first-order estimate of denoising (Nanda 2023); integrated gradients: over five steps
attention reading          a head that gives more than half of its attention at a named position to one other one

The rule is the usual one: an effect of 10 % of the gap between clean and corrupted runs, either way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from lakatos.tools.baseline import by_component
from lakatos.tools.behaviour import PromptPairs, draw_donors, encode, load_behaviour
from lakatos.tools.component import Component
from lakatos.tools.exploration import attention_between, node_attribution
from lakatos.tools.intervention import EdgeGraph, Intervention, Runs, run_interventions
from lakatos.tools.model import LoadedModel
from lakatos.tools.model.planted import Truth
from lakatos.tools.records import Frozen

USUAL: Final = 0.1  # of the gap
LOOKS: Final = 0.5  # of a head's attention
PAIRS, PAIRS_OF_PATHS, STEPS = 32, 8, 5
ABLATIONS: Final[Mapping[str, Source]] = {
    "zero ablation": "zero",
    "mean ablation": "mean",
    "resample ablation": "resample",
}
Source = Literal["zero", "mean", "resample"]
Shares = dict[str, float]  # component -> what a technique measures, as a fraction of the gap


class Said(Frozen):
    """What one technique says of the components of one model."""

    technique: str
    used: tuple[str, ...]  # in truth
    inert: tuple[str, ...]
    positive: tuple[str, ...]  # those that the technique says take part; it looks at no others than these two


class Asked(Frozen):
    """What every technique says of one model."""

    model: str
    said: tuple[Said, ...]


def ask(model: LoadedModel, truth: Truth, *, seed: int = 0) -> Asked:
    """What every technique says, on exploration pairs.

    Args:
        model: whose truth is known, with a mechanism.
        seed: of pairs and donors.
    """
    behaviour = load_behaviour(truth.behaviour)
    pairs = behaviour.sample(PAIRS, seed=seed, split="exploration")
    donors = draw_donors(behaviour, pairs, model.tokenizer, seed=seed + 1)
    places = sorted(truth.used) + sorted(truth.inert)
    measured = {
        **_patching(model, Runs(model.bridge, pairs, donors, pairs), places),
        "path patching": _paths(model, pairs[:PAIRS_OF_PATHS], places),
        "attribution patching": _attribution(model, pairs, places, 1),
        "integrated gradients": _attribution(model, pairs, places, STEPS),
    }
    positive = {name: {c for c in places if abs(shares[c]) >= USUAL} for name, shares in measured.items()}
    heads = [place for place in places if place.startswith("a")]
    positive["attention reading"] = _looking(model, pairs, heads)
    said = [
        Said(
            technique=name,
            used=tuple(c for c in sorted(truth.used) if name != "attention reading" or c in heads),
            inert=tuple(c for c in sorted(truth.inert) if name != "attention reading" or c in heads),
            positive=tuple(sorted(found)),
        )
        for name, found in positive.items()
    ]
    return Asked(model=model.name, said=tuple(said))


def _patching(model: LoadedModel, runs: Runs, places: Sequence[str]) -> dict[str, Shares]:
    """All that takes one intervention a component."""
    on_clean = {"noising": [Intervention(c, "corrupted") for c in places]}
    on_clean |= {name: [Intervention(c, source) for c in places] for name, source in ABLATIONS.items()}
    on_clean["direct effect"] = [Intervention(c, "resample", to=("logits",)) for c in places]
    effects = run_interventions(model, runs, [each for way in on_clean.values() for each in way], base="clean")
    gap = float((effects.clean - effects.corrupted).mean())
    lost = ((effects.clean - effects.values).mean(1) / gap).reshape(len(on_clean), len(places))
    restored = run_interventions(model, runs, [Intervention(c, "clean") for c in places], base="corrupted")
    found = {name: dict(zip(places, map(float, row), strict=True)) for name, row in zip(on_clean, lost, strict=True)}
    moved = (restored.values - restored.corrupted).mean(1) / gap
    return {"denoising": dict(zip(places, map(float, moved), strict=True)), **found}


def _paths(model: LoadedModel, pairs: PromptPairs, places: Sequence[str]) -> Shares:
    """The largest effect of denoising along one path."""
    graph = EdgeGraph.of(model.bridge)
    row = {sender: number for number, sender in enumerate(graph.senders)}
    paths = [
        (sender, reader)
        for sender in places
        for reader, reads in zip(graph.receivers, graph.downstream[row[sender]], strict=True)
        if reads
    ]
    effects = run_interventions(model, pairs, [Intervention(s, "clean", to=(r,)) for s, r in paths], base="corrupted")
    moved = abs((effects.values - effects.corrupted).mean(1)) / float((effects.clean - effects.corrupted).mean())
    found: Shares = dict.fromkeys(places, 0.0)
    for (sender, _), share in zip(paths, moved, strict=True):
        found[sender] = max(found[sender], float(share))
    return found


def _attribution(model: LoadedModel, pairs: PromptPairs, places: Sequence[str], steps: int) -> Shares:
    found = node_attribution(model.bridge, pairs, ig_steps=steps)
    scores, gap = by_component(found), float((found.clean - found.corrupted).mean())
    return {place: scores[place] / gap for place in places}


def _looking(model: LoadedModel, pairs: PromptPairs, heads: Sequence[str]) -> set[str]:
    places = [Component.parse(head) for head in heads]
    named = encode(pairs, model.tokenizer)[0].positions
    found: set[str] = set()
    for head, shares in zip(heads, attention_between(model.bridge, pairs, places), strict=True):
        if any(mass > LOOKS for (here, to), mass in shares.items() if here != to and to in named):
            found.add(head)
    return found
