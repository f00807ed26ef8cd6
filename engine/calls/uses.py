"""Which stored replies each session used: what a run needs to go on elsewhere.

The key of a reply that was paid for is stored with the reply, in one transaction. A reply that
another run had paid for is noted right after it was read: killing the process can lose the notes of
the last few hundredths of a second.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from msgspec import Struct

from ..disk.sqlite import StorageError, connect, storage_error

KEY_SIZE = 16
"""Bytes of a key."""


class Use(Struct, frozen=True):
    """A session that used the stored reply of a key."""

    key: bytes
    session: str


_TABLE = "CREATE TABLE Uses (session TEXT NOT NULL, keys BLOB NOT NULL) STRICT"
_INSERT = "INSERT INTO Uses VALUES (?, ?)"
_SELECT = "SELECT keys FROM Uses WHERE session = ?"
_FIND_TABLE = "SELECT sql FROM sqlite_master WHERE name = 'Uses'"


def create_uses_table(connection: sqlite3.Connection, path: Path) -> None:
    """Create the table in the cache at *path*, unless it exists.

    Raises:
        StorageError: the table is not ours.
        sqlite3.Error: the file cannot be written.
    """
    if not _has_table(connection, path):
        connection.execute(_TABLE.replace("TABLE", "TABLE IF NOT EXISTS", 1))


def _has_table(connection: sqlite3.Connection, path: Path) -> bool:
    row: tuple[str] | None = connection.execute(_FIND_TABLE).fetchone()
    if row is not None and row[0] != _TABLE:
        raise StorageError(f"{path}: not made by codeclm (its table 'Uses'): move it away")
    return row is not None


def store_uses(connection: sqlite3.Connection, uses: Iterable[Use]) -> None:
    """Add *uses*, one row per session; the caller's transaction commits it."""
    keys: dict[str, list[bytes]] = {}
    for use in uses:
        keys.setdefault(use.session, []).append(use.key)
    connection.executemany(_INSERT, [(name, b"".join(used)) for name, used in keys.items()])


def stored_uses(path: Path, sessions: Sequence[str]) -> set[bytes]:
    """Return the keys of the replies that *sessions* used, as the cache at *path* knows. Blocks.

    Raises:
        StorageError: the cache cannot be read.
    """
    if not path.is_file():
        return set()
    with closing(connect(path)) as connection:
        try:
            if not _has_table(connection, path):
                return set()
            return {key for name in sessions for key in _keys(connection, name)}
        except sqlite3.Error as error:
            raise storage_error(path, error) from error


def _keys(connection: sqlite3.Connection, session: str) -> Iterator[bytes]:
    for (keys,) in connection.execute(_SELECT, (session,)):
        for start in range(0, len(keys) - KEY_SIZE + 1, KEY_SIZE):
            yield keys[start : start + KEY_SIZE]
