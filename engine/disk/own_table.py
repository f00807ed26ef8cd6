"""A table of ours in a SQLite file that a library made."""

import sqlite3
from pathlib import Path

from msgspec import Struct

from .sqlite import StorageError

_FIND = "SELECT sql FROM sqlite_master WHERE name = ?"


class OwnTable(Struct, frozen=True):
    """A table by its name and the statement ``CREATE TABLE …``, as SQLite keeps it."""

    name: str
    statement: str

    def create(self, connection: sqlite3.Connection, path: Path) -> None:
        """Create the table in the file at *path*, unless it exists.

        Raises:
            StorageError: a table of another form has its name.
            sqlite3.Error: the file cannot be written.
        """
        if not self.exists(connection, path):
            connection.execute(self.statement.replace("TABLE", "TABLE IF NOT EXISTS", 1))

    def exists(self, connection: sqlite3.Connection, path: Path) -> bool:
        """Return whether the file at *path* has the table.

        Raises:
            StorageError: a table of another form has its name.
            sqlite3.Error: the file cannot be read.
        """
        row: tuple[str] | None = connection.execute(_FIND, (self.name,)).fetchone()
        if row is not None and row[0] != self.statement:
            raise StorageError(
                f"{path}: not made by codeclm (its table {self.name!r}): move it away"
            )
        return row is not None
