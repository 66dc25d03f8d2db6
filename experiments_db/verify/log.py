"""The log as it is verified: all rows of one moment, in the order of the ledger, grouped as checks ask for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from lakatos.experiments_db.log import Stored, exploration_seed, read_table
from lakatos.experiments_db.log import tables as m
from lakatos.tools.behaviour import Behaviour, PromptPair

Named = tuple[str, int]  # table and id


class Log:
    """Every row that can be read."""

    def __init__(self, connection: sa.Connection) -> None:
        self.tables: dict[str, Stored] = {t.__tablename__: read_table(connection, t) for t in m.CHAINED}
        self.ledger = read_table(connection, m.LedgerEntry)
        self._explored: dict[int, list[PromptPair]] = defaultdict(list)

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

    def place(self, row: m.Row) -> int:
        """A row's place in the order of appending; 0 where the ledger does not name it."""
        return self.appended.get((row.__tablename__, row.id), (0, 0))[1]

    @cached_property
    def effects_of(self) -> dict[int, list[m.Effect]]:
        """The prompts of each batch, in order."""
        return _grouped(self["effects"], "batch_id", lambda e: e.place)

    @cached_property
    def batches_of(self) -> dict[int, list[m.Batch]]:
        """The batches of each hypothesis, in order."""
        return _grouped(self["batches"], "hypothesis_id", lambda b: b.number)

    @cached_property
    def evidence_of(self) -> dict[int, list[m.EvidenceRow]]:
        """The evidence of each hypothesis: one row, or none."""
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

    def explored_by(self, run: m.Run, n: int) -> list[PromptPair]:
        """The first pairs of a run's exploration: what every constant of its claims was measured on."""
        if len(self._explored[run.id]) < n:
            behaviour = Behaviour.model_validate(run.behaviour_definition)
            self._explored[run.id] = list(behaviour.sample(n, exploration_seed(run.seed, "pairs"), "exploration"))
        return self._explored[run.id][:n]

    def prompts_of(self, hypothesis_id: int) -> list[m.Effect]:
        """The prompts of a hypothesis, in the order they were drawn."""
        return [e for batch in self.batches_of.get(hypothesis_id, []) for e in self.effects_of.get(batch.id, [])]


def names(entry: m.LedgerEntry) -> list[Named]:
    """The rows that an entry names, as far as it names any."""
    whole = (row for row in entry.rows if isinstance(row, list) and len(row) == 3)
    return [(row[0], row[1]) for row in whole if isinstance(row[0], str) and isinstance(row[1], int)]


def _grouped(rows: dict[int, Any], by: str, order: Any) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = defaultdict(list)
    for row in sorted(rows.values(), key=order):
        found[getattr(row, by)].append(row)
    return found
