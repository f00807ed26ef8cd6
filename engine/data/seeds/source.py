"""Seed sources: which files, which part of a record, and the errors of both."""

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
"""The format of a file by its suffix. Text files may also be gzipped."""


DATASET_METADATA: Final = frozenset(
    {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"}
)
"""Files that the datasets library writes beside the data."""


class SeedError(UserError):
    """A seed file cannot be used at all. The message names the file and what to do."""


class SeedSource(Struct, frozen=True):
    r"""Where seeds are read from, and which part of a record is the instruction.

    Attributes:
        paths: Files or folders of files.
        field: Path of the instruction in a record, such as ``instances.0.input``.
        template: Joins several fields, as in ``"{instruction}\n{input}"``; ``{{`` and ``}}`` stand
            for braces. A placeholder alone on its line may be empty or missing, unless it is the
            first; all others must hold text. With neither ``field`` nor ``template``, the names
            that common datasets use are tried.
        format: Of all files; None: by each file's suffix.
        stratify: Path of a field whose values a sample spreads over, such as a category; every
            seed then has its value, as text.
        max_seed_bytes: A longer instruction, in UTF-8, is reported as unreadable.
    """

    paths: tuple[Path, ...]
    field: str | None = None
    template: str | None = None
    format: SeedFormat | None = None
    stratify: str | None = None
    max_seed_bytes: int = 1 << 20


class UnusableRecordError(Exception):
    """One record is not a seed. The message says why; reading continues with the next one."""
