"""Any server that speaks OpenAI's chat completions: OpenAI, vLLM, Ollama, llama.cpp, LM Studio, ...

A call ends within its time with a reply or an `LLMFailure`. JSON is asked for by json_schema; where a server objects,
by json_object; else in words. Tools are offered natively; where a server objects or calls none, a call is asked for as
JSON. What worked is remembered. A request is repeated only where nothing was paid for it: no
connection came about, or the server said that it is busy. Everything else is for the caller to log and to ask again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from lakatos.agent.config import DEFAULT_KEY_ENV
from lakatos.agent.llm.address import Endpoint
from lakatos.agent.llm.answers import estimated_tokens, read_answer
from lakatos.agent.llm.calls import numbered
from lakatos.agent.llm.forms import FORMS, TOOLS, Wanted
from lakatos.agent.llm.http import Response, Unanswered, request
from lakatos.agent.llm.protocol import LLMFailure, Message, Reply, ToolCall
from lakatos.agent.llm.trouble import Trouble, asked_to_wait, how_to_mend, is_busy, read_trouble
from lakatos.tools.errors import UserError

TRIES = 3  # of one request, where nothing was paid for those before
_MOST_TOLD = 400  # characters of a stranger's error
_ABSENT = (401, 403, 404, 405)  # no such thing is here, or not for this key
_CHECK_SECONDS = 10.0
_CAPS = ["max_completion_tokens", "max_tokens"]  # OpenAI takes the first by now, most others the second


class OpenAILLM:
    """A model behind an address.

    Args:
        model: the model's name at the server.
        base_url: the server, e.g. http://localhost:11434/v1. Without one OPENAI_BASE_URL holds, else OpenAI's own.
        timeout: seconds that a call may take, with all that is repeated within it.
        key_env: the variable that holds the key.
        max_output: most tokens of one answer, reasoning included.
        temperature, seed, reasoning_effort: sent where given.
        wait: waits so many seconds.

    Raises:
        UserError: the address is none, or a key is missing. Servers other than OpenAI's need none.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        timeout: float = 120.0,
        key_env: str = DEFAULT_KEY_ENV,
        max_output: int = 16_384,
        temperature: float | None = None,
        seed: int | None = None,
        reasoning_effort: str | None = None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = model
        self.endpoint = Endpoint.chosen(base_url, key_env)
        self.form = FORMS[0]  # how JSON is asked for
        self.native = True  # tools are offered as such; otherwise a call is asked for as JSON
        self._has_called = False  # it was seen to call one
        self._timeout = timeout
        self._max_output = max_output
        self._caps = list(_CAPS[:1] if self.endpoint.host == "api.openai.com" else _CAPS)
        chosen = {"temperature": temperature, "seed": seed, "reasoning_effort": reasoning_effort}
        self._settings = {name: value for name, value in chosen.items() if value is not None}
        self._wait = wait

    @property
    def settings(self) -> dict[str, Any]:
        """What is sent with every request, besides its form."""
        return {**self._settings, "max_output": self._max_output}

    @property
    def route(self) -> str:
        """Which key goes to which host, in a line."""
        return self.endpoint.route

    def check(self) -> None:
        """Find a wrong address or key at once, before anything is spent.

        Raises:
            UserError: nothing there answers, or not as such a server does; says how to mend it.
        """
        seconds = min(self._timeout, _CHECK_SECONDS)
        found = self._send("GET", "models", seconds, None, most=None)
        if isinstance(found, Response) and found.status in _ABSENT:  # some list no models, or not for every key
            found = self._send("POST", "chat/completions", seconds, b"{}", most=None)
        if isinstance(found, Unanswered):
            if not (found.sent and found.late):  # a slow server may be loading its model
                why = f"{self.endpoint.url}: {found.why}. Is --llm-base-url right, and does the server run?"
                raise UserError(self._clean(why))
        elif found.status in _ABSENT or 300 <= found.status < 400:
            mend = how_to_mend(found, read_trouble(b""), self.endpoint)
            raise UserError(self._told(f"{self.endpoint.url}: HTTP {found.status}. {mend}") + ".")

    def complete(
        self,
        messages: Sequence[Message],
        schema: dict[str, Any] | None = None,
        tools: Sequence[dict[str, Any]] | None = None,
    ) -> Reply:
        """See `LLM.complete`."""
        ends = time.monotonic() + self._timeout
        tries = 0
        while True:
            wanted = Wanted.of(messages, schema, tools, self.form, native=self.native)
            body = self._body(wanted)
            left = ends - time.monotonic()
            found: Response | Unanswered = Unanswered("the time of the call is over (raise --llm-timeout)", sent=False)
            if left > 0:
                found = self._send("POST", "chat/completions", left, body)
            tries += 1
            if isinstance(found, Unanswered):
                self._retry(found, tries, ends, body)
                continue
            if 200 <= found.status < 300:
                answered = self._read(found, wanted, body)
                if isinstance(answered, Reply):
                    return answered
                found = answered
            trouble = read_trouble(found.body)
            if self._adapt(found.status, trouble, wanted.form):
                tries -= 1
            else:
                self._pause(found, trouble, tries, ends)

    # -- one request -------------------------------------------------------------------------------------------------

    def _send(self, method: str, path: str, seconds: float, body: bytes | None, **more: Any) -> Response | Unanswered:
        return request(method, f"{self.endpoint.url}/{path}", key=self.endpoint.key, seconds=seconds, body=body, **more)

    def _body(self, wanted: Wanted) -> bytes:
        """The request, as bytes."""
        document: dict[str, Any] = {"model": self.name, **wanted.fields(), **self._settings}
        document |= dict.fromkeys(self._caps, self._max_output)
        return self._clean(json.dumps(document, ensure_ascii=False, allow_nan=False)).encode()

    def _read(self, found: Response, wanted: Wanted, body: bytes) -> Reply | Response:
        """The reply in a response that calls itself a success; or the error that it holds instead."""
        answer = read_answer(found.body, wanted.schema, wanted.names)
        if answer.trouble is not None and not answer.tokens_in:
            code = answer.trouble.get("code") if isinstance(answer.trouble, dict) else None
            status = code if isinstance(code, int) and 400 <= code < 600 else 500
            return Response(status, found.headers, found.body)
        self._has_called |= wanted.form == TOOLS and bool(answer.calls)
        talked = answer.text is not None and not answer.calls
        if wanted.form == TOOLS and (answer.unformed or talked):
            self.native = self._has_called  # a server that never called any does not know tools
        elif answer.unformed and wanted.form in FORMS[:2]:
            self.form = "words"  # the server took the form and did not keep it
        tokens_in = answer.tokens_in or estimated_tokens(len(body))
        tokens_out = answer.tokens_out
        if tokens_out is None:
            tokens_out = estimated_tokens(len(found.body))
        estimated = not answer.tokens_in or answer.tokens_out is None
        if answer.text is None:
            why = answer.why or f"the answer is an error: {read_trouble(found.body).told}"
            raise LLMFailure(self._told(why), tokens_in=tokens_in, tokens_out=tokens_out, estimated=estimated)
        text, raw = self._clean(answer.text), self._clean(answer.raw)
        calls = numbered(ToolCall(*map(self._clean, call)) for call in answer.calls)
        return Reply(text, tokens_in, tokens_out, estimated, self._told(answer.finish), wanted.form, raw, calls)

    # -- what did not work -------------------------------------------------------------------------------------------

    def _adapt(self, status: int, trouble: Trouble, form: str) -> bool:
        """Ask otherwise from now on, where the server objects to how it was asked. Was there another way?"""
        native = form == TOOLS
        named = trouble.form or (native and trouble.tools)
        about_form = status in (400, 422, 501) or (status in (404, 500) and named)
        if not about_form or trouble.context or trouble.quota:
            return False
        if trouble.cap in self._caps:
            self._caps.remove(trouble.cap)
            return True
        about_another = bool(trouble.param) and not named
        if form not in (TOOLS, *FORMS[:2]) or about_another:
            return False
        if native:
            self.native = False
            return True
        self.form = FORMS[FORMS.index(form) + 1]
        return True

    def _retry(self, found: Unanswered, tries: int, ends: float, body: bytes) -> None:
        """Wait before the next try where nothing was sent; else fail, with what was perhaps paid."""
        wait = _backoff(tries)
        if not found.sent and not found.permanent and tries < TRIES and time.monotonic() + wait < ends:
            self._wait(wait)
            return
        raise LLMFailure(
            self._told(f"{self.endpoint.url}: {found.why}"),
            tokens_in=estimated_tokens(len(body)) if found.sent else 0,
            tokens_out=estimated_tokens(found.received),
            estimated=found.sent,
            permanent=found.permanent,
        )

    def _pause(self, found: Response, trouble: Trouble, tries: int, ends: float) -> None:
        """Wait as long as a busy server asks; fail where it is not busy, or for too long."""
        if not is_busy(found, trouble):
            self._fail(found, trouble, how_to_mend(found, trouble, self.endpoint), permanent=True)
        if tries >= TRIES:
            self._fail(found, trouble, f"It was asked {tries} times.", permanent=False)
        asked = asked_to_wait(found)
        wait = _backoff(tries) if asked is None else asked
        if time.monotonic() + wait >= ends:
            why = f"To wait {wait:.0f} s more is longer than the call may take: raise --llm-timeout."
            self._fail(found, trouble, why, permanent=False)
        self._wait(wait)

    def _fail(self, found: Response, trouble: Trouble, mend: str, *, permanent: bool) -> NoReturn:
        status = f"HTTP {found.status}: {trouble.told}" if trouble.told else f"HTTP {found.status}"
        where = self.endpoint.url
        raise LLMFailure(f"{self._told(f'{where}: {status}')}. {self._told(mend)}", permanent=permanent)

    # -- what is said ------------------------------------------------------------------------------------------------

    def _clean(self, text: str) -> str:
        return self.endpoint.redacted(text)

    def _told(self, text: str) -> str:
        """A stranger's words, without the key, in one short line."""
        line = " ".join(self._clean(text).split()).rstrip(".")
        line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
        return line if len(line) <= _MOST_TOLD else f"{line[:_MOST_TOLD]}..."


def _backoff(tries: int) -> float:
    return 2.0 ** (tries - 1)
