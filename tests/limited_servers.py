"""Servers that limit what they take, and a dispatcher driven against them on an owned clock.

A server here is a provider in this process: no sockets, no waiting, the same sequence of events
every time. Minutes of traffic take a second or two.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from random import Random
from random import seed as seed_random
from typing import Protocol

from codeclm.engine.calls.dispatcher import Dispatcher
from codeclm.engine.calls.pacing import Limits
from codeclm.engine.config import RetryPolicy
from codeclm.engine.data.errors import Stopping
from codeclm.providers.base import RateLimited, Reply, Request, ResponseFormat

from .clock import OwnedClockLoop
from .dispatching import Outcome, OutcomeCall, dispatching


class Limit(Protocol):
    """What a server lets through. Its *calls* may be changed at any time."""

    calls: float

    def wait(self, now: float) -> float:
        """Return the seconds until a request fits, 0 if it does now; inf if nobody can tell."""
        ...

    def take(self, now: float) -> None: ...

    def leave(self) -> None:
        """Note that a request was answered."""
        ...


class FixedWindow:
    """So many *calls* in each span of *seconds*; windows begin at *phase* and then back to back."""

    def __init__(self, calls: float, seconds: float, *, phase: float = 0.0) -> None:
        self.calls, self.seconds, self.phase = calls, seconds, phase
        self._window, self._taken = -1, 0

    def wait(self, now: float) -> float:
        window = math.floor((now - self.phase) / self.seconds)
        if window != self._window:
            self._window, self._taken = window, 0
        if self._taken + 1 <= self.calls:
            return 0.0
        return max((window + 1) * self.seconds + self.phase - now, 1e-9)

    def take(self, now: float) -> None:
        del now
        self._taken += 1

    def leave(self) -> None: ...


class SlidingWindow:
    """So many *calls* in any span of *seconds*."""

    def __init__(self, calls: float, seconds: float) -> None:
        self.calls, self.seconds = calls, seconds
        self._taken: deque[float] = deque()

    def wait(self, now: float) -> float:
        while self._taken and self._taken[0] <= now - self.seconds:
            self._taken.popleft()
        if len(self._taken) + 1 <= self.calls:
            return 0.0
        return max(self._taken[len(self._taken) - int(self.calls)] + self.seconds - now, 1e-9)

    def take(self, now: float) -> None:
        self._taken.append(now)

    def leave(self) -> None: ...


class TokenBucket:
    """Refilled by *calls* in *seconds*; holds *depth*, and is full at first."""

    def __init__(self, calls: float, seconds: float, *, depth: float) -> None:
        self.calls, self.seconds, self.depth = calls, seconds, max(1.0, depth)
        self._level, self._then = self.depth, 0.0

    def wait(self, now: float) -> float:
        rate = self.calls / self.seconds
        self._level = min(self.depth, self._level + (now - self._then) * rate)
        self._then = now
        return max(0.0, 1 - 1e-9 - self._level) / rate

    def take(self, now: float) -> None:
        del now
        self._level -= 1

    def leave(self) -> None: ...


class Slots:
    """So many *calls* at a time, however fast they come."""

    def __init__(self, calls: float) -> None:
        self.calls = calls
        self._busy = 0

    def wait(self, now: float) -> float:
        del now
        return 0.0 if self._busy < self.calls else math.inf

    def take(self, now: float) -> None:
        del now
        self._busy += 1

    def leave(self) -> None:
        self._busy -= 1


RetryAfter = Callable[[float], float | None]
"""What a refusal says of the seconds until a request fits."""


def silent(wait: float) -> float | None:
    """Name no time."""
    del wait
    return None


def exact(wait: float) -> float | None:
    return None if wait == math.inf else wait


def whole_seconds(wait: float) -> float | None:
    """Round up, as most vendors do."""
    return None if wait == math.inf else float(math.ceil(wait))


class LimitedServer:
    """Answers after *latency* seconds (give or take a fifth) what its limit lets through.

    A request is counted when it arrives, at most 10 ms after it was sent; a refusal returns in as
    long again. What is refused takes nothing.
    """

    kind: str = "limited"
    identity: str = "limited"
    structured: ResponseFormat = "text"

    def __init__(
        self,
        limit: Limit,
        *,
        latency: float = 0.05,
        retry_after: RetryAfter = silent,
        seed: int = 1,
    ) -> None:
        self.limit, self.latency, self.retry_after = limit, latency, retry_after
        self.random = Random(seed)
        self.passed: list[float] = []
        """When requests that were let through arrived."""
        self.refused: list[float] = []
        self.outages: list[tuple[float, float]] = []
        """Times from when until when everything is refused."""

    async def complete(self, request: Request, /) -> Reply:
        del request
        loop = asyncio.get_running_loop()
        way = min(0.01, self.latency / 10) * self.random.uniform(0.3, 1.0)
        await asyncio.sleep(way)
        now = loop.time()
        wait = self.limit.wait(now)
        if any(begin <= now < end for begin, end in self.outages):
            wait = math.inf
        if wait > 0:
            self.refused.append(now)
            await asyncio.sleep(way)
            raise RateLimited("too many requests", retry_after=self.retry_after(wait))
        self.limit.take(now)
        self.passed.append(now)
        try:
            await asyncio.sleep(self.latency * self.random.uniform(0.8, 1.2) - way)
        finally:
            self.limit.leave()
        return Reply(text="yes")

    async def aclose(self) -> None:
        return

    def between(self, begin: float, end: float) -> tuple[int, int]:
        """Return how many requests passed and were refused, in seconds since the first arrived."""
        first = min(self.passed[:1] + self.refused[:1])
        passed = sum(begin <= at - first < end for at in self.passed)
        refused = sum(begin <= at - first < end for at in self.refused)
        return passed, refused


@contextmanager
def owned_loop(random_seed: int) -> Generator[OwnedClockLoop]:
    """A loop with its own clock, and the waits before retries always the same."""
    seed_random(random_seed)
    loop = OwnedClockLoop()
    try:
        yield loop
    finally:
        loop.close()


def drive(
    server: LimitedServer,
    seconds: float,
    *,
    limits: Limits | None = None,
    changes: dict[float, Callable[[], None]] | None = None,
    seed: int = 1,
) -> Dispatcher:
    """Keep a dispatcher's queue full for so many seconds.

    Args:
        server: what it sends to.
        seconds: on the owned clock.
        limits: what the dispatcher is told.
        changes: what happens to the server, by the second when it does.
        seed: of the waits before retries.
    """

    async def scenario() -> Dispatcher:
        loop = asyncio.get_running_loop()
        for at, change in (changes or {}).items():
            loop.call_later(at, change)
        async with dispatching(server, limits, RetryPolicy()) as dispatcher:

            def submit(outcome: Outcome | None = None) -> None:
                if loop.time() < 1000 + seconds and not isinstance(outcome, Stopping):
                    request = Request(model="m", messages=())
                    dispatcher.submit(
                        OutcomeCall(
                            request=request,
                            priority=0,
                            tokens=0.0,
                            dispatcher=dispatcher,
                            answered=submit,
                        )
                    )

            for _ in range(1200):
                submit()
            await asyncio.sleep(seconds)
            dispatcher.stop(Stopping())
            await dispatcher.drained()
        return dispatcher

    with owned_loop(seed) as loop:
        return loop.run_until_complete(scenario())
