"""Streaming: each seed is processed as it is read, for any number of seeds, and has its share.

A seed tops up its own share from its own metadata. Once all seeds are finished, rows that are still
missing are asked of the others, again and again until there are enough (`Shares`).
"""

from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import anyio
import anyio.to_thread
from msgspec import Struct

from ..data.errors import ItemError
from ..data.records import InstructionRequest, Metadata, RequestOutcome, Seed, Unreadable
from ..disk.event_log import event_logger
from ..store.schema import NO_LAST_ITEM
from . import sizes
from .admission import Exclusions, read_exclusions, read_in_batches, record_unreadable
from .bookkeeping import Book, Finished
from .execution import Execution
from .line import Line, Stage, begin
from .settling import load_progress, settle
from .shares import SharePolicy, Shares
from .stages.seed_instructions import placeholder_metadata

log = event_logger()

In = TypeVar("In")

SWEEPS = 16
"""How often the seed files are read. Each sweep takes seeds from everywhere in the files, so that a
run that is stopped has rows of all parts."""


async def stream_encoded(execution: Execution) -> None:
    """Encode each seed, ask its metadata for instructions, and finish them (paper §4)."""
    rows, width = execution.tools.rows_per_draft, execution.widths.encode
    policy = sizes.encoded_policy(execution.config, execution.total_seeds, rows)
    stream = await _open_stream(execution, policy)
    encode = Stage("encode", stream.encode, stream.lost, width, buffer=width)
    await stream.run(stream.items, begin(encode).join(stream.book.line()))


async def stream_unchanged(execution: Execution) -> None:
    """Take each seed itself as a basic instruction, and finish it."""
    rows = execution.tools.rows_per_draft
    policy = sizes.unchanged_policy(execution.config, execution.total_seeds, rows)
    stream = await _open_stream(execution, policy)
    await stream.run(stream.unchanged, stream.book.line())


async def _open_stream(execution: Execution, policy: SharePolicy) -> "_Stream":
    first = policy.favoured(execution.total_seeds)
    order = await anyio.to_thread.run_sync(execution.seed_order, first)
    execution.ledger.seeds_dealt(policy.dealt(len(order)))
    shares = Shares(order, policy)
    await anyio.to_thread.run_sync(load_progress, shares, execution)
    exclusions = await anyio.to_thread.run_sync(read_exclusions, execution.ledger.reader)
    await anyio.to_thread.run_sync(execution.acceptance.load)
    return _Stream(execution, shares, exclusions, len(order))


class _OpenSeed(Struct):
    """A seed of which something has been asked.

    Attributes:
        metadata: None until it is encoded.
        texts: the seed itself, where it is the basic instruction.
        fingerprints: of its instructions so far.
    """

    metadata: Metadata | None = None
    texts: tuple[str, ...] = ()
    fingerprints: frozenset[int] = frozenset()


class _Stream:
    def __init__(
        self, execution: Execution, shares: Shares, exclusions: Exclusions, size: int
    ) -> None:
        self._execution = execution
        self._ledger = execution.ledger
        self._state = execution.state
        self._shares = shares
        self._exclusions = exclusions
        self._size = size
        self._encoder = execution.tools.encoder()
        self._open: dict[int, _OpenSeed] = {}
        """Seeds in progress, by position."""
        self._queue: deque[InstructionRequest] = deque()
        """Further requests, at most one per seed: nothing bounded waits for it, so that requests
        that follow from outcomes at the end of the line do not close a circle."""
        self.book = Book(execution, self._closed)

    async def run(self, source: Callable[[], AsyncIterator[In]], line: Line[In, Finished]) -> None:
        """Carry out what is to be done, until nothing is missing or nothing can be done."""
        while True:
            await self._execution.run(source(), line, self.book.keep)
            if self._state.stopping or self._state.left_for_later:
                break
            grants = await settle(self._execution, self._shares)
            if not grants:
                break
            number = sum(grant.instructions for grant in grants)
            log.info("rows.missing", instructions_requested=number)
            self._shares.grant(grants)
        await anyio.to_thread.run_sync(self._execution.acceptance.decide_rest, NO_LAST_ITEM)
        self._execution.acceptance.record_decisions()

    # -- what enters the line -----------------------------------------------------------------

    async def unchanged(self) -> AsyncIterator[InstructionRequest]:
        """Yield requests that consist of a seed itself."""
        async for item in self.items():
            if isinstance(item, InstructionRequest):
                yield item
                continue
            metadata, texts = placeholder_metadata(item), (item.instruction,)
            for request in await self._first_request(item, metadata, texts):
                yield request

    async def items(self) -> AsyncIterator[Seed | InstructionRequest]:
        """Yield seeds, and requests that follow from outcomes."""
        async for seed in self._seeds():
            while self._queue:
                yield self._queue.popleft()
            yield seed
        while self._open and not self._state.stopping:
            while self._queue:
                yield self._queue.popleft()
            if not self._state.stopping and self._open:
                await self._state.changed()

    async def _seeds(self) -> AsyncIterator[Seed]:
        """Yield the seeds of which something is to be asked."""
        for sweep in range(SWEEPS):
            first, last = (self._size * n // SWEEPS for n in (sweep, sweep + 1))
            flags = await anyio.to_thread.run_sync(self._shares.pending, first, last)
            if not flags:
                continue
            async for record in read_in_batches(self._execution.read_seeds(flags)):
                if self._state.stopping:
                    return
                if isinstance(record, Unreadable):
                    record_unreadable(self._ledger, record)
                    self._shares.exhaust(record.position)
                else:
                    self._open[record.position] = _OpenSeed()
                    yield record

    # -- the first stage ----------------------------------------------------------------------

    async def encode(self, item: Seed | InstructionRequest) -> list[InstructionRequest]:
        """Return a request for the metadata of a seed; a request that follows is passed on."""
        if isinstance(item, InstructionRequest):
            return [item]
        metadata, _ = await self._encoder(item)
        return await self._first_request(item, metadata, ())

    def lost(self, item: Seed | InstructionRequest, error: ItemError) -> None:
        """Record a seed that cannot be encoded."""
        assert isinstance(item, Seed), f"{item}: a request is only passed on"
        self._state.item_lost("encode", error)
        if not self._shares.requested(item.position):
            self._ledger.seed_failed(item, error)
        if not error.transient:
            self._shares.exhaust(item.position)
        self._close(item.position)

    async def _first_request(
        self, seed: Seed, metadata: Metadata, texts: tuple[str, ...]
    ) -> list[InstructionRequest]:
        """Return the first request of this session for *seed*, unless a reviewer dropped it."""
        position, shares = seed.position, self._shares
        self._ledger.seed_encoded(seed, metadata, item=position)
        if metadata.id in self._exclusions.metadata:
            self._ledger.item_excluded(position)
            self._ledger.request_unneeded(metadata, "reviewed")
            shares.exhaust(position)
            self._close(position)
            return []
        fingerprints = frozenset[int]()
        if start := shares.requested(position):
            before = start * self._execution.tools.rows_per_draft
            fingerprints = await anyio.to_thread.run_sync(
                self._ledger.reader.basic_fingerprints, position, before
            )
        self._open[position] = _OpenSeed(metadata, texts, fingerprints)
        return [
            InstructionRequest(metadata, shares.next_count(position), start, fingerprints, texts)
        ]

    # -- outcomes -----------------------------------------------------------------------------

    def _closed(self, request: InstructionRequest, outcome: RequestOutcome | None) -> None:
        """Note an outcome, and queue what is to be asked of the same seed next."""
        position, shares = request.metadata.position, self._shares
        if outcome is not None:
            shares.finished(
                position,
                requested=request.count,
                kept=len(outcome.kept),
                empty=not outcome.instructions,
            )
            if count := shares.next_count(position):
                seed = self._open[position]
                seed.fingerprints |= set(outcome.fingerprints)
                self._queue.append(
                    InstructionRequest(
                        request.metadata,
                        count,
                        shares.requested(position),
                        seed.fingerprints,
                        seed.texts,
                    )
                )
                self._state.notify()
                return
        self._close(position)

    def _close(self, position: int) -> None:
        del self._open[position]
        self._state.notify()
