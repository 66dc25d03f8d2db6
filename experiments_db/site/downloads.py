"""Files that the review site hands out: what filters leave as CSV, JSON Lines or Parquet, and a run's report."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse, Response
from starlette.background import BackgroundTask

from lakatos.experiments_db.index import Query
from lakatos.experiments_db.regression import file_of, to_text
from lakatos.experiments_db.report import files as export
from lakatos.experiments_db.site.addresses import Chosen, Number, visitor
from lakatos.experiments_db.site.pages import Site

Write = Callable[[Path], Path]
_ALL = 10**9


def downloads(site: Site) -> APIRouter:
    """The routes under /export: a file does not say what it lacks, so the index reads all of the log before."""
    router = APIRouter(prefix="/export", dependencies=[Depends(lambda: site.index.refresh())])

    def lines(request: Request, query: Query) -> export.Lines:
        rows = site.index.page(replace(query, page=1, per_page=_ALL)).rows
        return visitor(request).lines(rows)

    @router.get("/log.csv")
    def csv(request: Request, query: Chosen) -> Response:
        found = lines(request, query)
        return _file(lambda path: export.write_csv(site.store, path, found), "lakatos.csv", "text/csv; charset=utf-8")

    @router.get("/log.jsonl")
    def jsonl(request: Request, query: Chosen) -> Response:
        found = lines(request, query)
        return _file(lambda path: export.write_jsonl(site.store, path, found), "lakatos.jsonl", "application/jsonl")

    @router.get("/log.parquet")
    def parquet(request: Request, query: Chosen) -> Response:
        found, kind = lines(request, query), "application/vnd.apache.parquet"
        return _file(lambda path: export.write_parquet(site.store, path, found), "lakatos.parquet", kind)

    @router.get("/{hypothesis_id}.hypothesis.yaml")
    def test(hypothesis_id: Number) -> Response:
        file = file_of(site.store, site.index.entry(str(hypothesis_id)))
        headers = {"content-disposition": f'attachment; filename="{file.file_name}"'}
        return Response(to_text(file), media_type="application/yaml", headers=headers)

    @router.get("/run-{run_id}.html")
    def report(request: Request, run_id: Number) -> Response:
        visitor(request).may_not_see("The report holds rationales and what language models said.")
        name = f"lakatos-run-{run_id}.html"
        return _file(lambda path: export.write_report(site.store, run_id, path), name, "text/html; charset=utf-8")

    return router


def _file(write: Write, name: str, kind: str) -> Response:
    folder = tempfile.TemporaryDirectory(prefix="lakatos-export-")
    try:
        path = write(Path(folder.name) / name)
    except BaseException:
        folder.cleanup()
        raise
    return FileResponse(path, media_type=kind, filename=name, background=BackgroundTask(folder.cleanup))
