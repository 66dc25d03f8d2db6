"""What a server's error means: whether asking again can help, for how long to wait, and how the user mends it."""

from __future__ import annotations

import math
import re
import time
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from lakatos.agent.llm.address import Endpoint
from lakatos.agent.llm.http import Response
from lakatos.agent.llm.objects import parsed, shown

_BUSY = (408, 409, 425, 429)
_QUOTA = re.compile(r"insufficient[_ ](quota|balance|funds|credit)|billing|credit balance|payment required", re.I)
_CONTEXT = re.compile(
    r"context[_ ]?(length|size|window)|maximum context|exceed_context|prompt is too long|too large", re.I
)
_UNKNOWN = re.compile(
    r"unsupported|not supported|unknown|unrecognized|unexpected|extra|not permitted|not allowed|both|only one", re.I
)
_FORM = re.compile(r"response_format|json_schema|json_object|schema|grammar|structured|guided", re.I)
_TOOLS = re.compile(
    r"\btools?\b|\btool_|\bfunctions?\b|function_call|\bjinja\b|template|\broles? must|\broles are", re.I
)
_CAP = re.compile(r"max_completion_tokens|max_tokens")


class Trouble(NamedTuple):
    """What the body of an error says."""

    told: str  # its words
    quota: bool  # there is no money or quota left
    context: bool  # the request does not fit
    form: bool  # the form of the answer is what it objects to
    tools: bool  # tools are, or it has no template for them
    cap: str  # the name of the limit on output that it does not know; "" if it objects to something else
    param: str  # the parameter that it names


def read_trouble(body: bytes) -> Trouble:
    """The body of an error, whatever its form."""
    try:
        document = parsed(body)
    except ValueError:
        document = body.decode("utf-8", errors="replace").strip()
    inner = document.get("error", document) if isinstance(document, dict) else document
    fields = inner if isinstance(inner, dict) else {}
    words = next((fields[k] for k in ("message", "detail", "msg", "error") if fields.get(k)), inner)
    told = words if isinstance(words, str) else shown(words)
    labels = " ".join(str(fields[k]) for k in ("code", "type") if isinstance(fields.get(k), str))
    param = fields["param"] if isinstance(fields.get("param"), str) else ""
    everything = f"{labels} {param} {told}"
    named = _CAP.search(param) or _CAP.search(told)
    return Trouble(
        told=told,
        quota=bool(_QUOTA.search(everything)),
        context=bool(_CONTEXT.search(everything)),
        form=bool(_FORM.search(everything)),
        tools=bool(_TOOLS.search(everything)),
        cap=named.group() if named and _UNKNOWN.search(everything) else "",
        param=param,
    )


def is_busy(found: Response, trouble: Trouble) -> bool:
    """May the same request succeed later?"""
    later = found.status in _BUSY or (found.status >= 500 and found.status not in (501, 505))
    return later and not trouble.quota and not trouble.context


def asked_to_wait(found: Response) -> float | None:
    """Seconds that Retry-After asks for, as a number or a date; None where it does not."""
    value = found.headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def how_to_mend(found: Response, trouble: Trouble, endpoint: Endpoint) -> str:
    """What the user can do about an error that stays."""
    if trouble.quota or found.status == 402:
        return "The account behind the key has nothing left to spend: add to it, or use another key."
    if trouble.context or found.status == 413:
        return "The request does not fit: ask for fewer --hypotheses, lower --llm-max-output, or take another model."
    if 300 <= found.status < 400:
        where = found.headers.get("location", "nowhere")
        return f"The server points to {where}. No redirect is followed: give that address with --llm-base-url."
    if found.status in (401, 403):
        env = endpoint.key_env
        sent = f"The key in {env} was sent" if endpoint.key else f"No key was sent, because {env} is not set"
        return f"{sent}: set the right one, or name its variable with --llm-key-env."
    if found.status in (404, 405):
        return "Check --llm-model, and --llm-base-url: most addresses end in /v1."
    return "The server does not take this request: check --llm-model and the other --llm options."
