"""Where to look: estimates from gradients, on exploration prompts alone. Nothing here is evidence.

gradients    node attribution by gradients
edges        edge attribution
attribution  attribution patching, direct logit attribution, attention by role
"""

from __future__ import annotations

from lakatos.tools.exploration.attribution import (
    Attribution,
    attention_by_role,
    attribution_patching,
    direct_logit_attribution,
    node_scores,
)
from lakatos.tools.exploration.edges import edge_attribution
from lakatos.tools.exploration.gradients import node_attribution, spans

__all__ = [
    "Attribution",
    "attention_by_role",
    "attribution_patching",
    "direct_logit_attribution",
    "edge_attribution",
    "node_attribution",
    "node_scores",
    "spans",
]
