"""Write rows as a Parquet file in row groups, so that neither writer nor reader holds all of it."""

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from itertools import islice
from typing import IO, Any, assert_never, cast

import msgspec
from msgspec import Struct

from ...providers.optional import install_command
from ..data.columns import Column, ColumnType, ListColumn, StructColumn
from ..data.formats import ExportError

_GROUP = 4096
"""Rows of one row group."""


def write_parquet(
    rows: Iterator[Struct],
    file: IO[bytes],
    columns: Sequence[Column],
    on_replacement: Callable[[dict[str, Any]], object],
) -> int:
    """Write *rows* and return their number; Zstandard compresses them.

    Parquet text is UTF-8, which cannot hold half a surrogate pair: it becomes U+FFFD, and
    *on_replacement* is called with the row as it was.

    Raises:
        ExportError: pyarrow is not installed.
    """
    try:
        pa: Any = import_module("pyarrow")
        pq: Any = import_module("pyarrow.parquet")
    except ImportError as error:
        raise ExportError(
            f"Parquet needs pyarrow: {install_command('parquet')}, or write .jsonl"
        ) from error
    schema = pa.schema([(column.name, _arrow_type(pa, column.type)) for column in columns])
    count = 0
    with pq.ParquetWriter(file, schema, compression="zstd") as table:
        while group := [msgspec.to_builtins(row) for row in islice(rows, _GROUP)]:
            table.write_batch(_batch(pa, schema, group, on_replacement))
            count += len(group)
    return count


def _arrow_type(pa: Any, kind: ColumnType) -> Any:
    match kind:
        case "string":
            return pa.string()
        case "int64":
            return pa.int64()
        case "float64":
            return pa.float64()
        case "bool":
            return pa.bool_()
        case ListColumn(items):
            return pa.list_(_arrow_type(pa, items))
        case StructColumn(fields):
            return pa.struct([(field.name, _arrow_type(pa, field.type)) for field in fields])
        case _:
            assert_never(kind)


def _batch(
    pa: Any,
    schema: Any,
    group: list[dict[str, Any]],
    on_replacement: Callable[[dict[str, Any]], object],
) -> Any:
    try:
        return pa.RecordBatch.from_pylist(group, schema=schema)
    except UnicodeEncodeError:
        encodable = [_encodable(row) for row in group]
    for before, after in zip(group, encodable, strict=True):
        if before != after:
            on_replacement(before)
    return pa.RecordBatch.from_pylist(encodable, schema=schema)


def _encodable(value: Any) -> Any:
    """Replace lone surrogates by U+FFFD in every text of *value*."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {name: _encodable(field) for name, field in fields.items()}
    if isinstance(value, list | tuple):
        items = [_encodable(item) for item in cast("Sequence[Any]", value)]
        return tuple(items) if isinstance(value, tuple) else items
    return value
