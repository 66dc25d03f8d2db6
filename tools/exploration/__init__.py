"""Where to look: estimates from gradients, on exploration prompts alone. Nothing here is evidence.

nodes        attribution of nodes
gradients    gradients of a metric at activations, many pairs together
batching     pairs in batches, and scores put together;  hooks: where nodes are written and read
edges        edge attribution
attribution  attribution patching, direct logit attribution
attention    where heads look;  head_scores: what kind of head each is;  lens: what the residual stream would answer
answers      what the model says to prompts
stepping_in  who writes more once a component is missing
"""

from __future__ import annotations

from lakatos.tools.exploration.answers import Answered, model_answers
from lakatos.tools.exploration.attention import attention_between, attention_by_role
from lakatos.tools.exploration.attribution import (
    Attribution,
    attribution_patching,
    direct_logit_attribution,
    node_scores,
)
from lakatos.tools.exploration.batching import spans
from lakatos.tools.exploration.edges import edge_attribution
from lakatos.tools.exploration.head_scores import HeadScores, head_scores
from lakatos.tools.exploration.lens import LensRow, logit_lens
from lakatos.tools.exploration.nodes import NodeScores, node_attribution
from lakatos.tools.exploration.stepping_in import stepping_in

__all__ = [
    "Answered",
    "Attribution",
    "HeadScores",
    "LensRow",
    "NodeScores",
    "attention_between",
    "attention_by_role",
    "attribution_patching",
    "direct_logit_attribution",
    "edge_attribution",
    "head_scores",
    "logit_lens",
    "model_answers",
    "node_attribution",
    "node_scores",
    "spans",
    "stepping_in",
]
