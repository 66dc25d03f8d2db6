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
    shared = common_names(claim, values)
    common = {shared[name]: column for name, column in values.items() if name in shared}
    return common, {name: column for name, column in values.items() if name not in shared}


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
    wanted = tuple(names)
    shared = common_names(claim, wanted)
    return {name: common[shared[name]] if name in shared else own[name] for name in wanted}


def common_names(claim: AnyClaim, names: Iterable[str]) -> dict[str, str]:
    """Which of a claim's numbers are no claim's own: name in its battery -> common name."""
    metric = claim.tested.metric if isinstance(claim.tested, MeasuredClaim) else None
    return {name: shared for name in names if (shared := common_name(name, metric)) is not None}
