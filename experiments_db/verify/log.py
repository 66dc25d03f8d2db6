"""The log as it is verified: all rows of one moment, in the order of the ledger, grouped as checks ask for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from lakatos.experiments_db.log import APPROVED, DRAFTED, Rows, Stored, Tested, exploration_seed, read_table
from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.log.row import Row
from lakatos.tools.behaviour import Behaviour, PromptPair

Named = tuple[str, int]  # table and id


def explores(run: m.Run) -> bool:
    """Whether a run's proposer explores with tools."""
    return run.proposer == "mcp" or (run.proposer == "llm" and (run.config or {}).get("llm_style") == "tools")


class WholeLog:
    """Every row that can be read."""

    def __init__(self, connection: sa.Connection) -> None:
        self.tables: dict[str, Stored] = {t.__tablename__: read_table(connection, t) for t in m.CHAINED}
        self.ledger = read_table(connection, m.LedgerEntry)
        self._explored: dict[int, list[PromptPair]] = defaultdict(list)
        self._tested: dict[int, list[Tested]] = {}

    def __getitem__(self, table: str) -> dict[int, Any]:
        return self.tables[table].rows

    def row(self, table: str, key: int) -> Any:
        """One row. Raises LookupError: it is not there, or cannot be read."""
        if key not in self[table]:
            raise LookupError(f"{table} row {key} is not there or cannot be read")
        return self[table][key]

    def problems(self) -> Iterator[str]:
        """What cannot be read."""
        for name, table in (*self.tables.items(), ("ledger", self.ledger)):
            if table.problem is not None:
                yield table.problem
            yield from (f"{name} row {key}: {why}" for key, why in table.unreadable.items())

    @property
    def entries(self) -> list[m.LedgerEntry]:
        """The ledger, in order."""
        return list(self.ledger.rows.values())

    @cached_property
    def appended(self) -> dict[Named, tuple[int, int]]:
        """Of each row that the ledger names: the entry, and the row's place in the order of appending."""
        found: dict[Named, tuple[int, int]] = {}
        for entry in self.entries:
            for name in names(entry):
                found.setdefault(name, (entry.id, len(found) + 1))
        return found

    def place(self, row: Row) -> int:
        """A row's place in the order of appending; 0 where the ledger does not name it."""
        return self.appended.get((row.__tablename__, row.id), (0, 0))[1]

    def entry_of(self, row: Row) -> int:
        """The ledger entry that a row was appended in; 0 where none names it."""
        return self.appended.get((row.__tablename__, row.id), (0, 0))[0]

    @cached_property
    def effects_of(self) -> dict[int, list[m.Effect]]:
        """The prompts of each batch, in order."""
        return _grouped(self["effects"], "batch_id", lambda e: e.place)

    @cached_property
    def batches_of(self) -> dict[int, list[m.Batch]]:
        """The batches of each hypothesis, in order."""
        return _grouped(self["batches"], "hypothesis_id", lambda b: b.number)

    @cached_property
    def batches_of_draw(self) -> dict[int, list[m.Batch]]:
        """What claims took from each draw."""
        return _grouped({b.id: b for b in self["batches"].values() if b.draw_id is not None}, "draw_id", lambda b: b.id)

    @cached_property
    def draws_of(self) -> dict[int, list[m.Draw]]:
        """The draws of each stream, in order."""
        return _grouped(self["draws"], "stream_id", lambda d: d.number)

    @cached_property
    def prompts_of(self) -> dict[int, list[m.Prompt]]:
        """The prompts of each draw, in order."""
        return _grouped(self["prompts"], "draw_id", lambda p: p.place)

    def streams_of(self, study_id: int) -> list[m.Stream]:
        """The streams of a study, in the order of their opening."""
        return [stream for stream in self["streams"].values() if stream.study_id == study_id]

    def claim_of(self, study_id: int, claim_hash: str) -> m.HypothesisRow:
        """A study's claim with this hash. Raises LookupError: it has none."""
        if (study_id, claim_hash) not in self._claims:
            raise LookupError(f"no claim {claim_hash} is registered")
        return self._claims[study_id, claim_hash]

    @cached_property
    def _claims(self) -> dict[tuple[int, str], m.HypothesisRow]:
        return {(row.study_id, row.claim_hash): row for row in self["hypotheses"].values()}

    @cached_property
    def extensions_of(self) -> dict[int, list[m.Extension]]:
        """The extensions of each hypothesis's test, oldest first."""
        return _grouped(self["extensions"], "hypothesis_id", lambda x: x.id)

    @cached_property
    def evidence_of(self) -> dict[int, list[m.EvidenceRow]]:
        """The evidence of each hypothesis, oldest first: one row for each time that its test ended."""
        return _grouped(self["evidence"], "hypothesis_id", lambda e: e.id)

    @cached_property
    def hypothesis_of(self) -> dict[int, list[m.HypothesisRow]]:
        """The hypothesis of each proposal that was registered."""
        return _grouped(self["hypotheses"], "proposal_id", lambda h: h.id)

    @cached_property
    def refusal_of(self) -> dict[int, list[m.Refusal]]:
        """The refusal of each proposal that was refused."""
        return _grouped(self["refusals"], "proposal_id", lambda r: r.id)

    def of_run(self, table: str, run_id: int) -> list[Any]:
        """The rows of a table that name a run, in order."""
        return self._of_run[table].get(run_id, [])

    @cached_property
    def _of_run(self) -> dict[str, dict[int, list[Any]]]:
        tables = ("events", "llm_calls", "proposals", "hypotheses")
        return {table: _grouped(self[table], "run_id", lambda row: row.id) for table in tables}

    def put_forward(self, run: m.Run, number: int, proposals: list[m.Proposal]) -> list[dict[str, Any]]:
        """What a round's proposer put forward, whatever a person then made of it."""
        for event in self.of_run("events", run.id):
            if event.kind == DRAFTED and event.payload["round"] == number:
                return list(event.payload["put"])
        return [proposal.proposal for proposal in proposals]

    def dropped_whole(self, run: m.Run, number: int) -> bool:
        """Whether a person kept nothing of a round."""
        decided = [e for e in self.of_run("events", run.id) if e.kind == APPROVED and e.payload["round"] == number]
        return bool(decided) and not decided[-1].payload["kept"]

    def explored_by(self, run: m.Run, n: int) -> list[PromptPair]:
        """The first pairs of a run's exploration: what every constant of its claims was measured on."""
        if len(self._explored[run.id]) < n:
            behaviour = Behaviour.model_validate(run.behaviour_definition)
            self._explored[run.id] = list(behaviour.sample(n, exploration_seed(run.seed, "pairs"), "exploration"))
        return self._explored[run.id][:n]

    def tested(self, hypothesis_id: int) -> list[Tested]:
        """The prompts of a hypothesis's test with their numbers, in the order they were drawn.

        Raises:
            LookupError, ValueError: a row that they need is missing or cannot be read.
        """
        if hypothesis_id not in self._tested:
            row, batches = self.row("hypotheses", hypothesis_id), self.batches_of.get(hypothesis_id, [])
            rows = Rows(self["draws"], self.prompts_of, self.effects_of)
            self._tested[hypothesis_id] = rows.tested(row.prediction(), batches)
        return self._tested[hypothesis_id]

    def bet_on(self, hypothesis_id: int, before: int | None = None, until: int | None = None) -> list[tuple[str, str]]:
        """Uid and template of each prompt of a hypothesis's test, whether or not its numbers can be read.

        Args:
            before: only those that it used before this stream was opened.
            until: only those that it used before this place in the order of appending.
        """
        batches = self.batches_of.get(hypothesis_id, [])
        own = [b for b in batches if before is None or self._stream_of(b) < before]
        own = [b for b in own if until is None or self.place(b) < until]
        rows = [self._prompts_of(batch) for batch in own]
        return [(prompt.uid, prompt.template) for prompts in rows for prompt in prompts]

    def _prompts_of(self, batch: m.Batch) -> Sequence[m.Prompt | m.Effect]:
        return self.effects_of.get(batch.id, []) if batch.draw_id is None else self.prompts_of.get(batch.draw_id, [])

    def _stream_of(self, batch: m.Batch) -> int:
        return self.row("draws", batch.draw_id).stream_id if batch.draw_id is not None else 0


def names(entry: m.LedgerEntry) -> list[Named]:
    """The rows that an entry names, as far as it names any."""
    whole = (row for row in entry.rows if isinstance(row, list) and len(row) == 3)
    return [(row[0], row[1]) for row in whole if isinstance(row[0], str) and isinstance(row[1], int)]


def _grouped(rows: dict[int, Any], by: str, order: Any) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = defaultdict(list)
    for row in sorted(rows.values(), key=order):
        found[getattr(row, by)].append(row)
    return found
