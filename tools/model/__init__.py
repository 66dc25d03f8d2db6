"""The subject of an investigation: loaded by name, planted by hand, or with weights drawn anew.

loading         the only place that boots a model
bridge          what is used of a TransformerBridge
loaded          a booted model, and what identifies it
embedded        the model that comes with the package
wording         words as tokens, and plain text, for models that speak in words
planted         models whose mechanism is known
rasp            models that run a compiled program, hidden among decoys
random_weights  small models of any architecture, for tests and benchmarks
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakatos.tools.lazy import lazily

if TYPE_CHECKING:
    from lakatos.tools.model.bridge import Bridge
    from lakatos.tools.model.embedded import EMBEDDED, Say, cache_folder, embedded_folder
    from lakatos.tools.model.loaded import PLANTED_PREFIX, LoadedModel, wrap_model
    from lakatos.tools.model.loading import NULL_PREFIX, load_model
    from lakatos.tools.model.random_weights import shaped_model

__all__ = [
    "EMBEDDED",
    "NULL_PREFIX",
    "PLANTED_PREFIX",
    "Bridge",
    "LoadedModel",
    "Say",
    "cache_folder",
    "embedded_folder",
    "load_model",
    "shaped_model",
    "wrap_model",
]

__getattr__ = lazily(
    __name__,
    {
        "EMBEDDED": "embedded",
        "Bridge": "bridge",
        "LoadedModel": "loaded",
        "NULL_PREFIX": "loading",
        "PLANTED_PREFIX": "loaded",
        "Say": "embedded",
        "cache_folder": "embedded",
        "embedded_folder": "embedded",
        "load_model": "loading",
        "shaped_model": "random_weights",
        "wrap_model": "loaded",
    },
)
