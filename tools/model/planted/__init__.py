"""Models whose mechanism is known: an answer to hold an instrument against.

truth       what is true of a model, as data
models      all of them by name, how they are built, and their null twins
twins       a model with its mechanism taken out
words       the vocabulary of models that are set by hand
mechanisms  what is true of models that are set by hand
hand        the weights of models that are set by hand
trained     models that were trained, and what was measured of them
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakatos.tools.lazy import lazily

if TYPE_CHECKING:
    from lakatos.tools.model.planted.mechanisms import HEADS, LAYERS, MECHANISMS
    from lakatos.tools.model.planted.models import Planted, load_planted, planted_model, planted_models, truth_of
    from lakatos.tools.model.planted.truth import Reading, Truth
    from lakatos.tools.model.planted.twins import TWINS
    from lakatos.tools.model.planted.words import RECALL
    from lakatos.tools.model.wording import TEXT

__all__ = [
    "HEADS",
    "LAYERS",
    "MECHANISMS",
    "RECALL",
    "TEXT",
    "TWINS",
    "Planted",
    "Reading",
    "Truth",
    "load_planted",
    "planted_model",
    "planted_models",
    "truth_of",
]

__getattr__ = lazily(
    __name__,
    {
        **dict.fromkeys(("HEADS", "LAYERS", "MECHANISMS"), "mechanisms"),
        **dict.fromkeys(("Planted", "load_planted", "planted_model", "planted_models", "truth_of"), "models"),
        **dict.fromkeys(("Reading", "Truth"), "truth"),
        "TWINS": "twins",
        "RECALL": "words",
        "TEXT": "mechanisms",
    },
)
