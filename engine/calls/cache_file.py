"""The cache's file: a diskcache folder, so that its tools can read it, with stricter rules.

Nothing is evicted, values are bytes, and pickle is refused: a cache from elsewhere must not run
code. Everything here blocks.
"""

import errno
import sqlite3
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import diskcache
import msgspec
from msgspec import Struct

from ..disk.exclusive import ExclusiveUse, entry_lock
from ..disk.sqlite import StorageError, connect, storage_error, transaction
from .replies import StoredReply, decode_reply
from .spending import SPENDING_TABLE, Charge, store_charges
from .uses import USES_TABLE, Use, store_uses


class BytesDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache ships no types
    """A diskcache Disk that stores bytes only, in the database only, and never unpickles."""

    def __init__(self, directory: str, **settings: object) -> None:
        del settings  # those of another program's Disk, if one created the folder
        super().__init__(directory)

    def put(self, key: Any) -> Any:
        if not isinstance(key, bytes):
            raise TypeError(f"keys are bytes, not {type(key).__name__}")
        return sqlite3.Binary(key), True

    def get(self, key: object, raw: object) -> bytes:
        if not raw or not isinstance(key, bytes):
            raise StorageError("the cache holds a key that codeclm did not write")
        return key

    def store(self, value: Any, read: Any, key: Any = None) -> Any:
        del read, key
        if not isinstance(value, bytes):
            raise TypeError(f"values are bytes, not {type(value).__name__}")
        return 0, _RAW, None, sqlite3.Binary(value)

    def fetch(self, mode: object, filename: object, value: object, read: object) -> bytes:
        del read
        if mode != _RAW or filename is not None or not isinstance(value, bytes):
            raise StorageError("the cache holds a value that codeclm did not write")
        return value


_RAW = 1  # diskcache's MODE_RAW

_SETTINGS: dict[str, Any] = {
    "eviction_policy": "none",
    "cull_limit": 0,
    "size_limit": 2**50,
    "statistics": 0,
    "tag_index": 0,
    "sqlite_auto_vacuum": 0,
    "sqlite_cache_size": -8192,  # KiB; as pages of 16 KB it would be 128 MB
    "sqlite_mmap_size": 0,
    "disk_min_file_size": 2**50,
}

SELECT_VALUE = (
    "SELECT value FROM Cache"
    f" WHERE key = ? AND raw = 1 AND mode = {_RAW} AND typeof(value) = 'blob'"
)
_ROW = f"(?, 1, ?, ?, {_RAW}, ?)"
_INSERT = (
    f"INSERT OR IGNORE INTO Cache (key, raw, store_time, access_time, mode, value) VALUES {_ROW}"
)
_REPLACE = _INSERT.replace("IGNORE", "REPLACE")

# Rows per statement: each execution releases the interpreter's lock and has to win it back from a
# busy event loop, so one statement for many rows is several times faster than one per row.
_ROWS = (64, 8, 1)
_INSERT_ROWS = {n: _INSERT + f", {_ROW}" * (n - 1) for n in _ROWS}


class Entry(Struct):
    """A value to store under its key; afterwards ``value`` is what is now stored.

    Another process may have been first: unless ``replace`` is set, its value stays. The charge is
    stored all the same: this answer was paid for, too.
    """

    key: bytes
    value: bytes
    replace: bool = False
    charge: Charge | None = None


@contextmanager
def open_cache_file(folder: Path) -> Generator["CacheFile"]:
    """Open the cache in *folder*, creating it if missing.

    Raises:
        StorageError: it cannot be opened or written, or it is damaged.
    """
    with ExitStack() as stack:
        yield _open(folder, stack)


def _open(folder: Path, stack: ExitStack) -> "CacheFile":
    path = folder / "cache.db"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with entry_lock(folder):
            exclusive = stack.enter_context(ExclusiveUse(folder))
            with closing(connect(path)) as new:  # sets the page size, which only a new file takes
                _check_schema(new, path)
            # diskcache creates the tables, so that its tools work; all else is done here.
            tables: Any = diskcache.Cache(str(folder), disk=BytesDisk, **_SETTINGS)
            tables.close()
            reader = stack.enter_context(closing(connect(path)))
            reader.execute("PRAGMA query_only=1")
            reader.execute(SELECT_VALUE, (b"",)).fetchone()
            writer = stack.enter_context(closing(connect(path)))
            with transaction(writer, path):  # if nothing can be written, this fails, not a call
                SPENDING_TABLE.create(writer, path)
                USES_TABLE.create(writer, path)
    except sqlite3.Error as error:
        raise storage_error(path, error) from error
    except OSError as error:
        where = error.filename if error.errno == errno.EINVAL else folder  # not a regular file
        raise StorageError(f"{where}: {error.strerror}: choose another folder") from error
    return CacheFile(folder, reader, writer, exclusive)


_TRIGGERS = frozenset(
    f"CREATE TRIGGER Settings_{name} ON Cache FOR EACH ROW BEGIN UPDATE Settings SET value ="
    f" {value}; END"
    for name, value in (
        ("count_insert AFTER INSERT", 'value + 1 WHERE key = "count"'),
        ("count_delete AFTER DELETE", 'value - 1 WHERE key = "count"'),
        ("size_insert AFTER INSERT", 'value + NEW.size WHERE key = "size"'),
        ("size_update AFTER UPDATE", 'value + NEW.size - OLD.size WHERE key = "size"'),
        ("size_delete AFTER DELETE", 'value - OLD.size WHERE key = "size"'),
    )
)
"""Those that diskcache makes. Any other could run for ever."""

_KNOWN_SETTINGS = frozenset(
    {*diskcache.core.DEFAULT_SETTINGS, *diskcache.core.METADATA, "disk_compress_level"}
)
"""diskcache sets an attribute of its own for every row of its table of settings."""


def _check_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Check that *connection* has nothing that diskcache would not have made, before it opens it.

    Raises:
        StorageError: it has.
    """
    objects = connection.execute(
        "SELECT name, type, sql FROM sqlite_master WHERE type IN ('view', 'trigger')"
    ).fetchall()
    foreign = [name for name, kind, sql in objects if kind == "view" or sql not in _TRIGGERS]
    tables = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'Settings'"
    if connection.execute(tables).fetchone():
        keys = connection.execute("SELECT key FROM Settings").fetchall()
        foreign += [str(key) for (key,) in keys if key not in _KNOWN_SETTINGS]
    if foreign:
        raise StorageError(f"{path}: not made by codeclm (it has {foreign[0]!r}): move it away")


class CacheFile:
    """An open cache folder: one connection to read, one to write, each for one thread at a time."""

    def __init__(
        self,
        folder: Path,
        reader: sqlite3.Connection,
        writer: sqlite3.Connection,
        exclusive: ExclusiveUse,
    ) -> None:
        self.folder = folder
        self.path = folder / "cache.db"
        self._reader = reader
        self._writer = writer
        self._exclusive = exclusive

    @property
    def alone(self) -> bool:
        """Whether no other process has opened the folder before or since."""
        return self._exclusive.alone

    def get(self, key: bytes) -> bytes | None:
        """Return the value of *key*, in some 10 µs.

        Raises:
            StorageError: the file cannot be read.
        """
        try:
            row: tuple[bytes] | None = self._reader.execute(SELECT_VALUE, (key,)).fetchone()
        except sqlite3.Error as error:
            raise storage_error(self.path, error) from error
        return None if row is None else row[0]

    def put(self, group: Sequence[Entry | Use]) -> None:
        """Store the entries of *group* with their charges, and its uses, in one transaction.

        The entries' values become what is now stored.

        Raises:
            StorageError: nothing was stored.
        """
        now = time.time()
        entries = [entry for entry in group if isinstance(entry, Entry)]
        fresh = [(entry.key, now, now, entry.value) for entry in entries if not entry.replace]
        replacing = [(entry.key, now, now, entry.value) for entry in entries if entry.replace]
        with transaction(self._writer, self.path):
            inserted = self._insert(fresh)
            if replacing:
                self._writer.executemany(_REPLACE, replacing)
            if inserted < len(fresh):
                self._adopt(entries, now)
            store_charges(self._writer, [entry.charge for entry in entries if entry.charge])
            store_uses(self._writer, _uses(group))

    def add_charges(self, charges: Iterable[Charge]) -> None:
        """Store *charges* of replies that are stored without them.

        Raises:
            StorageError: nothing was stored.
        """
        with transaction(self._writer, self.path):
            store_charges(self._writer, charges)

    def _insert(self, rows: Sequence[tuple[Any, ...]]) -> int:
        """Insert the rows whose keys are new; return their number."""
        inserted = start = 0
        for size in _ROWS:
            while len(rows) - start >= size:
                values = [value for row in rows[start : start + size] for value in row]
                inserted += self._writer.execute(_INSERT_ROWS[size], values).rowcount
                start += size
        return inserted

    def _adopt(self, entries: Iterable[Entry], now: float) -> None:
        """Take over what another process stored first; replace a row that codeclm did not write."""
        for entry in entries:
            row = self._writer.execute(SELECT_VALUE, (entry.key,)).fetchone()
            if row is not None:
                entry.value = row[0]
            else:
                self._writer.execute(_REPLACE, (entry.key, now, now, entry.value))

    # -- all of it ----------------------------------------------------------------------------

    def row_bound(self) -> int:
        """Return an upper bound of the number of rows."""
        (last,) = self._reader.execute("SELECT max(rowid) FROM Cache").fetchone()
        return last or 0

    def key_starts(self) -> Iterator[bytes]:
        """Yield the first four bytes of every key."""
        rows = self._reader.execute(
            "SELECT substr(key, 1, 4) FROM Cache WHERE typeof(key) = 'blob'"
        )
        return (row[0] for row in rows)

    def replies(self) -> Iterator[tuple[bytes, StoredReply | None]]:
        """Yield every key with its reply, None where key or value are not ours.

        Raises:
            StorageError: the file cannot be read.
        """
        try:
            for key, value in self._reader.execute("SELECT key, value FROM Cache"):
                yield (key, _decoded(value)) if isinstance(key, bytes) else (b"", None)
        except sqlite3.Error as error:
            raise storage_error(self.path, error) from error

    def integrity_errors(self) -> list[str]:
        """Return what SQLite finds wrong with the file; nothing if it is sound."""
        try:
            rows = self._reader.execute("PRAGMA integrity_check").fetchall()
        except sqlite3.Error as error:
            return [str(error)]
        return [row[0] for row in rows if row[0] != "ok"]

    def count_older(self, than: float) -> int:
        """Count the replies stored before *than*, in seconds since 1970."""
        row = self._reader.execute("SELECT count(*) FROM Cache WHERE store_time < ?", (than,))
        return int(row.fetchone()[0])

    def delete_older(self, than: float) -> int:
        """Delete the replies stored before *than*. Nothing else ever deletes any.

        Raises:
            StorageError: another process uses the cache.
        """
        self._check_alone()
        return self._administer("DELETE FROM Cache WHERE store_time < ?", than)

    def vacuum(self) -> None:
        """Return the space of deleted replies to the disk; needs as much free space meanwhile.

        Raises:
            StorageError: another process uses the cache, or the disk is full.
        """
        self._check_alone()
        self._administer("VACUUM")
        self._administer("PRAGMA wal_checkpoint(TRUNCATE)")

    def _check_alone(self) -> None:
        if not self.alone:
            raise StorageError(
                f"{self.folder}: another process uses it: wait for that process, or stop it"
            )

    def _administer(self, statement: str, *values: float) -> int:
        try:
            return self._writer.execute(statement, values).rowcount
        except sqlite3.Error as error:
            raise storage_error(self.path, error) from error


def _uses(group: Iterable[Entry | Use]) -> Iterator[Use]:
    for item in group:
        if isinstance(item, Use):
            yield item
        elif item.charge is not None:
            yield Use(item.key, item.charge.session)


def _decoded(value: Any) -> StoredReply | None:
    try:
        return decode_reply(value) if isinstance(value, bytes) else None
    except msgspec.MsgspecError:
        return None
