"""Claims as one line of text, printed and read back.

    a9.h6@END carries ioi (denoising, logit_diff, >= 10% of gap)
    a9.h6@END opposes ioi (noising, logit_diff, >= 10% of gap, 5 random)
    a9.h6 necessary for ioi (resample, logit_diff, >= 10% of gap, 4 x controls)
    a9.h6 + m0 sufficient for ioi (resample, logit_diff, >= 10% of gap, >= 80% of model)
    a9.h6 + a10.h0 + m0 minimal for ioi (resample, logit_diff, >= 10% of gap, a9.h6 with a10.h0)
    a5.h5 carries ioi through a9.h6.q (denoising, logit_diff, >= 10% of gap, >= 50% of total)
    a9.h6 attends from END to IO in ioi (>= 10% of attention)
    a3.h2 has no effect on ioi (resample, logit_diff, < 10% of gap)

`ioi/distant` in place of `ioi` is the generalisation of the claim to the prompt family `distant`. What stands in the
parentheses may be left out where it is the default, and its order does not matter.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from lakatos.tools.claim.base import LEAST_RANDOM
from lakatos.tools.claim.circuits import Mediation, Minimality, Sufficiency
from lakatos.tools.claim.claims import AnyParent, AttentionRole, Generalisation, Necessity, NodeEffect, NoEffect
from lakatos.tools.claim.hypothesis import CLAIM, KINDS, AnyClaim, Hypothesis
from lakatos.tools.errors import UserError

_SENTENCE = re.compile(
    r"\s*(?P<components>[^\s+]+(?:\s*\+\s*[^\s+]+)*)\s+"
    r"(?:(?P<necessary>necessary\s+for)|(?P<sufficient>sufficient\s+for)|(?P<minimal>minimal\s+for)"
    r"|(?P<none>has\s+no\s+effect\s+on)|(?P<attends>attends\s+from\s+(?P<source>\S+)\s+to\s+(?P<target>\S+)\s+in)"
    r"|(?P<direction>carries|opposes))\s+"
    r"(?P<behaviour>[A-Za-z0-9_]+)(?:/(?P<family>[A-Za-z0-9_]+))?"
    r"(?:\s+through\s+(?P<receivers>[^\s+]+(?:\s*\+\s*[^\s+]+)*))?"
    r"\s*(?:\((?P<options>[^()]*)\))?\s*"
)


def describe(claim: AnyClaim, behaviour: str) -> str:
    """The claim in one line; `parse_claim` reads it back."""
    if isinstance(claim, Generalisation):
        return describe(claim.parent, f"{behaviour}/{claim.family}")
    where = " + ".join(claim.components)
    if isinstance(claim, AttentionRole):
        looks = f"attends from {claim.attends_from} to {claim.attends_to} in"
        return f"{where} {looks} {behaviour} (>= {_percent(claim.threshold)} of attention)"
    return f"{where} {_VERBS[claim.kind](claim)} {behaviour}{_through(claim)} ({', '.join(_options(claim))})"


def in_words(claim: AnyClaim, behaviour: str) -> str:
    """The claim as a sentence for people who do not know the forms above."""
    if isinstance(claim, Generalisation):
        return f"On the prompt family {claim.family}, which took no part in exploration: " + in_words(
            claim.parent, behaviour
        )
    where = " together with ".join(_place(c) for c in claim.components)
    if isinstance(claim, AttentionRole):
        return (
            f"{where} attends from {claim.attends_from} to {claim.attends_to}, by at least "
            f"{_percent(claim.threshold)} of its attention more than to any other named position or the tokens between."
        )
    metric = {"logit_diff": "logit difference", "prob_diff": "probability difference"}[claim.metric]
    amount = f"{_percent(claim.threshold)} of the gap between clean and corrupted prompts"
    if isinstance(claim, NodeEffect):
        return (
            f"{_patching(claim, where)} the {metric} by at least {amount}, "
            "and by at least that much more than patching matched random components does."
        )
    if isinstance(claim, Mediation):
        through = " and ".join(claim.receivers)
        return (
            f"{_patching(claim, where)} the {metric} by at least {amount}; at least {_percent(claim.share)} of that "
            f"goes directly into {through}, and not into others like it."
        )
    if isinstance(claim, NoEffect):
        how = _BY.get(claim.intervention, f"patching ({claim.intervention})")
        return f"{how} of {where} changes the {metric} by less than {amount}, in total and directly."
    by = {"resample": "its activations on other prompts", "zero": "zeros"}[claim.ablation]
    if isinstance(claim, Necessity):
        return (
            f"Replacing {where} by {by} costs {behaviour} at least {amount} in {metric}, and more than "
            f"{claim.specificity:g} times the damage that it does to the control behaviours."
        )
    if isinstance(claim, Sufficiency):
        return (
            f"With every head and MLP but {where} replaced by {by}, at least {_percent(claim.faithfulness)} of the "
            f"{metric} stays, and at least {amount} more than with random circuits of this size or with what the same "
            "search finds for shuffled answers."
        )
    return (
        f"In the circuit {where}, everything else being replaced by {by}, no member can be left out without a loss "
        f"of at least {amount} in {metric}{_with_backups(claim)}."
    )


def mend(error: Any) -> str:
    """One of pydantic's errors about a claim in fields as a sentence: the field, what is wrong, how to mend it."""
    kinds = {kind.model_fields["kind"].default: kind for kind in KINDS}
    place = [str(part) for part in error["loc"] if part not in ("claim", "parent", *kinds)]
    field = ".".join(place)
    said = error["msg"].removeprefix("Value error, ")
    if error["type"] == "union_tag_invalid":
        near = difflib.get_close_matches(str(error["ctx"]["tag"]), kinds, n=1)
        meant = f" Did you mean {near[0]}?" if near else ""
        return f"kind: there is no kind {error['ctx']['tag']!r}.{meant} Kinds: {', '.join(kinds)}"
    if error["type"] == "extra_forbidden":
        own = next((kinds[str(part)] for part in reversed(error["loc"]) if part in kinds), None)
        fields = list(own.model_fields if own else Hypothesis.model_fields)
        near = difflib.get_close_matches(place[-1], fields, n=1)
        return f"{field}: no such field; " + (f"did you mean {near[0]}?" if near else f"fields are {', '.join(fields)}")
    hints = {
        "tuple_type": ": write a list, [a9.h6, m5]",
        "float_parsing": ": write a fraction, 0.1 for 10 %",
        "missing": ": add it",
    }
    return f"{field}: {said}{hints.get(error['type'], '')}" if field else said + hints.get(error["type"], "")


def parse_claim(text: str) -> tuple[AnyClaim, str]:
    """Read a claim and the behaviour that it is about.

    Raises:
        UserError: the text is not of the forms at the head of this module; says what was not understood.
    """
    found = _SENTENCE.fullmatch(text)
    if not found:
        raise UserError(
            f"{text!r} is not a claim. Write for example: a9.h6@END carries ioi (denoising, logit_diff, >= 10% of "
            "gap); a9.h6 necessary for ioi; a9.h6 attends from END to IO in ioi; a3.h2 has no effect on ioi."
        )
    part = found.groupdict()
    fields: dict[str, Any] = {"components": _list(part["components"])}
    if part["receivers"] and not part["direction"]:
        raise UserError(f"{text!r}: through belongs to carries or opposes")
    if part["attends"]:
        fields |= {"kind": "attention_role", "attends_from": part["source"], "attends_to": part["target"]}
    elif part["direction"]:
        direction = "supports" if part["direction"] == "carries" else "opposes"
        fields |= {"kind": "mediation" if part["receivers"] else "node_effect", "direction": direction}
        fields |= {"receivers": _list(part["receivers"])} if part["receivers"] else {}
    else:
        kinds = {"necessary": "necessity", "sufficient": "sufficiency", "minimal": "minimality", "none": "no_effect"}
        fields["kind"] = next(kind for word, kind in kinds.items() if part[word])
    for option in filter(None, (o.strip() for o in (part["options"] or "").split(","))):
        fields = _read_option(option, fields, text)
    whole = {"kind": "generalisation", "parent": fields, "family": part["family"]} if part["family"] else fields
    try:
        return CLAIM.validate_python(whole), part["behaviour"]
    except ValidationError as error:
        raise UserError(f"{text!r}: {'; '.join(dict.fromkeys(mend(e) for e in error.errors()))}") from error


_VERBS: dict[str, Callable[[Any], str]] = {
    "node_effect": lambda c: "carries" if c.direction == "supports" else "opposes",
    "mediation": lambda c: "carries" if c.direction == "supports" else "opposes",
    "necessity": lambda _: "necessary for",
    "sufficiency": lambda _: "sufficient for",
    "minimality": lambda _: "minimal for",
    "no_effect": lambda _: "has no effect on",
}


def _through(claim: AnyParent) -> str:
    return f" through {' + '.join(claim.receivers)}" if isinstance(claim, Mediation) else ""


def _options(claim: Any) -> list[str]:
    sign = "<" if isinstance(claim, NoEffect) else ">="
    how = claim.ablation if isinstance(claim, Necessity | Sufficiency | Minimality) else claim.intervention
    options = [how, claim.metric, f"{sign} {_percent(claim.threshold)} of gap"]
    if isinstance(claim, Necessity) and claim.specificity != 3:
        options.append(f"{claim.specificity:.12g} x controls")
    if isinstance(claim, Sufficiency):
        options.append(f">= {_percent(claim.faithfulness)} of model")
    if isinstance(claim, Mediation):
        options.append(f">= {_percent(claim.share)} of total")
    if isinstance(claim, Minimality):
        options += [f"{member} with {' + '.join(others)}" for member, others in claim.backups.items()]
    if isinstance(claim, NodeEffect | Sufficiency | Mediation) and claim.matched_random != LEAST_RANDOM:
        options.append(f"{claim.matched_random} random")
    return options


def _read_option(option: str, fields: dict[str, Any], text: str) -> dict[str, Any]:
    kind = fields["kind"]
    sign, whole = ("<" if kind == "no_effect" else ">="), ("attention" if kind == "attention_role" else "gap")
    fractions = {"threshold": f"{sign} N % of {whole}", "faithfulness": ">= N % of model", "share": ">= N % of total"}
    found: dict[str, Any] = {}
    if option in ("logit_diff", "prob_diff"):
        found = {"metric": option}
    elif option in ("resample", "zero", "denoising", "noising"):
        found = {"ablation" if kind in ("necessity", "sufficiency", "minimality") else "intervention": option}
    elif match := re.fullmatch(r"(\S+)\s+with\s+([^\s+]+(?:\s*\+\s*[^\s+]+)*)", option):
        found = {"backups": {**fields.get("backups", {}), match[1]: _list(match[2])}}
    elif match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*x\s+controls", option):
        found = {"specificity": float(match[1])}
    elif match := re.fullmatch(r"(\d+)\s+random", option):
        found = {"matched_random": int(match[1])}
    for name, form in fractions.items():
        pattern = re.sub(r"\s+", r"\\s*", form).replace("N", r"(\d+(?:\.\d+)?)")
        if match := re.fullmatch(pattern, option):
            found = {name: float(match[1]) / 100}
    if not found:
        raise UserError(
            f"{text!r}: {option!r} is not understood. In the parentheses: resample or zero, denoising or noising; "
            f"logit_diff or prob_diff; {'; '.join(fractions.values())}; 3 x controls; {LEAST_RANDOM} random; "
            "a9.h6 with a10.h0."
        )
    if twice := [name for name in found if name in fields and name != "backups"]:
        raise UserError(f"{text!r}: {option!r} says {twice[0]} a second time.")
    return {**fields, **found}


def _list(text: str) -> list[str]:
    return [item.strip() for item in text.split("+")]


def _with_backups(claim: Minimality) -> str:
    told = [f"{member} being left out with {' and '.join(others)}" for member, others in claim.backups.items()]
    return f" ({'; '.join(told)}, and mattering by itself where that is missing)" if told else ""


_BY = {"resample": "Resample ablation", "zero": "Zero ablation"}


def _patching(claim: NodeEffect | Mediation, where: str) -> str:
    into_corrupted = claim.intervention == "denoising"
    runs = "from the clean into the corrupted run" if into_corrupted else "from the corrupted into the clean run"
    raises = into_corrupted == (claim.direction == "supports")
    return f"Patching {where} {runs} {'raises' if raises else 'lowers'}"


def _place(component: str) -> str:
    name, _, position = component.partition("@")
    return f"{name} at {position}" if position else f"{name} at every position"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.12g}%"
