"""One verification: the log of one moment, and every check of it. No row keeps the others from being checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

import sqlalchemy as sa
from pydantic import ValidationError

from lakatos.experiments_db.log import Reader
from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.log.row import Row
from lakatos.experiments_db.verdict import Judgement, Slot, judge
from lakatos.experiments_db.verify.approvals import approval_lies
from lakatos.experiments_db.verify.calls import call_lies, conversation_lies
from lakatos.experiments_db.verify.chain import chain_lies, order_lies
from lakatos.experiments_db.verify.comparing import UNREADABLE
from lakatos.experiments_db.verify.log import WholeLog
from lakatos.experiments_db.verify.proposals import proposal_lies, refusal_lies
from lakatos.experiments_db.verify.registrations import hypothesis_lies, slot_lies
from lakatos.experiments_db.verify.reruns import rerun_lies
from lakatos.experiments_db.verify.reviews import review_lies
from lakatos.experiments_db.verify.runs import event_lies, run_lies, study_lies
from lakatos.experiments_db.verify.searches import explained_lies, search_lies
from lakatos.experiments_db.verify.streams import stream_lies
from lakatos.experiments_db.verify.tests import batch_lies, evidence_lies, extension_lies
from lakatos.experiments_db.verify.tools import tool_lies
from lakatos.experiments_db.verify.triggers import trigger_lies
from lakatos.tools.errors import UserError

_SHOWN = 50

Progress = Callable[[int, int], None]


def verify(engine: sa.Engine, progress: Progress = lambda _done, _of: None) -> list[str]:
    """The lies found, each naming its row; [] where there are none."""
    level = {} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    with engine.connect().execution_options(**level) as connection, connection.begin():
        found = _lies(connection, Reader(engine, connection), progress)
        lies: dict[str, None] = {}
        for lie in found:
            lies[lie] = None
            if len(lies) == _SHOWN:
                return [*lies, "... and perhaps more: stopped here"]
    return list(lies)


def _lies(connection: sa.Connection, reader: Reader, progress: Progress) -> Iterator[str]:
    yield from trigger_lies(connection)
    log = WholeLog(connection)
    yield from log.problems()
    yield from chain_lies(log)
    yield from order_lies(log)
    for study in log["studies"].values():
        yield from _of(study, study_lies(study))
        yield from _of(study, slot_lies([h for h in log["hypotheses"].values() if h.study_id == study.id]))
    for run in log["runs"].values():
        yield from _of(run, run_lies(run))
        for of_run in (
            event_lies,
            call_lies,
            conversation_lies,
            tool_lies,
            approval_lies,
            proposal_lies,
            search_lies,
            explained_lies,
        ):
            yield from _of(run, of_run(run, log))
    for refusal in log["refusals"].values():
        yield from _of(refusal, refusal_lies(refusal, log))
    for stream in log["streams"].values():
        yield from _of(stream, stream_lies(stream, log))
    for done, row in enumerate(log["hypotheses"].values()):
        progress(done, len(log["hypotheses"]))
        for check in (hypothesis_lies, batch_lies, evidence_lies, extension_lies):
            yield from _of(row, check(row, log))
    yield from review_lies(log)
    for again in log["reruns"].values():
        yield from _of(again, _rerun(again, log))
    progress(len(log["hypotheses"]), len(log["hypotheses"]))
    for study in log["studies"].values():
        yield from _of(study, _verdicts(reader, study, log))


def _of(row: Row, lies: Iterator[str]) -> Iterator[str]:
    """The lies about a row; that they cannot be told is one of them."""
    try:
        yield from lies
    except UNREADABLE as error:
        yield f"{row.__tablename__} row {row.id}: cannot be derived again ({_in_short(error)})"


def _in_short(error: Exception) -> str:
    if isinstance(error, ValidationError):
        told = (f"{'.'.join(map(str, e['loc'])) or 'it'}: {e['msg']}" for e in error.errors())
        return "; ".join(islice(told, 3))
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _rerun(again: m.Rerun, log: WholeLog) -> Iterator[str]:
    row = log.row("hypotheses", again.hypothesis_id)
    yield from rerun_lies(again, row, log.row("runs", row.run_id), log.tested(row.id))


def _verdicts(reader: Reader, study: m.Study, log: WholeLog) -> Iterator[str]:
    """No confirmation that a run reported has been undone."""
    reader.study = study
    try:
        judged = judge(reader.slots(), study.alpha, reader.claims)
    except UserError:  # a row or a table that has been named
        return
    yield from _extended(reader, study, log)
    for event in log["events"].values():
        run = log["runs"].get(event.run_id)
        if event.kind != "finished" or run is None or run.study_id != study.id:
            continue
        own = {h.id for h in log.of_run("hypotheses", run.id)}
        for hypothesis_id in event.payload["confirmed"]:
            if hypothesis_id not in own or judged[hypothesis_id].state != "confirmed":
                yield f"events row {event.id}: reported hypothesis {hypothesis_id} as confirmed; its rows do not say so"
        silent = [h for h in sorted(own - set(event.payload["confirmed"])) if judged[h].state == "confirmed"]
        if silent:
            then = _judged_at(reader, study, event.payload["ledger_head"], log)
            for hypothesis_id in silent:
                if hypothesis_id in then and then[hypothesis_id].state == "confirmed":
                    yield f"events row {event.id}: did not report hypothesis {hypothesis_id}, which was confirmed then"


def _extended(reader: Reader, study: m.Study, log: WholeLog) -> Iterator[str]:
    """No claim was extended that was confirmed: such a claim is frozen for good."""
    for extension in log["extensions"].values():
        claim = log["hypotheses"].get(extension.hypothesis_id)
        if claim is None or claim.study_id != study.id or log.entry_of(extension) < 2:
            continue
        before = log.entries[log.entry_of(extension) - 2].entry_hash
        then = _judged_at(reader, study, before, log).get(claim.id)
        if then is not None and then.state == "confirmed":
            yield f"extensions row {extension.id}: hypothesis {claim.id} was confirmed then, and so frozen for good"


def _judged_at(reader: Reader, study: m.Study, head: str, log: WholeLog) -> dict[int, Judgement]:
    """Where the hypotheses of a study stood when the ledger had this head."""
    newest = {entry.entry_hash: entry.id for entry in log.entries}[head]

    def there(row: Row) -> bool:
        return 0 < log.entry_of(row) <= newest

    def then(slot: Slot) -> Slot:
        frozen = [e for e in log.evidence_of.get(slot.id, []) if there(e)]
        reopened = sum(there(x) for x in log.extensions_of.get(slot.id, [])) >= len(frozen)
        if reopened:
            return replace(slot, stop=None, frozen_e=None, frozen_p=None)
        return replace(slot, stop=frozen[-1].stop, frozen_e=frozen[-1].e, frozen_p=frozen[-1].p)

    slots = [then(slot) for slot in reader.slots() if there(log.row("hypotheses", slot.id))]
    return judge(slots, study.alpha, reader.claims)
