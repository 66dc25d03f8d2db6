"""The kinds of claim, each with its mandatory battery: what is measured, which nulls must all be rejected, what else
the numbers may say. A kind is a module; this is their one list.

node_effect     patching the components moves the metric, more than matched random components do
necessity       ablating them costs the behaviour, and costs control behaviours far less
no_effect       neither the total nor the direct effect reaches the threshold (equivalence)
circuit         what claims about circuits have in common
sufficiency     with everything else ablated the circuit keeps the behaviour, and others of its size do not
minimality      no member of a circuit can be left out
attention_role  a head attends from one role to another, more than to any other role
mediation       what the senders do, they do through these receivers
backup          components do the work of others when those are missing
"""

from __future__ import annotations

from typing import get_args

from lakatos.tools.claim.base import BaseClaim
from lakatos.tools.claim.kinds.attention_role import AttentionRole
from lakatos.tools.claim.kinds.backup import Backup
from lakatos.tools.claim.kinds.mediation import Mediation
from lakatos.tools.claim.kinds.minimality import Minimality
from lakatos.tools.claim.kinds.necessity import Necessity
from lakatos.tools.claim.kinds.no_effect import NoEffect
from lakatos.tools.claim.kinds.node_effect import NodeEffect
from lakatos.tools.claim.kinds.sufficiency import Sufficiency

AnyParent = NodeEffect | Necessity | NoEffect | Sufficiency | Minimality | AttentionRole | Mediation | Backup
PLAIN: tuple[type[BaseClaim], ...] = get_args(AnyParent)  # all kinds but generalisation, which is a claim of a claim

__all__ = [
    "PLAIN",
    "AnyParent",
    "AttentionRole",
    "Backup",
    "Mediation",
    "Minimality",
    "Necessity",
    "NoEffect",
    "NodeEffect",
    "Sufficiency",
]
