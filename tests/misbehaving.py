"""A server of chat completions on loopback that misbehaves in a named way, and what the client must make of each way.

`Server(mode)` is a context manager; its `url` is what --llm-base-url takes. `MODES` is the table.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

KEY = "sk-very-secret-4711"
TEXT = '{"hypotheses": []}'  # what a server that behaves answers
MESSAGES = [{"role": "user", "content": "Which head does it? Answer as JSON."}]
SCHEMA = {
    "type": "object",
    "properties": {"hypotheses": {"type": "array", "items": {"type": "object"}}},
    "required": ["hypotheses"],
    "additionalProperties": False,
}
BOTTOMLESS = b"x" * 65_536

Step = Callable[["Handler"], None]


@dataclass(frozen=True)
class Mode:
    """One way to misbehave, and what must come of it."""

    name: str
    does: str  # what the server does, in words
    steps: tuple[Step, ...]  # what each request gets; the last one again and again
    reply: str | None = None  # the reply's text; or
    failure: str = ""  # a pattern of the failure's message
    permanent: bool = False
    asked: int = 1  # requests
    cost: str = "counted"  # "counted" by the server, "estimated", "nothing"
    form: str = "json_schema"  # how JSON was asked for last
    schema: bool = True
    timeout: float = 5.0
    waits: tuple[float, ...] = ()
    after: str = ""  # the form that the next call begins with, if another
    calls: tuple[tuple[str, str, str], ...] | None = None  # id, name, arguments; None: no tools are offered


class Server:
    """Answers as a mode says; notes what it was asked."""

    def __init__(self, mode: str | Mode = "good", text: str = TEXT) -> None:
        self.mode = BY_NAME[mode] if isinstance(mode, str) else mode
        self.text = text
        self.requests: list[tuple[str, dict[str, str], Any]] = []  # path, headers, body
        self.sizes: list[int] = []  # bytes of their bodies
        self.looked: list[str] = []  # paths of GET requests
        self.ended = threading.Event()
        self._http = _Quiet(("127.0.0.1", 0), Handler)
        self._http.owner = self
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self._http.shutdown()
        self._http.server_close()


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    owner: Server

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is what these tests are about."""


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: _Quiet

    @property
    def owner(self) -> Server:
        return self.server.owner

    @property
    def key(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def do_GET(self) -> None:
        self.owner.looked.append(self.path)
        send({"object": "list", "data": []})(self)

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        owner = self.owner
        owner.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, json.loads(raw)))
        owner.sizes.append(len(raw))
        steps = owner.mode.steps
        with suppress(BrokenPipeError, ConnectionResetError):
            steps[min(len(owner.requests), len(steps)) - 1](self)

    def log_message(self, *_: object) -> None:
        pass


# -- what a server can do ----------------------------------------------------------------------------------------------


def send(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Step:
    """Answer with bytes, or with a document as JSON; "KEY" in it becomes the key that was sent, TEXT the server's text."""

    def step(to: Handler) -> None:
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        payload = payload.replace(b"KEY", to.key.encode())
        payload = payload.replace(json.dumps(TEXT)[1:-1].encode(), json.dumps(to.owner.text)[1:-1].encode())
        to.send_response(status)
        to.send_header("Content-Type", "application/json")
        for name, value in (headers or {}).items():
            to.send_header(name, value.replace("KEY", to.key))
        if "Content-Length" not in (headers or {}):
            to.send_header("Content-Length", str(len(payload)))
        to.end_headers()
        to.wfile.write(payload)

    return step


def error(status: int, message: str = "no", headers: dict[str, str] | None = None, **more: Any) -> Step:
    """An error as OpenAI words it."""
    return send({"error": {"message": message, **more}}, status, headers)


def completion(message: Any, finish: Any = "stop", usage: Any = "given", **more: Any) -> dict[str, Any]:
    """A document as a server sends it."""
    counts = {"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150}
    choice = {"index": 0, "finish_reason": finish, "message": message}
    document = {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], **more}
    return document if usage == "none" else document | {"usage": counts if usage == "given" else usage}


def say(content: Any, finish: Any = "stop", usage: Any = "given", **more: Any) -> Step:
    """Answer with a message that has this content."""
    return send(completion({"role": "assistant", "content": content, **more}, finish, usage))


def raw(payload: bytes) -> Step:
    """Write these bytes and close."""

    def step(to: Handler) -> None:
        to.wfile.write(payload)

    return step


def drip(head: bytes, piece: bytes, pause: float = 0.02) -> Step:
    """Write the head, then a piece now and then, for ever."""

    def step(to: Handler) -> None:
        to.wfile.write(head)
        while not to.owner.ended.wait(pause):
            to.wfile.write(piece)

    return step


def flood(head: bytes) -> Step:
    """Write as much as is taken."""

    def step(to: Handler) -> None:
        to.wfile.write(head)
        while not to.owner.ended.is_set():
            to.wfile.write(BOTTOMLESS)

    return step


def hang(to: Handler) -> None:
    """Say nothing."""
    to.owner.ended.wait(30)


class Held:
    """Say nothing, and tell a test that the request has come."""

    def __init__(self) -> None:
        self.came = threading.Event()

    def __call__(self, to: Handler) -> None:
        self.came.set()
        to.owner.ended.wait()


def escaped(prefix: str) -> Step:
    """Repeat the key with every character escaped, e.g. with prefix "%"."""

    def step(to: Handler) -> None:
        ways = {"u": "\\u00{:02X}", "%": "%{:02x}", "x": "\\x{:02x}", "&": "&#{};"}
        spelt = "".join(ways[prefix].format(ord(c)) for c in to.key)
        say(f'{{"hypotheses": ["{spelt}"]}}')(to)

    return step


def key_in_json_escapes(to: Handler) -> None:
    """The body itself spells the key in escapes of JSON, so that its bytes do not hold it."""
    spelt = "".join(f"\\u{ord(c):04x}" for c in to.key)
    send(json.dumps(completion({"content": "the key is HERE"})).replace("HERE", spelt).encode())(to)


def of_text(build: Callable[[str], Step]) -> Step:
    """A step made of the server's own text."""

    def step(to: Handler) -> None:
        build(to.owner.text)(to)

    return step


def rest(text: str) -> bytes:
    """The document that says this text."""
    return json.dumps(completion({"content": text})).encode()


def chunked(text: str) -> Step:
    """Answer in one chunk."""
    body = rest(text)
    return raw(OK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))


GOOD = say(TEXT)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
REST = rest(TEXT)
FENCED = f"Here it is:\n```json\n{TEXT}\n```\nI hope that it helps."
THOUGHT = f'<think>Perhaps {{"hypotheses": [1]}}? No.</think>\n{TEXT}'
TOOL = {"id": "1", "type": "function", "function": {"name": "propose", "arguments": TEXT}}
BROKEN = '{"hypotheses": [{"claim": '

# -- the table ---------------------------------------------------------------------------------------------------------

_READ = [
    Mode("good", "answers", (GOOD,), TEXT),
    Mode("bom", "begins with a byte order mark", (send(b"\xef\xbb\xbf" + REST),), TEXT),
    Mode("fences", "fences the JSON, with prose around it", (say(FENCED),), TEXT),
    Mode("think", "thinks aloud, in JSON too, before it answers", (say(THOUGHT),), TEXT),
    Mode("think-unopened", "closes a thought that the template opened", (say(f"Hm.</think>{TEXT}"),), TEXT),
    Mode("prose-around", "explains its JSON", (say(f"It is {{x}}: {TEXT}. Yes."),), TEXT),
    Mode("twice-the-same", "gives the same JSON twice", (say(f"{TEXT}\n{TEXT}"),), TEXT),
    Mode("two-objects", "gives two answers", (say(f'{TEXT} or {{"hypotheses": [1]}}'),), f'{TEXT} or {{"hypotheses": [1]}}'),
    Mode("prose", "ignores the schema", (say("It is head 3."),), "It is head 3.", after="words"),
    Mode("broken-json", "answers half an object", (say(BROKEN),), BROKEN),
    Mode("length", "stops at its limit", (say(BROKEN, "length"),), BROKEN),
    Mode("parts", "gives content as parts", (of_text(lambda text: say([{"type": "text", "text": p} for p in (text[:5], text[5:])])),), TEXT),
    Mode("parts-of-strings", "gives content as a list of strings", (of_text(lambda text: say([text[:5], text[5:]])),), TEXT),
    Mode("part-alone", "gives one part instead of a list", (say({"type": "text", "text": TEXT}),), TEXT),
    Mode("tool-call", "calls a tool with the JSON", (say(None, "tool_calls", tool_calls=[TOOL]),), TEXT),
    Mode("function-call", "calls a function, in the old form", (say(None, function_call=TOOL["function"]),), TEXT),
    Mode("reasoning", "puts the JSON where its reasoning belongs", (say("", reasoning_content=f"So: {TEXT}"),), TEXT),
    Mode("invalid-utf-8", "sends bytes that are no UTF-8", (send(REST.replace(b"[]", b"[\\\"\xff\\\"]")),), '{"hypotheses": ["\ufffd"]}'),
    Mode("surrogate", "sends a lone surrogate", (send(REST.replace(b"[]", b"[\\\"\\ud800\\\"]")),), '{"hypotheses": ["\ufffd"]}'),
    Mode("nul", "sends a NUL", (send(REST.replace(b"[]", b"[\\\"\\u0000\\\"]")),), '{"hypotheses": ["\ufffd"]}'),
    Mode("extra-choices", "gives two choices", (send(completion({"content": TEXT}) | {"choices": [{"message": {"content": TEXT}}, 3]}),), TEXT),
    Mode("error-null", "says that its error is null", (send(completion({"content": TEXT}, error=None)),), TEXT),
    Mode("content-type", "calls JSON plain text", (send(completion({"content": TEXT}), headers={"X-Content": "text/plain"}),), TEXT),
    Mode("no-length", "closes instead of naming a length", (of_text(lambda text: raw(OK + b"Connection: close\r\n\r\n" + rest(text))),), TEXT),
    Mode("chunked", "answers in chunks", (of_text(chunked),), TEXT),
    Mode("finish-number", "gives a number as finish reason", (say(TEXT, 7),), TEXT),
]  # fmt: skip

_USAGE = [
    Mode(f"usage-{name}", f"says of usage: {value!r}", (say(TEXT, usage=value),), TEXT, cost="estimated")
    for name, value in {
        "missing": "none",
        "null": None,
        "many": {"prompt_tokens": "many", "completion_tokens": "many"},
        "negative": {"prompt_tokens": -5, "completion_tokens": -1},
        "zero": {"prompt_tokens": 0, "completion_tokens": 0},
        "nan": {"prompt_tokens": float("nan"), "completion_tokens": float("inf")},
        "huge": {"prompt_tokens": 10**30, "completion_tokens": 10**30},
        "true": {"prompt_tokens": True, "completion_tokens": True},
        "list": [120, 30],
        "fraction": {"prompt_tokens": 1.5, "completion_tokens": 2.5},
    }.items()
]

_NO_ANSWER = [
    Mode("empty-body", "sends nothing", (send(b""),), failure="body of the answer is empty", cost="estimated"),
    Mode("no-content", "says 204", (send(b"", 204),), failure="body of the answer is empty", cost="estimated"),
    Mode("html", "sends a page", (send(b"<html>Welcome!</html>"),), failure="not JSON .*line 1 column 1", cost="estimated"),
    Mode("half-body", "sends half a document", (send(REST[:50]),), failure="not JSON", cost="estimated"),
    Mode("events", "streams, which was not asked for", (send(b"data: " + REST + b"\n\ndata: [DONE]\n\n"),), failure="not JSON", cost="estimated"),
    Mode("array", "sends an array", (send([1, 2]),), failure="not a JSON object", cost="estimated"),
    Mode("deep", "nests 100,000 arrays", (send(b"[" * 100_000),), failure="nested too deeply", cost="estimated"),
    Mode("long-number", "sends a number of 10,000 digits", (send(b"9" * 10_000),), failure="not JSON", cost="estimated"),
    Mode("gzip", "compresses unasked", (send(b"\x1f\x8b\x08\x00", headers={"Content-Encoding": "gzip"}),), failure="compressed", cost="estimated"),
    Mode("no-choices", "has no choices", (send(completion(None) | {"choices": []}),), failure="no choices"),
    Mode("choices-null", "has null for choices", (send(completion(None) | {"choices": None}),), failure="no choices"),
    Mode("choices-string", "has a string for choices", (send(completion(None) | {"choices": "none"}),), failure="no choices"),
    Mode("choice-number", "has a number for a choice", (send(completion(None) | {"choices": [3]}),), failure="no message"),
    Mode("message-null", "has null for a message", (send(completion(None)),), failure="no message"),
    Mode("message-string", "has a string for a message", (send(completion("hello")),), failure="no message"),
    Mode("content-null", "has null for content", (say(None),), failure="answer is empty"),
    Mode("content-blank", "has only spaces for content", (say("  \n"),), failure="answer is empty"),
    Mode("content-number", "has a number for content", (say(3),), failure="neither text nor parts"),
    Mode("content-image", "answers with an image", (say([{"type": "image_url", "image_url": {"url": "x"}}]),), failure="neither text nor parts"),
    Mode("refusal", "refuses", (say(None, refusal="I would rather not"),), failure="refused: I would rather not"),
    Mode("refusal-part", "refuses in a part", (say([{"type": "refusal", "refusal": "No, thanks"}]),), failure="refused: No, thanks"),
    Mode("filtered", "filters its answer", (say("It", "content_filter"),), failure="content filter"),
    Mode("all-reasoning", "spends every token on reasoning", (say("", "length", reasoning="Hm"),), failure="--llm-max-output"),
    Mode("only-thought", "thinks and says nothing", (say("", reasoning_content="Hm."),), failure="only thought"),
    Mode("two-tools", "calls two tools", (say(None, tool_calls=[TOOL, TOOL]),), failure="called a tool"),
    Mode("tool-for-prose", "calls a tool where prose was asked for", (say(None, tool_calls=[TOOL]),), failure="called a tool", schema=False),
    Mode("paid-error", "calls an error a success, and charges", (send({"error": {"message": "lost it"}, "usage": {"prompt_tokens": 120, "completion_tokens": 30}}),), failure="an error: lost it"),
]  # fmt: skip

_TRANSPORT = [
    Mode("hang", "never answers", (hang,), failure="timed out.*--llm-timeout", cost="estimated", timeout=0.2),
    Mode("drip-body", "drips its body", (drip(OK + b"Content-Length: 9999\r\n\r\n", b" "),), failure="timed out", cost="estimated", timeout=0.2),
    Mode("drip-endless", "drips a body without a length", (drip(OK + b"\r\n", b" "),), failure="timed out", cost="estimated", timeout=0.2),
    Mode("drip-head", "drips its headers", (drip(OK, b"X-A: b\r\n"),), failure="timed out", cost="estimated", timeout=0.2),
    Mode("drip-status", "drips its first line", (drip(b"HTTP/1.1 200", b" "),), failure="timed out", cost="estimated", timeout=0.2),
    Mode("drip-100", "says 100 Continue for ever", (drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),), failure="timed out", cost="estimated", timeout=0.2),
    Mode("flood", "sends prose without end", (flood(OK + b"\r\n"),), failure="longer than 256 KiB", cost="estimated"),
    Mode("flood-error", "sends an error without end", (flood(b"HTTP/1.1 500 No\r\n\r\n"),), failure="longer than 256 KiB", cost="estimated"),
    Mode("flood-head", "sends headers without end", (flood(OK + b"X-A: "),), failure="connection broke", cost="estimated"),
    Mode("hang-up", "hangs up at once", (raw(b""),), failure="connection broke", cost="estimated"),
    Mode("cut-off", "hangs up in the middle", (send(REST[:40], headers={"Content-Length": "9999"}),), failure="connection broke", cost="estimated"),
    Mode("bad-chunks", "sends chunks that are none", (raw(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),), failure="connection broke", cost="estimated"),
    Mode("not-http", "speaks SSH", (raw(b"SSH-2.0-OpenSSH_9.6\r\n"),), failure="connection broke", cost="estimated"),
    Mode("bad-status", "has a word for a status", (raw(b"HTTP/1.1 fine OK\r\n\r\n"),), failure="connection broke", cost="estimated"),
    Mode("negative-length", "names a negative length", (raw(OK + b"Content-Length: -1\r\n\r\n{}"),), failure="connection broke", cost="estimated"),
]  # fmt: skip

_NO = {"cost": "nothing"}
_NEVER = {"cost": "nothing", "permanent": True}
_ERRORS = [
    Mode("redirect", "points to another host", (send(b"", 307, {"Location": "http://127.0.0.2:9/v1"}),), failure="points to http://127.0.0.2:9/v1.*--llm-base-url", **_NEVER),
    Mode("redirect-302", "points elsewhere by 302", (send(b"", 302, {"Location": "/login"}),), failure="points to /login", **_NEVER),
    Mode("redirect-mad", "points nowhere", (send(b"", 301, {"Location": "http://[::"}),), failure="connection broke|points to", cost="any", permanent=None),
    Mode("401", "does not know the key", (error(401, "Incorrect API key", code="invalid_api_key"),), failure="Incorrect API key.*OPENAI_API_KEY", **_NEVER),
    Mode("403", "forbids", (error(403, "forbidden"),), failure="forbidden.*--llm-key-env", **_NEVER),
    Mode("404", "does not know the model", (error(404, "model 'm' not found"),), failure="not found.*--llm-model", **_NEVER),
    Mode("404-page", "sends a page for 404", (send(b"<h1>404</h1>", 404),), failure="HTTP 404.*/v1", **_NEVER),
    Mode("402", "wants money", (error(402, "Payment required"),), failure="nothing left to spend", **_NEVER),
    Mode("no-quota", "has no quota left", (error(429, "You exceeded your current quota", code="insufficient_quota"),), failure="quota.*nothing left to spend", **_NEVER),
    Mode("context", "has too little context", (error(400, "This model's maximum context length is 4096 tokens", code="context_length_exceeded"),), failure="context length.*--llm-max-output", **_NEVER),
    Mode("context-500", "has too little context, and says 500", (error(500, "the request exceeds the context size"),), failure="does not fit", **_NEVER),
    Mode("too-large", "takes fewer tokens out", (error(400, "max_tokens is too large: 16384", param="max_tokens"),), failure="--llm-max-output", **_NEVER),
    Mode("413", "takes smaller requests", (send(b"", 413),), failure="does not fit", **_NEVER),
    Mode("bad-temperature", "takes no temperature", (error(400, "Unsupported value", param="temperature"),), failure="Unsupported value.*--llm options", **_NEVER),
    Mode("bad-request", "objects without a reason", (send(b"Bad Request", 400),), failure="HTTP 400: Bad Request", asked=3, form="words", **_NEVER),
    Mode("busy", "is always busy", (error(503, "loading"),), failure="HTTP 503: loading.*3 times", asked=3, waits=(1, 2), timeout=60, **_NO),
    Mode("500-page", "breaks, with a page", (send(b"<html>\xff</html>", 500),), failure="HTTP 500", asked=3, waits=(1, 2), timeout=60, **_NO),
    Mode("500-empty", "breaks, without a word", (send(b"", 500),), failure="HTTP 500", asked=3, waits=(1, 2), timeout=60, **_NO),
    Mode("busy-then-good", "is busy once", (error(429, "slow down"), GOOD), TEXT, asked=2, waits=(1,), timeout=60),
    Mode("retry-after", "asks to wait", (error(429, "slow down", {"Retry-After": "7"}), GOOD), TEXT, asked=2, waits=(7,), timeout=60),
    Mode("retry-at-once", "asks to wait until a day long past", (error(503, "", {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}), GOOD), TEXT, asked=2, waits=(0,), timeout=60),
    Mode("retry-mad", "asks to wait for nonsense", (error(503, "", {"Retry-After": "soon"}), error(503, "", {"Retry-After": "nan"}), GOOD), TEXT, asked=3, waits=(1, 2), timeout=60),
    Mode("retry-never", "asks to wait for days", (error(429, "slow down", {"Retry-After": "999999"}),), failure="999999 s.*--llm-timeout", **_NO),
    Mode("error-200", "calls an error a success", (send({"error": {"message": "upstream", "code": 502}}), GOOD), TEXT, asked=2, waits=(1,), timeout=60),
    Mode("error-200-401", "calls a bad key a success", (send({"error": {"message": "who?", "code": 401}}),), failure="HTTP 401: who", **_NEVER),
    Mode("error-string", "has a string for an error", (send({"error": "out of order"}, 404),), failure="out of order", **_NEVER),
    Mode("error-list", "has details for an error, as FastAPI does", (send({"detail": [{"loc": ["body"], "msg": "odd"}]}, 405),), failure="odd", **_NEVER),
    Mode("error-deep", "nests its error", (send(b'{"error": ' + b"[" * 100_000, 403),), failure="HTTP 403", **_NEVER),
    Mode("error-number", "has a number for an error", (send({"error": 7}, 404),), failure="HTTP 404: 7", **_NEVER),
    Mode("error-escapes", "paints the terminal", (error(404, "\x1b[31mall confirmed\x1b[0m\x07"),), failure="\ufffd\\[31mall confirmed", **_NEVER),
    Mode("error-long", "explains at length", (error(404, "no " * 9999),), failure=r"no no no.*\.\.\.", **_NEVER),
]  # fmt: skip

_FORMS = [
    Mode("no-schema", "takes json_object only", (error(400, "response_format json_schema is not supported"), GOOD), TEXT, asked=2, form="json_object"),
    Mode("no-form", "takes no form", (error(400, "unknown response_format"), error(422, "unknown response_format"), GOOD), TEXT, asked=3, form="words"),
    Mode("grammar", "cannot make a grammar of the schema", (error(500, "failed to parse grammar"), GOOD), TEXT, asked=2, form="json_object"),
    Mode("router", "finds no host for the form", (error(404, "No endpoints support response_format"), GOOD), TEXT, asked=2, form="json_object"),
    Mode("old-cap", "does not know max_completion_tokens", (send({"detail": [{"loc": ["body", "max_completion_tokens"], "msg": "Extra inputs are not permitted"}]}, 422), GOOD), TEXT, asked=2),
    Mode("new-cap", "does not take max_tokens", (error(400, "Unsupported parameter: use 'max_completion_tokens'", param="max_tokens"), GOOD), TEXT, asked=2),
]  # fmt: skip

_KEY = [
    Mode("key-in-answer", "repeats the key", (say('{"hypotheses": ["KEY"]}'),), '{"hypotheses": ["[key]"]}'),
    Mode("key-in-answer-u", "repeats the key in escapes of JSON", (escaped("u"),), '{"hypotheses": ["[key]"]}'),
    Mode("key-in-answer-x", "repeats the key in escapes of Python", (escaped("x"),), '{"hypotheses": ["[key]"]}'),
    Mode("key-in-answer-%", "repeats the key in percents", (escaped("%"),), '{"hypotheses": ["[key]"]}'),
    Mode("key-in-answer-&", "repeats the key in entities", (escaped("&"),), '{"hypotheses": ["[key]"]}'),
    Mode("key-in-body", "spells the key in its body", (key_in_json_escapes,), "the key is [key]", schema=False),
    Mode("key-in-parts", "cuts the key into parts", (say(["the key is sk-very-", "secret-4711"]),), "the key is [key]", schema=False),
    Mode("key-in-error", "repeats the key in an error", (error(401, "bad key KEY"),), failure=r"bad key \[key\]", **_NEVER),
    Mode("key-at-the-cut", "repeats the key where the message is cut", (error(404, "." * 360 + " KEY" * 9),), failure="HTTP 404", **_NEVER),
    Mode("key-in-refusal", "repeats the key as it refuses", (say(None, refusal="I know KEY"),), failure=r"know \[key\]"),
    Mode("key-in-finish", "repeats the key as a finish reason", (say(TEXT, "KEY"),), TEXT),
    Mode("key-in-redirect", "repeats the key in an address", (send(b"", 307, {"Location": "http://127.0.0.2:9/?k=KEY"}),), failure=r"k=\[key\]", **_NEVER),
    Mode("key-in-status", "repeats the key for a status line", (raw(b"HTTP/1.1 sk-very-secret-4711\r\n\r\n"),), failure="connection broke", cost="estimated"),
]  # fmt: skip


def call(name: Any = "look", arguments: Any = '{"at": 1}', id_: Any = "c1", **more: Any) -> dict[str, Any]:
    """A call as OpenAI has it."""
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def calling(*calls: Any, content: Any = None, finish: Any = "tool_calls") -> Step:
    """Answer with calls."""
    return say(content, finish, tool_calls=list(calls))


ACTION = '{"thought": "hm", "tool": "look", "arguments": {"at": 1}}'
NAMED = '{"name": "look", "arguments": {"at": 1}}'
CALLED = ("c1", "look", '{"at": 1}')
FIRST, SECOND = ("call_1", "look", '{"at": 1}'), ("call_2", "look", '{"at": 1}')
TOOLS = [
    {"type": "function", "function": {"name": name, "description": f"To {name}.", "parameters": {"type": "object"}}}
    for name in ("look", "stop")
]
_COMPACT = b'{"choices":[{"message":{"tool_calls":[%s]}}]}'


def _calls(name: str, does: str, *steps: Step, calls: Any = (CALLED,), reply: str | None = "", **more: Any) -> Mode:
    """A mode of a server that is offered tools."""
    return Mode(
        name, does, steps, reply if "failure" not in more else None, **{"form": "tools", "calls": calls, **more}
    )


CALL_MODES = [
    _calls("call", "calls a tool", calling(call())),
    _calls("call-and-text", "talks and calls at once", calling(call(), content="I look."), reply="I look."),
    _calls("calls", "calls two tools at once", calling(call(), call("stop", "{}", "c2")), calls=(CALLED, ("c2", "stop", "{}"))),
    _calls("call-finish", "calls, and says that it stopped", calling(call(), finish="stop")),
    _calls("call-unknown", "calls a tool that was not offered", calling(call("rm -rf /")), calls=(("c1", "rm -rf /", '{"at": 1}'),)),
    _calls("call-wrong-types", "gives arguments of wrong types", calling(call(arguments='{"at": "END"}')), calls=(("c1", "look", '{"at": "END"}'),)),
    _calls("call-object", "gives arguments as an object", calling(call(arguments={"at": 1}))),
    _calls("call-list", "gives arguments as a list", calling(call(arguments=[1])), calls=(("c1", "look", "[1]"),)),
    _calls("call-number", "gives a number for arguments", calling(call(arguments=7)), calls=(("c1", "look", "7"),)),
    _calls("call-nothing", "gives null for arguments", calling(call(arguments=None)), calls=(("c1", "look", ""),)),
    _calls("call-prose", "gives prose for arguments", calling(call(arguments="at one")), calls=(("c1", "look", "at one"),)),
    _calls("call-nameless", "calls without a name", calling({"id": "c1", "function": {"arguments": "{}"}}), calls=(("c1", "", "{}"),)),
    _calls("call-name-list", "has a list for a name", calling(call(["look"])), calls=(("c1", "", '{"at": 1}'),)),
    _calls("call-flat", "leaves the outer object out", calling({"id": "c1", "name": "look", "arguments": '{"at": 1}'})),
    _calls("call-alone", "gives a call instead of a list", say(None, tool_calls=call())),
    _calls("call-old", "calls a function, in the old form", say(None, function_call=call()["function"]), calls=(FIRST,)),
    _calls("call-ids-missing", "has no ids", calling(call(id_=None), {"function": call()["function"]}), calls=(FIRST, SECOND)),
    _calls("call-ids-same", "gives one id to all", calling(call(), call(), call()), calls=(CALLED, FIRST, SECOND)),
    _calls("call-ids-taken", "has given away the name that is made up", calling(call(id_=""), call(id_="call_1")), calls=(SECOND, FIRST)),
    _calls("call-ids-odd", "has ids that are none", calling(call(id_="x" * 65), call(id_="a\x1b[2J")), calls=(FIRST, SECOND)),
    _calls("call-junk", "puts anything among its calls", calling(3, None, "look", [call()], {"function": 1}, {}, call())),
    _calls("calls-1000", "calls a thousand times", calling(*[call(id_=None)] * 1000), calls=tuple((f"call_{i}", *FIRST[1:]) for i in range(1, 1001))),
    _calls("calls-10000", "calls ten thousand times", send(_COMPACT % b",".join([b'{"function":{"name":"x"}}'] * 10_000)), calls=tuple((f"call_{i}", "x", "") for i in range(1, 10_001)), cost="estimated"),
    _calls("calls-100000", "calls a hundred thousand times", send(_COMPACT % b",".join([b'{"function":{"name":"x"}}'] * 100_000)), failure="longer than 256 KiB", cost="estimated", after="tools"),
    _calls("call-deep", "nests its arguments without end", calling(call(arguments="[" * 50_000)), calls=(("c1", "look", "[" * 50_000),)),
    _calls("call-deep-body", "nests its calls without end", send(_COMPACT % (b"[" * 100_000)), failure="nested too deeply", cost="estimated", after="tools"),
    _calls("call-half", "is cut off in a call", calling(call(arguments='{"at": '), finish="length"), calls=(("c1", "look", '{"at": '),)),
    _calls("call-string", "has a string for its calls", say(None, tool_calls="look"), failure="answer is empty", after="json_schema"),
    _calls("call-string-text", "has a string for its calls, and talks", say("I look.", tool_calls="look"), calls=(), reply="I look.", after="json_schema"),
    _calls("call-refusal", "refuses", say(None, refusal="I would rather not"), failure="refused: I would rather not", after="tools"),
    _calls("call-filtered", "filters its call", calling(call(), finish="content_filter"), failure="content filter", after="tools"),
    _calls("call-all-reasoning", "spends every token on reasoning", say("", "length"), failure="--llm-max-output", after="tools"),
    _calls("call-never", "talks, and calls nothing", say("It is head 3."), calls=(), reply="It is head 3.", after="json_schema"),
    _calls("call-cut-prose", "talks until it is cut off", say("It is", "length"), calls=(), reply="It is", after="json_schema"),
    _calls("call-text", "writes the call as text", say(ACTION), calls=(FIRST,), reply="hm"),
    _calls("call-text-named", "writes the call as text, with a name", say(f"I look.\n```json\n{NAMED}\n```"), calls=(FIRST,), reply="I look."),
    _calls("call-text-llama", "writes the call as text, with parameters", say('{"name": "look", "parameters": {"at": 1}}'), calls=(FIRST,)),
    _calls("call-text-openai", "writes the call as text, in OpenAI's form", say(json.dumps([call()])), calls=(FIRST,), reply="[]"),
    _calls("call-text-thought", "thinks of other calls, and writes one", say(f'<think>{NAMED.replace("look", "stop")}</think>{ACTION}'), calls=(FIRST,), reply="hm"),
    _calls("call-text-two", "writes two calls as text", say(f'{NAMED} or {NAMED.replace("look", "stop")}'), calls=(), reply=f'{NAMED} or {NAMED.replace("look", "stop")}', after="json_schema"),
    _calls("call-text-unknown", "writes a call of no tool as text", say('{"name": "Bob", "arguments": {}}'), calls=(), reply='{"name": "Bob", "arguments": {}}', after="json_schema"),
    _calls("call-reasoning", "calls where its reasoning belongs", say("", reasoning_content=f"So: {NAMED}"), calls=(FIRST,), reply="So:"),
    _calls("call-tags", "writes the call in tags", say(f"Look!\n<tool_call>\n{NAMED}\n</tool_call>"), calls=(FIRST,), reply="Look!"),
    _calls("call-tags-two", "writes two calls in tags, and does not close the last", say(f"<tool_call>{NAMED}</tool_call><tool_call>{NAMED}"), calls=(FIRST, SECOND)),
    _calls("call-400", "takes no tools", error(400, "m does not support tools"), say(ACTION), calls=(FIRST,), reply="hm", asked=2, form="json_schema"),
    _calls("call-422", "does not know tool_choice", send({"detail": [{"loc": ["body", "tool_choice"], "msg": "Extra inputs are not permitted"}]}, 422), say(ACTION), calls=(FIRST,), reply="hm", asked=2, form="json_schema"),
    _calls("call-404", "finds no host for tools", error(404, "No endpoints found that support tool use"), say(ACTION), calls=(FIRST,), reply="hm", asked=2, form="json_schema"),
    _calls("call-500", "has no template for tools", error(500, "tools param requires --jinja flag"), say(ACTION), calls=(FIRST,), reply="hm", asked=2, form="json_schema"),
    _calls("call-500-roles", "has a template that breaks", error(500, "Conversation roles must alternate user/assistant"), say(ACTION), calls=(FIRST,), reply="hm", asked=2, form="json_schema"),
    _calls("call-no-reason", "objects without a reason", send(b"", 400), say(ACTION), calls=(FIRST,), reply="hm", asked=2, form="json_schema"),
    _calls("call-no-form", "takes neither tools nor a form", error(400, "tools"), error(400, "response_format"), error(400, "response_format"), say(f"Well: {ACTION}"), calls=(FIRST,), reply="Well:", asked=4, form="words"),
    _calls("call-none-ever", "objects to everything", send(b"", 400), failure="HTTP 400", asked=4, form="words", cost="nothing", permanent=True),
    _calls("call-action-unknown", "acts by a tool that was not offered", error(400, "tools"), say('{"thought": "", "tool": "fly", "arguments": {}}'), calls=(("call_1", "fly", "{}"),), asked=2, form="json_schema"),
    _calls("call-action-prose", "takes the form of an action, and talks", error(400, "tools"), say("Head 3."), calls=(), reply="Head 3.", asked=2, form="json_schema", after="words"),
    _calls("call-action-half", "is cut off in an action", error(400, "tools"), say('{"tool": "look", "argu', "length"), calls=(), reply='{"tool": "look", "argu', asked=2, form="json_schema"),
    _calls("call-temperature", "takes no temperature", error(400, "Unsupported value", param="temperature"), failure="Unsupported value", cost="nothing", permanent=True, after="tools"),
    _calls("call-busy", "is busy, then calls", error(503, "loading"), calling(call()), asked=2, waits=(1,), timeout=60),
    _calls("call-hang", "never answers", hang, failure="timed out", cost="estimated", timeout=0.2, after="tools"),
    _calls("call-key", "repeats the key in a call", calling(call("KEY", '{"at": "KEY"}', "KEY")), calls=(("[key]", "[key]", '{"at": "[key]"}'),)),
    _calls("call-key-ids", "has the key for every id", calling(call(id_="KEY"), call(id_="KEY")), calls=(("[key]", *FIRST[1:]), FIRST)),
    _calls("call-nul", "has what no database takes in a call", calling(call("lo\0ok", "\ud800", "c\0")), calls=(("c\ufffd", "lo\ufffdok", "\ufffd"),)),
]  # fmt: skip

MODES = [*_READ, *_USAGE, *_NO_ANSWER, *_TRANSPORT, *_ERRORS, *_FORMS, *_KEY]
BY_NAME = {mode.name: mode for mode in [*MODES, *CALL_MODES]}
