"""Write training files: rows of an export format as JSON lines, JSON or Parquet.

A file is replaced atomically. The same examples give the same bytes. Rows are written as they are
read, so memory does not grow with them.
"""

import gzip
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from msgspec import structs

from ...providers import json_codec
from ..config import Config
from ..data.columns import Column
from ..data.formats import (
    EXPORTS,
    ExportError,
    ExportFormat,
    ExportRow,
    MissingAnswerError,
    Selection,
    lineage,
    selections,
)
from ..disk.atomic import replacing
from .parquet import write_parquet
from .reader import LedgerReader


class _Table(NamedTuple):
    rows: Iterator[ExportRow]
    columns: tuple[Column, ...]
    on_replacement: Callable[[str], object]


def export(
    selections: Iterable[Selection],
    path: Path,
    export_format: ExportFormat[Any],
    *,
    with_metadata: bool = False,
    private: bool = False,
    on_replacement: Callable[[str], object] = lambda _id: None,
) -> int:
    """Write a row for each of *selections* to *path*, as its suffix says; return their number.

    JSON keeps every text as it is. Parquet cannot hold half a surrogate pair: it becomes U+FFFD,
    and *on_replacement* is called with the id of the row.

    Raises:
        ExportError: *path* is not a kind of file that can be written, or an example lacks an answer
            that the format needs.
        WriteError: the file cannot be written. What it held is untouched, here as above.
    """
    write = _writer(path)
    table = _Table(
        _rows(selections, export_format, with_metadata=with_metadata),
        export_format.columns(with_metadata=with_metadata),
        on_replacement,
    )
    with replacing(path, private=private) as file:
        return write(table, file)


def export_dataset(
    ledger: LedgerReader,
    config: Config,
    path: Path,
    export_format: ExportFormat[Any],
    *,
    with_metadata: bool = False,
    private: bool = False,
    on_replacement: Callable[[str], object] = lambda _id: None,
) -> int:
    """Write the dataset in *ledger*, that of a run with *config*, as `export` does.

    Raises:
        ExportError, WriteError: see `export`.
    """
    with closing(ledger.kept(config.target_rows)) as examples:
        rows = selections(
            examples, strong_model=config.strong.model, target_model=config.target.model
        )
        return export(
            rows,
            path,
            export_format,
            with_metadata=with_metadata,
            private=private,
            on_replacement=on_replacement,
        )


def _rows(
    selections: Iterable[Selection], export_format: ExportFormat[Any], *, with_metadata: bool
) -> Iterator[ExportRow]:
    for selection in selections:
        try:
            row = export_format.make_row(selection)
        except MissingAnswerError as error:
            names = (row.name for row in EXPORTS if not row.needs_both and row is not export_format)
            raise ExportError(f"{error}; formats that need only one: {', '.join(names)}") from error
        if with_metadata:
            row = structs.replace(row, metadata=lineage(selection.example))
        yield row


def _writer(path: Path) -> Callable[[_Table, IO[bytes]], int]:
    name = path.name.lower()
    for suffix, write in _WRITERS.items():
        if name.endswith(suffix):
            return write
    raise ExportError(f"{path}: unknown file type; use one of {', '.join(_WRITERS)}")


def _write_lines(table: _Table, file: IO[bytes]) -> int:
    count = 0
    for row in table.rows:
        file.write(json_codec.dumps(row) + b"\n")
        count += 1
    return count


def _write_gzipped_lines(table: _Table, file: IO[bytes]) -> int:
    # No name and no time in the header: the same rows give the same bytes.
    with gzip.GzipFile("", "wb", 6, fileobj=file, mtime=0) as packed:
        return _write_lines(table, cast("IO[bytes]", packed))


def _write_array(table: _Table, file: IO[bytes]) -> int:
    count = 0
    for row in table.rows:
        file.write((b",\n" if count else b"[\n") + json_codec.dumps(row))
        count += 1
    file.write(b"\n]\n" if count else b"[]\n")
    return count


def _write_parquet(table: _Table, file: IO[bytes]) -> int:
    return write_parquet(
        table.rows, file, table.columns, lambda row: table.on_replacement(row["id"])
    )


_WRITERS: dict[str, Callable[[_Table, IO[bytes]], int]] = {
    ".jsonl": _write_lines,
    ".jsonl.gz": _write_gzipped_lines,
    ".json": _write_array,
    ".parquet": _write_parquet,
}
SUFFIXES = tuple(_WRITERS)
