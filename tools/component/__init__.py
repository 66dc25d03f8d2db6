"""Places in a model: heads, attentions, MLPs, residual streams, and how they are written.

place     a component: its text form, its hook, what it holds
shape     which components a model has
patterns  regular expressions of whole numbers, for the schema of a language model
"""

from __future__ import annotations

from lakatos.tools.component.patterns import numbers
from lakatos.tools.component.place import Component, Kind, canonical, groups_of
from lakatos.tools.component.shape import Shape

__all__ = ["Component", "Kind", "Shape", "canonical", "groups_of", "numbers"]
