"""What the rows of a file are: lines, elements of an array, rows of a table."""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from itertools import chain
from json import JSONDecoder
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw

from .instructions import FIELDS, bad_byte, listed, parse, required_fields, wanted_fields
from .source import SeedError, SeedSource, Unfit

MAX_LINE = 64 << 20
"""Bytes of one line that are held at most; a longer line is skipped to its end."""
MAX_FIELD = 16 << 20
"""Characters of one CSV field; what a quote left open can swallow."""

Rows = Iterator[tuple[int, Any]]
_parts = msgspec.json.Decoder(list[Raw])


def rows_of(path: Path, kind: str, source: SeedSource | None) -> tuple[Rows, str]:
    """Give the rows of a file with their numbers, and the mark between its name and a number.

    Lines are counted from 1, records of arrays and columns from 0. Of columns only those that
    *source* may want are read, and it is refused if they are not there; None: all of them.
    """
    if kind == "json":
        return (_array(path), "#") if _is_array(path) else (_lines(path), ":")
    if kind == "jsonl":
        return _lines(path), ":"
    if kind in {"csv", "tsv"}:
        return _table(path, "\t" if kind == "tsv" else _delimiter(path), source), ":"
    return _arrow_rows(path, kind, source), "#"


def length(path: Path, kind: str, source: SeedSource) -> int:
    if kind == "parquet":
        with _arrow(path) as (pa, file), pa.parquet.ParquetFile(file) as table:
            return int(table.metadata.num_rows)
    return sum(1 for _ in rows_of(path, kind, source)[0])


@contextmanager
def _opened(path: Path) -> Generator[io.BufferedReader]:
    """Open a text file behind its byte order mark, unpacked if it is packed."""
    try:
        with io.BufferedReader(path.open("rb", buffering=0), 1 << 18) as raw:
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            file: io.BufferedReader[Any] = raw
            if packed:
                file = io.BufferedReader(gzip.GzipFile(fileobj=raw), 1 << 18)
            if file.peek(3)[:3] == b"\xef\xbb\xbf":
                file.read(3)
            yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SeedError(f"{path}: damaged gzip file ({error}); fetch or pack it again") from error
    except OSError as error:
        raise SeedError(f"{path}: {error.strerror or error}") from error


def _finish(file: io.BufferedReader, line: bytes) -> bool:
    """Skip to the end of the line whose beginning is *line*; False if it was whole."""
    if len(line) < MAX_LINE or line.endswith(b"\n"):
        return False
    while line and not line.endswith(b"\n"):
        line = file.readline(1 << 20)
    return True


def _lines(path: Path) -> Rows:
    with _opened(path) as file:
        for number, line in enumerate(iter(partial(file.readline, MAX_LINE), b""), 1):
            if line.isspace():
                continue
            if len(line) >= MAX_LINE and _finish(file, line):
                yield number, Unfit(f"the line is too long: over {MAX_LINE:,} bytes")
            else:
                yield number, line


def _is_array(path: Path) -> bool:
    """Tell a JSON array from JSON lines, which are often named .json too."""
    with _opened(path) as file:
        lines = iter(partial(file.readline, MAX_LINE), b"")
        first = next((line for line in lines if not line.isspace()), b"")
    if first.lstrip().startswith(b"["):
        return True
    try:
        parse(first)
    except Unfit as error:
        raise SeedError(
            f"{path}: neither a JSON array of records nor JSON lines ({error}); "
            "name it .jsonl if only its first line is bad"
        ) from error
    return False


def _array(path: Path) -> Rows:
    with _opened(path) as file:
        data = file.read()
    try:
        rows: Iterable[bytes] = map(bytes, _parts.decode(data))
    except (msgspec.DecodeError, RecursionError):
        rows = _split(path, data)
    yield from enumerate(rows)


def _split(path: Path, data: bytes) -> Iterator[bytes]:
    """Cut an array where the fast decoder refuses a part of it, so that only that part is lost."""
    text = data.decode("utf-8", "surrogateescape")
    decode = JSONDecoder().raw_decode
    gap = re.compile(r"[ \t\r\n]*")
    place = _after(gap, text, text.index("[") + 1)
    while not text.startswith("]", place):
        try:
            _, end = decode(text, place)
        except (ValueError, RecursionError) as error:
            raise SeedError(f"{path}: not a JSON array ({error})") from error
        yield text[place:end].encode("utf-8", "surrogateescape")
        place = _after(gap, text, end)
        if text.startswith(",", place):
            place = _after(gap, text, place + 1)
        elif not text.startswith("]", place):
            raise SeedError(f"{path}: not a JSON array (character {place}: expected , or ])")


def _after(gap: re.Pattern[str], text: str, place: int) -> int:
    match = gap.match(text, place)
    return match.end() if match else place


def _texts(file: io.BufferedReader) -> Iterator[str]:
    for line in iter(partial(file.readline, MAX_LINE), b""):
        _finish(file, line)  # what is left of it is more than a field may hold
        yield line.decode("utf-8", "surrogateescape")


def delimiter_of(header: str) -> str:
    """Tell by its header what parts a CSV file's columns; half of Europe's Excel writes ``;``."""
    return max(",;\t", key=re.sub(r'"[^"]*"', "", header).count)


def _delimiter(path: Path) -> str:
    with _opened(path) as file:
        return delimiter_of(next((line for line in _texts(file) if not line.isspace()), ""))


def _table(path: Path, delimiter: str, source: SeedSource | None) -> Rows:
    csv.field_size_limit(MAX_FIELD)  # for the whole process: the csv module knows no other way
    with _opened(path) as file:
        reader = csv.reader(_texts(file), delimiter=delimiter, strict=True)
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
                yield number, Unfit(f"not CSV: {error}")
                continue
            if row and header is None:
                header = _header(path, row, source)
            elif row and header is not None:
                yield number, _record(header, row)


def _header(path: Path, row: list[str], source: SeedSource | None) -> list[str]:
    names = [name.strip() for name in row]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise SeedError(f"{path}: column {twice[0]!r} is there twice; rename one")
    if source is not None:
        _check_columns(path, names, source)
    return names


def _record(header: list[str], row: list[str]) -> dict[str, str] | Unfit:
    if len(row) != len(header):
        return Unfit(f"the row has {len(row)} fields, the header {len(header)}")
    try:
        "".join(row).encode()
    except UnicodeEncodeError as error:  # surrogateescape has kept the byte
        return Unfit(f"invalid UTF-8: byte 0x{ord(error.object[error.start]) - 0xDC00:02x}")
    return dict(zip(header, row, strict=True))


def _check_columns(path: Path, names: Sequence[str], source: SeedSource) -> None:
    def there(wanted: str) -> bool:
        return wanted in names or wanted.split(".", 1)[0] in names

    required = required_fields(source)
    missing = [name for name in required if not there(name)]
    if missing or (not required and not any(map(there, FIELDS))):
        what = f"column {missing[0]!r}" if missing else "column known to hold instructions"
        raise SeedError(f"{path}: no {what}; it has {listed(names)}: choose one as the seed field")


@contextmanager
def _arrow(path: Path) -> Generator[tuple[Any, Any]]:
    try:
        pa: Any = import_module("pyarrow")
        import_module("pyarrow.parquet")
    except ImportError as error:
        raise SeedError(
            f'{path}: reading it needs pyarrow: pip install "codeclm[parquet]"'
        ) from error
    try:
        with path.open("rb") as file:
            yield pa, file
    except (pa.ArrowException, OSError) as error:
        raise SeedError(f"{path}: cannot be read ({error})") from error


def _arrow_rows(path: Path, kind: str, source: SeedSource | None) -> Rows:
    with _arrow(path) as (pa, file):
        names, batches = (_parquet if kind == "parquet" else _shards)(pa, file, source)
        if source is not None:
            _check_columns(path, names, source)
        yield from enumerate(chain.from_iterable(map(_dicts, batches)))


def _parquet(pa: Any, file: Any, source: SeedSource | None) -> tuple[list[str], Iterator[Any]]:
    table = pa.parquet.ParquetFile(file)
    names: list[str] = table.schema_arrow.names
    columns = _wanted(names, source)
    # small batches, because one record may be a megabyte
    return names, table.iter_batches(batch_size=256, columns=columns, use_threads=False)


def _shards(pa: Any, file: Any, source: SeedSource | None) -> tuple[list[str], Iterator[Any]]:
    """Read what the datasets library leaves on disk: the stream form, in older files the other."""
    if file.read(6) == b"ARROW1":
        file.seek(0)
        table = pa.ipc.open_file(file)
        batches = (table.get_batch(number) for number in range(table.num_record_batches))
    else:
        file.seek(0)
        table = pa.ipc.open_stream(file)
        batches = iter(table)
    columns = _wanted(table.schema.names, source)
    return table.schema.names, (batch.select(columns) for batch in batches)


def _wanted(names: list[str], source: SeedSource | None) -> list[str]:
    if source is None:
        return names
    wanted = wanted_fields(source)
    return [name for name in names if name in wanted]


def _dicts(batch: Any) -> Iterator[Any]:
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        for number in range(batch.num_rows):
            try:
                yield batch.slice(number, 1).to_pylist()[0]
            except UnicodeDecodeError as error:
                yield Unfit(bad_byte(error))


# What a record says
