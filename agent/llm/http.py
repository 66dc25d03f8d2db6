"""One request over HTTP within a deadline and a number of bytes, whatever the server does.

OpenAI's client sends it; what comes back is read in `answers.py`, since strangers' servers answer otherwise. The
client's transport bounds each wait for a few bytes, so a server that drips holds it for ever. Here a timer shuts the
connection down when the time of the whole request is over. No redirect is followed: a key goes to the host that was
named.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import httpx2 as httpx

MOST_BYTES = 256 * 1024  # of a body; a long answer of 200 hypotheses has about half of that
_CONNECT_SECONDS = 10.0


class Response(NamedTuple):
    """A whole response."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Unanswered(NamedTuple):
    """No whole response came."""

    why: str
    sent: bool  # the request may have reached the server, and be paid for
    received: int = 0  # bytes of the body until then
    permanent: bool = False
    late: bool = False


class Line:
    """The connection of one request, which ends when its time is over."""

    def __init__(self, seconds: float) -> None:
        self.late = False
        self._ends = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Line:
        """Start the time."""
        self._timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop it."""
        self._timer.cancel()
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None

    def over(self) -> bool:
        """Is the time over?"""
        return self.late or time.monotonic() >= self._ends

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Hear from httpx; of a new connection keep a duplicate, which TLS does not take away."""
        if event.endswith("connect_tcp.complete"):
            with self._lock:
                self._socket = info["return_value"].get_extra_info("socket").dup()
            if self.late:
                self._end()

    def _end(self) -> None:
        self.late = True
        with self._lock:
            if self._socket is not None:
                try:
                    self._socket.shutdown(socket.SHUT_RDWR)
                except OSError:
                    return  # it has ended by itself


def request(
    method: str, url: str, *, key: str | None, seconds: float, body: bytes | None = None, most: int | None = MOST_BYTES
) -> Response | Unanswered:
    """Send a request and read its response.

    Args:
        method: GET or POST.
        url: where to.
        key: goes along as a bearer token.
        seconds: for all of it, from the first packet to the last.
        body: JSON.
        most: bytes of the response's body; with None the body is not read.
    """
    import openai

    headers: dict[str, Any] = {"Accept": "application/json", "Accept-Encoding": "identity"}
    if key is None:
        headers["Authorization"] = openai.Omit()
    timeout = httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))
    with Line(seconds) as line:
        bounds = _Bounds(line, most)
        hooks: dict[str, list[Any]] = {"request": [bounds.on_request], "response": [bounds.on_response]}
        failure: BaseException
        try:
            with (
                httpx.Client(timeout=timeout, follow_redirects=False, event_hooks=hooks) as http,
                openai.OpenAI(
                    api_key=key or "none", base_url=url, timeout=timeout, max_retries=0, http_client=http
                ) as client,
            ):  # fmt: skip
                if method == "GET":
                    answer = client.get(url, cast_to=httpx.Response, options={"headers": headers})
                else:
                    answer = client.post(url, cast_to=httpx.Response, content=body, options={"headers": headers})
                if not line.over():  # where a body ends with the connection, the end that we made looks like its own
                    return Response(answer.status_code, answer.headers, answer.content)
                failure = TimeoutError()
        except openai.APIStatusError as error:
            if not line.over():
                return Response(error.status_code, error.response.headers, error.response.content)
            failure = error
        except openai.APIConnectionError as error:
            failure = error.__cause__ or error
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:  # UnicodeError: a host that cannot be one
            failure = error
        return _unanswered(failure, line, bounds.received, seconds)


class _Refused(httpx.ReadError):
    """A response that is not read to its end, and why."""


class _Bounds:
    """What is asked of a connection, and of the body that comes over it."""

    def __init__(self, line: Line, most: int | None) -> None:
        self.received = 0
        self._line = line
        self._most = most

    def on_request(self, request: httpx.Request) -> None:
        """Let the line hear of the connection."""
        request.extensions = {**request.extensions, "trace": self._line.trace}

    def on_response(self, response: httpx.Response) -> None:
        """Count the body as it comes."""
        assert isinstance(response.stream, httpx.SyncByteStream)
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if self._most is not None and encoding not in ("", "identity"):
            raise _Refused("the answer is compressed, which was not asked for")
        response.stream = _Counted(response.stream, self)

    def pieces(self, stream: Iterable[bytes]) -> Iterator[bytes]:
        """The body, as far as it may go."""
        if self._most is None:
            return
        for piece in stream:
            self.received += len(piece)
            if self.received > self._most:
                raise _Refused(f"the answer is longer than {self._most // 1024} KiB; the connection was closed")
            if self._line.over():
                raise httpx.ReadTimeout("the time of the request is over")
            yield piece


class _Counted(httpx.SyncByteStream):
    """A body that is read within bounds."""

    def __init__(self, stream: httpx.SyncByteStream, bounds: _Bounds) -> None:
        self._stream = stream
        self._bounds = bounds

    def __iter__(self) -> Iterator[bytes]:
        return self._bounds.pieces(self._stream)

    def close(self) -> None:
        """End it."""
        self._stream.close()


def _unanswered(error: BaseException, line: Line, received: int, seconds: float) -> Unanswered:
    if isinstance(error, _Refused):
        return Unanswered(str(error), sent=True, received=received)
    unfit = isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol | httpx.InvalidURL | UnicodeError)
    sent = not unfit and not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)
    if line.over() or isinstance(error, httpx.TimeoutException):
        return _late(seconds, sent=sent, received=received)
    what = "the connection broke" if sent else "there is no connection"
    return Unanswered(
        f"{what} ({_named(error)})", sent=sent, received=received, permanent=unfit or "CERTIFICATE" in str(error)
    )


def _late(seconds: float, *, sent: bool, received: int) -> Unanswered:
    what = "no whole answer came" if sent else "there was no connection"
    why = f"the request timed out: {what} within {round(seconds, 1):g} s (raise --llm-timeout)"
    return Unanswered(why, sent=sent, received=received, late=True)


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
