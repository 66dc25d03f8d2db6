"""What proposers put forward, read: a language model's answer as proposals, a proposal as a hypothesis.

Registering reads proposals here, and so does whoever verifies that these are what was registered or refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from pydantic import ValidationError

from lakatos.tools.canonical import canonical_json
from lakatos.tools.claim_text import mend, parse_claim
from lakatos.tools.component import Component
from lakatos.tools.errors import ProposalError, UserError
from lakatos.tools.hypothesis import Hypothesis

_INDEXED = ("head", "query", "key", "value")


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


def read_proposals(text: str) -> list[dict[str, Any]]:
    """An LLM's answer as proposals: dictionaries of the form of `lakatos.tools.hypothesis.Hypothesis`.

    Components are turned into their text form; nothing else is judged here.

    Raises:
        ProposalError: the answer is not JSON of the asked form; says what was expected.
    """
    try:
        answer = json.loads(text, parse_constant=_refuse_constant)
        canonical_json(answer).encode()
    except (ValueError, RecursionError) as error:
        raise ProposalError(f"the answer is not JSON ({error}); return one JSON object and nothing else") from error
    hypotheses = answer.get("hypotheses") if isinstance(answer, dict) else None
    if not isinstance(hypotheses, list):
        raise ProposalError('the answer must be a JSON object {"hypotheses": [...]}')
    return [_with_component_texts(h) if isinstance(h, dict) else {"text": str(h)} for h in hypotheses]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


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
