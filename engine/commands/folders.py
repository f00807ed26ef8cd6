"""Read a run's folder: its configuration and ledger, how the run stands, the texts of its seeds."""

import shlex
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from ...providers import json_codec
from ..calls.counters import Counters
from ..config import Config, load_config
from ..data import seeds
from ..data.records import Example, Seed
from ..pipeline.session import seed_source
from ..reporting.summary import Summary, summarise
from ..store.folder import Folder, FolderError
from ..store.reader import LedgerReader
from .output import print_message


class OpenRun(NamedTuple):
    """A run that is open for reading."""

    config: Config
    ledger: LedgerReader


@contextmanager
def open_run(path: Path) -> Generator[OpenRun]:
    """Open the run in *path* for reading; another process may be working on it.

    Raises:
        FolderError: there is no run in *path*.
    """
    config = load_config(existing_run(path).config, check=False)
    with LedgerReader(Folder(path).ledger) as ledger:
        yield OpenRun(config, ledger)


def existing_run(path: Path) -> Folder:
    """Return the folder at *path*.

    Raises:
        FolderError: there is no run in it.
    """
    folder = Folder(path)
    if not folder.config.exists():
        raise FolderError(f"{path}: not a run's folder (it has no config.toml)")
    return folder


def current_summary(path: Path, run: OpenRun) -> Summary:
    """Summarise the run in *path* as it stands now."""
    ending, reason = _state(path)
    return summarise(run.config, run.ledger, Counters(), ending=ending, reason=reason)


def _state(path: Path) -> tuple[str, str]:
    """Return whether the run in *path* is working, or else how its last session ended, and why."""
    folder = Folder(path)
    if folder.is_locked:
        return "working", ""
    try:
        last = json_codec.loads(folder.summary.read_bytes(), msgspec.json.Decoder(Summary))
    except (OSError, msgspec.MsgspecError):
        return "interrupted", f"to continue: {resume_command(path)}"
    return last.ending, last.reason


def resume_command(path: Path) -> str:
    return f"codeclm resume {shlex.quote(str(path))}"


def seed_texts(run: OpenRun, examples: Iterable[Example]) -> dict[str, str]:
    """Return the texts of the examples' seeds by id, as far as the seed files still have them."""
    ids = {seed_id for example in examples for seed_id in example.metadata.seed_ids}
    positions = {run.ledger.seed_position(seed_id) for seed_id in ids} - {None}
    texts: dict[str, str] = {}
    if not positions:
        return texts
    last = max(position for position in positions if position is not None)
    try:
        for record in seeds.read(seed_source(run.config)):
            if isinstance(record, Seed) and record.position in positions:
                texts[record.id] = record.instruction
            if record.position >= last:
                break
    except seeds.SeedError as error:
        print_message(str(error))
    return texts
