"""What the review site hands out as files: the log as CSV, JSON Lines and Parquet, a run's report."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter
from fastapi import Path as InPath
from fastapi.responses import FileResponse, Response
from starlette.background import BackgroundTask

from lakatos.experiments_db import export
from lakatos.experiments_db.site import Site

Write = Callable[[Path], Path]


def downloads(site: Site) -> APIRouter:
    """The routes under /export."""
    router = APIRouter(prefix="/export")

    @router.get("/log.csv")
    def csv() -> Response:
        return _file(lambda path: export.write_csv(site.store, path), "lakatos.csv", "text/csv; charset=utf-8")

    @router.get("/log.jsonl")
    def jsonl() -> Response:
        return _file(lambda path: export.write_jsonl(site.store, path), "lakatos.jsonl", "application/jsonl")

    @router.get("/log.parquet")
    def parquet() -> Response:
        kind = "application/vnd.apache.parquet"
        return _file(lambda path: export.write_parquet(site.store, path), "lakatos.parquet", kind)

    @router.get("/run-{run_id}.html")
    def report(run_id: Annotated[int, InPath(ge=1, le=2**31 - 1)]) -> Response:
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
