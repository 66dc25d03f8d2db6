"""Claims as one line of text, printed and read back.

    a9.h6@END carries ioi (denoising, logit_diff, >= 10% of gap)

Each kind of claim says its phrases and its options, and shows an example of itself (`BaseClaim.example`).
`ioi/distant` in place of `ioi` is the generalisation of the claim to the prompt family `distant`. What stands in the
parentheses may be left out where it is the default, and its order does not matter.
"""

from __future__ import annotations

import difflib
import re
from typing import Any

from pydantic import ValidationError

from lakatos.tools.claim.base import HOW_SHOWN, METRIC_SHOWN, BaseClaim
from lakatos.tools.claim.hypothesis import CLAIM, KINDS, AnyClaim, Hypothesis
from lakatos.tools.claim.kinds import PLAIN
from lakatos.tools.claim.words import LIST, Option, fields_in, listed, outline
from lakatos.tools.errors import UserError

_SAID = "|".join(dict.fromkeys(outline(phrase.text) for kind in PLAIN for phrase in kind.phrases))
_AFTER = "|".join(dict.fromkeys(outline(kind.after) for kind in PLAIN if kind.after))
_SENTENCE = re.compile(
    rf"\s*(?P<components>{LIST})\s+(?P<said>{_SAID})\s+(?P<behaviour>[A-Za-z0-9_]+)(?:/(?P<family>[A-Za-z0-9_]+))?"
    rf"(?:\s+(?P<after>{_AFTER}))?\s*(?:\((?P<options>[^()]*)\))?\s*"
)


def describe(claim: AnyClaim, behaviour: str) -> str:
    """The claim in one line; `parse_claim` reads it back."""
    return claim.text(behaviour)


def in_words(claim: AnyClaim, behaviour: str) -> str:
    """The claim as a sentence for people who do not know the forms above."""
    return claim.in_words(behaviour)


def mend(error: Any) -> str:
    """One of pydantic's errors about a claim in fields as a sentence: the field, what is wrong, how to mend it."""
    kinds = {kind.name(): kind for kind in KINDS}
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
        UserError: the text is no claim of any kind; says what was not understood.
    """
    found = _SENTENCE.fullmatch(text)
    if not found:
        raise UserError(
            f"{text!r} is not a claim. Write for example: a9.h6@END carries ioi (denoising, logit_diff, >= 10% of "
            "gap); a9.h6 necessary for ioi; a9.h6 attends from END to IO in ioi; a3.h2 has no effect on ioi."
        )
    kind, said = _kind_said(found["said"], found["after"] or "", text)
    fields = {"components": listed(found["components"]), "kind": kind.name(), **said}
    for option in filter(None, (o.strip() for o in (found["options"] or "").split(","))):
        fields = _read_option(option, kind, fields, text)
    family = found["family"]
    whole = {"kind": "generalisation", "parent": fields, "family": family} if family else fields
    try:
        return CLAIM.validate_python(whole), found["behaviour"]
    except ValidationError as error:
        raise UserError(f"{text!r}: {'; '.join(dict.fromkeys(mend(e) for e in error.errors()))}") from error


def _kind_said(said: str, after: str, text: str) -> tuple[type[BaseClaim], dict[str, Any]]:
    """The kind whose phrases these are, and the fields that they say."""
    for kind in PLAIN:
        for phrase in kind.phrases:
            fields = fields_in(f"{phrase.text} {kind.after}", f"{said} {after}".rstrip())
            if fields is not None:
                return kind, {**phrase.means, **fields}
    theirs = [phrase.text for kind in PLAIN if kind.after and fields_in(kind.after, after) for phrase in kind.phrases]
    raise UserError(f"{text!r}: {after.split()[0]} belongs to {' or '.join(theirs)}")


def _read_option(option: str, kind: type[BaseClaim], fields: dict[str, Any], text: str) -> dict[str, Any]:
    known = _options(kind)
    for form in known:
        match = re.fullmatch(form.pattern, option)
        if match and form.several:
            return {**fields, form.field: {**fields.get(form.field, {}), **form.read(match)}}
        if match and form.field in fields:
            raise UserError(f"{text!r}: {option!r} says {form.field} a second time.")
        if match:
            return {**fields, form.field: form.read(match)}
    shown = dict.fromkeys((HOW_SHOWN, METRIC_SHOWN, *(form.shown for form in known)))
    raise UserError(f"{text!r}: {option!r} is not understood. In the parentheses: {'; '.join(shown)}.")


def _options(kind: type[BaseClaim]) -> list[Option]:
    """The kind's own options, then those that others have: fields that it lacks are refused by their names."""
    own = {option.field for option in kind.options}
    return [*kind.options, *(o for other in PLAIN for o in other.options if o.field not in own)]
