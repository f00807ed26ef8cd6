"""Requests to stop a session: the first stops it gracefully, the second at once."""

import asyncio
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio

from ..disk.event_log import event_logger

log = event_logger()

StopRequests = Callable[[], AbstractAsyncContextManager[AsyncIterator[str]]]
"""Opens a source of requests to stop a session; each is a name for the log."""


@asynccontextmanager
async def process_signals() -> AsyncGenerator[AsyncIterator[str]]:
    """Take Ctrl-C and SIGTERM as requests. Only in the main thread, for who owns the process."""
    outside = signal.getsignal(signal.SIGTERM)
    try:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            yield (number.name async for number in signals)
    finally:
        signal.signal(signal.SIGTERM, outside)  # event loops leave the default, which kills


@asynccontextmanager
async def no_requests() -> AsyncGenerator[AsyncIterator[str]]:
    """Take none: whoever awaits the session cancels it, as any other task."""
    yield StopButton()


class StopButton:
    """Requests to stop a session, from any thread. May be pressed before the session begins."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pressed = asyncio.Semaphore(0)

    @asynccontextmanager
    async def __call__(self) -> AsyncGenerator[AsyncIterator[str]]:
        """Open the requests, in the session's loop: this is a `StopRequests`."""
        self._loop = asyncio.get_running_loop()
        yield self

    def press(self) -> None:
        """Request a stop: the first is graceful, the second at once."""
        if self._loop is None:
            self._pressed.release()
        else:
            self._loop.call_soon_threadsafe(self._pressed.release)

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        await self._pressed.acquire()
        return "request"


async def heed_requests(
    event: str,
    requests: StopRequests,
    *,
    is_stopping: Callable[[], bool],
    stop: Callable[[], None],
    stop_at_once: Callable[[], None],
) -> None:
    """Stop gracefully at the first request, and at once if the session is already stopping.

    Args:
        event: what the log calls a request, such as ``run.signalled``.
        requests: where they come from.
        is_stopping: whether a graceful stop is under way.
        stop: starts one: calls in flight still finish.
        stop_at_once: cancels everything.
    """
    async with requests() as names:
        async for name in names:
            log.warning(event, signal=name)
            if is_stopping():
                stop_at_once()
                return
            stop()
