"""Which stored replies each session used: what a run needs to go on elsewhere.

The key of a reply that was paid for is stored with the reply, in one transaction. A reply that
another run had paid for is noted right after it was read: killing the process can lose the notes of
the last few hundredths of a second.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from msgspec import Struct

from ..disk.own_table import OwnTable
from ..disk.sqlite import connect, storage_error

KEY_SIZE = 16
"""Bytes of a key."""


class Use(Struct, frozen=True):
    """A session that used the stored reply of a key."""

    key: bytes
    session: str


USES_TABLE: Final = OwnTable(
    "Uses", "CREATE TABLE Uses (session TEXT NOT NULL, keys BLOB NOT NULL) STRICT"
)
_INSERT = "INSERT INTO Uses VALUES (?, ?)"
_SELECT = "SELECT keys FROM Uses WHERE session = ?"


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
            if not USES_TABLE.exists(connection, path):
                return set()
            return {key for name in sessions for key in _keys(connection, name)}
        except sqlite3.Error as error:
            raise storage_error(path, error) from error


def _keys(connection: sqlite3.Connection, session: str) -> Iterator[bytes]:
    for (keys,) in connection.execute(_SELECT, (session,)):
        for start in range(0, len(keys) - KEY_SIZE + 1, KEY_SIZE):
            yield keys[start : start + KEY_SIZE]
