"""Answers kept beside the database: an exact request that was answered once costs nothing, and is answered the same.

A request is exact where model, settings, messages, schema and tools are the same. Address and key are no part of it.
What was answered is kept, and no failure. The file is a cache: nothing in the log refers to it, and it can be deleted.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from lakatos.agent.llm.protocol import LLM, Message, Reply
from lakatos.tools.errors import UserError
from lakatos.tools.records import content_hash

_OURS: Final = 0x6C616B61  # the application_id of such a file
_WAIT: Final = 30.0  # seconds for another process that writes
_REPLY: Final = TypeAdapter(Reply)


class CachedLLM:
    """A language model whose answers are kept.

    Args:
        llm: is asked what was not answered yet. Its `settings`, where it has any, are part of every request.
        path: the file, which is made if it does not exist. Two processes may use one.
        anew: no answer that was kept is used; what is answered now replaces it.

    Raises:
        UserError: the file is damaged, or not one of answers.
    """

    def __init__(self, llm: LLM, path: Path, *, anew: bool = False) -> None:
        self.name = llm.name
        self._llm = llm
        self._path = path
        self._anew = anew
        with self._file() as file:
            file.execute("BEGIN IMMEDIATE")
            (ours,) = file.execute("PRAGMA application_id").fetchone()
            (tables,) = file.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
            if tables and ours != _OURS:
                raise self._unusable("it is another program's")
            file.execute(f"PRAGMA application_id = {_OURS}")
            file.execute("CREATE TABLE IF NOT EXISTS answers (request TEXT PRIMARY KEY, reply TEXT NOT NULL)")
            file.execute("COMMIT")

    def complete(
        self,
        messages: Sequence[Message],
        schema: dict[str, Any] | None = None,
        tools: Sequence[dict[str, Any]] | None = None,
    ) -> Reply:
        """See `LLM.complete`.

        Raises:
            UserError: the file has been damaged.
        """
        request = self._request(messages, schema, tools)
        known = None if self._anew else self._kept(request)
        if known is not None:
            return known
        reply = self._llm.complete(messages, schema, tools) if tools else self._llm.complete(messages, schema)
        with self._file() as file:
            file.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (request, _written(reply)))
        return reply

    def _request(
        self, messages: Sequence[Message], schema: dict[str, Any] | None, tools: Sequence[dict[str, Any]] | None
    ) -> str:
        """The hash of a request."""
        settings = getattr(self._llm, "settings", {})
        said = {"messages": list(messages), "schema": schema, "tools": list(tools or [])}
        return content_hash({"model": self.name, "settings": settings, **said})

    def _kept(self, request: str) -> Reply | None:
        """The answer to a request, at no cost."""
        with self._file() as file:
            row = file.execute("SELECT reply FROM answers WHERE request = ?", (request,)).fetchone()
        if row is None:
            return None
        try:
            reply = _REPLY.validate_json(row[0])
        except ValidationError:
            raise self._unusable("an answer in it cannot be read") from None
        return reply._replace(tokens_in=0, tokens_out=0, estimated=False, cached=True)

    @contextmanager
    def _file(self) -> Iterator[sqlite3.Connection]:
        """The file; each use has a connection of its own, so that threads and processes may share it."""
        try:
            with closing(sqlite3.connect(self._path, timeout=_WAIT, isolation_level=None)) as file:
                yield file
        except sqlite3.Error as error:
            raise self._unusable(str(error)) from error

    def _unusable(self, why: str) -> UserError:
        return UserError(
            f"The kept answers in {self._path} cannot be used: {why}. Delete that file (no fact is in it), or leave "
            "--llm-cache out."
        )


def _written(reply: Reply) -> str:
    return json.dumps(_REPLY.dump_python(reply, mode="json"), ensure_ascii=False)
