"""The baselines by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from lakatos.tools.baseline.acdc import acdc, acdc_nodes
from lakatos.tools.baseline.attribution import attribution_ig, attribution_patching
from lakatos.tools.baseline.edge_patching import eap, eap_ig
from lakatos.tools.baseline.found import Baseline
from lakatos.tools.baseline.patching import activation_patching, significant_effects

BASELINES: Final[Mapping[str, Baseline]] = MappingProxyType(
    {
        "attribution-patching": attribution_patching,
        "attribution-ig": attribution_ig,
        "activation-patching": activation_patching,
        "acdc": acdc,
        "acdc-nodes": acdc_nodes,
        "eap": eap,
        "eap-ig": eap_ig,
        **significant_effects,
    }
)
