"""What happens when activations are replaced. It knows questions, and no block.

engine        many interventions on many prompts, as few forward passes as possible
intervention  what is replaced, by what, along which path
plan          the order in which many are computed;  paths: along direct paths only
edge_circuits any set of edges cut, each by itself;  edge_graph: the edges that there are
stacks        cells that run together;  writes: values for places of a stack
runs          the clean and corrupted runs of prompts, kept for all interventions;  batch_runs: those of a batch
means         mean activations of a dataset;  layout: positions first
checks        what is asked of interventions before anything runs
reference     the same by one plain forward pass each;  audit: some of every call's results, held against it
"""

from __future__ import annotations

from lakatos.tools.intervention.audit import NEW, SHARE
from lakatos.tools.intervention.batch_runs import BatchRuns
from lakatos.tools.intervention.edge_circuits import EdgeRuns
from lakatos.tools.intervention.edge_graph import EMBEDDED, EdgeGraph
from lakatos.tools.intervention.engine import Effects, run_interventions
from lakatos.tools.intervention.intervention import Base, Intervention, everywhere
from lakatos.tools.intervention.plan import Plan
from lakatos.tools.intervention.runs import Runs

__all__ = [
    "EMBEDDED",
    "NEW",
    "SHARE",
    "Base",
    "BatchRuns",
    "EdgeGraph",
    "EdgeRuns",
    "Effects",
    "Intervention",
    "Plan",
    "Runs",
    "everywhere",
    "run_interventions",
]
