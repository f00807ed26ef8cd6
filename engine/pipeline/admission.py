"""Decides when to stop starting requests: once there are, or will be, enough rows."""

from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, TypeVar

import anyio.to_thread

from ..data.records import RequestOutcome, Unreadable
from ..disk.event_log import event_logger
from ..store.reader import LedgerReader
from ..store.schema import NO_LAST_ITEM
from ..store.writer import LedgerWriter
from .execution import Execution
from .prefix import Prefix, admit_all

log = event_logger()

T = TypeVar("T")

BATCH = 256
"""Records read at a time in a thread: a trip to a thread costs 30 µs, a seed 2."""


async def read_in_batches(records: Iterator[T]) -> AsyncIterator[T]:
    """Iterate over *records*, which block, in a thread."""
    while batch := await anyio.to_thread.run_sync(list, islice(records, BATCH)):
        for record in batch:
            yield record
        if len(batch) < BATCH:
            return


class Exclusions(NamedTuple):
    """What a reviewer dropped: ids of metadata, fingerprints of instructions."""

    metadata: frozenset[str]
    fingerprints: frozenset[int]


def read_exclusions(ledger: LedgerReader) -> Exclusions:
    """Read what a reviewer dropped. Blocks."""
    reviews = ledger.reviews("metadata").values()
    metadata = frozenset(review.id for review in reviews if review.decision == "drop")
    return Exclusions(metadata, frozenset(ledger.excluded_fingerprints()))


async def open_admission(
    execution: Execution,
    per_position: int,
    *,
    seeds: Sequence[int | None] = (),
    most_stalled: int | None = None,
) -> "Admission":
    """Return an admission that has counted what earlier sessions finished.

    Args:
        execution: the session.
        per_position: instructions asked for at one position.
        seeds: the fingerprints of all seeds, if requests follow them; None: unreadable.
        most_stalled: how many requests in a row may yield no new row before more are pointless;
            None: any number.
    """
    exclusions = await anyio.to_thread.run_sync(read_exclusions, execution.ledger.reader)
    acceptance = execution.acceptance
    prefix = Prefix(
        execution.config.target_rows,
        execution.config.max_candidates,
        per_position=per_position,
        excluded=exclusions.fingerprints,
        admits=admit_all if acceptance.near_duplicates is None else acceptance.admits,
        most_stalled=most_stalled,
        first=len(seeds),
    )
    for position, fingerprint in enumerate(seeds):
        prefix.finished(position, 0, (), fingerprint)
    await anyio.to_thread.run_sync(_catch_up, execution, prefix, len(seeds))
    return Admission(execution, prefix, exclusions)


def _catch_up(execution: Execution, prefix: Prefix, first: int) -> None:
    """Count what earlier sessions finished, from position *first* on.

    Blocks: a million seeds take seconds.
    """
    if not prefix.counts:
        return
    for item in execution.ledger.reader.finished_items():
        if item.position >= first:
            prefix.finished(*item)
    if prefix.enough:
        execution.ledger.dataset_ends(prefix.last)
        return
    execution.ledger.dataset_ends()  # an earlier end no longer holds: a reviewer has dropped rows
    execution.acceptance.load()


class Admission:
    """Admits requests one after the other until the finished prefix holds enough rows.

    Attributes:
        exclusions: what a reviewer dropped.
    """

    def __init__(self, execution: Execution, prefix: Prefix, exclusions: Exclusions) -> None:
        self.exclusions = exclusions
        self._state = execution.state
        self._ledger = execution.ledger
        self._acceptance = execution.acceptance
        self._prefix = prefix
        self._in_progress = 0

    async def wait_for_need(self) -> None:
        """Wait while those in progress will probably suffice."""
        while not self._state.stopping and self._prefix.enough_in_progress(self._in_progress):
            await self._state.changed()

    @property
    def should_stop(self) -> bool:
        """Whether to start no more, also where only transient failures keep rows from counting.

        These leave a gap behind which nothing counts yet; the next session fills it.
        """
        if self._state.stopping or self._prefix.enough:
            return True
        return self._state.left_for_later > 0 and self._prefix.suffices

    def begin(self) -> None:
        """Note that a request is in progress."""
        self._in_progress += 1

    def close(self, position: int, outcome: RequestOutcome | None) -> None:
        """Note that the request at *position* is no longer in progress.

        Without an outcome it is left for the next session.
        """
        if outcome is not None:
            self._advance(position, outcome)
        self._in_progress -= 1
        self._state.notify()

    def _advance(self, position: int, outcome: RequestOutcome) -> None:
        kept = tuple(sorted(outcome.kept))
        self._prefix.finished(position, outcome.instructions, kept)
        self._acceptance.record_decisions()
        if self._prefix.enough and not self._state.stopping:
            self._ledger.dataset_ends(self._prefix.last)
            self._state.finish()

    async def conclude(self) -> None:
        """Decide provisionally on rows behind a gap, as far as the dataset reaches."""
        last = self._prefix.last if self._prefix.enough else NO_LAST_ITEM
        await anyio.to_thread.run_sync(self._acceptance.decide_rest, last)
        self._acceptance.record_decisions()


def record_unreadable(ledger: LedgerWriter, record: Unreadable) -> None:
    """Log and record a line of a seed file that is not a seed."""
    log.warning("seed.unreadable", where=record.where, reason=record.reason)
    ledger.seed_unreadable(record)
