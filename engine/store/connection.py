"""A read-only connection to a ledger, whose errors name the file and the remedy."""

import sqlite3
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from ...providers import json_codec
from ..data.errors import UserError
from ..disk.sqlite import StorageError, connect, storage_error
from .schema import SCHEMA, VERSION

T = TypeVar("T")

START_OVER = (
    "move the run's folder away and run again; answers already paid for come from the cache"
)
"""What to do about a run's folder that cannot be used."""


@cache
def _our_schema() -> frozenset[tuple[str, str, str]]:
    """Return the type, name and SQL of everything in a new ledger."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        return frozenset(
            connection.execute(
                "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
            )
        )


class LedgerError(UserError):
    """A file is not a ledger that this version of codeclm reads. The message says what to do."""


class ReadConnection:
    """Runs queries, one thread at a time; other processes may be writing the file."""

    def __init__(self, path: Path) -> None:
        """Open the ledger at *path*. Blocks.

        Raises:
            LedgerError: the file is missing, no ledger, or of another version.
            StorageError: it cannot be read.
        """
        if not path.exists():
            raise LedgerError(f"{path}: not found; is {path.parent} a run's folder?")
        self.path = path
        self._connection = connect(path)
        try:
            self._check_version()
            self._check_schema()
            self._connection.execute("PRAGMA query_only=1")
        except sqlite3.Error as error:
            self._connection.close()
            raise storage_error(path, error) from error
        except LedgerError:
            self._connection.close()
            raise

    def _check_version(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            raise LedgerError(f"{self.path}: not a codeclm ledger: move it away")
        if version != VERSION:
            raise LedgerError(
                f"{self.path}: written by another version of codeclm (ledger format {version}, this"
                f" one reads {VERSION}): {START_OVER}"
            )

    def _check_schema(self) -> None:
        """Refuse a view or trigger that is not ours: it could run for ever."""
        objects = self._connection.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
        )
        if frozenset[Any](objects) != _our_schema():
            raise LedgerError(f"{self.path}: its tables are not those of codeclm: {START_OVER}")

    def rows(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of *query*.

        Raises:
            StorageError: the file cannot be read.
        """
        try:
            # Not `yield from`, which closes the cursor: by then the connection may be closed.
            for row in self._connection.execute(query, values):  # noqa: UP028
                yield row
        except sqlite3.Error as error:
            raise storage_error(self.path, error) from error

    def value(self, query: str, *values: object) -> Any:
        """Return the first column of the first row of *query*, None if there is no row."""
        return next((row[0] for row in self.rows(query, *values)), None)

    def data_version(self) -> int:
        """Return a number that differs from before if another connection has written since."""
        return int(self.value("PRAGMA data_version"))

    def decode(self, data: bytes | None, decoder: msgspec.json.Decoder[T]) -> T:
        """Decode a value of the ledger's.

        Raises:
            StorageError: it does not have the decoder's type.
        """
        try:
            return json_codec.loads(data or b"", decoder)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise self.damaged(error) from error

    def damaged(self, error: Exception) -> StorageError:
        """Return the error for a row that does not hold what it should."""
        return StorageError(f"{self.path}: a row is damaged ({error}): {START_OVER}")

    @contextmanager
    def snapshot(self) -> Generator[None]:
        """Let all queries of the block see one state of the ledger."""
        self._execute("BEGIN")
        try:
            yield
        finally:
            self._execute("COMMIT")

    def materialise(
        self,
        table: str,
        query: str,
        *values: object,
        columns: str = "row_index INTEGER PRIMARY KEY",
    ) -> None:
        """Put the rows that *query* gives into the temporary *table*.

        The table is visible to this connection alone.
        """
        self._execute("PRAGMA query_only=0")
        self._execute(f"DROP TABLE IF EXISTS temp.{table}")
        self._execute(f"CREATE TEMP TABLE {table} ({columns})")
        self._execute(f"INSERT INTO {table} {query}", *values)
        self._execute("PRAGMA query_only=1")

    def _execute(self, statement: str, *values: object) -> None:
        try:
            self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise storage_error(self.path, error) from error

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
