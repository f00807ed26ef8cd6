"""Read a run: its configuration, ledger, state, rows, and the texts of its seeds."""

import os
import shlex
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import msgspec

from ...providers import json_codec
from ..calls.counters import Counters
from ..config import Config, load_config
from ..data import seeds
from ..data.files import read_bounded
from ..data.records import Example, Seed
from ..store.folder import Folder, FolderError
from ..store.reader import LedgerReader
from .summary import Summary, summarise


class RunReader(NamedTuple):
    """A run that is open for reading; another process may be working on it."""

    folder: Folder
    config: Config
    ledger: LedgerReader

    def rows(self) -> Generator[Example]:
        """Yield the examples of the dataset, in seed order."""
        return self.ledger.kept(self.config.target_rows)

    def summary(self) -> Summary:
        """Summarise the run in its current state."""
        ending, reason = self._state()
        return summarise(self.config, self.ledger, Counters(), ending=ending, reason=reason)

    def _state(self) -> tuple[str, str]:
        """Return whether the run is working, or else how its last session ended, and why."""
        if self.folder.is_locked:
            return "working", ""
        resume = f"to continue: {resume_command(self.folder.path)}"
        try:
            last = json_codec.loads(
                read_bounded(self.folder.summary, flags=os.O_NOFOLLOW), _summary
            )
        except (OSError, msgspec.MsgspecError):
            return "unfinished", resume
        match last.ending:
            case "finished":
                return last.ending, last.reason
            case "out_of_budget":  # the reason names the setting
                resume += f" --set {last.reason.partition(':')[0]}=N"
            case _:
                pass
        return last.ending, "\n".join(filter(None, (last.reason, resume)))

    def seed_texts(
        self, examples: Iterable[Example], report: Callable[[str], object]
    ) -> dict[str, str]:
        """Return the texts of the examples' seeds by id, if the seed files still have them.

        Args:
            examples: any of the run's.
            report: called with a message if a seed file cannot be read.
        """
        ids = {seed_id for example in examples for seed_id in example.metadata.seed_ids}
        return self.texts_of_seeds(ids, report)

    def texts_of_seeds(self, ids: Iterable[str], report: Callable[[str], object]) -> dict[str, str]:
        """Return the texts of the seeds with *ids*, as `seed_texts` does."""
        looked_up = map(self.ledger.seed_position, ids)
        positions = {position for position in looked_up if position is not None}
        texts: dict[str, str] = {}
        if not positions:
            return texts
        last = max(positions)
        try:
            for record in self.config.select_seeds().read():
                if isinstance(record, Seed) and record.position in positions:
                    texts[record.id] = record.instruction
                if record.position >= last:
                    break
        except seeds.SeedError as error:
            report(str(error))
        return texts


_summary = msgspec.json.Decoder(Summary)


@contextmanager
def open_run(path: Path) -> Generator[RunReader]:
    """Open the run in the folder *path* for reading.

    Raises:
        FolderError: there is no run in it.
    """
    folder = existing_run(path)
    config = load_config(folder.config, check=False)
    with LedgerReader(folder.ledger) as ledger:
        yield RunReader(folder, config, ledger)


def existing_run(path: Path) -> Folder:
    """Return the folder at *path*.

    Raises:
        FolderError: there is no run in it.
    """
    folder = Folder(path)
    if not folder.config.exists():
        raise FolderError(f"{path}: not a run's folder{_instead(path)}")
    return folder


def _instead(path: Path) -> str:
    """Say why *path* is no run's folder, and what may have been meant."""
    if path.is_file():
        return f"; to work on what a configuration describes: codeclm run {shlex.quote(str(path))}"
    folder = path if path.is_dir() else path.parent
    # An evaluation's folder has a config.toml, too.
    runs = sorted(str(ledger.parent) for ledger in folder.glob("*/ledger.sqlite"))
    if not runs:
        return " (it has no config.toml)"
    nearest = get_close_matches(str(path), runs, n=5, cutoff=0.0)
    return f"; there is {', '.join(nearest)}{', …' if runs[5:] else ''}"


def resume_command(path: Path) -> str:
    return f"codeclm resume {shlex.quote(str(path))}"
