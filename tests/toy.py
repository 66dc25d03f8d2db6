"""A tiny model that has learned the toy behaviour, as a folder, and the behaviour as files: for whole runs."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml
from models import TOY, TOY_TEXT, build_hf, build_tokenizer
from safetensors.torch import load_file, save_file

from lakatos.tools.behaviour import SPLITS, encode

_STEPS = 80
_PAIRS = 120
_WEIGHTS = Path(__file__).parent / "data" / "toy_model.safetensors"


def write_trained_model(folder: Path) -> Path:
    """A three-layer model that has learned both splits of the toy behaviour, with its tokenizer.

    Its weights are stored (`python tests/toy.py` trains them anew): training rounds otherwise on another processor, and
    what is confirmed of the model would depend on the machine.
    """
    model = build_hf("llama", 0)
    model.load_state_dict(load_file(_WEIGHTS))
    model.eval().save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    return folder


def train() -> torch.nn.Module:
    """Train the model until it has the behaviour (a few seconds)."""
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
    return model.eval()


def write_toy_behaviours(folder: Path) -> Path:
    """The toy behaviour and its control as YAML files; the path of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    for behaviour in (TOY, TOY_TEXT):
        content = behaviour.model_dump(mode="json", exclude_defaults=True)
        (folder / f"{behaviour.name}.yaml").write_text(yaml.safe_dump(content | {"controls": behaviour.controls}))
    return folder / "toy.yaml"


if __name__ == "__main__":
    save_file(train().state_dict(), _WEIGHTS)
