"""Functions offered as tools of the protocol: each in a thread of its own, and what is refused is one sentence."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import anyio.to_thread
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.types import CallToolResult, InputRequiredResult
from pydantic import ValidationError

from lakatos.agent.toolbox import faults
from lakatos.tools.errors import UserError

_UNDER_WAY: Final = 24  # calls at once, those included whose client no longer waits
_SHOWN: Final = 80  # characters of a name that a client made up


class Server(MCPServer[Any]):
    """A server that says in one sentence what is wrong with a call. What went wrong inside stays inside."""

    def __init__(self, name: str, **settings: Any) -> None:
        super().__init__(name, **settings)
        self._takes: dict[str, inspect.Signature] = {}
        self._room = threading.Semaphore(_UNDER_WAY)

    def offer(self, function: Callable[..., Any], name: str, description: str, signature: inspect.Signature) -> None:
        """Offer a function as a tool. The client sees this name, description and signature."""
        self._takes[name] = signature
        self.add_tool(_threaded(partial(self._counted, function), name, signature), name, description=description)

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool.

        Raises:
            ToolError: the client, or its user, can mend it; says how.
            UnexpectedToolError: it is a fault of ours; standard error of the server tells more.
        """
        if name not in self._takes:
            raise ToolError(f"There is no tool {name[:_SHOWN]!r}; there are {', '.join(self._takes)}.")
        known = self._takes[name].parameters
        if unknown := [given for given in arguments if given not in known]:
            takes = ", ".join(known) or "no arguments"
            raise ToolError(f"There is no argument {unknown[0][:_SHOWN]!r}; {name} takes {takes}.")
        try:
            return await super().call_tool(name, arguments, context)
        except UnexpectedToolError as error:
            raise UnexpectedToolError(f"{name} failed by a fault of lakatos; the call has changed nothing.") from error
        except ToolError as error:
            if isinstance(error.__cause__, ValidationError):
                raise ToolError(f"{faults(error.__cause__)}.") from error
            raise (error.__cause__ if isinstance(error.__cause__, ToolError) else error) from None

    def _counted(self, function: Callable[..., Any], **arguments: Any) -> Any:
        """A call, unless too many are under way."""
        if not self._room.acquire(blocking=False):
            raise UserError(f"{_UNDER_WAY} calls wait already: wait for their answers.")
        try:
            return function(**arguments)
        finally:
            self._room.release()


def _threaded(function: Callable[..., Any], name: str, signature: inspect.Signature) -> Callable[..., Awaitable[Any]]:
    """A function in a thread of its own, whose errors that a user can mend are what the client sees."""

    async def threaded(**arguments: Any) -> Any:
        try:
            return await anyio.to_thread.run_sync(partial(function, **arguments), abandon_on_cancel=True)
        except UserError as error:
            raise ToolError(str(error)) from error

    threaded.__name__ = name
    threaded.__signature__ = signature  # type: ignore[attr-defined]  # the protocol's library reads it
    hints = {own.name: own.annotation for own in signature.parameters.values()}
    threaded.__annotations__ = {**hints, "return": signature.return_annotation}
    return threaded
