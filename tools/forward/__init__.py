"""A model run again from the middle. It knows blocks and hooks, and no question.

suffix       recordings of a run, windows into it, and what follows from a layer
unembedding  from the residual stream to logits
hooking      hooks put on a model for a while
abilities    what of this a model can do, tried on the model itself;  trials: how it is tried
"""

from __future__ import annotations

from lakatos.tools.forward.abilities import distrust, settled, together, users_hooks
from lakatos.tools.forward.hooking import Hooks, hooked, out_of_memory
from lakatos.tools.forward.suffix import Recording, Window
from lakatos.tools.forward.unembedding import unembed, unembed_columns

__all__ = [
    "Hooks",
    "Recording",
    "Window",
    "distrust",
    "hooked",
    "out_of_memory",
    "settled",
    "together",
    "unembed",
    "unembed_columns",
    "users_hooks",
]
