"""One allowance as a leaky bucket: when the next grant is allowed, and what must drain first."""

from collections.abc import Callable
from math import inf

from aiolimiter import AsyncLimiter

LONGEST_DEBT = 600.0
"""Seconds of allowance: a larger debt is forgiven, whatever a call claims to have used."""

LONGEST_CREDIT = 1.0
"""Seconds of allowance: refunds beyond it are dropped, since they would go out as one burst."""

SHORTEST_NAP = 0.005
"""Seconds: where that much can be caught up, several sends share one timer."""


class Meter:
    """A leaky bucket that one grant may overdraw; the debt then has to drain.

    An `AsyncLimiter` keeps the level and the leak. Nothing waits on it, since the next call is
    chosen only when there is room. Its capacity is ``LONGEST_DEBT`` above the level at which grants
    stop, so that a call of any size is one grant.
    """

    __slots__ = (
        "_capacity",
        "_clock",
        "_credit",
        "_free_at_least",
        "_limiter",
        "_nap",
        "_needed",
        "_next_grant",
        "_rate",
    )

    def __init__(self, rate: float, *, slack: float, clock: Callable[[], float]) -> None:
        """Start without any slack saved.

        Args:
            rate: units per second.
            slack: units that may be caught up after a pause.
            clock: returns seconds; the time of the running loop.
        """
        self._rate = rate
        self._clock = clock
        self._needed = rate * LONGEST_DEBT + 1  # free capacity for a grant, however low the rate
        self._capacity = slack + self._needed
        self._limiter = AsyncLimiter(self._capacity, self._capacity / rate)
        self._nap = min(SHORTEST_NAP, slack / rate / 4)
        self._credit = 0.0
        self._free_at_least = self._needed
        self._next_grant = -inf
        self._fill(slack)

    def delay(self) -> float:
        """Return the seconds until the next grant, or a nap more, which is caught up."""
        remaining = self._next_grant - self._clock()
        if remaining > 0:
            return remaining

        needed = self._needed - self._credit
        if self._limiter.has_capacity(needed):
            self._free_at_least = needed
            return 0.0

        wait = max((needed - self._free()) / self._rate, self._nap)
        self._next_grant = self._clock() + wait
        return wait

    def take(self, amount: float) -> None:
        """Take *amount* now, whether or not there is room."""
        covered = min(amount, self._credit)
        self._credit -= covered
        self._fill(amount - covered)
        self._next_grant = -inf

    def tighten(self) -> None:
        """Stop catching up where the slack is less than a request: grants keep their distance.

        A server with room for one request at a time refuses any that comes early after a late one.
        """
        if self._capacity - self._needed < 1:
            self._needed = self._capacity
            self._next_grant = -inf

    def refund(self, amount: float) -> None:
        """Return *amount* that was taken and not used."""
        self._credit += amount
        self._next_grant = -inf
        # The level is unknown, but not whether it is lower than the credit by more than allowed.
        excess = self._credit - self._rate * LONGEST_CREDIT
        if excess > 0 and self._limiter.has_capacity(self._capacity - excess):
            level = self._capacity - self._free()
            self._credit = max(level, 0.0) + self._rate * LONGEST_CREDIT

    def _fill(self, amount: float) -> None:
        if amount <= 0:
            return

        if amount > self._free_at_least and not self._limiter.has_capacity(amount):
            amount = self._free()
        self._free_at_least -= amount
        try:
            self._limiter.acquire(amount).send(None)  # where there is room it does not suspend
        except StopIteration:
            return

    def _free(self) -> float:
        """Return the free capacity, of which the limiter only tells whether an amount fits.

        Found by doubling a step down from the most that may be free, then by bisection. Never too
        much, and too little by at most half a millisecond's worth.
        """
        grain = self._rate * 0.0005
        too_much, step = self._needed - self._credit, grain
        if self._limiter.has_capacity(too_much):
            too_much = self._capacity
        while too_much > step and not self._limiter.has_capacity(too_much - step):
            too_much -= step
            step *= 2
        fits = max(0.0, too_much - step)
        while too_much - fits > grain:
            middle = (fits + too_much) / 2
            if self._limiter.has_capacity(middle):
                fits = middle
            else:
                too_much = middle
        return fits
