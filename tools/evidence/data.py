"""What a battery measured on some prompts: numbers per prompt, of one claim or shared by the claims of a stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lakatos.tools.claim import AnyClaim, MeasuredClaim
from lakatos.tools.claim.measures import common_name
from lakatos.tools.evidence.constants import Unit

Values = dict[str, NDArray[np.float64]]  # name -> [n] raw metric values per prompt


@dataclass(frozen=True)
class Data:
    """What a battery measured on some prompts, in the order in which they were drawn."""

    values: Values
    templates: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.templates)

    @classmethod
    def join(cls, parts: Sequence[Data]) -> Data:
        """Batches joined in order."""
        if not parts:
            return cls({}, ())
        names = parts[0].values
        joined = {name: np.concatenate([part.values[name] for part in parts]) for name in names}
        return cls(joined, tuple(template for part in parts for template in part.templates))

    def by(self, unit: Unit) -> Data:
        """Itself, or the means over the prompts of each template in the order of their appearance."""
        if unit == "prompt" or not self.templates:
            return self
        names, first, member = np.unique(self.templates, return_index=True, return_inverse=True)
        order = np.argsort(first)
        counts = np.bincount(member)
        means = {name: (np.bincount(member, weights=x) / counts)[order] for name, x in self.values.items()}
        return Data(means, tuple(str(names[k]) for k in order))


def split_values(claim: AnyClaim, values: Values) -> tuple[Values, Values]:
    """A claim's numbers as they are stored where claims share their prompts.

    Args:
        values: under the names that the claim's battery gives them.

    Returns:
        Those that are no claim's own, under their common names; and the claim's own, under the same names as before.
    """
    named = {name: _common(claim, name) for name in values}
    common = {shared: values[name] for name, shared in named.items() if shared is not None}
    return common, {name: values[name] for name, shared in named.items() if shared is None}


def join_values(
    claim: AnyClaim,
    names: Iterable[str],
    common: Mapping[str, NDArray[np.float64]],
    own: Mapping[str, NDArray[np.float64]],
) -> Values:
    """What `split_values` took apart.

    Args:
        names: of all numbers of the claim's battery (`Prediction.measures`).
        common: of all claims on these prompts; may hold more than this one has.

    Raises:
        KeyError: a number is missing.
    """
    found = {name: _common(claim, name) for name in names}
    return {name: own[name] if shared is None else common[shared] for name, shared in found.items()}


def _common(claim: AnyClaim, name: str) -> str | None:
    tested = claim.tested
    return common_name(name, tested.metric if isinstance(tested, MeasuredClaim) else None)
