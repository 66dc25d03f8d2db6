"""Train the models that come with the package, and measure what is true of them: a minute and a half on two cores.

    python benchmarks/trained.py [trained-induction] [trained-addition] [--seed 0] [--to FOLDER]

Writes NAME.safetensors (float16) and NAME.json: the hash, the steps, and the truth that exhaustive patching shows on
1,024 pairs of both splits (resample ablation, its direct effect, denoising, every path, plain text). Training rounds
otherwise on another processor, so the weights of another machine are another model.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from lakatos.tools.behaviour import SPLITS, draw_donors, encode, load_behaviour
from lakatos.tools.experiment.measuring import unigram_loss
from lakatos.tools.intervention import EdgeGraph, Intervention, Runs, run_interventions
from lakatos.tools.model.planted import TEXT, Truth
from lakatos.tools.model.planted.trained import TRAINED, empty_model, load_trained, words_of
from lakatos.tools.model.wording import SPECIAL, word_tokenizer

HOME = Path(__file__).resolve().parent.parent / "tools" / "model" / "planted" / "trained"
LEAST, MOST = 0.02, 0.10  # of the gap: inert below, used above
STEPS = {"trained-induction": 1200, "trained-addition": 2500}


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(TRAINED))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--to", type=Path, default=HOME)
    parser.add_argument("--measure", action="store_true", help="Only measure the models that are there.")
    asked = parser.parse_args()
    for name in asked.models or list(TRAINED):
        facts = HOME / f"{name}.json"
        if not asked.measure:
            stored = save({key: t.half().contiguous() for key, t in train(name, asked.seed).items()})
            (asked.to / f"{name}.safetensors").write_bytes(stored)
            written = {"sha256": hashlib.sha256(stored).hexdigest(), "seed": asked.seed, "steps": STEPS[name]}
            (asked.to / f"{name}.json").write_text(json.dumps(written))
        known = json.loads(facts.read_text("utf-8"))
        truth = measure(name)
        facts.write_text(json.dumps({**known, "truth": truth._asdict()}, indent=1) + "\n", "utf-8")
        print(name, json.dumps(truth._asdict()))


def train(name: str, seed: int) -> dict[str, torch.Tensor]:
    """The weights: half of the tokens are the task's, half are plain text."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model, _ = empty_model(name)
    batches = {"trained-induction": _rows_of_words, "trained-addition": _sums}[name](name, rng)
    texts = _texts(name)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2 if "addition" in name else 0.0)
    if "induction" in name:
        for layer in model.layers:
            for weight in layer.mlp.parameters():
                torch.nn.init.normal_(weight, std=1e-3)
                weight.requires_grad = False
    steps = STEPS[name]
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1.0, step / 50) * (1 - 0.95 * step / steps)
        tokens, scored = next(batches)
        loss = _loss(model, tokens, scored)
        text = texts[step % len(texts)]
        text = text[torch.from_numpy(rng.integers(0, len(text), 64))]
        loss = loss + 0.3 * _loss(model, text, torch.ones_like(text[:, 1:], dtype=torch.bool))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 200 == 0 or step == steps - 1:
            print(f"{name} step {step}: {loss.item():.3f}", flush=True)
    return {key: tensor.detach() for key, tensor in model.state_dict().items()}


def _loss(model: Any, tokens: torch.Tensor, scored: torch.Tensor) -> torch.Tensor:
    logits = model(tokens)[:, :-1]
    return torch.nn.functional.cross_entropy(logits[scored], tokens[:, 1:][scored])


def _rows_of_words(name: str, rng: np.random.Generator) -> Any:
    """Rows of random words: repeated with a random period, or with one of them coming again at the end."""
    behaviour = load_behaviour(TRAINED[name].behaviour)
    words = [w for split in SPLITS for w in behaviour.fillers["word"].of(split)]
    ids = torch.tensor([len(SPECIAL) + words_of(name).index(str(word)) for word in words])
    while True:
        period, width = int(rng.integers(3, 13)), 24
        picks = torch.stack([torch.from_numpy(rng.permutation(len(ids))[:width]) for _ in range(128)])
        tokens = ids[picks]
        scored = torch.zeros(len(tokens), width, dtype=torch.bool)
        if rng.random() < 0.5:
            tokens = tokens[:, torch.arange(width) % period]
            scored[:, period + 1 :] = True
        else:
            last = int(rng.integers(6, 12))
            place = torch.from_numpy(rng.integers(0, last - 2, len(tokens)))
            rows = torch.arange(len(tokens))
            tokens = tokens[:, : last + 2].clone()
            tokens[:, last], tokens[:, last + 1] = tokens[rows, place], tokens[rows, place + 1]
            scored = torch.zeros(len(tokens), last + 2, dtype=torch.bool)
            scored[:, last + 1] = True
        yield torch.cat([torch.zeros(len(tokens), 1, dtype=torch.long), tokens], 1), scored


def _sums(name: str, rng: np.random.Generator) -> Any:
    """Every sum, in the templates of both splits in turn."""
    behaviour = load_behaviour(TRAINED[name].behaviour)
    tokenizer = word_tokenizer(words_of(name))
    at = {text: len(SPECIAL) + place for place, text in enumerate(words_of(name))}
    frames = []
    for split in SPLITS:
        for batch in encode(behaviour.sample(64, seed=0, split=split), tokenizer):
            for row, pair in enumerate(batch.clean):
                places = [int(batch.positions[p][row]) for p in ("FIRST", "SECOND")]
                frame = tuple(-1 if i in places else int(t) for i, t in enumerate(pair))
                frames.append((frame, tuple(places)))
    frames = sorted(set(frames))
    numbers = torch.tensor([at[str(n)] for n in range(43)])
    for k in itertools.count():
        frame, (first, second) = frames[k % len(frames)]
        a, b = (torch.from_numpy(rng.integers(0, 43, 512)) for _ in range(2))
        tokens = torch.tensor(frame).clamp(min=0).repeat(512, 1)
        tokens[:, first], tokens[:, second] = numbers[a], numbers[b]
        tokens = torch.cat([tokens, numbers[(a + b) % 43][:, None]], 1)
        scored = torch.zeros(512, tokens.shape[1] - 1, dtype=torch.bool)
        scored[:, -1] = True
        yield tokens, scored


def _texts(name: str) -> list[torch.Tensor]:
    tokenizer, text = word_tokenizer(words_of(name)), load_behaviour(TEXT)
    found = [batch.clean for split in SPLITS for batch in encode(text.sample(2000, seed=1, split=split), tokenizer)]
    return [torch.from_numpy(tokens) for tokens in found]


def measure(name: str, pairs: int = 512) -> Truth:
    """The truth by exhaustive patching, on so many pairs of each split."""
    model, shape = load_trained(name), TRAINED[name]
    behaviour, text = load_behaviour(shape.behaviour), load_behaviour(TEXT)
    drawn = [behaviour.sample(pairs, seed=11, split=split) for split in SPLITS]
    runs = [Runs(model.bridge, own, draw_donors(behaviour, own, model.tokenizer, seed=12), own) for own in drawn]
    plain = text.sample(256, seed=13, split="confirmation")
    texts = Runs(model.bridge, plain, draw_donors(text, plain, model.tokenizer, seed=14), plain)
    places = [f"a{x}.h{h}" for x in range(shape.layers) for h in range(shape.heads)] + [
        f"m{x}" for x in range(shape.layers)
    ]
    ablations = [Intervention(c, "resample") for c in places]

    def shares(interventions: list[Intervention], base: str = "clean") -> np.ndarray:
        found = []
        for own in runs:
            effects = run_interventions(model, own, interventions, base=base)
            change = effects.clean - effects.values if base == "clean" else effects.values - effects.corrupted
            found.append(change.mean(1) / (effects.clean - effects.corrupted).mean())
        return np.mean(found, axis=0)

    effects = run_interventions(model, runs[0], [])
    print(f"{name}: right on {(effects.clean > 0).mean():.1%}, logit difference {effects.clean.mean():.1f}")
    total, direct = shares(ablations), shares([Intervention(c, "resample", to=("logits",)) for c in places])
    restored = shares([Intervention(c, "clean") for c in places], "corrupted")
    spoken = run_interventions(model, texts, ablations, base="clean")
    spare = unigram_loss(plain, model) - spoken.clean.mean()
    elsewhere = (spoken.values - spoken.clean).mean(1) / spare
    for row in zip(places, total, direct, restored, elsewhere, strict=True):
        print("  {}: ablated {:.3f}, directly {:.3f}, restored {:.3f}, plain text {:.3f}".format(*row))
    sorts = ("necessary", "non_specific", "redundant", "negative", "inert", "unclear")
    kinds: dict[str, list[str]] = {kind: [] for kind in sorts}
    for c, t, d, r, e in zip(places, total, direct, restored, elsewhere, strict=True):
        if max(abs(t), abs(d), abs(r)) < LEAST:
            kinds["inert"].append(c)
        elif t >= MOST and abs(t - 3 * e) > LEAST:
            kinds["necessary" if t > 3 * e else "non_specific"].append(c)
        elif t <= -MOST:
            kinds["negative"].append(c)
        elif abs(t) < MOST and abs(r) >= MOST:
            kinds["redundant"].append(c)
        else:
            kinds["unclear"].append(c)
    graph = EdgeGraph.of(model.bridge)
    there = np.argwhere(graph.downstream)
    paths = [(graph.senders[s], graph.receivers[r]) for s, r in there if graph.senders[s] in places]
    moved = shares([Intervention(s, "clean", to=(r,)) for s, r in paths], "corrupted")
    for path, share in zip(paths, moved, strict=True):
        if abs(share) >= LEAST:
            print(f"  {path}: {share:.3f}")
    return Truth(
        shape.behaviour,
        (TEXT,),
        **{kind: tuple(found) for kind, found in kinds.items()},
        edges=tuple(path for path, share in zip(paths, moved, strict=True) if abs(share) >= MOST),
        silent=tuple(path for path, share in zip(paths, moved, strict=True) if LEAST <= abs(share) < MOST),
        circuits=(tuple(sorted(c for kind in sorts if kind not in ("inert", "negative") for c in kinds[kind])),),
    )


if __name__ == "__main__":
    main()
