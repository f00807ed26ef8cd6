"""Pooled: requests for new instructions show seeds as demonstrations.

This is Self-Instruct (docs/algorithm.md §8.1). The requests' positions follow the seeds', so that
copies of any seed are recognised.
"""

from collections.abc import AsyncIterator

import anyio.to_thread
from msgspec import Struct, structs

from ..data.errors import RunStopped
from ..data.records import InstructionRequest, RequestOutcome, Unreadable
from ..data.text.fingerprint import fingerprint
from .admission import Admission, open_admission, read_in_batches, record_unreadable
from .bookkeeping import Book
from .execution import Execution
from .stages.invent import Pool, Reservoir

MOST_STALLED = 30
"""Requests in a row without a new row, after which no more are made."""


async def run_pooled(execution: Execution) -> None:
    """Request new instructions until there are enough rows.

    Raises:
        RunStopped: no seed can be read.
    """
    seeds = await _read(execution)
    if not seeds.pool.seeds:
        raise RunStopped("no seed can be read: `codeclm status` lists the reasons")
    admission = await open_admission(
        execution,
        execution.config.baseline.tasks,
        seeds=seeds.fingerprints,
        most_stalled=MOST_STALLED,
    )
    await _Pooled(execution, seeds, admission).run()


class _PooledSeeds(Struct, frozen=True):
    """The seeds that requests may show, and the fingerprint of every record; None: unreadable."""

    pool: Pool
    fingerprints: list[int | None]

    @property
    def first(self) -> int:
        """The first position after the seeds'."""
        return len(self.fingerprints)


async def _read(execution: Execution) -> _PooledSeeds:
    """Read all seeds."""
    config = execution.config
    reservoir = Reservoir(config.baseline.pool, config.seed)
    fingerprints = list[int | None]()
    async for record in read_in_batches(execution.read_seeds(bytearray())):
        if isinstance(record, Unreadable):
            record_unreadable(execution.ledger, record)
            fingerprints.append(None)
        else:
            reservoir.add(record)
            execution.ledger.seed_pooled(record)
            fingerprints.append(fingerprint(record.instruction))
    return _PooledSeeds(Pool(reservoir.seeds, config.seed), fingerprints)


class _Pooled:
    def __init__(self, execution: Execution, seeds: _PooledSeeds, admission: Admission) -> None:
        self._execution = execution
        self._seeds = seeds
        self._admission = admission
        tools = structs.replace(execution.tools, pool=seeds.pool)
        self._book = Book(execution, self._closed, tools)

    async def run(self) -> None:
        done = await anyio.to_thread.run_sync(self._execution.ledger.reader.finished_seeds)
        await self._execution.run(self._requests(done), self._book.line(), self._book.keep)
        await self._admission.conclude()

    async def _requests(self, done: bytearray) -> AsyncIterator[InstructionRequest]:
        """Yield requests until there are enough rows, leaving out those that are done."""
        pool, settings = self._seeds.pool, self._execution.config.baseline
        positions = {seed.id: seed.position for seed in pool.seeds}
        for request in pool.requests(
            self._seeds.first, demonstrations=settings.demonstrations, tasks=settings.tasks
        ):
            position = request.metadata.position
            finished = position < len(done) and done[position]
            if not finished:
                await self._admission.wait_for_need()
                if self._admission.should_stop:
                    return
            for seed_id in request.metadata.seed_ids:
                if seed_id in positions:
                    self._execution.ledger.seed_linked(positions.pop(seed_id), position)
            if not finished:
                self._admission.begin()
                yield request

    def _closed(self, request: InstructionRequest, outcome: RequestOutcome | None) -> None:
        self._admission.close(request.metadata.position, outcome)
