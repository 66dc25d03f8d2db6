"""What a language model was asked in a run, what it answered, what became of each proposal: as data and as Markdown."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from lakatos.experiments_db.documents.became import became, proposals_of
from lakatos.experiments_db.documents.story import fenced, inline
from lakatos.experiments_db.log import Event, LLMCall, Run
from lakatos.experiments_db.store import Store

_UNANSWERED = "no end of this request is in the log: the process was killed, or is still waiting"
_BECAME = {
    "registered": "registered",
    "duplicate": "refused as duplicates",
    "untestable": "refused as untestable",
    "malformed": "refused as malformed",
    "unjudged": "not judged yet",
}
_ABOUT = ("round", "purpose", "attempt", "model", "prompt")


def transcript_document(store: Store, run_id: int) -> dict[str, Any]:
    """Every request of a run to its language model, in order, with the answer and what became of its proposals.

    Raises:
        UserError: there is no such run in this study.
    """
    row, record = store.own_run(run_id), store.run(run_id)
    events = store.events(run_id)
    how = {e.payload["call"]: e.payload for e in events if e.kind in ("answered", "unanswered")}
    proposals = _proposals(store, row)
    calls = store.calls(run_id)
    requests = [
        {
            "at": call.at,
            **{name: getattr(call, name) for name in _ABOUT},
            "messages": call.request["messages"],
            "response": call.response,
            "error": call.error,
            "form": how.get(call.id, {}).get("form", ""),
            "finish": how.get(call.id, {}).get("finish", ""),
            "estimated": how.get(call.id, {}).get("estimated", False),
            "raw": how.get(call.id, {}).get("raw", ""),
            "tokens_in": call.tokens_in,
            "tokens_out": call.tokens_out,
            "seconds": call.seconds,
            "proposals": proposals.get(call.id, []),
        }
        for call in calls
    ]
    requests += _without_end([e for e in events if e.kind == "asking"], calls)
    requests.sort(key=lambda request: request["at"])
    outcomes = Counter(p["became"] for listed in proposals.values() for p in listed)
    return {
        "run": run_id,
        "behaviour": row.behaviour,
        "model": row.model,
        "status": record.status,
        "tokens": record.tokens,
        "money": record.money,
        "requests": requests,
        "counts": {
            "requests": len(requests),
            "failed": sum(request["response"] is None for request in requests),
            "proposed": sum(outcomes.values()),
            **{name: outcomes[name] for name in _BECAME},
        },
    }


def as_markdown(document: dict[str, Any]) -> str:
    """A transcript to read; everything that a model or a file said stands in fences, so that none of it is markup."""
    counts = document["counts"]
    became = [f"{counts[name]} {words}" for name, words in _BECAME.items() if counts[name]]
    asked = (
        f"{_number(counts['requests'], 'request')}, {counts['failed']} without an answer, {document['tokens']:,} tokens"
    )
    read = f"{_number(counts['proposed'], 'proposal')} read: {', '.join(became) or 'none'}"
    head = f"Run {document['run']}: {document['behaviour']} on `{inline(document['model'])}`, {document['status']}"
    lines = [f"## {head}", "", f"{asked}. {read}.", ""]
    shown: list[dict[str, str]] = []
    for request in document["requests"]:
        lines += _request(request, shown)
        shown = request["messages"]
    return "\n".join(lines)


def _request(request: dict[str, Any], before: list[dict[str, str]]) -> list[str]:
    """One request; of messages that the request before began with, too, only that there are such."""
    title = f"### Round {request['round']}, {request['purpose']}, attempt {request['attempt']}"
    lines = [title, "", f"{request['at'][:19]} UTC, prompt {request['prompt']}, to `{inline(request['model'])}`", ""]
    messages = request["messages"]
    same = len(before) if messages[: len(before)] == before else 0
    if same:
        lines += [f"Sent: {_number(same, 'message')} as before, and", ""]
    for message in messages[same:]:
        lines += [
            f"<details><summary>{_sent(message)}</summary>",
            "",
            *fenced(message["content"]),
            "",
            "</details>",
            "",
        ]
    if request["response"] is None:
        return [*lines, "No answer:", "", *fenced(request["error"]), ""]
    facts = [f"{request['seconds']:.0f} s", f"{request['tokens_in']:,} tokens in, {request['tokens_out']:,} out"]
    facts += ["estimated"] if request["estimated"] else []
    facts += [f"asked for as {request['form']}"] if request["form"] else []
    facts += ["taken out of more text"] if request["raw"] else []
    lines += [f"Answered in {', '.join(facts)}:", "", *fenced(_readable(request["response"])), ""]
    if request["proposals"]:
        lines += ["What became of it:", ""]
        lines += fenced("\n".join(f"{k}. {became(p)}" for k, p in enumerate(request["proposals"], 1)))
        lines += [""]
    return lines


def _proposals(store: Store, run: Run) -> dict[int, list[dict[str, Any]]]:
    """The proposals of each call, in their order, with what became of each."""
    found: dict[int, list[dict[str, Any]]] = {}
    for row, told in proposals_of(store, run):
        if row.llm_call_id is not None:
            found.setdefault(row.llm_call_id, []).append(told)
    return found


def _without_end(asking: list[Event], calls: list[LLMCall]) -> list[dict[str, Any]]:
    """Requests that were logged before they were sent, and of which no end is in the log."""
    ended = Counter((call.round, call.purpose, call.attempt) for call in calls)
    found = []
    for event in reversed(asking):  # of several with one number, the last is the one that was answered
        said = event.payload
        if ended[said["round"], said["purpose"], said["attempt"]] > 0:
            ended[said["round"], said["purpose"], said["attempt"]] -= 1
            continue
        found.append(
            {
                "at": event.at,
                **{name: said[name] for name in _ABOUT},
                "messages": said["messages"],
                "response": None,
                "error": _UNANSWERED,
                **dict.fromkeys(("form", "finish", "raw"), ""),
                "estimated": False,
                **dict.fromkeys(("tokens_in", "tokens_out", "seconds"), 0),
                "proposals": [],
            }
        )
    return found


def _readable(answer: str) -> str:
    """An answer with a line for each hypothesis."""
    try:
        document = json.loads(answer)
        listed = [json.dumps(hypothesis, ensure_ascii=False) for hypothesis in document["hypotheses"]]
    except (ValueError, RecursionError, TypeError, KeyError):
        return answer
    return '{"hypotheses": [\n' + ",\n".join(listed) + "\n]}" if set(document) == {"hypotheses"} else answer


def _sent(message: dict[str, str]) -> str:
    role = message["role"] if message["role"] in ("user", "assistant", "system") else "other"
    return f"Sent ({role}, {len(message['content']):,} characters)"


def _number(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
