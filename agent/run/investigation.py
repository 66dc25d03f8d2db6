"""What a run came to: a mechanism that knows its run, and shows itself in a notebook."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from lakatos.experiments_db.log import RunRecord
from lakatos.experiments_db.mechanism import Mechanism, run_mechanism
from lakatos.experiments_db.store import Store


@dataclass(frozen=True)
class Investigation(Mechanism):
    """The mechanism that a run has found, with the run's record: its number, status and spend."""

    run: RunRecord = field(kw_only=True)

    @classmethod
    def of(cls, store: Store, run_id: int) -> Investigation:
        """What a run in the log came to."""
        found = run_mechanism(store, run_id)
        return cls(**{own.name: getattr(found, own.name) for own in fields(Mechanism)}, run=store.run(run_id))

    def _repr_html_(self) -> str:
        """The picture, the sentences and the claims, for a notebook."""
        from lakatos.experiments_db.report import mechanism_html

        return mechanism_html(self)
