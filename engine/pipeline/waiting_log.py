"""Log when an endpoint begins to keep a session waiting, and when it no longer does."""

from collections.abc import Mapping
from typing import Literal

import anyio

from ..calls.dispatch_statistics import LONG_PAUSE, DispatchStatistics
from ..calls.dispatcher import Dispatcher
from ..calls.outage import LONG_OUTAGE
from ..disk.event_log import event_logger

log = event_logger()

Wait = Literal["", "endpoint.out", "endpoint.paused"]

_INTERVAL = 1.0
"""Seconds between two looks at the endpoints."""


async def log_waiting(dispatchers: Mapping[str, Dispatcher]) -> None:
    """Log what waits until cancelled."""
    waits = dict[str, Wait]()
    while True:
        await anyio.sleep(_INTERVAL)
        for name, dispatcher in dispatchers.items():
            now = dispatcher.statistics()
            wait = _wait(now)
            if wait != waits.get(name, ""):
                _log(name, wait, now)
            waits[name] = wait


def _wait(now: DispatchStatistics) -> Wait:
    if now.outage >= LONG_OUTAGE:
        return "endpoint.out"
    return "endpoint.paused" if now.paused >= LONG_PAUSE else ""


def _log(name: str, wait: Wait, now: DispatchStatistics) -> None:
    if wait:
        log.warning(wait, endpoint=name, outage=now.outage, paused=now.paused, error=now.last_error)
    else:
        log.info("endpoint.back", endpoint=name)
