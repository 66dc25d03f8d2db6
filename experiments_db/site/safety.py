"""What stands between a browser and the review site: who may ask, from where, and what a page may do.

hosts    without a token only names of this machine are answered to, so that no other site can rebind a name to it
token    with one, every request shows it: once as ?token=..., from then on as a cookie that scripts cannot read;
         or as `Authorization: Bearer ...`
forms    a change carries the secret of its session, and comes from this site's own pages
pages    load nothing from elsewhere, run no script but ours, are framed by nobody
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")
SESSION, TOKEN = "lakatos_session", "lakatos_token"
MOST_BYTES = 64 * 1024  # of a request's body
_CHANGES = ("POST", "PUT", "PATCH", "DELETE")
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Safety:
    """ASGI middleware around the whole site.

    Args:
        token: what every request must show; None where only this machine can reach the site.
    """

    def __init__(self, app: ASGIApp, token: str | None = None) -> None:
        self.app = app
        self.token = token
        self._secret = secrets.token_bytes(32)
        self._pass = self._csrf(f"token {token}")  # a cookie holds whatever is in the token, and not the token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        session = _cookies(request).get(SESSION, "")
        fresh = not (session.isascii() and session.isalnum() and len(session) == 32)
        if fresh:
            session = secrets.token_hex(16)
        request.state.csrf = self._csrf(session)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [pair for pair in message["headers"] if pair[0] != b"server"]
                headers += [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
                if fresh:
                    headers.append((b"set-cookie", _cookie(SESSION, session)))
                message["headers"] = headers
            await send(message)

        refusal = self._refusal(request)
        await (refusal or self.app)(scope, receive, guarded)

    def _refusal(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if self.token is None and _name(host) not in LOOPBACK:
            return PlainTextResponse("This site answers to 127.0.0.1 and localhost only.", 400)
        if self.token is not None:
            shown = request.query_params.get("token")
            if shown is not None and _same(shown, self.token) and request.method == "GET":
                rest = urlencode([(k, v) for k, v in parse_qsl(request.url.query, True) if k != "token"])
                page = "/" + request.url.path.lstrip("/") + (f"?{rest}" if rest else "")
                answer = RedirectResponse(page, 303)
                answer.raw_headers.append((b"set-cookie", _cookie(TOKEN, self._pass)))
                return answer
            bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
            if not (_same(bearer, self.token) or _same(_cookies(request).get(TOKEN, ""), self._pass)):
                return PlainTextResponse(
                    "A token is needed: open the address that `lakatos review` printed, which ends in ?token=...", 401
                )
        if request.method in _CHANGES and not _from_here(request, host):
            return PlainTextResponse("Changes are taken from this site's own pages only.", 403)
        if int_or(request.headers.get("content-length"), 0) > MOST_BYTES or (
            request.method in _CHANGES and "content-length" not in request.headers
        ):
            return PlainTextResponse(f"At most {MOST_BYTES} bytes, and say how many.", 413)
        return None

    def _csrf(self, session: str) -> str:
        return hmac.new(self._secret, session.encode(), hashlib.sha256).hexdigest()


def genuine(request: Request, given: str) -> bool:
    """Whether a form carries the secret of the session that it is sent in."""
    return _same(given, str(request.state.csrf))


def int_or(text: str | None, default: int) -> int:
    """The number that a text is, or the default."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 16 else default


def preference(name: str, value: str) -> str:
    """The Set-Cookie header of something that a reader chose for a year. The value must be plain: see `readable`."""
    return _cookie(name, value).decode() + "; Max-Age=31536000"


def _from_here(request: Request, host: str) -> bool:
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == host


def _cookies(request: Request) -> Mapping[str, str]:
    """As browsers read them: those of other sites of this machine, whatever is in them, do not hide ours."""
    return request.cookies


def _cookie(name: str, value: str) -> bytes:
    return f"{name}={value}; Path=/; HttpOnly; SameSite=Strict".encode()


def _name(host: str) -> str:
    """The name or address in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())
