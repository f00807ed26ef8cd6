"""Rows of Parquet and Arrow files; reading them needs pyarrow."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from ....providers.optional import install_command
from .delimited import check_columns
from .instructions import used_fields
from .source import SeedError, SeedSource, UnusableRecordError
from .values import describe_bad_byte

_MAX_ROW_GROUP = 1 << 30

Numbered = Iterator[tuple[int, Any]]


def read_parquet(path: Path, source: SeedSource | None) -> Numbered:
    """Yield each row of a Parquet file as an object with its number, from 0.

    Raises:
        SeedError: pyarrow is missing, the file is damaged, or it lacks a column.
    """
    with _open(path) as (pa, file):
        # Reading ahead would leave a thread of Arrow's pool behind, for no gain from a local disk.
        table = pa.parquet.ParquetFile(file, pre_buffer=False)
        _check_row_groups(path, table.metadata)
        columns = _columns(path, table.schema_arrow.names, source)
        # Small batches, because one record may be a megabyte.
        yield from _rows(table.iter_batches(batch_size=256, columns=columns, use_threads=False))


def read_arrow(path: Path, source: SeedSource | None) -> Numbered:
    """Yield each row of an Arrow file as an object with its number, from 0.

    The datasets library saves streams; older versions of it, files.

    Raises:
        SeedError: as for `read_parquet`.
    """
    with _open(path) as (pa, file):
        is_file_format = bytes(file.read(6)) == b"ARROW1"
        file.seek(0)
        if is_file_format:
            table = pa.ipc.open_file(file)
            batches = (table.get_batch(number) for number in range(table.num_record_batches))
        else:
            table = pa.ipc.open_stream(file)
            batches = iter(table)
        columns = _columns(path, table.schema.names, source)
        yield from _rows(batch.select(columns) for batch in batches)


def count_parquet(path: Path) -> int:
    """Return how many rows a Parquet file has, by its footer."""
    with _open(path) as (pa, file), pa.parquet.ParquetFile(file) as table:
        return int(table.metadata.num_rows)


@contextmanager
def _open(path: Path) -> Generator[tuple[Any, Any]]:
    try:
        pa: Any = import_module("pyarrow")
        import_module("pyarrow.parquet")
    except ImportError as error:
        raise SeedError(
            f"{path}: reading it needs pyarrow: {install_command('parquet')}"
        ) from error
    try:
        # Arrow's own file: a thread of its pool that still holds a Python file when the
        # interpreter ends aborts the process (apache/arrow issues 34314 and 50482).
        with pa.OSFile(str(path)) as file:
            yield pa, file
    except (pa.ArrowException, OSError) as error:
        raise SeedError(f"{path}: cannot be read ({error})") from error


def _check_row_groups(path: Path, metadata: Any) -> None:
    """Refuse row groups that unpack to more than fits into memory: they are read whole."""
    largest = max(
        (metadata.row_group(n).total_byte_size for n in range(metadata.num_row_groups)), default=0
    )
    if largest > _MAX_ROW_GROUP:
        raise SeedError(
            f"{path}: a row group of {largest:,} bytes, at most {_MAX_ROW_GROUP:,}: write the file"
            " with smaller row groups"
        )


def _columns(path: Path, names: list[str], source: SeedSource | None) -> list[str]:
    if source is None:
        return names
    check_columns(path, names, source)
    fields = used_fields(source)
    return [name for name in names if name in fields]


def _rows(batches: Iterator[Any]) -> Numbered:
    number = 0
    for batch in batches:
        for row in _records(batch):
            yield number, row
            number += 1


def _records(batch: Any) -> Iterator[Any]:
    try:
        yield from batch.to_pylist()
    except (UnicodeDecodeError, OverflowError, ValueError):
        for number in range(batch.num_rows):
            try:
                yield batch.slice(number, 1).to_pylist()[0]
            except UnicodeDecodeError as error:
                yield UnusableRecordError(describe_bad_byte(error))
            except (OverflowError, ValueError) as error:  # such as a time beyond the year 9999
                yield UnusableRecordError(f"a value cannot be read: {error}")
