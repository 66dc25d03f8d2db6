"""The server over HTTP: every request shows a token; on loopback only this machine's own names are answered to."""

from __future__ import annotations

import hmac

from mcp.server import MCPServer
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class Guarded:
    """ASGI middleware that asks for `Authorization: Bearer TOKEN`."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what shows the token, and what is no request."""
        shown = dict(scope.get("headers", [])).get(b"authorization", b"")
        if scope["type"] == "http" and not hmac.compare_digest(shown, self._expected):
            refusal = PlainTextResponse("A token is needed: send the header that `lakatos mcp --http` printed.", 401)
            await refusal(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def http_app(server: MCPServer, token: str, host: str) -> ASGIApp:
    """The server as an ASGI application, at /mcp.

    Args:
        token: what every request must show.
        host: the address that it listens on; on loopback other names in a Host header are refused.
    """
    return Guarded(server.streamable_http_app(host=host), token)
