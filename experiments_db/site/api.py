"""The log as JSON: what `lakatos ... --json` prints."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from lakatos.experiments_db.documents import documents, hypothesis_document, story_of, study_document
from lakatos.experiments_db.site.addresses import Chosen, Number, visitor
from lakatos.experiments_db.site.blind import Hidden
from lakatos.experiments_db.site.pages import Site


def api(site: Site) -> APIRouter:
    """Its addresses. They wait until the index has read all of the log."""
    router = APIRouter(prefix="/api", dependencies=[Depends(lambda: site.index.refresh())])

    @router.get("/study")
    def study() -> Response:
        return _json({"study": study_document(site.store).as_dict(), "counts": asdict(site.index.counts())})

    @router.get("/hypotheses")
    def hypotheses(request: Request, query: Chosen) -> Response:
        page = site.index.page(query)
        rows = visitor(request).lines(page.rows)
        return _json({"total": page.total, "page": page.page, "pages": page.pages, "hypotheses": rows})

    @router.get("/hypotheses/{key}")
    def hypothesis(request: Request, key: str) -> Response:
        entry = site.index.entry(key)
        if visitor(request).waits_for(site.store, entry.id):
            raise Hidden("It holds the rationale and what others said: score the hypothesis first.")
        return _json(hypothesis_document(site.store, entry).as_dict())

    @router.get("/runs/{run_id}/story")
    def story(request: Request, run_id: Number) -> Response:
        visitor(request).may_not_see("It holds the rationales of claims.")
        return _json(story_of(site.store, run_id).as_dict())

    @router.get("/reviews")
    def reviews(request: Request) -> Response:
        visitor(request).may_not_see("It holds what others said.")
        return _json(documents.reviews_document(site.store))

    return router


def _json(document: Any) -> Response:
    return Response(json.dumps(document, allow_nan=False), media_type="application/json")
