"""What proposers put forward, read: a language model's answer as proposals, a proposal as a hypothesis.

Registering reads proposals here, and so does whoever verifies that these are what was registered or refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from pydantic import ValidationError

from lakatos.tools.claim.hypothesis import Hypothesis
from lakatos.tools.claim.text import describe, mend, parse_claim
from lakatos.tools.component import Component
from lakatos.tools.errors import ProposalError, UserError
from lakatos.tools.records import canonical_json

_INDEXED = ("head", "query", "key", "value")
_THINKING, _THOUGHT = "<think>", "</think>"
_TRIES = 200  # beginnings of an object that are looked at in an answer


def read_hypothesis(proposal: Mapping[str, Any], behaviour: str) -> Hypothesis:
    """The hypothesis of a proposal, whose claim may be written out as text.

    Raises:
        ProposalError: it is none, or about another behaviour; says why.
    """
    try:
        if not isinstance(proposal.get("claim"), str):
            return Hypothesis.model_validate(dict(proposal))
        claim, about = parse_claim(proposal["claim"])
        if about != behaviour:
            raise UserError(f"{proposal['claim']!r} is about {about}; this run is about {behaviour}.")
        return Hypothesis.model_validate({**proposal, "claim": claim})
    except ValidationError as error:
        raise ProposalError("; ".join(dict.fromkeys(mend(e) for e in error.errors()))) from error
    except UserError as error:
        raise ProposalError(str(error)) from error


def claim_of(proposal: Mapping[str, Any], behaviour: str) -> str:
    """A proposal's claim as a sentence; where it is none, what stands there."""
    try:
        return describe(read_hypothesis(proposal, behaviour).claim, behaviour)
    except ProposalError:
        return json.dumps(proposal.get("claim", dict(proposal)), ensure_ascii=False)


def read_proposals(text: str, *, alone: bool = False) -> list[dict[str, Any]]:
    """An LLM's answer as proposals: dictionaries of the form of `lakatos.tools.claim.Hypothesis`.

    Components are turned into their text form; nothing else is judged here.

    Args:
        alone: refuse an answer that is more than JSON. Otherwise thinking, fences and prose around the one JSON object
            that has hypotheses are passed over.

    Raises:
        ProposalError: there is no such object, or more than one; says what was expected, and where it went wrong.
    """
    try:
        answer = json.loads(text, parse_constant=_refuse_constant)
        canonical_json(answer).encode()
    except (ValueError, RecursionError) as error:
        if alone:
            raise ProposalError(f"the answer is not JSON ({error}); return one JSON object and nothing else") from error
        answer = _embedded(text)
    hypotheses = answer.get("hypotheses") if isinstance(answer, dict) else None
    if not isinstance(hypotheses, list):
        raise ProposalError('the answer must be a JSON object {"hypotheses": [...]}')
    return [_with_component_texts(h) if isinstance(h, dict) else {"text": str(h)} for h in hypotheses]


def _embedded(text: str) -> dict[str, Any]:
    """The one JSON object with hypotheses in a text, behind its thinking.

    Raises:
        ProposalError: there is none, or more than one, or it has no end; says where the text stops being JSON.
    """
    said = text.rpartition(_THOUGHT)[2]
    if _THOUGHT not in text and text.lstrip().startswith(_THINKING):
        raise ProposalError("the answer ends in the midst of thinking; think less, then return one JSON object")
    found: list[dict[str, Any]] = []
    wrong: ValueError | RecursionError | None = None
    place, tries = said.find("{"), 0
    while place >= 0 and tries < _TRIES:
        tries += 1
        try:
            value, end = _DECODER.raw_decode(said, place)
            canonical_json(value).encode()
        except (ValueError, RecursionError) as error:
            if wrong is None or getattr(error, "pos", 0) > getattr(wrong, "pos", 0):
                wrong = error
            end = place + 1
        else:
            if isinstance(value.get("hypotheses"), list):
                found.append(value)
        place = said.find("{", end)
    if len(found) == 1 and place < 0:
        return found[0]
    if len(found) > 1:
        raise ProposalError(f"the answer holds {len(found)} JSON objects with hypotheses; return one and nothing else")
    why = f"{wrong}" if wrong is not None else 'it has no object {"hypotheses": [...]}'
    raise ProposalError(f"the answer is not JSON ({why}); return one JSON object and nothing else")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _with_component_texts(hypothesis: dict[str, Any]) -> dict[str, Any]:
    claim = hypothesis.get("claim")
    return {**hypothesis, "claim": _with_texts(claim)} if isinstance(claim, dict) else hypothesis


def _with_texts(claim: dict[str, Any]) -> dict[str, Any]:
    changed = dict(claim)
    for name in ("components", "receivers"):
        if isinstance(claim.get(name), list):
            changed[name] = [_text(c) if isinstance(c, dict) else c for c in claim[name]]
    if isinstance(claim.get("parent"), dict):
        changed["parent"] = _with_texts(claim["parent"])
    return changed


def _text(place: dict[str, Any]) -> Any:
    kind, layer, position = (place.get(k) for k in ("kind", "layer", "position"))
    index = place.get("group" if kind in ("key", "value") else "head")
    if kind == "logits":
        return kind
    if kind not in ("head", "query", "key", "value", "attention", "mlp", "residual") or not isinstance(layer, int):
        return json.dumps(place)
    return str(Component(layer, kind, index if kind in _INDEXED else None, position))
