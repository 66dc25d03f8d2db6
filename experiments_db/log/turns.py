"""How an answer with calls of tools stands in the log: one JSON text, as `llm_calls` keeps answers."""

from __future__ import annotations

import json
from collections.abc import Sequence

Call = tuple[str, str, str]  # id, name, arguments: as the model wrote them


def turn_text(text: str, calls: Sequence[Call]) -> str:
    """What was said and called as one text."""
    return json.dumps({"text": text, "calls": [list(call) for call in calls]}, ensure_ascii=False)


def read_turn(response: str) -> tuple[str, list[Call]]:
    """What was said and called.

    Raises:
        ValueError: the text is not one of `turn_text`.
    """
    try:
        told = json.loads(response)
        return str(told["text"]), [(str(i), str(n), str(a)) for i, n, a in told["calls"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"an answer with calls has another form ({error})") from error
