"""`lakatos review`, `assess`, `reviews`: the log as people read it, and what they say of it."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
import webbrowser
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lakatos.agent.cli.options import DB, Db, Json, Study, err, open_log, out, print_json
from lakatos.agent.watch import showable
from lakatos.tools.errors import UserError

if TYPE_CHECKING:
    from lakatos.experiments_db import Store

app = typer.Typer()
LOOPBACK = "127.0.0.1"
TOKEN = "LAKATOS_TOKEN"


Decision = Annotated[
    str, typer.Argument(help="accept, dispute, replicate (needs replication), retract, or score (with --score).")
]


@app.command()
def review(
    db: Db = DB,
    study: Study = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8000,
    host: Annotated[
        str,
        typer.Option(
            help="The address to listen on. Any but this machine's own asks every visitor for a token: "
            f"{TOKEN} from the environment, or one drawn now."
        ),
    ] = LOOPBACK,
    hypothesis: Annotated[
        str | None, typer.Option("--open", help="Open the browser at this hypothesis: its number or claim hash.")
    ] = None,
) -> int:
    """Serve the review site: the log with its denominators, every hypothesis on a page, reviews, runs in progress."""
    serve(open_log(db, study), host, port, hypothesis, lambda text: err().print(text, soft_wrap=True))
    return 0


@app.command()
def assess(
    hypothesis: Annotated[str, typer.Argument(help="A hypothesis's number, or the beginning of its claim hash.")],
    decision: Decision,
    reason: Annotated[str, typer.Option(help="Why; every decision but a score needs one.")] = "",
    score: Annotated[int | None, typer.Option(help="1 (not credible) to 5 (beyond doubt), for score.")] = None,
    author: Annotated[str | None, typer.Option(help="Who signs. Default: your user name.")] = None,
    db: Db = DB,
    study: Study = None,
    as_json: Json = False,
) -> int:
    """Review a hypothesis: appended beside the machine's verdict, which it never changes."""
    from lakatos.experiments_db.documents import ReviewLine
    from lakatos.experiments_db.log import add_review

    store = open_log(db, study)
    entry = store.hypothesis(hypothesis)
    signed = author_or_user(author)
    row = add_review(store, entry.id, author=signed, decision=decision, reason=reason, score=score)
    if as_json:
        print_json(ReviewLine.of(row).as_dict())
    else:
        standing = store.hypothesis(str(entry.id)).standing or "not decided"
        line = f"{row.author}: {row.decision} {entry.text}\nThe machine says {entry.state}; reviewers: {standing}."
        out().print(showable(line), markup=False, highlight=False, soft_wrap=True)
    return 0


@app.command()
def reviews(db: Db = DB, study: Study = None, as_json: Json = False) -> int:
    """What people said of hypotheses, oldest first, and how far reviewers agree (Cohen's kappa)."""
    from lakatos.experiments_db.documents import documents

    store = open_log(db, study)
    document = documents.reviews_document(store)
    if as_json:
        print_json(document)
    else:
        texts = store.texts({r["hypothesis_id"] for r in document["reviews"]})
        print_reviews(out(), document, texts)
    return 0


def serve(store: Store, host: str, port: int, hypothesis: str | None, say: Any) -> None:
    """Serve the review site until Ctrl-C.

    Raises:
        UserError: the port is taken, the host cannot be bound, or there is no such hypothesis.
    """
    import uvicorn

    from lakatos.experiments_db.index import Index
    from lakatos.experiments_db.site import LOOPBACK as LOCAL
    from lakatos.experiments_db.site import create_app

    token = None if host in LOCAL else os.environ.get(TOKEN) or secrets.token_urlsafe(24)
    index = Index(store)
    index.refresh(wait=False)
    place = "" if hypothesis is None else f"hypotheses/{store.hypothesis(hypothesis).id}"
    listening = bound(host, port)
    shown = socket.gethostname() if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listening.getsockname()[1]}/{place}"
    if token is not None:
        say("Whoever has this address can read the log and review in it; it goes over the network unencrypted.")
        address += f"?token={quote(token, safe='')}"
    say(f"Review site: {address}")
    say("Ctrl-C ends it.")
    if hypothesis is not None:
        webbrowser.open(address)
    config = uvicorn.Config(create_app(store, token=token, index=index), log_level="warning", server_header=False)
    config.timeout_graceful_shutdown = 2
    with listening:
        uvicorn.Server(config).run(sockets=[listening])


def author_or_user(author: str | None) -> str:
    """Who signs: as given, or the user's name on this machine."""
    try:
        return author or getpass.getuser()
    except (KeyError, OSError):
        raise UserError("A review is signed: give your name with --author.") from None


def print_reviews(console: Console, document: dict[str, Any], texts: dict[int, str]) -> None:
    """Every review, oldest first; then how far reviewers agree."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("when", "id", "claim", "decision", "by", "reason"):
        table.add_column(column, overflow="fold", no_wrap=column == "when")
    for r in document["reviews"]:
        decision = f"score {r['score']}" if r["decision"] == "score" else r["decision"]
        said = decision + (" (blind)" if r["blind"] else "")
        cells = (r["at"][:19], str(r["hypothesis_id"]), texts[r["hypothesis_id"]], said, r["author"], r["reason"])
        table.add_row(*(escape(showable(cell)) for cell in cells))
    console.print(
        table if document["reviews"] else "Nobody has reviewed anything yet: lakatos assess ID accept --reason ..."
    )
    for a in document["agreement"]:
        kappa = "undefined: chance alone would always agree" if a["kappa"] is None else f"{a['kappa']:+.3f}"
        line = f"{a['first']} and {a['second']}: {a['agreed']} of {a['both']} alike, Cohen's kappa {kappa}"
        console.print(showable(line), markup=False, highlight=False)


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises UserError: the port is taken, or the host cannot be bound."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(found[0], socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(found[4])
        listening.listen(128)
    except (OSError, OverflowError) as error:
        raise UserError(f"Cannot listen on {host}:{port}: {error}. --port names another port, --port 0 any.") from error
    return listening
