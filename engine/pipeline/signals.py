"""Ctrl-C and SIGTERM: the first stops gracefully, the second at once."""

import signal
from collections.abc import Callable

import anyio
import structlog

log = structlog.get_logger()


async def heed_signals(
    event: str,
    *,
    is_stopping: Callable[[], bool],
    stop: Callable[[], None],
    stop_at_once: Callable[[], None],
) -> None:
    """Stop gracefully at SIGINT or SIGTERM, and at once if the session is already stopping.

    Args:
        event: what the log calls a signal, such as ``run.signalled``.
        is_stopping: whether a graceful stop is under way.
        stop: starts one: calls in flight still finish.
        stop_at_once: cancels everything.
    """
    outside = signal.getsignal(signal.SIGTERM)
    try:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for number in signals:
                log.warning(event, signal=number.name)
                if is_stopping():
                    stop_at_once()
                    return
                stop()
    finally:
        signal.signal(signal.SIGTERM, outside)  # event loops leave the default, which kills
