"""Read seed files: JSON lines, JSON, CSV, TSV, Parquet, Arrow, and folders of them.

Records come in the order of the files, one at a time; only a JSON array is held in memory. A record
that is not a seed is reported with its location and the reason, and reading continues. Only
`remote` uses a network.
"""

from collections.abc import Container, Iterator
from hashlib import blake2b
from itertools import chain, repeat
from itertools import count as counter
from pathlib import Path
from typing import Any

from msgspec import Struct

from ..records import Seed, Unreadable, identity
from .files import SeedFile, find_files
from .instructions import (
    ReadInstruction,
    instruction_reader,
    json_instruction_reader,
    stratum_reader,
)
from .rows import count_rows, read_rows
from .source import SeedError, SeedFormat, SeedSource, UnusableRecordError
from .values import parse_json

__all__ = [
    "SeedError",
    "SeedFileDigest",
    "SeedFormat",
    "SeedSource",
    "count",
    "digest",
    "digests",
    "read",
    "records",
]


def read(source: SeedSource, *, skip: Container[int] = b"") -> Iterator[Seed | Unreadable]:
    """Read the records of *source*; positions count from 0 over all files, without blank records.

    Args:
        source: The files.
        skip: Records to skip. Bytes or a bytearray hold a flag for each position, and
            may be too short; any other container holds the positions themselves.

    Raises:
        SeedError: immediately if a file cannot be used, or while reading if it is damaged.
    """
    read_instruction = instruction_reader(source)
    return _read(source, find_files(source), read_instruction, _flags(skip))


def records(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the location and the value of each record, whatever its fields. Blocks.

    Raises:
        SeedError: a file cannot be used, or a record cannot be read; the message names it.
    """
    for file in find_files(SeedSource((path,))):
        rows = read_rows(file, None)
        for number, row in rows.numbered:
            place = f"{file.path}{rows.separator}{number}"
            try:
                if isinstance(row, UnusableRecordError):
                    raise row
                yield place, parse_json(row) if isinstance(row, bytes) else row
            except UnusableRecordError as error:
                raise SeedError(f"{place}: {error}") from error


def count(source: SeedSource) -> int:
    """Return how many records `read` would yield, readable or not."""
    return sum(count_rows(file, source) for file in find_files(source))


class SeedFileDigest(Struct, frozen=True):
    """A seed file as a run reads it: where it is, its size in bytes, and their digest."""

    path: str
    size: int
    digest: str


def digest(source: SeedSource) -> str:
    """Return a digest of the bytes of all files, as 32 hex digits, regardless of their paths."""
    return digests(source)[0]


def digests(source: SeedSource) -> tuple[str, tuple[SeedFileDigest, ...]]:
    """Return the digest of all files together, as `digest` does, and that of each. Blocks.

    Raises:
        SeedError: a file cannot be read.
    """
    total = blake2b(digest_size=16)
    files = list[SeedFileDigest]()
    block = memoryview(bytearray(1 << 20))
    for path, _ in find_files(source):
        size, own = 0, blake2b(digest_size=16)
        try:
            with path.open("rb", buffering=0) as file:
                while length := file.readinto(block):
                    total.update(block[:length])
                    own.update(block[:length])
                    size += length
        except OSError as error:
            raise SeedError(f"{path}: {error.strerror}") from error
        total.update(size.to_bytes(8, "little"))
        files.append(SeedFileDigest(str(path.absolute()), size, own.hexdigest()))
    return total.hexdigest(), tuple(files)


def _read(
    source: SeedSource,
    files: list[SeedFile],
    read_instruction: ReadInstruction,
    flags: Iterator[object],
) -> Iterator[Seed | Unreadable]:
    positions = counter()
    read_stratum = stratum_reader(source)
    for file in files:
        rows = read_rows(file, source)
        is_json = file.format in {"jsonl", "json"}
        read_row = json_instruction_reader(read_instruction) if is_json else read_instruction
        # Rows come first: at the end of a file, zip must not use up a position.
        for (number, row), position, skipped in zip(rows.numbered, positions, flags, strict=False):
            if skipped:
                continue
            try:
                instruction = _checked(read_row, row, source.max_seed_bytes)
            except UnusableRecordError as error:
                yield Unreadable(position, f"{file.path}{rows.separator}{number}", str(error))
            else:
                stratum = "" if read_stratum is None else read_stratum(row)
                yield Seed(position, identity("seed", instruction), instruction, stratum)
    if next(positions) == 0:
        names = ", ".join(str(path) for path in source.paths)
        raise SeedError(f"{names}: no records: name a file with at least one instruction")


def _flags(skip: Container[int]) -> Iterator[object]:
    if isinstance(skip, bytes | bytearray):
        return chain(skip, repeat(0))
    return (position in skip for position in counter())


def _checked(read_row: ReadInstruction, row: Any, limit: int) -> str:
    if isinstance(row, UnusableRecordError):
        raise row
    text = read_row(row)
    if not text or text.isspace():
        raise UnusableRecordError("the instruction is empty")
    if len(text) * 4 > limit and (size := len(text.encode("utf-8", "surrogatepass"))) > limit:
        raise UnusableRecordError(f"the instruction is too long: {size:,} bytes, at most {limit:,}")
    return text
