"""One request over HTTP within a deadline and a number of bytes, whatever the server does.

httpx bounds each wait for a few bytes, so a server that drips holds it for ever. Here a timer shuts the connection
down when the time of the whole request is over. No redirect is followed: a key goes to the host that was named.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx

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
    headers = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    timeout = httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))
    received = bytearray()
    try:
        with (
            Line(seconds) as line,
            httpx.Client(timeout=timeout, follow_redirects=False) as client,
            client.stream(method, url, content=body, headers=headers, extensions={"trace": line.trace}) as response,
        ):
            status, found = response.status_code, response.headers
            encoding = found.get("content-encoding", "identity").strip().lower()
            if most is None:
                return Response(status, found, b"")
            if encoding not in ("", "identity"):
                return Unanswered("the answer is compressed, which was not asked for", sent=True)
            for chunk in response.iter_raw():
                received += chunk
                if len(received) > most:
                    why = f"the answer is longer than {most // 1024} KiB; the connection was closed"
                    return Unanswered(why, sent=True, received=len(received))
                if line.over():
                    return _late(seconds, sent=True, received=len(received))
            if line.over():  # where a body ends with the connection, the end that we made looks like its own
                return _late(seconds, sent=True, received=len(received))
            return Response(status, found, bytes(received))
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:  # UnicodeError: a host that cannot be one
        unfit = isinstance(
            error, httpx.LocalProtocolError | httpx.UnsupportedProtocol | httpx.InvalidURL | UnicodeError
        )
        sent = not unfit and not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)
        if line.over() or isinstance(error, httpx.TimeoutException):
            return _late(seconds, sent=sent, received=len(received))
        what = "the connection broke" if sent else "there is no connection"
        return Unanswered(
            f"{what} ({_named(error)})",
            sent=sent,
            received=len(received),
            permanent=unfit or "CERTIFICATE" in str(error),
        )


def _late(seconds: float, *, sent: bool, received: int) -> Unanswered:
    what = "no whole answer came" if sent else "there was no connection"
    why = f"the request timed out: {what} within {round(seconds, 1):g} s (raise --llm-timeout)"
    return Unanswered(why, sent=sent, received=received, late=True)


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
