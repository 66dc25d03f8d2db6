"""The review site: pages rendered by the server over one study, every view an address that can be shared.

Nothing is loaded from elsewhere and nothing is needed but a browser; scripts only spare a reload. What may be asked by
whom is in `safety.py`, what pages show in `pages.py`, how they look in templates/ and static/ of the report.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, FastAPI, Form, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as StarletteHTTPException

from lakatos.experiments_db.documents import hypothesis_document, story_of
from lakatos.experiments_db.index import Index
from lakatos.experiments_db.log import DECISIONS, MOST_AUTHOR, SCORES, add_review, approve, ask
from lakatos.experiments_db.report import figures, render
from lakatos.experiments_db.site.addresses import Chosen, Corrected, Number, PageNumber, Problem, Word, visitor
from lakatos.experiments_db.site.api import api
from lakatos.experiments_db.site.blind import Hidden
from lakatos.experiments_db.site.downloads import downloads
from lakatos.experiments_db.site.drafts import decided
from lakatos.experiments_db.site.mechanisms import behaviour_page
from lakatos.experiments_db.site.pages import Site
from lakatos.experiments_db.site.pulse import pulse
from lakatos.experiments_db.site.safety import Safety, genuine, int_or, preference
from lakatos.experiments_db.store import Store
from lakatos.tools.errors import NotThere, UserError

Text = Annotated[str, Form()]


def create_app(store: Store, *, token: str | None = None, index: Index | None = None) -> FastAPI:
    """The site over a study's log.

    Args:
        token: what every request must show; None: anybody on this machine, and nobody else, is answered.
        index: of the log; made beside it by default.
    """
    site = Site(store, index or Index(store))

    def _refresh(request: Request) -> None:
        request.state.fresh = site.index.refresh(wait=False)

    app = FastAPI(
        title="lakatos review",
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(_refresh)],
    )
    pages = _Pages(site)
    app.mount("/static", _Static(packages=[("lakatos.experiments_db.report", "static")]), name="static")
    _pages(app, site, pages)
    _changes(app, site, pages)
    _wishes(app, site)
    app.include_router(api(site))
    app.include_router(downloads(site))
    _problems(app, pages)
    app.add_middleware(Safety, token=token)
    return app


class _Static(StaticFiles):
    """Files that change with the version only."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        answer = super().file_response(*args, **kwargs)
        answer.headers["cache-control"] = "max-age=60"
        return answer


class _Pages:
    """From documents to answers."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def __call__(self, request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        frame = {
            "reader": visitor(request),
            "csrf": request.state.csrf,
            "here": here if request.method == "GET" else "/",
            "searched": "",
            "problem": "",
            "figures": figures,
            "decisions": DECISIONS,
            "scores": SCORES,
            "link": lambda number: f"?page={number}",
            "claim": lambda number: f"/hypotheses/{number}",
            **self.site.frame(),
        }
        before = getattr(request.state, "fresh", None)  # what was not up to date when it was read, is not
        frame |= {} if before is None or before.current else {"fresh": before}
        return HTMLResponse(render(template, **{**frame, **values}), status)

    def claim(self, request: Request, key: str, status: int = 200, **values: Any) -> HTMLResponse:
        """The page of one hypothesis."""
        document = self.site.hypothesis(key, visitor(request))
        more = {"link": lambda number: f"/hypotheses/{number}", "command_text": document.pop("command")}
        typed = {"author": "", "score": "", "reason": ""}
        return self(request, "claim.html", status, **{**document, **more, "typed": typed, **values})


def _pages(app: FastAPI, site: Site, page_of: _Pages) -> None:
    @app.get("/", response_class=HTMLResponse)
    def overview(request: Request, page: PageNumber = 1) -> Response:
        return page_of(request, "overview.html", **site.overview(page))

    @app.get("/hypotheses", response_class=HTMLResponse)
    def table(request: Request, query: Chosen, correction: Corrected) -> Response:
        found = site.table(query, correction)
        return page_of(
            request,
            "table.html",
            **found,
            searched=query.text,
            page_link=lambda number: found["link"](page=number),
            family_link=lambda name: "?" + site.family_link(correction, name),
        )

    @app.get("/hypotheses/{key}", response_class=HTMLResponse)
    def hypothesis(request: Request, key: str) -> Response:
        return page_of.claim(request, key)

    @app.get("/hypotheses/{key}/prompts", response_class=HTMLResponse)
    def prompts(request: Request, key: str) -> Response:
        h = hypothesis_document(site.store, site.index.entry(key))
        rows = sorted(h.prompts, key=lambda prompt: prompt.main)
        return page_of(request, "prompts.html", h=h, rows=[(prompt.template, prompt) for prompt in rows])

    @app.get("/runs/{run_id}", response_class=HTMLResponse)
    def run(request: Request, run_id: Number) -> Response:
        return page_of(request, "run_page.html", **site.run(run_id))

    @app.get("/runs/{run_id}/story", response_class=HTMLResponse)
    def story(request: Request, run_id: Number) -> Response:
        visitor(request).may_not_see("It holds the rationales of claims.")
        return page_of(request, "story.html", story=story_of(site.store, run_id))

    @app.get("/runs/{run_id}/events")
    async def events(run_id: Number, since: Word = "") -> Response:
        await run_in_threadpool(site.store.own_run, run_id)
        return StreamingResponse(pulse(site.store, run_id, since), media_type="text/event-stream")

    @app.get("/behaviours/{name}", response_class=HTMLResponse)
    def behaviour(request: Request, name: str, model: Word = "") -> Response:
        return page_of(request, "behaviour.html", **behaviour_page(site.store, site.index, name, model))

    @app.get("/compare", response_class=HTMLResponse)
    def compare(request: Request, a: Word = "", b: Word = "", by: Word = "claim", page: PageNumber = 1) -> Response:
        return page_of(request, "compare.html", **site.comparison(a, b, by or "claim", page))

    @app.get("/reviews", response_class=HTMLResponse)
    def reviews(request: Request) -> Response:
        return page_of(request, "reviews.html", **site.reviews())

    @app.get("/refused", response_class=HTMLResponse)
    def refused(request: Request, page: PageNumber = 1) -> Response:
        return page_of(request, "refused.html", **site.refused(page))


def _changes(app: FastAPI, site: Site, page_of: _Pages) -> None:

    @app.post("/hypotheses/{key}/reviews", response_class=HTMLResponse)
    def review(
        request: Request,
        key: str,
        csrf: Text = "",
        decision: Text = "",
        author: Text = "",
        reason: Text = "",
        score: Text = "",
        blind: Text = "",
    ) -> Response:
        _genuine(request, csrf)
        entry = site.index.entry(key)
        own = decision == "score"
        unseen = blind == "1" and visitor(request).waits_for(
            site.store, entry.id
        )  # what the form says, it may say too late
        try:
            add_review(
                site.store,
                entry.id,
                author=author,
                decision=decision,
                reason=reason,
                score=int_or(score, 0) if own else None,
                blind=unseen,
            )
        except UserError as error:
            typed = {"author": author, "score": score, "reason": reason}
            return page_of.claim(request, str(entry.id), 422, problem=str(error), typed=typed)
        answer = RedirectResponse(f"/hypotheses/{entry.id}#review", 303)
        answer.headers.append("set-cookie", preference("lakatos_name", quote(author.strip()[:MOST_AUTHOR])))
        return answer

    @app.post("/preferences")
    def preferences(
        request: Request,
        csrf: Text = "",
        name: Text = "",
        blind: Text = "",
        theme: Text = "",
        next: Text = "/",
    ) -> Response:
        _genuine(request, csrf)
        answer = RedirectResponse(next if _local(next) else "/", 303)
        answer.headers.append("set-cookie", preference("lakatos_name", quote(name.strip()[:MOST_AUTHOR])))
        answer.headers.append("set-cookie", preference("lakatos_blind", "1" if blind == "1" else "0"))
        answer.headers.append("set-cookie", preference("lakatos_theme", theme if theme in ("light", "dark") else ""))
        return answer


def _wishes(app: FastAPI, site: Site) -> None:
    """What people ask of runs, and decide for them."""

    @app.post("/runs/{run_id}/ask")
    def ask_run(request: Request, run_id: Number, csrf: Text = "", wish: Text = "") -> Response:
        _genuine(request, csrf)
        site.store.own_run(run_id)
        ask(site.store, run_id, wish, visitor(request).name)
        return RedirectResponse(f"/runs/{run_id}", 303)

    @app.post("/runs/{run_id}/approve")
    def approve_drafts(
        request: Request,
        run_id: Number,
        csrf: Text = "",
        author: Text = "",
        keep: Annotated[list[int] | None, Form()] = None,
        added: Text = "",
    ) -> Response:
        _genuine(request, csrf)
        approve(site.store, run_id, *decided(site.store, run_id, keep or [], added), author)
        answer = RedirectResponse(f"/runs/{run_id}", 303)
        answer.headers.append("set-cookie", preference("lakatos_name", quote(author.strip()[:MOST_AUTHOR])))
        return answer


def _problems(app: FastAPI, page_of: _Pages) -> None:
    def page(request: Request, status: int, heading: str, message: str) -> Response:
        if request.url.path.startswith("/api/"):
            return JSONResponse({"error": message}, status)
        return page_of(request, "message.html", status, heading=heading, message=message)

    @app.exception_handler(UserError)
    def mendable(request: Request, error: UserError) -> Response:
        status, heading = (404, "Not here") if isinstance(error, NotThere) else (422, "That cannot be done")
        return page(request, status, heading, str(error))

    @app.exception_handler(Problem)
    def problem(request: Request, error: Problem) -> Response:
        return page(request, error.status, error.heading, error.message)

    @app.exception_handler(Hidden)
    def hidden(request: Request, error: Hidden) -> Response:
        return page(request, 403, "Hidden in blind mode", str(error))

    @app.exception_handler(RequestValidationError)
    def malformed(request: Request, error: RequestValidationError) -> Response:
        told = "; ".join(f"{e['loc'][-1]}: {e['msg']}" for e in error.errors())
        return page(request, 422, "That cannot be read", told)

    @app.exception_handler(StarletteHTTPException)
    def http(request: Request, error: HTTPException) -> Response:
        return page(request, error.status_code, "Not here" if error.status_code == 404 else "No", str(error.detail))


def _genuine(request: Request, csrf: str) -> None:
    if not genuine(request, csrf):
        raise Problem(
            403, "Not from this page", "The form is older than this server. Go back, reload, and send it again."
        )


def _local(address: str) -> bool:
    """Whether an address is a page of this site."""
    return address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
