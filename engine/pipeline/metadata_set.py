"""A fixed set of metadata, each with a quota; filtered instructions are requested again."""

from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from random import Random

import anyio.to_thread

from ..config import Config
from ..data.records import InstructionRequest, Metadata, RequestOutcome
from ..store.schema import NO_LAST_ITEM, row_index
from . import sizes
from .admission import Exclusions, read_exclusions
from .bookkeeping import Book, first_row
from .execution import Execution
from .quotas import Quotas


async def run_metadata_set(
    execution: Execution, items: Sequence[Metadata], seed_fingerprints: Iterable[int] = ()
) -> None:
    """Request each item's quota, and more in place of what is filtered out.

    Args:
        execution: the session.
        items: the metadata, in the order of their positions.
        seed_fingerprints: of the seeds, which are not rows.
    """
    config, ledger = execution.config, execution.ledger
    ledger.metadata_fixed(items)
    exclusions = await anyio.to_thread.run_sync(read_exclusions, ledger.reader)
    recorded = await anyio.to_thread.run_sync(
        ledger.reader.request_outcomes, execution.tools.rows_per_draft
    )
    quota_of = quotas_by_position(config, items, exclusions.metadata)
    _record_unneeded(execution, items, quota_of, recorded, exclusions)
    used = [item for item in items if item.position in quota_of]
    quotas = Quotas(
        used,
        [quota_of[item.position] for item in used],
        topup=sizes.tops_up(config),
        max_expansion=config.size.max_expansion,
        max_candidates=config.max_candidates,
    )
    await anyio.to_thread.run_sync(execution.acceptance.load)
    fingerprints = exclusions.fingerprints.union(seed_fingerprints)
    await _MetadataSet(execution, quotas, recorded, fingerprints).run()


def quotas_by_position(
    config: Config, items: Sequence[Metadata], excluded: Iterable[str] = ()
) -> dict[int, int]:
    """Return the quotas of all *items* that are not *excluded*, by position.

    The quotas of items that a reviewer dropped are added to the others'.
    """
    dropped = set(excluded)
    quotas = sizes.quotas(config, len(items))
    quota_of = {
        item.position: quota
        for item, quota in zip(items, quotas, strict=True)
        if item.id not in dropped
    }
    able = [position for position, quota in quota_of.items() if quota]
    if config.target_rows is not None and able:
        missing = sum(quotas) - sum(quota_of.values())
        extra = sizes.share(missing, len(able), Random(f"{config.seed}/barred"))
        for position, more in zip(able, extra, strict=True):
            quota_of[position] += more
    return quota_of


def _record_unneeded(
    execution: Execution,
    items: Iterable[Metadata],
    quota_of: Mapping[int, int],
    recorded: Mapping[int, RequestOutcome],
    exclusions: Exclusions,
) -> None:
    """Record the items that are not requested: dropped by a reviewer, or without a quota."""
    for item in items:
        is_new = row_index(item.position, 0) not in recorded
        if item.id in exclusions.metadata:
            execution.ledger.item_excluded(item.position)
            if is_new:
                execution.ledger.request_unneeded(item, "reviewed")
        elif is_new and not quota_of[item.position]:
            execution.ledger.request_unneeded(item)


class _MetadataSet:
    """Carries out the requests of *quotas*; *recorded* holds what earlier sessions finished."""

    def __init__(
        self,
        execution: Execution,
        quotas: Quotas,
        recorded: dict[int, RequestOutcome],
        excluded: frozenset[int],
    ) -> None:
        self._execution = execution
        self._state = execution.state
        self._quotas = quotas
        self._recorded = recorded
        self._excluded = excluded
        self._book = Book(execution, self._closed)
        self._queue: deque[InstructionRequest] = deque()
        self._in_progress = 0
        """Requests that are queued or begun."""

    async def run(self) -> None:
        self._issue(self._quotas.first())
        await self._execution.run(self._requests(), self._book.line(), self._book.keep)
        acceptance = self._execution.acceptance
        await anyio.to_thread.run_sync(acceptance.decide_rest, NO_LAST_ITEM)
        acceptance.record_decisions()

    async def _requests(self) -> AsyncIterator[InstructionRequest]:
        """Yield requests as they are issued, until none is left.

        Requests that follow from outcomes at the end of the line do not close a circle of bounded
        streams: they wait in the queue, at most one per metadata item.
        """
        while not self._state.stopping:
            while self._queue and not self._state.stopping:
                yield self._queue.popleft()
            if self._state.stopping:  # since the yield: nothing would wake this again
                return
            if self._in_progress:
                await self._state.changed()
            elif not self._queue:
                if self._state.left_for_later:
                    return
                requests = await self._settle()
                if not requests:
                    return
                self._issue(requests)  # all of them may be in the ledger: then settle again

    async def _settle(self) -> list[InstructionRequest]:
        """Compare all rows; in a thread where that takes long, for nothing else is in progress."""
        acceptance = self._execution.acceptance
        if acceptance.near_duplicates is None:
            return self._quotas.settle(self._excluded)
        requests = await anyio.to_thread.run_sync(
            self._quotas.settle, self._excluded, acceptance.admits
        )
        acceptance.record_decisions()
        return requests

    def _issue(self, requests: Iterable[InstructionRequest]) -> None:
        """Queue *requests*; the outcome of one that an earlier session finished is known."""
        waiting = deque(requests)
        while waiting:
            request = waiting.popleft()
            outcome = self._recorded.pop(first_row(request), None)
            if outcome is None:
                self._in_progress += 1
                self._queue.append(request)
            else:
                waiting.extend(self._quotas.finished(request, outcome))

    def _closed(self, request: InstructionRequest, outcome: RequestOutcome | None) -> None:
        if outcome is not None:
            self._issue(self._quotas.finished(request, outcome))
        self._in_progress -= 1
        self._state.notify()
