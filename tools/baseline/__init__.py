"""What people do today: methods of circuit discovery to compare with, and the scores by which they are compared.

found           what a baseline is given, and what it gives back;  registry: all by name
attribution     attribution patching, the strongest tenth
patching        activation patching, by size of effect and by p-values;  t_test: those p-values
acdc            greedy pruning of edges, or of nodes
edge_patching   edge attribution at a fixed sparsity
circuit_scores  CMD, CPR and AUROC of a ranking;  truth: what is used, where that is known
comparison      rankings side by side: `lakatos bench circuits`
"""

from __future__ import annotations

from lakatos.tools.baseline.attribution import by_component
from lakatos.tools.baseline.circuit_scores import Curve, Curves, auroc, circuit_curves, cmd, cpr
from lakatos.tools.baseline.comparison import Claimed, circuits_document
from lakatos.tools.baseline.found import Baseline, Found, places
from lakatos.tools.baseline.patching import Patched, by_effect, by_p_value, patch_everything
from lakatos.tools.baseline.registry import BASELINES
from lakatos.tools.baseline.truth import used_components

__all__ = [
    "BASELINES",
    "Baseline",
    "Claimed",
    "Curve",
    "Curves",
    "Found",
    "Patched",
    "auroc",
    "by_component",
    "by_effect",
    "by_p_value",
    "circuit_curves",
    "circuits_document",
    "cmd",
    "cpr",
    "patch_everything",
    "places",
    "used_components",
]
