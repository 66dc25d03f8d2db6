"""What a run ran on: versions and hardware, recorded with it."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from typing import Any

_PACKAGES = ("lakatos", "torch", "transformer-lens", "transformers", "numpy", "sqlalchemy", "langgraph", "openai")


def environment(device: str) -> dict[str, Any]:
    """Versions of Python and of what decides numbers, the machine, and the threads."""
    import torch

    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
        "threads": torch.get_num_threads(),
        "packages": packages(),
    }


def packages() -> dict[str, str | None]:
    """Versions of lakatos and of the packages that decide its numbers."""
    return {name: _version(name) for name in _PACKAGES}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
