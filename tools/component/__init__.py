"""Places in a model: heads, attentions, MLPs, residual streams, and how they are written.

kinds     one record for each kind of component
place     a component: its text form, its hook, what it holds
shape     which components a model has
patterns  regular expressions of whole numbers, for the schema of a language model
"""

from __future__ import annotations

from lakatos.tools.component.kinds import KINDS, ComponentKind, Kind, groups_of
from lakatos.tools.component.patterns import numbers
from lakatos.tools.component.place import Component, canonical
from lakatos.tools.component.shape import Shape

__all__ = ["KINDS", "Component", "ComponentKind", "Kind", "Shape", "canonical", "groups_of", "numbers"]
