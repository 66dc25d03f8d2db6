"""Commands that lead back to what a page shows."""

from __future__ import annotations

import shlex

from lakatos.experiments_db.log import Entry
from lakatos.experiments_db.store import Store


def rerun_command(store: Store, entry: Entry) -> str:
    """The command that tests a claim again."""
    return f"lakatos rerun {entry.claim_hash.removeprefix('sha256:')[:12]}{options_of(store)}"


def options_of(store: Store) -> str:
    """The options that lead a command to this study, where they are not the defaults."""
    url, study = store.engine.url, store.study.name
    name = url.database if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)
    database = "" if name == "lakatos.db" else f" --db {shlex.quote(str(name))}"
    return database + ("" if study == "main" else f" --study {shlex.quote(study)}")
