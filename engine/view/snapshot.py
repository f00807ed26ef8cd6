"""A run's entries as they were at one moment, to page through."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from ..calls.reply_lookup import open_replies
from ..reporting.runs import RunReader, open_run
from ..store.folder import Folder
from ..store.listing import COLUMNS, Filters, Flow, Listing, Page
from .transcripts import Transcript, TranscriptReader


class Contents(Struct, frozen=True):
    """What a listing holds.

    Attributes:
        entries: their number.
        instructions: how many of them are instructions.
        choices: by column, its values with their number of entries.
        flows: entries by their way from seed to fate.
    """

    entries: int
    instructions: int
    choices: dict[str, dict[str, int]]
    flows: tuple[Flow, ...]


class Moment(Struct, frozen=True):
    """What changes when the run does.

    Attributes:
        version: of the ledger's content, as this connection sees it.
        is_working: whether a process is working on the run.
        is_other_file: whether the ledger's path leads to another file than the one that is open, or
            to none, or to one that was overwritten.
    """

    version: int
    is_working: bool
    is_other_file: bool = False


class Snapshot:
    """The entries of a run, for one thread at a time.

    Of a run that works, transcripts may be newer than the listing.
    """

    def __init__(
        self, run: RunReader, listing: Listing, reader: TranscriptReader, file: "_FileState"
    ) -> None:
        """Show *run*, whose ledger's file had the state *file* before it was opened."""
        self.contents = Contents(
            listing.count,
            listing.instructions,
            {column: listing.choices(column) for column in COLUMNS},
            tuple(listing.flows()),
        )
        self._run = run
        self._listing = listing
        self._reader = reader
        self._file = file

    def page(self, filters: Filters, *, after: int, size: int) -> Page:
        """Return a page of entries. Blocks.

        Raises:
            StorageError: the ledger cannot be read.
        """
        return self._listing.page(filters, after=after, size=size)

    def transcript(self, key: int) -> Transcript | None:
        """Return the entry with *key* in full; None if there is none. Blocks.

        Raises:
            StorageError: the ledger or the cache cannot be read.
        """
        entry = self._listing.entry(key)
        return None if entry is None else self._reader.transcripts([entry])[0]

    def sample(self, count: int) -> list[Transcript]:
        """Return *count* entries in full, spread evenly over all of them. Blocks.

        Raises:
            StorageError: the ledger or the cache cannot be read.
        """
        return self._reader.transcripts(list(self._listing.sample(count)))

    def moment(self) -> Moment:
        """Return what differs once the run has changed. Blocks.

        Raises:
            StorageError: the ledger cannot be read.
        """
        folder = self._run.folder
        version = self._run.ledger.connection.data_version()
        return Moment(version, folder.is_locked, _file_state(folder.ledger) != self._file)


_FileState = tuple[int, ...]
"""Device, inode, size and time of the last change; empty: there is no such file."""


def _file_state(path: Path) -> _FileState:
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


@contextmanager
def open_snapshot(path: Path) -> Generator[Snapshot]:
    """List the run in the folder *path*. Blocks: ten seconds for a million rows.

    Raises:
        FolderError: there is no run in it.
        LedgerError: its ledger is missing, or of another version.
        StorageError: the ledger or the cache cannot be read.
    """
    file = _file_state(Folder(path).ledger)
    with open_run(path) as run, open_replies(run.config.cache.database()) as replies:
        listing = Listing(run.ledger, run.config.target_rows)
        yield Snapshot(run, listing, TranscriptReader(run, listing, replies), file)
