"""The page of some runs as one file: all figures, and a sample of the entries."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from ...providers import json_codec
from .live_run import State
from .overview import Overview, read_overview
from .page_file import self_contained_page
from .snapshot import open_snapshot
from .transcripts import Transcript


class ReportedRun(Struct, frozen=True):
    """What the file holds of a run.

    Attributes:
        transcripts: of entries spread evenly over all of them; all if there are no more.
    """

    state: State
    overview: Overview
    transcripts: tuple[Transcript, ...]


class Report(NamedTuple):
    """A page, and how many rows it holds in full."""

    page: str
    transcripts: int


def make_report(paths: Iterable[Path], transcripts: int) -> Report:
    """Return the page of the runs in *paths*, with that many *transcripts* of each. Blocks.

    Raises:
        FolderError: there is no run in a folder.
        LedgerError: a ledger is missing, or of another version.
        StorageError: a ledger or the cache cannot be read.
    """
    runs = [_reported(path, transcripts) for path in paths]
    page = self_contained_page(json_codec.dumps(runs))
    return Report(page, sum(len(run.transcripts) for run in runs))


def _reported(path: Path, transcripts: int) -> ReportedRun:
    overview = read_overview(path)
    with open_snapshot(path) as snapshot:
        state = State(
            path.absolute().name,
            str(path),
            snapshot.moment().is_working,
            1,
            1,
            "",
            snapshot.contents,
        )
        return ReportedRun(state, overview, tuple(snapshot.sample(transcripts)))
