"""Which seed files, and which part of a record is meant; what can be wrong with either."""

from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from ..errors import UserError

SeedFormat = Literal["jsonl", "json", "csv", "tsv", "parquet", "arrow"]

FORMATS: Final[dict[str, SeedFormat]] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
}


class SeedError(UserError):
    """A seed file as a whole cannot be used. The message names the file and what to do."""


class SeedSource(Struct, frozen=True):
    r"""Where seeds are read from, and which part of a record is the instruction.

    ``field`` is a path such as ``instances.0.input``. ``template`` joins several fields, as in
    ``"{instruction}\n{input}"``; ``{{`` and ``}}`` stand for braces. A placeholder alone on its
    line, the first one excepted, may be empty or missing; every other must hold text. With neither,
    each record's instruction is looked for under the names common datasets use. ``format`` is read
    off the file's name unless given.
    """

    paths: tuple[Path, ...]
    field: str | None = None
    template: str | None = None
    format: SeedFormat | None = None
    max_seed_bytes: int = 1 << 20
    """An instruction longer than this, in UTF-8, is reported as unreadable."""


class Unfit(Exception):  # noqa: N818 - a verdict on one record, told as Unreadable
    """This record is no seed, for the reason given."""
