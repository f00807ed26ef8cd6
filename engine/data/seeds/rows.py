"""The rows of a seed file, whatever its format: lines, elements of an array, rows of a table."""

from collections.abc import Iterator
from typing import Any, NamedTuple, assert_never

from . import arrow, delimited, json_rows
from .files import SeedFile
from .source import SeedSource


class Rows(NamedTuple):
    """Rows with their numbers, and the separator between the file's name and a number.

    A row is bytes of JSON, an object, or an UnusableRecordError. Lines are counted from 1 (``:``),
    elements and rows of columns from 0 (``#``).
    """

    numbered: Iterator[tuple[int, Any]]
    separator: str


def read_rows(file: SeedFile, source: SeedSource | None) -> Rows:
    """Read the rows of *file*, of tables only the columns that *source* may use. None: all.

    Raises:
        SeedError: the file is damaged, or lacks a column that *source* needs. Some are only found
            while the rows are read.
    """
    path = file.path
    match file.format:
        case "jsonl":
            return Rows(json_rows.read_lines(path), ":")
        case "json" if json_rows.is_array(path):
            return Rows(json_rows.read_array(path), "#")
        case "json":
            return Rows(json_rows.read_lines(path), ":")
        case "csv":
            return Rows(delimited.read_table(path, delimited.delimiter_in(path), source), ":")
        case "tsv":
            return Rows(delimited.read_table(path, "\t", source), ":")
        case "parquet":
            return Rows(arrow.read_parquet(path, source), "#")
        case "arrow":
            return Rows(arrow.read_arrow(path, source), "#")
        case _:
            assert_never(file.format)


def count_rows(file: SeedFile, source: SeedSource) -> int:
    """Return how many rows *file* has, readable or not."""
    if file.format == "parquet":
        return arrow.count_parquet(file.path)
    return sum(1 for _ in read_rows(file, source).numbered)
