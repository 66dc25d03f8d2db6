"""How much of a behaviour the confirmed nodes make up together: shares of the gap, with intervals over prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lakatos.experiments_db.log import EXPLAINED, Entry, reading
from lakatos.experiments_db.mechanism.mechanism import LEVEL, Explained, Share
from lakatos.experiments_db.store import StudyReader

_DRAWS: Final = 2000  # of the bootstrap


def explained_by(store: StudyReader, runs: Sequence[int], entries: Sequence[Entry]) -> Explained | None:
    """What the newest of these runs measured of its confirmed nodes together; None: none has."""
    for run_id in reversed(runs):
        event = store.event_of(run_id, EXPLAINED)
        if event is not None:
            with reading(f"events row {event.id}"):
                return _explained(run_id, event.payload, {entry.id for entry in entries})
    return None


def _explained(run_id: int, told: dict[str, Any], known: set[int]) -> Explained:
    clean, corrupted, patched, ablated = (
        np.array(told[name], float) for name in ("clean", "corrupted", "patched", "ablated")
    )
    templates = np.array(told["templates"])
    return Explained(
        run=run_id,
        components=tuple(told["components"]),
        claims=tuple(number for number in told["hypotheses"] if number in known),
        pairs=len(clean),
        restored=share(patched - corrupted, clean - corrupted, templates),
        lost=share(clean - ablated, clean - corrupted, templates),
    )


def share(effect: NDArray[np.float64], gap: NDArray[np.float64], templates: ArrayLike, seed: int = 0) -> Share:
    """The mean effect over the mean gap, with the percentile bootstrap's 95 % interval.

    Templates are drawn with replacement, and with each all its prompts (Davison & Hinkley 1997, ch. 3.8); where prompts
    come from one template, prompts are drawn. With few templates the interval is too short; it describes.

    Args:
        effect, gap: [n] of each prompt pair, in one unit.
        templates: [n] labels.
        seed: of the draws (PCG64).

    Raises:
        ValueError: no prompts, or a mean gap of zero.
    """
    if not len(effect) or gap.mean() == 0:
        raise ValueError("a share needs prompts, and a gap to be a share of")
    labels = np.unique(np.asarray(templates), return_inverse=True)[1]
    if labels.max() == 0:
        labels = np.arange(len(effect))
    n = int(labels.max()) + 1
    sums = np.stack([np.bincount(labels, weights=x, minlength=n) for x in (effect, gap)])  # [2, template]
    drawn = np.random.Generator(np.random.PCG64(seed)).integers(0, n, (_DRAWS, n))
    over, under = sums[:, drawn].sum(-1)
    shares = over[under != 0] / under[under != 0]
    low, high = np.quantile(shares, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Share(float(effect.sum() / gap.sum()), float(low), float(high))
