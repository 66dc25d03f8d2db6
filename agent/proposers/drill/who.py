"""Who steps in when a confirmed component is missing: backups, by second-order ablation on exploration prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from lakatos.agent.proposers.drill.budget import PROMISING, Candidate, fresh, promise, put
from lakatos.agent.proposers.drill.confirmed import confirmed_nodes
from lakatos.agent.view import View
from lakatos.tools.claim import Backup, Necessity
from lakatos.tools.component import Component
from lakatos.tools.intervention import Intervention

_MISSING: Final = 3  # components whose backups are looked for
_LATER: Final = 6  # candidates for each, by what they write more
_TOGETHER: Final = 3  # the first so many are one backup, where none of them is by itself


class _Backup(NamedTuple):
    """A backup that exploration predicts to be confirmed."""

    of: Component
    spares: tuple[Component, ...]
    promise: float
    candidate: Candidate


def who(view: View) -> list[Candidate]:
    """Candidates for each component that is backed up or carries the behaviour, the most promising first."""
    missing = _missing(view)[:_MISSING]
    if not missing:
        return []
    tried: list[tuple[Component, tuple[Component, ...]]] = []
    for component, growth in zip(missing, view.searching.stepping_in(missing), strict=True):
        later = sorted((c for c in growth if growth[c] > 0), key=lambda c: -growth[c])[:_LATER]
        sets = [(c,) for c in later] + ([tuple(later[:_TOGETHER])] if len(later) >= _TOGETHER else [])
        tried += [(component, own) for own in sets]
    found = [own for own in _measured(view, missing, tried) if own is not None]
    alone = {of for of, spares, _, _ in found if len(spares) == 1}
    found = [own for own in found if len(own.spares) == 1 or own.of not in alone]
    return [own.candidate for own in sorted(found, key=lambda own: -own.promise)]


def _missing(view: View) -> list[Component]:
    """Heads whose ablation says that they are backed up, then those that carry the behaviour; MLPs if no head does."""
    backed = [
        entry.claim.parsed()[0]
        for entry in view.known
        if isinstance(entry.claim, Necessity) and entry.reading == "backed up" and len(entry.claim.components) == 1
    ]
    carry = [node.bare for node in confirmed_nodes(view) if not node.opposes]
    heads = [c for c in dict.fromkeys([*backed, *carry]) if c.kind == "head"]
    return heads or [c for c in dict.fromkeys([*backed, *carry]) if c.kind == "mlp"]


def _measured(
    view: View, missing: Sequence[Component], tried: Sequence[tuple[Component, tuple[Component, ...]]]
) -> list[_Backup]:
    """What each set of later components would show as a backup, with how promising it is."""
    alone = list(dict.fromkeys([*((c,) for c in missing), *(own for _, own in tried)]))
    both = [(component, *own) for component, own in tried]
    if not both:
        return []
    lost = view.searching.effects([Intervention(own, "resample") for own in [*alone, *both]], "clean")
    apart, together = dict(zip(alone, lost, strict=False)), lost[len(alone) :]
    found = []
    for (component, own), total in zip(tried, together, strict=True):
        extra = total - apart[component,] - apart[own]
        expected = min(promise(extra, view.threshold), promise(total, view.threshold))
        claim = Backup(components=tuple(map(str, own)), backed_up=(str(component),), threshold=view.threshold)
        if expected >= PROMISING and fresh(view, claim):
            why = f"Together they cost {extra.mean():+.1%} of the gap more than each alone, on exploration pairs."
            candidate = put(claim, why, predicted=float(extra.mean()), passes=True)
            found.append(_Backup(component, own, expected, candidate))
    return found
