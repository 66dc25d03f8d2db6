"""`lakatos mcp`: the toolbox for coding agents."""

from __future__ import annotations

import gc
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakatos.agent.cli.options import DB, Db, Study, database_path, err
from lakatos.agent.cli.review import LOOPBACK, TOKEN, bound
from lakatos.agent.cli.run import options_of
from lakatos.agent.config import RunConfig
from lakatos.tools.errors import UserError

if TYPE_CHECKING:
    from mcp.server import MCPServer

app = typer.Typer()
_FIXED = ("model", "proposer", "claims")  # of a run's settings: what a client chooses, within what is allowed
_TAKEN = ("llm_turns", "llm_rows")
_OURS = tuple(name for name in RunConfig.model_fields if name.startswith("llm_") and name not in _TAKEN)


@app.command()
@options_of(RunConfig, without=(*_FIXED, *_OURS, "investigators"))
def mcp(
    behaviour: Annotated[
        list[str] | None,
        typer.Option(help="A behaviour that a client may investigate: a built-in or a file. Default: every built-in."),
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="A model that a client may investigate. Default: the one built in.")
    ] = None,
    http: Annotated[bool, typer.Option("--http", help="Serve over HTTP instead of standard input and output.")] = False,
    host: Annotated[
        str,
        typer.Option(
            help=f"With --http: the address to listen on. Every client is asked for a token: {TOKEN} from the "
            "environment, or one drawn now."
        ),
    ] = LOOPBACK,
    port: Annotated[int, typer.Option(min=0, max=65535, help="With --http: the port; 0 takes a free one.")] = 8920,
    db: Db = DB,
    study: Study = None,
    **fields: Any,
) -> int:
    """Serve the toolbox to a coding agent over the Model Context Protocol. Settings below are the budget of each run.

    Examples:

        claude mcp add lakatos -- lakatos mcp --db lakatos.db --hypotheses 24

        lakatos mcp --behaviour ioi --behaviour my.yaml --model gpt2 --max-forwards 200000
    """
    RunConfig.checked(fields)
    models = tuple(model or [RunConfig().model])
    server = _created(database_path(db), study, _behaviours(behaviour), models, tuple(_options(fields)))
    if not http:
        server.run()
        return 0
    _serve(server, host, port)
    return 0


def _created(db: str, study: str | None, *allowed: Any) -> MCPServer:
    """The server, with what is allowed (see `Allowed`). Raises UserError: the protocol's package is not installed."""
    gc.disable()  # thousands of classes are made now, and none of them is garbage
    try:
        from lakatos.agent.server import Allowed, create_server

        return create_server(db, Allowed(*allowed), study)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("lakatos"):
            raise
        raise UserError(f"`lakatos mcp` needs the package {error.name}: pip install 'lakatos[mcp]'.") from error
    finally:
        gc.enable()


def _serve(server: MCPServer, host: str, port: int) -> None:
    """Serve over HTTP until Ctrl-C, to whoever shows the token."""
    import uvicorn

    from lakatos.agent.server.http import http_app

    token = os.environ.get(TOKEN) or secrets.token_urlsafe(24)
    listening = bound(host, port)
    address = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}/mcp"
    err().print(f"{address}\nAuthorization: Bearer {token}", markup=False, highlight=False, soft_wrap=True)
    config = uvicorn.Config(http_app(server, token, host), log_level="warning", server_header=False)
    config.timeout_graceful_shutdown = 2
    with listening:
        uvicorn.Server(config).run(sockets=[listening])


def _behaviours(given: Sequence[str] | None) -> dict[str, str]:
    """What a client may name, and what it stands for."""
    if not given:
        from lakatos.tools.behaviour import builtin_behaviours

        return {name: name for name in builtin_behaviours()}
    named = {Path(own).stem if own.endswith((".yaml", ".yml")) else own: own for own in given}
    if len(named) < len(set(given)):
        raise UserError("Two behaviours have the same name: rename a file, so that a client can tell them apart.")
    return named


def _options(fields: dict[str, Any]) -> list[str]:
    """Settings that are not at their defaults, as options of `lakatos run`."""
    found = []
    for name, value in fields.items():
        if value != RunConfig.model_fields[name].default:
            flag = f"--{name.replace('_', '-')}"
            found += ([flag] if value else [f"--no-{flag[2:]}"]) if isinstance(value, bool) else [flag, str(value)]
    return found
