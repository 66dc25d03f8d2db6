"""A tiny model that has learned the toy behaviour, as a folder, and the behaviour as files: for whole runs."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml
from models import TOY, TOY_TEXT, build_hf, build_tokenizer

from lakatos.tools.behaviour import SPLITS, encode

_STEPS = 70
_PAIRS = 120


def write_trained_model(folder: Path) -> Path:
    """Train a three-layer model on both splits of the toy behaviour until it has it (a few seconds), and save it."""
    tokenizer = build_tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_hf("llama", 0, initializer_range=0.05).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.0)
        batches = [batch for split in SPLITS for batch in encode(TOY.sample(_PAIRS, 0, split), tokenizer)]
        for _ in range(_STEPS):
            losses = []
            for batch in batches:
                for tokens, answer in ((batch.clean, batch.answer), (batch.corrupted, batch.wrong)):
                    logits = model(torch.from_numpy(tokens)).logits[:, -1]
                    losses.append(torch.nn.functional.cross_entropy(logits, torch.from_numpy(answer)))
            optimizer.zero_grad()
            torch.stack(losses).mean().backward()
            optimizer.step()
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_toy_behaviours(folder: Path) -> Path:
    """The toy behaviour and its control as YAML files; the path of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    for behaviour in (TOY, TOY_TEXT):
        content = behaviour.model_dump(mode="json", exclude_defaults=True)
        (folder / f"{behaviour.name}.yaml").write_text(yaml.safe_dump(content | {"controls": behaviour.controls}))
    return folder / "toy.yaml"
