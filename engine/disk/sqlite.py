"""SQLite files: written in groups by one thread, complaints in plain words.

Knows neither replies nor examples: `cache` and `ledger` do.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

from ..data.errors import RunStopped

T = TypeVar("T")

QUIET, BUSY = 0.001, 0.005
"""Seconds the writer waits for company before it commits: the price of a group, in latency.

A row costs 12 µs of CPU in a group of 200 and 20 µs in one of 20, so the wait is longer while
there is company to be had.
"""

PAGE_SIZE = 16384
"""Bytes. A 2 KB value costs 2.4 KB on pages of 16 KB and 4.2 KB on pages of 4 KB (measured)."""


class StorageError(RunStopped):
    """A file of ours can't be read or written. The message names the file and the remedy."""


_REMEDIES = (
    ("disk is full", "the disk is full: free some space, then resume"),
    ("readonly", "it can't be written: check the permissions of the file and of its folder"),
    ("malformed", "it is damaged: move it away (for the cache: `codeclm cache verify` says more)"),
    ("not a database", "it is not one of ours, or it is damaged: move it away"),
    ("unable to open", "it can't be opened: check that the folder exists and can be written"),
    ("locked", "another process holds it: wait for that process, or stop it"),
    ("disk i/o", "the disk fails or is full: check it, then resume"),
)


def complaint(path: Path, error: sqlite3.Error) -> StorageError:
    """Put SQLite's error into words that name the file and what to do."""
    text = str(error).lower()
    remedy = next((remedy for mark, remedy in _REMEDIES if mark in text), "")
    return StorageError(f"{path}: {error}{': ' if remedy else ''}{remedy}")


def connect(path: Path, *, cache_kib: int = 8192) -> sqlite3.Connection:
    """Open *path* for one thread at a time, in WAL mode, made with our page size.

    ``synchronous=NORMAL`` in WAL mode: a killed process loses nothing that was committed; a power
    cut may lose the last commits but never damages the file.

    Raises:
        StorageError: the file can't be opened, or is not a database.
    """
    try:
        connection = sqlite3.connect(
            path, timeout=60, isolation_level=None, check_same_thread=False
        )
    except sqlite3.Error as error:
        raise complaint(path, error) from error
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
        raise complaint(path, error) from error
    return connection


Done = Callable[[Sequence[T], StorageError | None], None]


class GroupWriter(Generic[T]):
    """One thread that writes what many hand in, a group at a time.

    ``write(group)`` runs in the thread and must return after its COMMIT; ``done(group, error)`` is
    called in the same thread straight after it. `close` writes what is left.
    """

    def __init__(
        self, name: str, write: Callable[[Sequence[T]], None], done: Done[T], *, most: int = 512
    ) -> None:
        self._write = write
        self._done = done
        self._most = most
        self._waiting: list[T] = []
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, item: T) -> None:
        """Hand in *item*; from one thread only."""
        self._waiting.append(item)
        if not self._wake.is_set():
            self._wake.set()

    @property
    def waiting(self) -> int:
        """How many items have been handed in and not yet been taken up."""
        return len(self._waiting)

    def close(self) -> None:
        """Write what is left and end the thread. Blocks until it is on disk."""
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def __enter__(self) -> "GroupWriter[T]":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self) -> None:
        taken = 0
        while True:
            self._wake.wait()
            if not self._closing:
                time.sleep(BUSY if taken >= 16 else QUIET)
            self._wake.clear()
            # One slice assignment each: the putting thread appends behind `taken`, never before.
            taken = len(self._waiting)
            items = self._waiting[:taken]
            del self._waiting[:taken]
            for start in range(0, taken, self._most):
                self._commit(items[start : start + self._most])
            if self._closing and not self._waiting:
                return

    def _commit(self, group: Sequence[T]) -> None:
        try:
            self._write(group)
        except StorageError as error:
            self._done(group, error)
        except Exception as error:  # noqa: BLE001  (raised in here, it would leave them waiting)
            self._done(group, StorageError(f"{self._thread.name}: {error!r}: this is a bug"))
        else:
            self._done(group, None)


def transact(connection: sqlite3.Connection, path: Path, work: Callable[[], Any]) -> None:
    """Run *work* in one transaction: all of it or nothing.

    Raises:
        StorageError: it could not be written; nothing of it was.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            work()
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.rollback()
        raise complaint(path, error) from error
