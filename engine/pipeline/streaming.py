"""Streaming: each seed is processed as it is read, for any number of seeds.

If one pass over the seeds does not give enough rows, they are read again. Positions after the last
seed's belong to further passes; every pass samples its own replies.
"""

from collections.abc import AsyncIterator, Iterator

import anyio.to_thread
from msgspec import structs

from ..data.errors import ItemError
from ..data.records import InstructionRequest, RequestOutcome, Seed, Unreadable
from ..data.text.fingerprint import fingerprint
from . import sizes
from .admission import Admission, open_admission, read_in_batches
from .bookkeeping import Book
from .execution import Execution
from .line import Stage, begin
from .stages.seed_instructions import placeholder_metadata


async def stream_encoded(execution: Execution) -> None:
    """Encode each seed, ask its metadata for instructions, and finish them (paper §4)."""
    config, seeds = execution.config, _seeds_per_pass(execution)
    count = sizes.per_seed(config, seeds)
    stream = _Stream(execution, await open_admission(execution, count), count)
    await stream.run_encoded(sizes.encoded_passes(config, seeds))


async def stream_unchanged(execution: Execution) -> None:
    """Take each seed itself as a basic instruction, and finish it."""
    rows, seeds = execution.tools.rows_per_draft, _seeds_per_pass(execution)
    stream = _Stream(execution, await open_admission(execution, rows), rows)
    await stream.run_unchanged(sizes.unchanged_passes(execution.config, seeds, rows))


def _seeds_per_pass(execution: Execution) -> int:
    total = execution.total_seeds
    return min(total, execution.config.limit or total)


class _Stream:
    def __init__(self, execution: Execution, admission: Admission, count: int) -> None:
        self._execution = execution
        self._ledger = execution.ledger
        self._admission = admission
        self._count = count
        """Instructions asked of a seed in the first pass."""
        self._seeds_per_pass = _seeds_per_pass(execution)
        self._encoder = execution.tools.encoder()
        self._book = Book(execution, self._closed)

    async def run_encoded(self, passes: int) -> None:
        width = self._execution.widths.encode
        encode = Stage("encode", self._encode, self._seed_lost, width, buffer=width)
        line = begin(encode).join(self._book.line())
        await self._execution.run(self._seeds(passes), line, self._book.keep)
        await self._admission.conclude()

    async def run_unchanged(self, passes: int) -> None:
        await self._execution.run(self._unchanged(passes), self._book.line(), self._book.keep)
        await self._admission.conclude()

    # -- seeds --------------------------------------------------------------------------------

    async def _seeds(self, passes: int) -> AsyncIterator[Seed]:
        """Yield seeds, pass after pass, until there are enough rows."""
        done = await anyio.to_thread.run_sync(self._ledger.reader.finished_seeds)
        async for record in read_in_batches(self._passes(passes, done)):
            await self._admission.wait_for_need()
            if self._admission.should_stop:
                return
            if isinstance(record, Unreadable):
                self._admission.skip(record, first_pass=not self._pass_of(record.position))
            else:
                self._admission.begin(record.position, fingerprint(record.instruction))
                yield record

    def _passes(self, passes: int, done: bytearray) -> Iterator[Seed | Unreadable]:
        """Read the seeds *passes* times, each time at new positions."""
        for number in range(passes):
            start = number * self._seeds_per_pass
            for record in self._execution.read_seeds(done[start : start + self._seeds_per_pass]):
                yield structs.replace(record, position=start + record.position)

    def _pass_of(self, position: int) -> int:
        """Return which pass over the seeds *position* belongs to, from 0."""
        return position // self._seeds_per_pass if self._seeds_per_pass else 0

    def _seed_lost(self, seed: Seed, error: ItemError) -> None:
        self._execution.state.item_lost("encode", error)
        if not self._pass_of(seed.position):
            self._ledger.seed_failed(seed, error)
        self._admission.close(seed.position, None if error.transient else RequestOutcome(0))

    # -- requests -----------------------------------------------------------------------------

    async def _encode(self, seed: Seed) -> list[InstructionRequest]:
        metadata, _ = await self._encoder(seed)
        number = self._pass_of(seed.position)
        if not number:
            self._ledger.seed_encoded(seed, metadata, item=seed.position)
            return self._unless_excluded(InstructionRequest(metadata, self._count))
        # What is missing after the first pass is less: ask for it in small portions.
        count = min(self._count, sizes.DEFAULT_PER_METADATA)
        start = self._count + (number - 1) * count
        return self._unless_excluded(InstructionRequest(metadata, count, start))

    async def _unchanged(self, passes: int) -> AsyncIterator[InstructionRequest]:
        """Yield a request for each seed that consists of the seed itself."""
        async for seed in self._seeds(passes):
            number = self._pass_of(seed.position)
            metadata = placeholder_metadata(seed, pass_number=number)
            if not number:
                self._ledger.seed_encoded(seed, metadata, item=seed.position)
            request = InstructionRequest(metadata, self._count, texts=(seed.instruction,))
            for admitted in self._unless_excluded(request):
                yield admitted

    def _unless_excluded(self, request: InstructionRequest) -> list[InstructionRequest]:
        """Return *request*, unless a reviewer has dropped its metadata."""
        metadata = request.metadata
        if metadata.id not in self._admission.exclusions.metadata:
            return [request]
        self._ledger.item_excluded(metadata.position)
        self._ledger.request_unneeded(metadata, "reviewed")
        self._admission.close(metadata.position, RequestOutcome(0))
        return []

    def _closed(self, request: InstructionRequest, outcome: RequestOutcome | None) -> None:
        self._admission.close(request.metadata.position, outcome)
