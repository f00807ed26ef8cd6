"""How fast something goes, from samples of late: synchronous, its times as arguments."""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple


class _Sample(NamedTuple):
    time: float
    amount: float


class Pace:
    """The rate of an amount that grows.

    Args:
        window: for how many seconds back to average, given for how many it has been measured.
    """

    def __init__(self, window: Callable[[float], float]) -> None:
        self._window = window
        self._samples = deque[_Sample]()
        self._began_at: float | None = None

    def add(self, now: float, amount: float) -> None:
        """Note *amount* at the time *now*, in seconds."""
        if self._began_at is None:
            self._began_at = now
        elapsed = now - self._began_at
        window = self._window(elapsed)
        # Two hundred samples at most: those that come closer replace the last one.
        if len(self._samples) > 1 and now - self._samples[-2].time < window / 200:
            self._samples.pop()
        self._samples.append(_Sample(now, amount))
        while len(self._samples) > 2 and self._samples[1].time <= now - window:
            self._samples.popleft()

    @property
    def seconds(self) -> float:
        """For how long the rate was measured."""
        return self._samples[-1].time - self._samples[0].time if self._samples else 0.0

    @property
    def per_second(self) -> float:
        """The rate; 0 until there are two samples."""
        if not self._samples:
            return 0.0
        growth = self._samples[-1].amount - self._samples[0].amount
        return growth / self.seconds if self.seconds > 0 else 0.0


RATE_WINDOW = 30.0
"""Seconds over which calls and tokens per second are averaged."""


def rate_pace() -> Pace:
    """Return a pace that shows what happens now."""
    return Pace(lambda _elapsed: RATE_WINDOW)


def work_pace() -> Pace:
    """Return a pace that forecasts: of the last half of the time, and of a minute at least."""
    return Pace(lambda elapsed: max(60.0, elapsed / 2))
