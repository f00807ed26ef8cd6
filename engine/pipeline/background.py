"""A session's background tasks: signals, progress, spending, its files, the log of what waits."""

import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from ..calls.clients import Clients
from ..data.errors import UserError
from ..disk.presence import Presence
from ..disk.sqlite import StorageError
from ..store.ledger_counts import LedgerCounts, count_ledger
from .signals import StopRequests, heed_requests
from .waiting_log import log_waiting


@asynccontextmanager
async def background_tasks(
    clients: Clients,
    *,
    event: str,
    requests: StopRequests,
    is_stopping: Callable[[], bool],
    stop: Callable[[], None],
    stop_at_once: Callable[[], None] = lambda: None,
    tasks: Iterable[Callable[[], Coroutine[Any, Any, None]]] = (),
) -> AsyncGenerator[None]:
    """Run a session's background tasks until its work is done and no call is in flight.

    Args:
        clients: the open models, whose calls in flight finish at the end.
        event: what the log calls a request to stop.
        requests: where requests to stop come from.
        is_stopping: whether a graceful stop is under way.
        stop: starts one, at the first request.
        stop_at_once: called at the second, before everything is cancelled.
        tasks: further tasks, which are cancelled at the end.
    """
    async with anyio.create_task_group() as group:

        def cancel() -> None:
            stop_at_once()
            group.cancel_scope.cancel()

        group.start_soon(
            partial(
                heed_requests,
                event,
                requests,
                is_stopping=is_stopping,
                stop=stop,
                stop_at_once=cancel,
            )
        )
        group.start_soon(log_waiting, clients.dispatchers)
        for task in tasks:
            group.start_soon(task)
        yield
        await clients.drained()
        group.cancel_scope.cancel()


COUNTING_INTERVAL = 1.0
"""Seconds between two counts of a ledger, unless it is large."""

COUNTING_PAUSE = 50
"""How many times as long as a count takes to wait for the next: 2 % of a core at most."""


async def keep_counting(ledger: Path, note: Callable[[LedgerCounts], None]) -> None:
    """Call *note* with what all sessions have finished, again and again."""
    while True:
        seconds = 0.0
        with suppress(StorageError, UserError):  # who writes the ledger says what is wrong with it
            counts, seconds = await anyio.to_thread.run_sync(_timed_count, ledger)
            note(counts)
        await anyio.sleep(max(COUNTING_INTERVAL, COUNTING_PAUSE * seconds))


def _timed_count(ledger: Path) -> tuple[LedgerCounts, float]:
    """Return what is counted, and the seconds of CPU that it took. Blocks."""
    began_at = time.thread_time()
    return count_ledger(ledger), time.thread_time() - began_at


CHECK_INTERVAL = 0.5
"""Seconds between two looks at the files of a session."""


async def watch_databases(databases: Iterable[Path], lost: Callable[[StorageError], None]) -> None:
    """Call *lost* as soon as one of *databases* is no longer the file that was opened."""
    presence = await anyio.to_thread.run_sync(Presence, databases)
    while True:
        await anyio.sleep(CHECK_INTERVAL)
        try:
            await anyio.to_thread.run_sync(presence.check)
        except StorageError as error:
            lost(error)
            return
