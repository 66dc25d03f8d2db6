"""Telling an open page that its run has gone on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from fastapi.concurrency import run_in_threadpool

from lakatos.experiments_db.store import Store

PULSE_SECONDS = 1.0  # between two looks whether the log has grown
_QUIET_PULSES = 15  # after so many without news, a sign of life


async def pulse(store: Store, run_id: int, since: str = "") -> AsyncIterator[str]:
    """Server-sent events: `grown` whenever the log has new entries, `over` when the run has come to an end.

    Args:
        since: the ledger's head that the page shows.
    """

    def look() -> tuple[str, str]:
        return store.ledger_head(), store.run(run_id).status

    shown, quiet, status = since, 0, "running"
    yield "retry: 3000\n\n"
    while status == "running":
        head, status = await run_in_threadpool(look)
        if shown and head != shown:
            yield f"event: grown\ndata: {json.dumps(head)}\n\n"
        elif quiet % _QUIET_PULSES == 0:
            yield ": still here\n\n"
        quiet = 0 if head != shown else quiet + 1
        shown = head
        if status == "running":
            await asyncio.sleep(PULSE_SECONDS)
    yield "event: over\ndata: 1\n\n"
