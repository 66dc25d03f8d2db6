"""Where to look: estimates from gradients, on exploration prompts alone. Nothing here is evidence.

nodes        attribution of nodes
gradients    gradients of a metric at activations, many pairs together
batching     pairs in batches, and scores put together;  hooks: where nodes are written and read
edges        edge attribution
attribution  attribution patching, direct logit attribution, attention by role
stepping_in  who writes more once a component is missing
"""

from __future__ import annotations

from lakatos.tools.exploration.attribution import (
    Attribution,
    attention_by_role,
    attribution_patching,
    direct_logit_attribution,
    node_scores,
)
from lakatos.tools.exploration.batching import spans
from lakatos.tools.exploration.edges import edge_attribution
from lakatos.tools.exploration.nodes import node_attribution
from lakatos.tools.exploration.stepping_in import stepping_in

__all__ = [
    "Attribution",
    "attention_by_role",
    "attribution_patching",
    "direct_logit_attribution",
    "edge_attribution",
    "node_attribution",
    "node_scores",
    "spans",
    "stepping_in",
]
