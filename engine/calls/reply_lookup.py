"""Look stored replies up by their keys, without a part in the cache's use by a session."""

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from ..disk.sqlite import StorageError, connect, storage_error
from .cache_file import SELECT_VALUE
from .replies import StoredReply, decode_reply


class ReplyLookup:
    """The replies of a cache, for one thread at a time; without a cache, none."""

    def __init__(self, path: Path, connection: sqlite3.Connection | None) -> None:
        self._path = path
        self._connection = connection

    @property
    def has_cache(self) -> bool:
        """Whether there is a cache to look in."""
        return self._connection is not None

    def get(self, key: str) -> StoredReply | None:
        """Return the reply with *key*, in hex; None if it is not there or not codeclm's.

        Raises:
            StorageError: the cache cannot be read.
        """
        if self._connection is None:
            return None
        try:
            row = self._connection.execute(SELECT_VALUE, (bytes.fromhex(key),)).fetchone()
        except sqlite3.Error as error:
            raise storage_error(self._path, error) from error
        except ValueError:  # a damaged ledger's key
            return None
        try:
            return None if row is None else decode_reply(row[0])
        except msgspec.MsgspecError:
            return None


@contextmanager
def open_replies(path: Path) -> Generator[ReplyLookup]:
    """Open the cache at *path* for reading; it holds nothing where there is none. Blocks."""
    if not path.is_file():
        yield ReplyLookup(path, None)
        return
    try:
        connection = connect(path)
    except StorageError:  # no database: a viewer shows the run all the same
        yield ReplyLookup(path, None)
        return
    with closing(connection):
        connection.execute("PRAGMA query_only=1")
        yield ReplyLookup(path, connection)
