"""Does it find what is there, and only that? Investigations of models whose mechanism is known, beside baselines.

judging   whether a claim is true of such a model
told      claims for arms that are told what to claim
rows      what an arm came to, as a row of a file
jobs      one model, every arm and every seed
running   all models, in several processes, gone on with where they were stopped
techniques    what each technique says of every head and MLP;  correlations: which are wrong together
measures  false discoveries, power, readings, cost, stability
page      what docs/groundtruth.md says;  cells: its tables;  picture: its figure
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakatos.tools.lazy import lazily

if TYPE_CHECKING:
    from lakatos.agent.groundtruth.measures import broken, summary
    from lakatos.agent.groundtruth.page import document, markdown
    from lakatos.agent.groundtruth.picture import figure
    from lakatos.agent.groundtruth.running import Design, ask_all, designed, run_design

__all__ = ["Design", "ask_all", "broken", "designed", "document", "figure", "markdown", "run_design", "summary"]

__getattr__ = lazily(
    __name__,
    {
        "Design": "running",
        "ask_all": "running",
        "broken": "measures",
        "designed": "running",
        "document": "page",
        "figure": "picture",
        "markdown": "page",
        "run_design": "running",
        "summary": "measures",
    },
)
