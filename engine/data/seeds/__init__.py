"""Seed files become seeds: JSON lines, JSON, CSV, Parquet, Arrow, and folders of them.

Records come in the order of the files, one at a time; only a JSON array is read whole. A record
that is no seed is told, with its place and the reason, and the next one is read. Nothing is fetched
from a network. Knows no run and no model.
"""

from collections.abc import Container, Iterator
from functools import partial
from hashlib import blake2b
from itertools import chain, repeat
from itertools import count as counter
from pathlib import Path
from typing import Any

from ..records import Seed, Unreadable, identity
from .files import find
from .formats import length, rows_of
from .instructions import Pick, from_json, parse, picker
from .source import SeedError, SeedFormat, SeedSource, Unfit

__all__ = ["SeedError", "SeedFormat", "SeedSource", "count", "digest", "read", "whole"]


def read(source: SeedSource, *, skip: Container[int] = b"") -> Iterator[Seed | Unreadable]:
    """Read the records of *source*; positions count them from 0 over all files, blank ones not.

    Args:
        source: The files.
        skip: Finished records. Bytes or a bytearray hold a flag for each position, and may be too
            short; any other container holds the positions themselves.

    Raises:
        SeedError: at once if a file cannot be used, or while reading if it turns out damaged.
    """
    pick = picker(source)
    return _read(source, find(source), pick, _flags(skip))


def whole(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield place and the whole of each record, whatever its fields are. Blocks.

    Raises:
        SeedError: naming a file that cannot be used, or a record that cannot be read.
    """
    for file, kind in find(SeedSource((path,))):
        rows, mark = rows_of(file, kind, None)
        for number, row in rows:
            where = f"{file}{mark}{number}"
            try:
                if isinstance(row, Unfit):
                    raise row
                yield where, parse(row) if isinstance(row, bytes) else row
            except Unfit as fault:
                raise SeedError(f"{where}: {fault}") from fault


def count(source: SeedSource) -> int:
    """How many records `read` would give, readable or not."""
    return sum(length(path, kind, source) for path, kind in find(source))


def digest(source: SeedSource) -> str:
    """Name the bytes of all files in 32 hex digits; where the files lie does not matter."""
    whole = blake2b(digest_size=16)
    block = memoryview(bytearray(1 << 20))
    for path, _ in find(source):
        size = 0
        try:
            with path.open("rb", buffering=0) as file:
                while filled := file.readinto(block):
                    whole.update(block[:filled])
                    size += filled
        except OSError as error:
            raise SeedError(f"{path}: {error.strerror}") from error
        whole.update(size.to_bytes(8, "little"))
    return whole.hexdigest()


def _read(
    source: SeedSource, files: list[tuple[Path, str]], pick: Pick, flags: Iterator[object]
) -> Iterator[Seed | Unreadable]:
    positions = counter()
    for path, kind in files:
        rows, mark = rows_of(path, kind, source)
        take = partial(_take, from_json(pick) if kind in {"jsonl", "json"} else pick)
        limit = source.max_seed_bytes
        # rows come first: zip then takes no position for the row that is not there
        for (number, row), position, finished in zip(rows, positions, flags, strict=False):
            if finished:
                continue
            try:
                instruction = take(row, limit)
            except Unfit as fault:
                yield Unreadable(position, f"{path}{mark}{number}", str(fault))
            else:
                yield Seed(position, identity("seed", instruction), instruction)
    if next(positions) == 0:
        names = ", ".join(str(path) for path in source.paths)
        raise SeedError(f"{names}: holds no records; give a file with at least one instruction")


def _flags(skip: Container[int]) -> Iterator[object]:
    if isinstance(skip, bytes | bytearray):
        return chain(skip, repeat(0))
    return (position in skip for position in counter())


def _take(pick: Pick, row: Any, limit: int) -> str:
    if isinstance(row, Unfit):
        raise row
    text = pick(row)
    if not text or text.isspace():
        raise Unfit("the instruction is empty")
    if len(text) * 4 > limit and (size := len(text.encode("utf-8", "surrogatepass"))) > limit:
        raise Unfit(f"the instruction is too long: {size:,} bytes, {limit:,} are allowed")
    return text
