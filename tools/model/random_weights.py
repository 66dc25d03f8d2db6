"""Models of a published shape with random weights: what speed is measured on where no weights can be had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lakatos.tools.errors import UserError
from lakatos.tools.model.embedded import EMBEDDED, Say, embedded_folder
from lakatos.tools.model.loading import load_model

SHAPES = {  # layers, heads, d_model
    "gpt2-small": (12, 12, 768),
    "gpt2-medium": (24, 16, 1024),
    "gpt2-xl": (48, 25, 1600),
}
DTYPES = ("float32", "bfloat16")
_VOCABULARY, _POSITIONS = 50257, 1024
_SPREAD = 0.05  # of the weights, wider than GPT-2's .02: components then move the logits by more than rounding does


def shaped_model(
    name: str = EMBEDDED,
    *,
    dtype: str = "float32",
    device: str = "cpu",
    tokenizer: str | None = None,
    seed: int = 0,
    say: Say = lambda _: None,
) -> Any:
    """A TransformerBridge in evaluation mode: one of `SHAPES` with random weights, or whatever `load_model` loads.

    Args:
        name: gpt2-small, gpt2-medium and gpt2-xl are shapes here, and nothing is fetched for them.
        dtype: float32 or bfloat16.
        device: a torch device.
        tokenizer: the folder of a shape's tokenizer, of at most 50257 tokens. Default: the embedded model's.
        seed: of the random weights.
        say: is told what takes long.

    Raises:
        UserError
    """
    import torch

    if dtype not in DTYPES:
        raise UserError(f"--dtype is one of {', '.join(DTYPES)}, not {dtype!r}.")
    if name not in SHAPES:
        bridge = load_model(name, device=device, seed=seed, say=say).bridge
        return bridge if dtype == "float32" else bridge.to(getattr(torch, dtype))
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config

    layers, heads, width = SHAPES[name]
    say(f"drawing weights of the shape of {name}")
    folder = Path(tokenizer) if tokenizer else embedded_folder(say)
    words = AutoTokenizer.from_pretrained(folder, add_bos_token=True)  # so TransformerLens does not look on the hub
    config = GPT2Config(
        n_layer=layers, n_head=heads, n_embd=width, vocab_size=_VOCABULARY, n_positions=_POSITIONS,
        initializer_range=_SPREAD, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        drawn = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype)).eval()
    bridge = TransformerBridge.boot_transformers(
        f"{name}-shape", hf_model=drawn.to(device), tokenizer=words, device=device, dtype=getattr(torch, dtype)
    )
    bridge.eval()
    return bridge
