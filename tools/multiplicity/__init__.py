"""Which of many hypotheses to believe: error control over everything that was ever tried.

Rows are hypotheses in the order of their registration; True means "confirmed" (its null is rejected). The
official verdicts come from `online_ebh` on frozen e-values with slot weights fixed in advance; its false
discovery rate, the expected share of nulls among the confirmed, is at most alpha at every look under any
dependence. All others are views over the same rows, recomputed on demand.

    works on e-values   online_ebh, e_bh          any dependence, anytime-valid inputs
    works on p-values   bh                        FDR, independent or positively dependent
                        by                        FDR, any dependence
                        holm, bonferroni          probability of any false one, any dependence
                        lord_plus_plus, saffron, addis, lond    online FDR, independent, in registered order

What they do not show: a p-value of a test that was stopped early or looked at repeatedly is not one, whatever
is applied to it; e-values of prompts that were used twice are not e-values.

Cost: a sort; the alpha-investing rules take one vector addition per rejection (m = 100,000, a fifth of them
rejected: well under a second).

inputs     e-values and p-values as they come in
weights    the weights of slots
e_values   methods on e-values;  p_values: methods on p-values, all at once
investing  online methods on p-values
methods    every method by its name
"""

from __future__ import annotations

from lakatos.tools.multiplicity.e_values import bars, e_bh, online_ebh
from lakatos.tools.multiplicity.inputs import Bools, Floats
from lakatos.tools.multiplicity.investing import OnlineResult, addis, lond, lord_plus_plus, saffron
from lakatos.tools.multiplicity.methods import CORRECTED, METHODS, Method, apply, corrected
from lakatos.tools.multiplicity.p_values import Adjustable, adjusted_p, bh, bonferroni, by, holm, uncorrected
from lakatos.tools.multiplicity.weights import FIRST_BLOCK, slot_weights, success_threshold

__all__ = [
    "CORRECTED",
    "FIRST_BLOCK",
    "METHODS",
    "Adjustable",
    "Bools",
    "Floats",
    "Method",
    "OnlineResult",
    "addis",
    "adjusted_p",
    "apply",
    "bars",
    "bh",
    "bonferroni",
    "by",
    "corrected",
    "e_bh",
    "holm",
    "lond",
    "lord_plus_plus",
    "online_ebh",
    "saffron",
    "slot_weights",
    "success_threshold",
    "uncorrected",
]
