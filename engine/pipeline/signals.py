"""Requests to stop a session: the first stops it gracefully, the second at once."""

import asyncio
import math
import signal
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar

import anyio

from ..disk.event_log import event_logger

log = event_logger()

StopRequests = Callable[[], AbstractAsyncContextManager[AsyncIterator[str]]]
"""Opens a source of requests to stop a session; each is a name for the log."""


_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_TOGETHER = 0.01
"""Seconds within which the same signal is one request: timeout(1) sends its own twice, at once."""


@asynccontextmanager
async def process_signals() -> AsyncGenerator[AsyncIterator[str]]:
    """Take Ctrl-C and SIGTERM as requests. Only in the main thread, for who owns the process."""
    outside = signal.getsignal(signal.SIGTERM)
    late = _late.get()
    try:
        with anyio.open_signal_receiver(*_SIGNALS) as signals:
            yield _requests(signals, late)
    finally:
        signal.signal(signal.SIGTERM, outside)  # event loops leave the default, which kills
        if late is not None:
            late.hold()


async def _requests(
    signals: AsyncIterator[signal.Signals], late: "_LateSignals | None"
) -> AsyncGenerator[str]:
    async for number in signals:
        burst = {number: None}
        with anyio.move_on_after(_TOGETHER):
            async for further in signals:
                burst[further] = None
        if late is not None:
            late.is_heeded = True
        for request in burst:
            yield request.name


class _LateSignals:
    """Signals that come when the session takes none any more and its event loop still ends.

    A KeyboardInterrupt there leaves the loop waiting for what was interrupted, or a traceback.
    """

    def __init__(self) -> None:
        self.is_heeded = False
        """Whether the session has taken a signal."""
        self.count = 0
        self._last = -math.inf

    def hold(self) -> None:
        for number in _SIGNALS:
            signal.signal(number, self)

    def __call__(self, *_: object) -> None:
        previous, self._last = self._last, time.monotonic()
        self.count += self._last - previous >= _TOGETHER
        if self.count > 1:  # something takes long
            raise KeyboardInterrupt


def _interrupt(*_: object) -> None:
    signal.raise_signal(signal.SIGINT)


_late: ContextVar[_LateSignals | None] = ContextVar("late signals", default=None)


@contextmanager
def late_signals_held() -> Generator[None]:
    """Hold signals back in the block, around an event loop, once `process_signals` has ended.

    Until it begins, SIGTERM is what SIGINT is: a cancellation of the loop's main task.

    Raises:
        KeyboardInterrupt: at the end, if one came and the session had taken none.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    outside = {number: signal.getsignal(number) for number in _SIGNALS}
    if outside[signal.SIGTERM] is signal.default_int_handler:
        signal.signal(signal.SIGTERM, _interrupt)
    late = _LateSignals()
    token = _late.set(late)
    try:
        yield
    finally:
        _late.reset(token)
        for number, handler in outside.items():
            signal.signal(number, handler)
    if late.count and not late.is_heeded:
        raise KeyboardInterrupt


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
