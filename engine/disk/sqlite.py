"""SQLite files: connections, transactions, a thread that commits in groups, readable errors."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

from ..data.errors import RunStopped
from .network import check_local

T = TypeVar("T")

QUIET, BUSY = 0.001, 0.005
"""Seconds to wait for more rows before a commit: the latency that a group costs.

A row costs 12 µs of CPU in a group of 200 and 20 µs in one of 20, so the writer waits longer
while rows keep coming.
"""

_BUSY_FROM = 16
"""Rows in the last group from which more are expected."""

PAGE_SIZE = 16384
"""Bytes. A 2 KB value costs 2.4 KB on pages of 16 KB and 4.2 KB on pages of 4 KB (measured)."""


class StorageError(RunStopped):
    """One of the engine's files cannot be read or written. The message names it and the remedy."""


_REMEDIES = (
    ("disk is full", "free some space, then run `codeclm resume RUN`"),
    ("readonly", "check the permissions of the file and of its folder"),
    ("malformed", "the file is damaged: move it away (`codeclm cache verify` checks a cache)"),
    ("not a database", "the file is damaged, or not made by codeclm: move it away"),
    ("unable to open", "check that the folder exists and can be written"),
    ("locked", "another process uses it: wait for that process, or stop it"),
    ("disk i/o", "the disk is full or faulty: fix that, then run `codeclm resume RUN`"),
)


def storage_error(path: Path, error: sqlite3.Error) -> StorageError:
    """Build the error that names the file, SQLite's own words and the remedy."""
    text = str(error).lower()
    remedy = next((remedy for symptom, remedy in _REMEDIES if symptom in text), "")
    return StorageError(f"{path}: {error}{'; ' if remedy else ''}{remedy}")


def connect(path: Path, *, cache_kib: int = 8192) -> sqlite3.Connection:
    """Open or create *path* in WAL mode, for one thread at a time.

    With ``synchronous=NORMAL`` in WAL mode a killed process loses nothing that was committed; a
    power cut may lose the last commits but never damages the file (https://sqlite.org/wal.html).

    Raises:
        StorageError: the file cannot be opened, or is not a database.
        NetworkFileSystemError: it would be on a network file system.
    """
    check_local(path)
    _make_file(path)
    try:
        connection = sqlite3.connect(
            path, timeout=60, isolation_level=None, check_same_thread=False
        )
    except sqlite3.Error as error:
        raise storage_error(path, error) from error
    try:
        for pragma in (
            f"page_size={PAGE_SIZE}",
            "journal_mode=wal",
            "synchronous=normal",
            f"cache_size=-{cache_kib}",
            "mmap_size=0",
        ):
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.Error as error:
        connection.close()
        raise storage_error(path, error) from error
    except UnicodeDecodeError as error:  # SQLite's own message repeats bytes of the file
        connection.close()
        raise storage_error(path, sqlite3.DatabaseError("malformed schema")) from error
    return connection


def _make_file(path: Path) -> None:
    """Make *path* if it is missing, readable by its owner alone; a link or device is refused.

    An existing file is not opened: closing it would drop the locks that SQLite holds for this
    process (https://www.sqlite.org/howtocorrupt.html §2.2).

    Raises:
        StorageError: it cannot be made, or is not a regular file.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError as error:
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise StorageError(f"{path}: not a regular file: remove it") from error
    except OSError:
        return  # SQLite says why


OnCommit = Callable[[Sequence[T], StorageError | None], None]


class GroupWriter(Generic[T]):
    """A thread that writes items in groups, in the order in which they were put.

    Use it as a context manager: the thread starts on entry; leaving the block writes what is
    queued, then ends the thread.

    Args:
        name: The thread's.
        write: Writes a group; runs in the thread and returns after its COMMIT.
        on_commit: Called in the thread right after *write*, with its error if it failed.
        max_group: Most items written at once.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[Sequence[T]], None],
        on_commit: OnCommit[T],
        *,
        max_group: int = 512,
    ) -> None:
        self._write = write
        self._on_commit = on_commit
        self._max_group = max_group
        self._waiting: list[T] = []
        self._failure: StorageError | None = None
        """Why the thread ended before its time."""
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def put(self, item: T) -> None:
        """Queue *item*; from one thread only. Nobody waits for ever if the thread has died."""
        self._waiting.append(item)
        if self._failure is not None:
            self._report_failure(self._failure)
        if not self._wake.is_set():
            self._wake.set()

    @property
    def waiting(self) -> int:
        """Number of items put and not yet written."""
        return len(self._waiting)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what is queued and end the thread. Blocks."""
        self._closing = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._serve()
        except BaseException as error:  # noqa: BLE001  (whatever ends the thread ends the run)
            self._failure = StorageError(
                f"{self._thread.name}: the thread that writes has died ({error!r});"
                " run `codeclm resume RUN`"
            )
            self._report_failure(self._failure)

    def _report_failure(self, failure: StorageError) -> None:
        """Report everything that waits as not written."""
        group = list[T]()
        with suppress(IndexError):  # the other thread may report, too
            while True:
                group.append(self._waiting.pop(0))
        if group:
            self._on_commit(group, failure)

    def _serve(self) -> None:
        count = 0
        while True:
            self._wake.wait()
            if not self._closing:
                time.sleep(BUSY if count >= _BUSY_FROM else QUIET)
            self._wake.clear()
            # Safe without a lock: the other thread only appends, so the first items stay put.
            # They leave the queue once they are written, so that none is lost with the thread.
            count = remaining = len(self._waiting)
            while remaining:
                group = self._waiting[: min(remaining, self._max_group)]
                self._commit(group)
                del self._waiting[: len(group)]
                remaining -= len(group)
            if self._closing and not self._waiting:
                return

    def _commit(self, group: Sequence[T]) -> None:
        try:
            self._write(group)
        except StorageError as error:
            self._on_commit(group, error)
        except Exception as error:  # noqa: BLE001  (would end the thread and leave callers waiting)
            self._on_commit(group, StorageError(f"{self._thread.name}: {error!r}: this is a bug"))
        else:
            self._on_commit(group, None)


@contextmanager
def transaction(connection: sqlite3.Connection, path: Path) -> Generator[None]:
    """Commit what the block writes, all of it or nothing.

    Raises:
        StorageError: nothing was written.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise storage_error(path, error) from error
    finally:
        if connection.in_transaction:
            with suppress(sqlite3.Error):  # the first error says more
                connection.rollback()
