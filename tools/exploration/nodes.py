"""Attribution of nodes: how far each head, MLP and stream would move the metric, to first order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lakatos.tools.behaviour import Ints, PromptPairs
from lakatos.tools.exploration.batching import MAX_TOKENS, Floats, Progress, check_finite, chunks, reported, to_numpy
from lakatos.tools.exploration.gradients import PairGradients, Step
from lakatos.tools.metric import Metric
from lakatos.tools.model import Bridge


@dataclass(frozen=True)
class NodeScores:
    """Attribution of every head, MLP and residual stream, per prompt pair and token; in metric units.

    In the order of the pairs. Prompts shorter than the longest are filled up on the right with zeros.
    """

    heads: Floats  # [n_pairs, layer, head, pos] a head's z
    mlps: Floats  # [n_pairs, layer, pos] an MLP's write to the residual stream
    residuals: Floats  # [n_pairs, layer + 1, pos] the residual stream before each block, and after the last
    positions: dict[str, Ints]  # name -> [n_pairs] token index; "END" is the last token
    clean: Floats  # [n_pairs] the metric of the clean run
    corrupted: Floats  # [n_pairs] the metric of the corrupted run

    @property
    def lengths(self) -> Ints:
        """[n_pairs] tokens of each prompt, BOS included."""
        return self.positions["END"] + 1


def node_attribution(
    model: Bridge,
    pairs: PromptPairs,
    *,
    metric: Metric = "logit_diff",
    ig_steps: int = 1,
    max_tokens: int = MAX_TOKENS,
    progress: Progress = lambda _done, _of: None,
) -> NodeScores:
    """Score every head, MLP and residual stream at every token of every pair (see the module's head).

    Args:
        model: a TransformerBridge, of any floating-point type; scores are summed in float32.
        pairs: prompt pairs with answers.
        metric: one that is read at the last token.
        ig_steps: 1 for attribution patching, more for integrated gradients.
        max_tokens: how many positions (pairs x widest) are differentiated at once, and a fourth of how many are run: a
            memory limit.
        progress: is told how many pairs are done, of how many.

    Raises:
        UserError: plain text, a metric of several positions, or a model without a hook that is needed, which is named.
        FloatingPointError: the model produced NaN or infinity; names the prompt.
    """
    layers, heads = int(model.cfg.n_layers), int(model.cfg.n_heads)
    batches = chunks(model, pairs, metric, ig_steps, max_tokens)
    n, width = len(pairs), max(batch.clean.shape[1] for batch in batches)
    found = NodeScores(
        heads=np.zeros((n, layers, heads, width), np.float32),
        mlps=np.zeros((n, layers, width), np.float32),
        residuals=np.zeros((n, layers + 1, width), np.float32),
        positions={name: np.zeros(n, np.int64) for name in batches[0].positions},
        clean=np.zeros(n, np.float32),
        corrupted=np.zeros(n, np.float32),
    )
    for batch in reported(batches, progress):
        run = PairGradients(model, batch, metric)
        at, wide = batch.index, batch.clean.shape[1]

        def every(step: Step, names: list[str], units: int = 1, run: PairGradients = run) -> Floats:
            """[n, name, pos, unit]."""
            return to_numpy(run.placed(run.scores(step, names, units)) / ig_steps)

        found.clean[at], found.corrupted[at] = run.clean, run.corrupted
        for name, where in batch.positions.items():
            found.positions[name][at] = where
        for step in run.steps(ig_steps):
            found.heads[at, ..., :wide] += every(step, run.hooks.heads, heads).swapaxes(2, 3)
            found.mlps[at, ..., :wide] += every(step, run.hooks.mlps)[..., 0]
            found.residuals[at, ..., :wide] += every(step, run.hooks.residuals)[..., 0]
        check_finite(pairs, at, run.clean, run.corrupted, found.heads[at], found.mlps[at], found.residuals[at])
    return found
