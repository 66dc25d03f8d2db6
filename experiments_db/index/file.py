"""The index as a file: SQLite beside the log, thrown away and made anew whenever anything is wrong with it.

It is no evidence and nothing is verified against it. That nobody edited it is known by its seal (`seal.py`): it
is looked at when a file is opened and whenever another connection than this process's writer has changed it. Readers
see the last finished refresh while another one is being written (write-ahead log); two processes that refresh at once
follow one another. A file of another schema, a damaged one, an edited one, and one that was deleted while in use are
replaced by an empty one, which the next refresh fills.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

from lakatos.experiments_db.index.schema import SCHEMA, TABLES, default_path
from lakatos.experiments_db.index.seal import Seal, user_key
from lakatos.experiments_db.store import Store
from lakatos.tools.errors import UserError

_APPLICATION: Final = 0x6C616B69  # "laki": no other program's file is ever thrown away
_PATIENCE: Final = 600.0  # seconds that a refresh waits for another one
_SOON: Final = 5.0  # seconds to look at a file
_PAUSE: Final = 0.01  # seconds between two tries to write


T = TypeVar("T")


class Damaged(Exception):
    """The file was of no use and has been replaced by an empty one."""


class _Edited(sqlite3.DatabaseError):
    """The file is not what was sealed."""


class IndexFile:
    """One study's index. Each thread has a connection of its own.

    Args:
        path: where; by default beside the log (`default_path`), or in a folder of its own that goes with this object
            where that place cannot be written.

    Raises:
        UserError: the path is another program's database.
    """

    def __init__(self, store: Store, path: Path | None = None) -> None:
        beside = default_path(store)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._own = threading.local()
        self._writing = threading.RLock()
        self._writer: tuple[sqlite3.Connection, int] | None = None  # the one connection that changes the file
        self._certified: int | None = None  # its `data_version` when all of the file was last known to be sealed
        self.seal = Seal(user_key(), store.study.digest, TABLES)
        self.path = path or beside or self._temporary()
        try:
            self._connection()
        except sqlite3.DatabaseError as error:
            if path is not None or _damaged(error):
                raise
            self.path = self._temporary()
            self._connection()
        except Damaged:
            self._connection()

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` finds in the state of one moment, in which nobody else has changed anything.

        Raises:
            Damaged: the file was of no use; it is empty now.
        """
        while True:
            with self._transaction("BEGIN") as connection:
                connection.execute("SELECT 1 FROM meta").fetchone()  # from here on, this moment
                if self._unchanged():
                    return work(connection)
            with self._alone():
                pass

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Let `work` change the file, after whoever is changing it.

        Raises:
            Damaged: the file was of no use; it is empty now.
        """
        with self._alone() as connection:
            return work(connection)

    @contextmanager
    def _alone(self) -> Iterator[sqlite3.Connection]:
        """A transaction of the writer. What anybody else has changed since it last looked is read whole and checked.

        Raises:
            Damaged: somebody has changed what was sealed, or the file was of no use; it is empty now.
        """
        with self._writing, self._transaction("", self._write_connection) as connection:
            self._begin(connection)
            version = self._version(connection)
            if version != self._certified and not self.seal.holds(connection):
                raise _Edited("it is not what was sealed")
            self._certified = version
            yield connection

    def _unchanged(self) -> bool:
        """Whether nobody but the writer has changed the file since it was last checked."""
        writer = self._writer
        if writer is None or self._certified is None or writer[1] != self._inode():
            return False
        return self._version(writer[0]) == self._certified

    @staticmethod
    def _version(connection: sqlite3.Connection) -> int:
        """A number that changes when another connection than this one changes the file."""
        return int(connection.execute("PRAGMA data_version").fetchone()[0])

    @staticmethod
    def _begin(connection: sqlite3.Connection) -> None:
        """Begin to write, after whoever is writing; without holding the connection meanwhile, which readers ask too."""
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > until:
                    raise
            time.sleep(_PAUSE)

    def _write_connection(self) -> sqlite3.Connection:
        """The writer, of the file that is at the path now."""
        if self._writer is None or self._writer[1] != self._inode():
            self._connection()  # makes the file, if need be, and checks whose it is
            self._certified = None
            connection = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA synchronous = NORMAL")
            self._writer = connection, self._inode() or 0
        return self._writer[0]

    def discard(self) -> None:
        """Throw the file away: the next use makes an empty one."""
        self._close()
        self._writer, self._certified = None, None
        for end in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                Path(f"{self.path}{end}").unlink()

    @contextmanager
    def _transaction(
        self, begin: str, connect: Callable[[], sqlite3.Connection] | None = None
    ) -> Iterator[sqlite3.Connection]:
        connection = (connect or self._connection)()
        try:
            if begin:
                connection.execute(begin)
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.DatabaseError as error:
            if not _damaged(error):
                raise
            self.discard()
            raise Damaged(str(error)) from error

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection to the file that is at the path now."""
        held: tuple[sqlite3.Connection, int] | None = getattr(self._own, "held", None)
        if held is not None and held[1] == self._inode():
            return held[0]
        self._close()
        inode = self._inode()
        if inode is None:
            self._create()
            inode = self._inode()
        connection = sqlite3.connect(self.path, timeout=_SOON, isolation_level=None, check_same_thread=False)
        try:
            self._check(connection)
        except sqlite3.DatabaseError as error:
            connection.close()
            if not _damaged(error):
                raise
            self.discard()
            raise Damaged(str(error)) from error
        except BaseException:
            connection.close()
            raise
        connection.execute(f"PRAGMA busy_timeout = {_PATIENCE * 1000:.0f}")
        connection.execute("PRAGMA synchronous = NORMAL")
        self._own.held = connection, inode
        return connection

    def _create(self) -> None:
        """Put an empty index at the path, unless somebody else has just done so: whole, or not at all."""
        self.discard()  # what a file that was deleted has left
        fresh = Path(f"{self.path}.{os.getpid()}-{threading.get_ident()}")
        fresh.unlink(missing_ok=True)
        with suppress(FileExistsError):
            connection = sqlite3.connect(fresh)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(TABLES)
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                connection.execute(f"PRAGMA user_version = {SCHEMA}")
            finally:
                connection.close()
            try:
                os.link(fresh, self.path)
            except FileExistsError:
                raise
            except OSError:  # no links on this file system
                fresh.rename(self.path)
        fresh.unlink(missing_ok=True)

    def _check(self, connection: sqlite3.Connection) -> None:
        """Ask whether the file is an index of this schema."""
        application, schema, tables = self._identity(connection)
        if application != _APPLICATION and tables:
            raise UserError(f"{self.path} is another program's database; the index needs a file of its own.")
        if (application, schema) != (_APPLICATION, SCHEMA):
            connection.close()
            self.discard()
            raise Damaged(f"schema {schema}, not {SCHEMA}")

    @staticmethod
    def _identity(connection: sqlite3.Connection) -> tuple[int, int, bool]:
        """Whose file it is, its schema, and whether anything is in it."""
        names = ("PRAGMA application_id", "PRAGMA user_version", "SELECT COUNT(*) FROM sqlite_master")
        application, schema, tables = (connection.execute(name).fetchone()[0] for name in names)
        return application, schema, tables > 0

    def _inode(self) -> int | None:
        try:
            return self.path.stat().st_ino
        except FileNotFoundError:
            return None

    def _close(self) -> None:
        held = getattr(self._own, "held", None)
        self._own.held = None
        if held is not None:
            held[0].close()

    def _temporary(self) -> Path:
        self._folder = tempfile.TemporaryDirectory(prefix="lakatos-index-")
        return Path(self._folder.name) / "lakatos.index"


def _damaged(error: sqlite3.DatabaseError) -> bool:
    name = getattr(error, "sqlite_errorname", "")
    useless = name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR", "SQLITE_PROTOCOL"))
    return useless or isinstance(error, _Edited) or "no such" in str(error)
