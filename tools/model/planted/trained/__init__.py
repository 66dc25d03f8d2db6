"""Small models trained from a seed; their weights come with the package (`python benchmarks/trained.py` makes them).

loading  the models, and what exhaustive patching has shown of them
"""

from __future__ import annotations

from lakatos.tools.model.planted.trained.loading import (
    TRAINED,
    Shape,
    empty_model,
    load_trained,
    trained_truth,
    words_of,
)

__all__ = ["TRAINED", "Shape", "empty_model", "load_trained", "trained_truth", "words_of"]
