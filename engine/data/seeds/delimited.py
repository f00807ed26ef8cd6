"""Rows of CSV and TSV files."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from .instructions import USUAL_FIELDS, required_fields
from .source import SeedError, SeedSource, UnusableRecordError
from .text_file import bounded_lines, open_text, skip_rest
from .values import list_names

MAX_FIELD: Final = 16 << 20
"""Most characters of a field: a limit to what an unclosed quote can swallow."""


def delimiter_of(header: str) -> str:
    """Return the delimiter of a CSV file; European versions of Excel write ``;``."""
    return max(",;\t", key=re.sub(r'"[^"]*"', "", header).count)


def delimiter_in(path: Path) -> str:
    """Return the delimiter of the file *path*."""
    with open_text(path) as file:
        return delimiter_of(next((line for line in _decoded(file) if not line.isspace()), ""))


def read_table(
    path: Path, delimiter: str, source: SeedSource | None
) -> Iterator[tuple[int, dict[str, str] | UnusableRecordError]]:
    """Yield each row as an object with the number of its first line, from 1.

    Raises:
        SeedError: the header cannot be read, or lacks a column that *source* needs.
    """
    csv.field_size_limit(MAX_FIELD)  # for the whole process: the module has no other way
    with open_text(path) as file:
        reader = csv.reader(_decoded(file), delimiter=delimiter, strict=True)
        header: list[str] | None = None
        while True:
            number = reader.line_num + 1
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if header is None:
                    raise SeedError(f"{path}: the header cannot be read ({error})") from error
                yield number, UnusableRecordError(f"not CSV: {error}")
                continue
            if row and header is None:
                header = _header(path, row, source)
            elif row and header is not None:
                yield number, _record(header, row)


def check_columns(path: Path, names: Sequence[str], source: SeedSource) -> None:
    """Check that a table with the columns *names* has those that *source* needs.

    Raises:
        SeedError: a column is missing.
    """

    def exists(name: str) -> bool:
        return name in names or name.split(".", 1)[0] in names

    required = required_fields(source)
    missing = [name for name in required if not exists(name)]
    if missing or (not required and not any(map(exists, USUAL_FIELDS))):
        column = f"column {missing[0]!r}" if missing else "column known to hold instructions"
        raise SeedError(
            f"{path}: no {column}; it has {list_names(names)}: choose one as the seed field"
        )


def _decoded(file: io.BufferedReader) -> Iterator[str]:
    """Yield lines as text; bytes that are not UTF-8 become lone surrogates."""
    for line in bounded_lines(file):
        skip_rest(file, line)  # more than a field may hold
        yield line.decode("utf-8", "surrogateescape")


def _header(path: Path, row: list[str], source: SeedSource | None) -> list[str]:
    names = [name.strip() for name in row]
    repeated = sorted(name for name, times in Counter(names).items() if name and times > 1)
    if repeated:
        raise SeedError(f"{path}: two columns are called {repeated[0]!r}: rename one")
    if source is not None:
        check_columns(path, names, source)
    return names


def _record(header: list[str], row: list[str]) -> dict[str, str] | UnusableRecordError:
    if len(row) != len(header):
        return UnusableRecordError(f"the row has {len(row)} fields, the header {len(header)}")
    try:
        "".join(row).encode()
    except UnicodeEncodeError as error:
        byte = ord(error.object[error.start]) - 0xDC00  # surrogateescape kept it
        return UnusableRecordError(f"invalid UTF-8: byte 0x{byte:02x}")
    return dict(zip(header, row, strict=True))
