"""Pooled: requests for new instructions show seeds as demonstrations.

Self-Instruct's way (docs/algorithm.md §8.1). The requests' positions follow the seeds', so that
copies of any seed are recognised.
"""

from collections.abc import AsyncIterator

import anyio.to_thread
from msgspec import Struct, structs

from ..data.errors import RunStopped
from ..data.records import InstructionRequest, RequestOutcome, Unreadable
from ..data.text.fingerprint import fingerprint
from .admission import Admission, read_exclusions, read_in_batches, record_unreadable
from .bookkeeping import Book
from .execution import Execution
from .line import run
from .prefix import Prefix, admit_all
from .stages.invent import Pool, Reservoir

MOST_STALLED = 30
"""Requests in a row that bring no new row, after which no more are made."""


async def run_pooled(execution: Execution) -> None:
    """Request new instructions until there are enough rows.

    Raises:
        RunStopped: no seed can be read.
    """
    seeds = await _read(execution)
    if not seeds.pool.seeds:
        raise RunStopped("no seed can be read: `codeclm status` lists the reasons")
    pooled = _Pooled(execution, seeds, await _open(execution, seeds))
    await pooled.run()


class _PooledSeeds(Struct, frozen=True):
    """The seeds that requests may show, and of every record its fingerprint; None: unreadable."""

    pool: Pool
    fingerprints: list[int | None]

    @property
    def first(self) -> int:
        """The first position behind the seeds'."""
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


async def _open(execution: Execution, seeds: _PooledSeeds) -> Admission:
    config, acceptance = execution.config, execution.acceptance
    exclusions = await anyio.to_thread.run_sync(read_exclusions, execution.ledger.reader)
    prefix = Prefix(
        config.target_rows,
        config.max_candidates,
        per_position=config.baseline.tasks,
        excluded=exclusions.fingerprints,
        admits=admit_all if acceptance.near_duplicates is None else acceptance.admits,
        most_stalled=MOST_STALLED,
        first=seeds.first,
    )
    for position, seed_fingerprint in enumerate(seeds.fingerprints):
        prefix.finished(position, 0, (), seed_fingerprint)
    admission = Admission(execution, prefix)
    await anyio.to_thread.run_sync(admission.catch_up, seeds.first)
    return admission


class _Pooled:
    def __init__(self, execution: Execution, seeds: _PooledSeeds, admission: Admission) -> None:
        self._execution = execution
        self._seeds = seeds
        self._admission = admission
        tools = structs.replace(execution.tools, pool=seeds.pool)
        self._book = Book(execution, self._closed, tools)

    async def run(self) -> None:
        done = await anyio.to_thread.run_sync(self._execution.ledger.reader.finished_seeds)
        await run(
            self._requests(done),
            self._book.line(),
            self._book.keep,
            halt=self._execution.state.halt,
            counts=self._execution.tools.counters.stages,
        )
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
                self._admission.begin(position)
                yield request

    def _closed(self, request: InstructionRequest, outcome: RequestOutcome | None) -> None:
        self._admission.close(request.metadata.position, outcome)
