"""What each page of the review site shows, as plain documents; numbers are those of `documents` and the index."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlencode

from lakatos.experiments_db.documents import (
    Line,
    deviations,
    documents,
    hypothesis_document,
    kin,
    options_of,
    proposal_document,
    rerun_command,
    run_facts,
    study_document,
)
from lakatos.experiments_db.index import Index, Query, Side, compare
from lakatos.experiments_db.log import TOOL, Entry, asked
from lakatos.experiments_db.regression import drift_document
from lakatos.experiments_db.report import charts, figures, heat_map
from lakatos.experiments_db.site.blind import Visitor, without_opinions
from lakatos.experiments_db.site.drafts import drafts_of
from lakatos.experiments_db.site.mechanisms import mechanism_of_runs
from lakatos.experiments_db.store import Store
from lakatos.experiments_db.verdict import FAMILIES
from lakatos.tools.errors import UserError
from lakatos.tools.multiplicity import METHODS, slot_weights

RUNS_SHOWN = 25


@dataclass(frozen=True)
class Correction:
    """Which correction stands beside the official verdict in the table."""

    method: str = ""
    alpha: float | None = None
    family: str = "study"


class Site:
    """The pages over one study."""

    def __init__(self, store: Store, index: Index) -> None:
        self.store = store
        self.index = index

    def frame(self) -> dict[str, Any]:
        """What stands on every page: the study, and how fresh its verdicts are."""
        return {
            "study": study_document(self.store),
            "fresh": self.index.freshness(),
            "database": self.store.engine.url.render_as_string(hide_password=True),
            "where": options_of(self.store),
        }

    def overview(self, page: int) -> dict[str, Any]:
        """Denominators of the study, of each behaviour, of each run; what was looked at and dropped."""
        facets, counts, n_runs = self.index.facets(), self.index.counts(), len(self.store.run_ids())
        held = slot_weights(counts.registered, self.store.study.planned).sum() if counts.registered else 0.0
        return {
            "counts": counts,
            "alpha_spent": self.store.study.alpha * float(held),
            "spent": self.index.spent(),
            "behaviours": [
                {"name": name, "counts": self.index.counts(behaviour=name), **self._selection(name)}
                for name, _ in facets["behaviour"]
            ],
            "runs": self._runs(page),
            "page": page,
            "pages": -(-n_runs // RUNS_SHOWN),
            "dropped": self._dropped(),
        }

    def table(self, query: Query, correction: Correction) -> dict[str, Any]:
        """A page of hypotheses with its filters, the map of their components, and another correction beside.

        Raises:
            UserError: an unknown sort, method or family.
        """
        page = self.index.page(query)
        rows = [Line.read(row) for row in page.rows]
        corrected = None
        if correction.method:
            corrected = self.index.corrected(correction.method, correction.alpha, correction.family)
        filters = {name: value for name, value in query.asks.items() if value is not None}
        return {
            "rows": rows,
            "scale": charts.common_scale(rows),
            "total": page.total,
            "pages": page.pages,
            "query": query,
            "filters": filters,
            "facets": self.index.facets(),
            "counts": self.index.counts(),
            "scope_counts": self._scope_counts(query),
            "map": heat_map.counted(
                self.index.cells(replace(query, component=None)),
                lambda name: "?" + self.link(query, correction, component=name, page=None),
                query.component or "",
            ),
            "corrected": corrected,
            "correction": correction,
            "methods": METHODS,
            "families": FAMILIES,
            "link": lambda **changes: "?" + self.link(query, correction, **changes),
        }

    def link(self, query: Query, correction: Correction, **changes: Any) -> str:
        """The query string of a table with these things changed; None leaves one out."""
        values: dict[str, Any] = {("q" if name == "text" else name): value for name, value in query.asks.items()}
        values |= {"sort": query.sort if query.sort != "slot" else None}
        values |= {"page": query.page if query.page > 1 else None}
        values |= {"correction": correction.method, "alpha": correction.alpha}
        values |= {"family": correction.family if correction.family != "study" else None}
        values |= changes
        return urlencode({name: value for name, value in values.items() if value not in (None, "")})

    def family_link(self, correction: Correction, name: str) -> str:
        """The query string of the table of one family of a correction."""
        filters = {"behaviour": {"behaviour": name}, "kind": {"kind": name}, "run": {"run": name.removeprefix("run ")}}
        return self.link(Query(), correction, **filters.get(correction.family, {}))

    def hypothesis(self, key: str, visitor: Visitor) -> dict[str, Any]:
        """One hypothesis whole; what a blind reviewer must not see yet is left out.

        Raises:
            UserError: there is none, or several.
        """
        since = self.store.ledger_head()
        entry = self.index.entry(key)
        h = hypothesis_document(self.store, entry)
        hidden = visitor.waits_for(self.store, entry.id)
        again, unable = self._again(entry)
        related = kin(self.store, entry)
        lines = self._lines(related.all)
        if hidden:
            h = without_opinions(h)
        return {
            "since": since,
            "h": h,
            "hidden": hidden,
            "scale": charts.common_scale([h]),
            "kin": {name: [lines[key] for key in keys if key in lines] for name, keys in asdict(related).items()},
            "proposal": None if hidden else proposal_document(self.store, entry),
            "deviations": deviations(self.store, entry),
            "again": again,
            "unable": unable,
            "run": self.store.run(entry.run_id),
            "group": {"first": entry.judgement.group},
            "command": rerun_command(self.store, entry),
            "needed": h.record["threshold"],
        }

    def run(self, run_id: int) -> dict[str, Any]:
        """One investigation: denominators, selection, exploration, where it stands now.

        Raises:
            UserError: there is no such run in this study.
        """
        since = self.store.ledger_head()
        facts, record = run_facts(self.store, run_id), self.store.run(run_id)
        query = Query(run=run_id)
        cells, page = self.index.cells(query), self.index.page(query)
        rows = [Line.read(row) for row in page.rows]
        before = self._before(run_id)
        return {
            "since": since,
            "run": {
                **asdict(record),
                **vars(facts),
                "counts": asdict(self.index.counts(run=run_id)),
                "looked_at_before": before,
                "unlisted_before": self.store.runs_before(run_id) - len(before),
                "refused": [asdict(r) for r in self.store.refused(run_id)[:RUNS_SHOWN]],
            },
            "study_counts": self.index.counts(),
            "rows": rows,
            "total": page.total,
            "scale": charts.common_scale(rows),
            "map": heat_map.counted(cells, lambda name: "/hypotheses?" + urlencode({"run": run_id, "component": name})),
            "mechanism": mechanism_of_runs(self.store, self.index, [run_id]),
            "drafts": drafts_of(self.store, run_id) if record.status == "running" else [],
            "story": len(self.store.events(run_id, TOOL)),
            "asked": asked(self.store, run_id) if record.status == "running" else None,
            "last_heard": self.store.last_heard(run_id),
        }

    def comparison(self, first: str, second: str, by: str, page: int) -> dict[str, Any]:
        """Two runs or two models side by side, pair by pair; nothing but the choice until both are named.

        Raises:
            UserError: a side that is neither run:N nor model:NAME, or is not there.
        """
        facets = self.index.facets()
        sides = [f"run:{name}" for name, _ in facets["run"]][: RUNS_SHOWN * 8] + [
            f"model:{n}" for n, _ in facets["model"]
        ]
        if not (first and second):
            return {"sides": sides, "first": first, "second": second, "by": by, "found": None}
        a, b = Side.parse(first), Side.parse(second)
        found = compare(self.index, a, b, by=by, page=page)
        return {
            "sides": sides,
            "first": first,
            "second": second,
            "by": by,
            "found": found,
            "page": page,
            "plot": figures.versus(found.pairs, first, second),
            "link": lambda n: "?" + urlencode({"a": first, "b": second, "by": by, "page": n}),
        }

    def reviews(self) -> dict[str, Any]:
        """Every review, newest first, with the claims; and how far reviewers agree."""
        document = documents.reviews_document(self.store)
        newest = document["reviews"][::-1][:500]
        return {
            "reviews": newest,
            "lines": self._lines({r["hypothesis_id"] for r in newest}),
            "total": len(document["reviews"]),
            "agreement": document["agreement"],
            "standings": self.index.facets()["review"],
        }

    def refused(self, page: int) -> dict[str, Any]:
        """Proposals that were not registered, newest first."""
        counts = self.index.counts()
        return {
            "shown": {"refused": self.store.newest_refused(RUNS_SHOWN, RUNS_SHOWN * (page - 1))},
            "proposed": counts.proposed,
            "total": counts.refused,
            "page": page,
            "pages": max(1, -(-counts.refused // RUNS_SHOWN)),
        }

    def _scope_counts(self, query: Query) -> tuple[str, Any] | None:
        """The denominators of the run or behaviour that a table is about."""
        if query.run is not None:
            return f"run {query.run}", self.index.counts(run=query.run)
        if query.behaviour:
            return query.behaviour, self.index.counts(behaviour=query.behaviour)
        return None

    def _lines(self, ids: set[int]) -> dict[int, dict[str, Any]]:
        return {line["id"]: line for line in self.index.lines(sorted(ids))}

    def _runs(self, page: int) -> list[dict[str, Any]]:
        ids = self.store.newest_runs(RUNS_SHOWN, RUNS_SHOWN * (page - 1))
        return [{**asdict(self.store.run(key)), "counts": self.index.counts(run=key)} for key in ids]

    def _before(self, run_id: int) -> list[dict[str, Any]]:
        """What was looked at before this run, in this study: the last runs, and what became of them."""
        found = []
        for key in reversed(self.store.newest_runs(RUNS_SHOWN, before=run_id)):
            record, counts = self.store.run(key), self.index.counts(run=key)
            found.append(
                {
                    "run": key,
                    "behaviour": record.behaviour,
                    "model": record.model,
                    "status": record.status,
                    "tested": counts.tested,
                    "confirmed": counts.confirmed,
                }
            )
        return found

    def _selection(self, behaviour: str) -> dict[str, Any]:
        """Why this behaviour: the statement of the newest run about it."""
        definition = self.store.definition(behaviour)
        return {name: definition[name] for name in ("question", "selected_because", "considered")}

    def _dropped(self) -> list[dict[str, Any]]:
        """Runs that were begun and given up: a behaviour that the model did not show is part of the record."""
        return [
            {"run": run.id, "behaviour": run.behaviour, "model": run.model, "reason": event.payload.get("reason")}
            for event, run in self.store.failures(RUNS_SHOWN)
        ]

    def _again(self, entry: Entry) -> tuple[dict[str, Any] | None, str]:
        """A confirmed claim over its re-runs; or why it cannot be run again."""
        if entry.state != "confirmed":
            return None, "Only confirmed claims are run again."
        try:
            return drift_document(self.store, [entry])[0], ""
        except UserError as error:
            return None, str(error)
