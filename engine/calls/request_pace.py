"""The pace of a stated limit of requests per minute, whatever window the server counts by."""

from collections import deque
from collections.abc import Callable
from math import ceil, inf

HEADROOM = 0.005
"""Share of the limit that is left unused, since requests travel unevenly."""

LATE_TIMER = 0.05
"""Seconds of allowance that may be sent at once, to make up for a late timer or a busy loop."""

PUNCTUAL = 0.004
"""The same where seconds hold few requests: any more would be one too many in some second."""

CATCH_UP, CATCH_UP_PACE = 5.0, 1.5
"""Seconds of allowance that a busy machine makes up for, at no more than so many times the pace."""

BUSY = 0.2
"""Seconds behind from which on the machine is busy, and may exceed a second's share."""

SECOND, LONGEST_SECOND, LENGTHENING = 1.008, 1.05, 0.002
"""Seconds that hold no more than a second's share; longer than one, since requests travel unevenly.
Each refusal lengthens them, up to a bound."""

MINUTE = 60.1
"""Seconds that hold no more than the limit, for the same reason."""

FEW, MANY = 20.0, 1000.0
"""Requests per second between which they are counted, and more than a late timer is made up for."""


class RequestPace:
    """Lets out the stated number of requests in any minute, and its share in any second.

    A server may count either. Only a machine that is too busy for an even pace catches up beyond a
    second's share, within the minute, and no longer once the server has refused a request. What
    nobody wanted to send is not caught up.
    """

    def __init__(self, per_minute: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._gap = 60 / per_minute / (1 - HEADROOM)
        self._slack = max(LATE_TIMER - self._gap, PUNCTUAL)
        self._catch_up = self._slack
        self._due = -inf
        """When the next request is due at an even pace; earlier than now where it is late."""
        self._catch_up_due = -inf
        """The same at the higher pace."""
        self._is_awaited = False
        """Whether somebody waits for the next request to be due."""
        self._is_strict = False
        """Whether seconds are never exceeded."""
        self._second = SECOND
        self._per_second = ceil(per_minute / 60)
        self._latest: deque[float] | None = None
        """When the requests of the latest minute were sent."""
        if FEW <= per_minute / 60 <= MANY:
            self._latest = deque(maxlen=int(per_minute))
            self._gap = max(self._gap, SECOND / self._per_second)
            self._catch_up = CATCH_UP

    def delay(self) -> float:
        """Return the seconds until the next request may be sent."""
        now = self._clock()
        due = self._due
        if self._latest is not None:
            due = max(due, self._catch_up_due, self._room_at(self._latest, now))
        if due <= now:
            return 0.0
        self._is_awaited = True
        return due - now

    def take(self) -> None:
        """Note that a request is sent now."""
        now = self._clock()
        latest = self._latest
        last = latest[-1] if latest else self._due
        if now - last > self._slack and not self._is_awaited:
            self._due = now  # nobody wanted to send: there is nothing to catch up
        self._is_awaited = False
        self._due = max(self._due, now - self._catch_up) + self._gap
        if latest is not None:
            earliest = now - self._slack
            self._catch_up_due = max(self._catch_up_due, earliest) + self._gap / CATCH_UP_PACE
            latest.append(now)

    def tighten(self) -> None:
        """Never exceed a second's share from now on: the server has no room for more.

        Where seconds hold few requests, not even a late timer is made up for: a server with room
        for one request at a time refuses any that comes early after a late one.
        """
        self._second = min(self._second + LENGTHENING, LONGEST_SECOND)
        if self._slack <= PUNCTUAL:
            self._slack = 0.0
        self._is_strict = True
        self._catch_up = self._slack if self._latest is None else min(self._catch_up, BUSY)

    def _room_at(self, latest: deque[float], now: float) -> float:
        """Return when the second and the minute have room for a request."""
        at = latest[0] + MINUTE if len(latest) == latest.maxlen else -inf
        if now - self._due > BUSY and not self._is_strict:
            return at
        if len(latest) >= self._per_second:
            at = max(at, latest[-self._per_second] + self._second)
        return at
