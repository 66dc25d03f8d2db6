"""The engine against plain hooks on the Hugging Face model, over random architectures and prompts of mixed lengths."""

from __future__ import annotations

import copy
from collections import Counter
from random import Random

import numpy as np
import pytest
import torch
from models import VOCABULARY, build_tokenizer
from plain_hooks import FAMILIES, Plain, draw
from transformers import AutoModelForCausalLM

from lakatos.tools.behaviour import PromptPair, PromptPairs, encode
from lakatos.tools.component import Component
from lakatos.tools.intervention import Intervention, run_interventions
from lakatos.tools.model import wrap_model

pytestmark = pytest.mark.heavy

MODELS, ALWAYS = 220, 44  # the others where it is accepted
PROMPTS = 5
TOLERANCE = 2e-4  # of the largest logit, or of 1
ENGINES: Counter[str] = Counter()
WORDS = VOCABULARY[3:]


def random_pairs(rng: Random) -> PromptPairs:
    """Prompts of 7 to 26 tokens, each with a place that is named, and which differ from their twin in a few words."""
    pairs = []
    for number in range(PROMPTS):
        clean = [rng.choice(WORDS) for _ in range(rng.choice([7, 9, 12, 13, 17, 26]))]
        corrupted = list(clean)
        for at in rng.sample(range(len(clean)), rng.choice([1, 2, 3])):
            corrupted[at] = rng.choice(WORDS)
        place = rng.randrange(len(clean))
        texts, spans = [], []
        for words in (clean, corrupted):
            before = len(" ".join(words[:place])) + (place > 0)
            spans.append({"S2": (before, before + len(words[place]))})
            texts.append(" ".join(words))
        answer, wrong = rng.sample(WORDS, 2)
        pairs.append(PromptPair(f"{number:016x}", "t", *texts, f" {answer}", f" {wrong}", *spans))
    return PromptPairs(tuple(pairs), "random", "sha256:0", rng.choice([None, "model"]), "pairs", "exploration", 0)


def random_interventions(rng: Random, layers: int, heads: int) -> list[Intervention]:
    def component() -> Component:
        kind = rng.choice(["head", "head", "attention", "mlp", "residual", "embedding"])
        layer = rng.randrange(layers + (kind == "residual")) if kind != "embedding" else 0
        index = rng.randrange(heads) if kind == "head" else None
        return Component(layer, kind, index, rng.choice([None, "END", "S2", 0, 3, 6]))

    plan = []
    for source in ("zero", "clean", "clean", "corrupted", "zero", "clean"):
        chosen = {}
        for _ in range(rng.choice([1, 1, 2, 3])):
            place = component()
            chosen.setdefault((place.layer, place.kind, place.index), place)
        kinds = {(c.layer, c.kind) for c in chosen.values()}
        if any((layer, "attention") in kinds and (layer, "head") in kinds for layer in range(layers)):
            continue  # the head is inside of the attention: which is written last is no question of numbers
        plan.append(Intervention(list(chosen.values()), source))
    return plan


@pytest.mark.parametrize(
    "seed", [*range(ALWAYS), *(pytest.param(seed, marks=pytest.mark.accept) for seed in range(ALWAYS, MODELS))]
)
def test_a_random_architecture(seed: int) -> None:
    from transformer_lens.model_bridge import TransformerBridge

    rng = Random(1000 + seed)
    family, kind, settings = draw(seed)
    common = {"vocab_size": len(VOCABULARY), "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1}
    common |= {"max_position_embeddings": 40} if family != "bloom" else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        hf = AutoModelForCausalLM.from_config(kind(**common | settings), attn_implementation="eager").eval()
    hf.config.architectures = [type(hf).__name__]
    plain = copy.deepcopy(hf)
    tokenizer = build_tokenizer()
    booted = TransformerBridge.boot_transformers(
        f"random-{family}", hf_model=hf, tokenizer=tokenizer, device="cpu", dtype=torch.float32
    )
    model = wrap_model(booted, name=f"random-{family}")
    heads, layers = int(booted.cfg.n_heads), int(booted.cfg.n_layers)
    pairs, plan = random_pairs(rng), random_interventions(rng, layers, heads)
    base = rng.choice(["clean", "corrupted"])
    found = run_interventions(model, pairs, plan, base=base)
    assert not any("disagree" in notice for notice in found.notices), found.notices
    ENGINES[found.engine] += 1

    expected, scale = np.zeros((len(plan), len(pairs))), np.ones(len(pairs))
    reference = Plain(plain, family, heads)
    for batch in encode(pairs, tokenizer):
        for k, place in enumerate(batch.index):
            runs = {which: torch.from_numpy(getattr(batch, which)[k]) for which in ("clean", "corrupted")}
            positions = {name: int(at[k]) for name, at in batch.positions.items()}
            answer, wrong = int(batch.answer[k]), int(batch.wrong[k])
            for number, intervention in enumerate(plan):
                source = runs.get(intervention.source, runs[base])
                logits = reference.measure(intervention, runs[base], source, positions)
                expected[number, place] = logits[answer] - logits[wrong]
                scale[place] = max(scale[place], float(logits.abs().max()))
    wrong_by = np.abs(found.values - expected) / scale
    number, place = np.unravel_index(wrong_by.argmax(), wrong_by.shape)
    assert wrong_by.max() < TOLERANCE, (
        f"{family} {settings}: {plan[number]} ({plan[number].source} into {base}) in prompt {place} gives "
        f"{found.values[number, place]}, not {expected[number, place]}; {found.engine}, {found.notices}"
    )


def test_most_architectures_are_driven() -> None:
    """That all of them had fallen back would prove nothing."""
    assert set(ENGINES) <= {"suffix", "reference"}
    assert ENGINES["suffix"] > 0.8 * ENGINES.total() or ENGINES.total() < len(FAMILIES), ENGINES
