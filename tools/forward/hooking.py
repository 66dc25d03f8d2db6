"""Hooks put on a model for a while, and errors that mean that memory is short."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from lakatos.tools.model import Bridge

Hooks = Mapping[str, Sequence[Callable[..., Any]]]


def out_of_memory(error: BaseException) -> bool:
    """Whether an allocator refused."""
    refused = "allocate memory" in str(error) or "enough memory" in str(error)  # PyTorch's on a CPU
    return refused or isinstance(error, MemoryError | torch.OutOfMemoryError)


@contextmanager
def hooked(model: Bridge, hooks: Hooks) -> Iterator[None]:
    """Attach hooks by name, and take off these and no others afterwards."""
    attached = []
    try:
        for name, functions in hooks.items():
            point = model.hook_dict[name]
            attached += [(point, point.add_hook(function)) for function in functions]
        yield
    finally:
        for point, handle in attached:
            handle.hook.remove()
            point.fwd_hooks[:] = [other for other in point.fwd_hooks if other is not handle]
