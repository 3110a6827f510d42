"""The SQLite file behind the store: an append-only log of revisions, written by one thread.

Everything here blocks and runs on the writer's thread. Invariant: `append` returns only when its rows are synced (WAL with
synchronous=FULL syncs the log at every commit). SQLite before 3.51.3 can lose commits when a checkpoint races a reset of the WAL
(sqlite.org/wal.html, "the WAL-reset bug"), so it is refused. The newest revision survives compaction because the compacted revision
is stored too, and deletions are only forgotten at or before it.
"""

import fcntl
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw
from msgspec import Struct

from pinnace.store.interface import CannotOpen, DiskRefuses

OLDEST_SQLITE = 3_051_003
APPLICATION_ID = 0x50694E63
LAYOUT = 1

_SCHEMA = """
CREATE TABLE log (revision INTEGER PRIMARY KEY, key TEXT NOT NULL, value BLOB, create_revision INTEGER NOT NULL) STRICT;
CREATE INDEX log_by_key ON log (key, revision);
CREATE TABLE compaction (revision INTEGER NOT NULL) STRICT;
INSERT INTO compaction VALUES (0);
"""


class Row(Struct, frozen=True, gc=False):
    """One write; a value of None is a deletion."""

    revision: int
    key: str
    value: bytes | None
    create_revision: int


class Disk:
    """The file, locked against other servers, and its one connection."""

    def __init__(self, path: Path, vfs: str | None = None) -> None:
        self._path = path
        self._vfs = vfs
        self._lock = -1
        self._connection: apsw.Connection | None = None

    def open(self) -> None:
        """Lock and open the file, making it when it is not there.

        Raises:
            CannotOpen: another server has it, it is not ours, it is damaged, or SQLite is too old.
        """
        if apsw.SQLITE_VERSION_NUMBER < OLDEST_SQLITE:
            raise CannotOpen(f"SQLite {apsw.sqlite_lib_version()} can lose writes: 3.51.3 or newer is needed")
        try:
            self._take_lock()
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self.reopen()
            self._sync_directory()
        except apsw.NotADBError as error:
            self.close()
            raise CannotOpen(f"{self._path} is not a SQLite database") from error
        except (apsw.IOError, apsw.FullError, apsw.ReadOnlyError, OSError) as error:
            self.close()
            raise DiskRefuses(f"{self._path} cannot be opened: {error}") from error
        except apsw.Error as error:
            self.close()
            raise CannotOpen(f"{self._path} cannot be opened: {error}") from error
        except CannotOpen:
            self.close()
            raise

    def reopen(self) -> None:
        """Forget the connection's view and read the file anew, with all of it synced first.

        A commit whose sync failed may stand in the page cache without being on disk. Moving the WAL into the database writes
        and syncs its pages once more, so that what is read afterwards is durable.
        """
        self._disconnect()
        connection = apsw.Connection(str(self._path), vfs=self._vfs)
        self._connection = connection
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "locking_mode = NORMAL", "fullfsync = ON"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        self._check_layout(connection)
        busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0][0]
        if busy:
            raise CannotOpen(f"{self._path} is being read by another program")
        self._transact("UPDATE compaction SET revision = revision", [()])

    def read(self, after: int = 0) -> tuple[int, list[Row]]:
        """Return the compacted revision and the rows after a revision, in order."""
        (compacted,) = self._open.execute("SELECT revision FROM compaction").fetchall()[0]
        rows = self._open.execute(
            "SELECT revision, key, value, create_revision FROM log WHERE revision > ? ORDER BY revision", (after,)
        )
        return int(compacted or 0), [Row(*row) for row in rows]

    def append(self, rows: Sequence[Row]) -> int:
        """Commit a group, which is on stable storage when this returns; return the bytes of the file."""
        self._transact(
            "INSERT INTO log VALUES (?, ?, ?, ?)",
            [(row.revision, row.key, row.value, row.create_revision) for row in rows],
        )
        return self.size()

    def compact(self, revision: int) -> int:
        """Forget what a later write at or before the revision has replaced, and deletions; return the bytes of the file."""
        with self._open as connection:
            connection.execute("UPDATE compaction SET revision = ?", (revision,))
            connection.execute(
                "DELETE FROM log WHERE revision <= ?1 AND (value IS NULL OR EXISTS (SELECT 1 FROM log AS newer"
                " WHERE newer.key = log.key AND newer.revision > log.revision AND newer.revision <= ?1))",
                (revision,),
            )
        return self.size()

    def size(self) -> int:
        """Return the bytes of the file."""
        with suppress(OSError):
            return self._path.stat().st_size
        return 0

    def close(self) -> None:
        """Let go of the file; every answered write is in it already."""
        with suppress(apsw.Error):
            self._disconnect()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    @property
    def _open(self) -> apsw.Connection:
        if self._connection is None:
            raise apsw.ConnectionClosedError("the database is closed")
        return self._connection

    def _transact(self, statement: str, arguments: Sequence[tuple[Any, ...]]) -> None:
        connection = self._open
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(statement, arguments)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                with suppress(apsw.Error):
                    connection.execute("ROLLBACK")
            raise

    def _check_layout(self, connection: apsw.Connection) -> None:
        application = connection.pragma("application_id")
        layout = connection.pragma("user_version")
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()[0][0]
        if application == 0 and layout == 0 and tables == 0:
            with connection:
                connection.execute(_SCHEMA).fetchall()
                connection.pragma("user_version", LAYOUT)
                connection.pragma("application_id", APPLICATION_ID)
        elif application != APPLICATION_ID:
            raise CannotOpen(f"{self._path} is another program's database")
        elif layout != LAYOUT:
            raise CannotOpen(f"{self._path} has layout {layout}, this version knows {LAYOUT}")

    def _take_lock(self) -> None:
        lock = f"{self._path}.lock"
        self._lock = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotOpen(f"{self._path} is in use by another server") from error

    def _sync_directory(self) -> None:
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
