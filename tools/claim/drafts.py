"""Claims drafted from the answers to narrow questions: what is asked, what an answer chooses, what claims come of it.

A draft takes up to four questions. Which component carries the behaviour? How: where, and is it enough or needed? Which
other component could do the same work? Which one does nothing? Each is a JSON schema whose values are lists, and whose
title says its place. Whoever verifies a log puts the claims together from its answers again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, NoReturn

from lakatos.tools.claim.schema import Schema, closed
from lakatos.tools.errors import ProposalError

Step = Literal["component", "way", "rival", "null"]
ANYWHERE: Final = "anywhere"  # for a position: all of them
NONE: Final = "none"  # for a component: the question has no answer
WAYS: Final = ("enough", "needed")
PREDICTED: Final = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
_RATIONALE: Final = 400  # characters
_SHOWN: Final = 40  # characters of an answer that is none of those asked for
_TITLE: Final = re.compile(r"claim ([0-9]{1,4}): (component|way|rival|null)")
_MARGIN: Final = 0.2  # the largest of a claim of no effect


class Exchange(NamedTuple):
    """A question, and what was answered."""

    schema: Schema
    text: str


def question(number: int, step: Step, **choices: Sequence[Any]) -> Schema:
    """The schema of an answer.

    Args:
        number: of the draft, from 1.
        step: which of its questions this is.
        choices: the name of a value -> what it may be.
    """
    values = {name: {"type": _type(listed), "enum": list(listed)} for name, listed in choices.items()}
    return {"title": f"claim {number}: {step}"} | closed(
        rationale={"type": "string", "maxLength": _RATIONALE}, **values
    )


def read_choice(schema: Schema, text: str) -> dict[str, Any]:
    """What an answer chooses, in the spelling of the question, with the beginning of its rationale.

    Raises:
        ProposalError: it is no JSON object, or a value is none of those asked for; says which.
    """
    try:
        answer = json.loads(text, parse_constant=_refuse_constant)
        json.dumps(answer, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ProposalError(f"the answer is not JSON ({error}); return one JSON object and nothing else") from error
    if not isinstance(answer, dict):
        raise ProposalError("the answer must be one JSON object")
    said = answer.get("rationale")
    chosen: dict[str, Any] = {"rationale": " ".join(said.split())[:_RATIONALE] if isinstance(said, str) else ""}
    for name, form in schema["properties"].items():
        if name == "rationale":
            continue
        same = [value for value in form["enum"] if _same(value, answer.get(name))]
        if not same:
            told = json.dumps(answer.get(name), ensure_ascii=False)[:_SHOWN]
            raise ProposalError(f"{name} is {told}, and must be one of {json.dumps(form['enum'])}")
        chosen[name] = same[0]
    return chosen


def drafted(exchanges: Iterable[Exchange], threshold: float) -> list[dict[str, Any]]:
    """The proposals that come of answers in their order; an answer that cannot be read is passed over.

    Args:
        exchanges: a draft that is begun again takes the place of itself, and of those after it.
        threshold: smallest effect of interest, as a fraction of the gap.
    """
    drafts: dict[int, dict[str, dict[str, Any]]] = {}
    for schema, text in exchanges:
        place = _TITLE.fullmatch(str(schema.get("title")))
        if place is None:
            continue
        number, step = int(place[1]), place[2]
        if step == "component":
            drafts = {other: draft for other, draft in drafts.items() if other < number}
        try:
            drafts.setdefault(number, {})[step] = read_choice(schema, text)
        except ProposalError:
            continue
    return [proposal for number in sorted(drafts) for proposal in _proposals(drafts[number], threshold)]


def _proposals(draft: Mapping[str, dict[str, Any]], threshold: float) -> list[dict[str, Any]]:
    main, way, rival, null = (draft.get(step) for step in ("component", "way", "rival", "null"))
    if main is None or way is None or main.get("more") is False or main["component"] == NONE:
        return []
    why = f"{main['rationale']} {way['rationale']}".strip()[:_RATIONALE]
    found = [_effect(main["component"], way, way["predicted"], why, "main", threshold)]
    if rival is not None and rival["component"] != NONE:
        found.append(_effect(rival["component"], way, rival["predicted"], rival["rationale"], "rival", threshold))
    if null is not None and null["component"] != NONE:
        claim: dict[str, Any] = {"kind": "no_effect", "components": [null["component"]], "intervention": "denoising"}
        claim["threshold"] = min(threshold, _MARGIN)
        found.append({"claim": claim, "rationale": null["rationale"], "predicted": 0.0, "role": "null"})
    return found


def _effect(
    name: str, way: Mapping[str, Any], predicted: float, why: str, role: str, threshold: float
) -> dict[str, Any]:
    """A component that is enough or needed at a position; or, anywhere, necessary."""
    anywhere, needed = way["position"] == ANYWHERE, way["way"] == "needed"
    claim: dict[str, Any]
    if anywhere and needed and way["direction"] == "supports":
        claim = {"kind": "necessity", "components": [name], "threshold": threshold}
    else:
        claim = {
            "kind": "node_effect",
            "components": [name if anywhere else f"{name}@{way['position']}"],
            "intervention": "noising" if needed else "denoising",
            "direction": way["direction"],
            "threshold": threshold,
        }
    return {"claim": claim, "rationale": why, "predicted": predicted, "role": role}


def _type(values: Sequence[Any]) -> str:
    if all(isinstance(value, bool) for value in values):
        return "boolean"
    return "string" if all(isinstance(value, str) for value in values) else "number"


def _same(value: Any, said: Any) -> bool:
    """Is it this value? Case and the space around it do not count, and 1 is 1.0, and not true."""
    if isinstance(value, str) or isinstance(said, str):
        return isinstance(value, str) and isinstance(said, str) and value.casefold() == said.strip().casefold()
    return isinstance(value, bool) == isinstance(said, bool) and bool(value == said)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")
