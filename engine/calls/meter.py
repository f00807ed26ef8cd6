"""One allowance as a leaky bucket: when the next grant may go, and what is left to wait off."""

from collections.abc import Callable
from math import inf

from aiolimiter import AsyncLimiter

LONGEST_DEBT = 600.0
"""Seconds of allowance: a larger debt is forgiven, whatever a call claims to have used."""

LONGEST_CREDIT = 1.0
"""Seconds of allowance: refunds beyond it are dropped, since they would go out as one burst."""

SHORTEST_NAP = 0.005
"""Seconds: where that much can be caught up, a few sends share one timer."""


class Meter:
    """One allowance: a leaky bucket that may be overdrawn by one grant, then has to drain.

    An `AsyncLimiter` keeps the level and the leak. Nobody waits at it: who goes next is decided
    when there is room, not before. Its capacity is ``LONGEST_DEBT`` above the level at which
    grants stop, so that a call of any size is one grant.
    """

    __slots__ = (
        "_capacity",
        "_clock",
        "_closed",
        "_credit",
        "_limiter",
        "_nap",
        "_opens",
        "_rate",
        "_sure",
    )

    def __init__(self, rate: float, *, slack: float, clock: Callable[[], float]) -> None:
        """Pace to *rate* a second; up to *slack* may be caught up. Starts with nothing saved."""
        self._rate = rate
        self._clock = clock
        self._closed = rate * LONGEST_DEBT + 1  # room for a request, however rare they are
        self._capacity = slack + self._closed
        self._limiter = AsyncLimiter(self._capacity, self._capacity / rate)
        self._nap = min(SHORTEST_NAP, slack / rate / 4)
        self._credit = 0.0
        self._sure = self._closed  # room there is at least
        self._opens = -inf  # no grant before
        self._fill(slack)

    def delay(self) -> float:
        """Seconds until the next grant, or a little longer: by a nap that is made up for."""
        left = self._opens - self._clock()
        if left > 0:
            return left

        closed = self._closed - self._credit
        if self._limiter.has_capacity(closed):
            self._sure = closed
            return 0.0

        wait = max((closed - self._room()) / self._rate, self._nap)
        self._opens = self._clock() + wait
        return wait

    def take(self, amount: float) -> None:
        covered = min(amount, self._credit)
        self._credit -= covered
        self._fill(amount - covered)
        self._opens = -inf

    def tighten(self) -> None:
        """Catch up no more, where that was less than a request: grants keep their whole distance.

        A server with room for one at a time refuses whatever follows a late one early.
        """
        if self._capacity - self._closed < 1:
            self._closed = self._capacity
            self._opens = -inf

    def give_back(self, amount: float) -> None:
        self._credit += amount
        self._opens = -inf
        # the level is not known, but whether it is below the credit by more than allowed
        excess = self._credit - self._rate * LONGEST_CREDIT
        if excess > 0 and self._limiter.has_capacity(self._capacity - excess):
            level = self._capacity - self._room()
            self._credit = max(level, 0.0) + self._rate * LONGEST_CREDIT

    def _fill(self, amount: float) -> None:
        if amount <= 0:
            return

        if amount > self._sure and not self._limiter.has_capacity(amount):
            amount = self._room()
        self._sure -= amount
        try:
            self._limiter.acquire(amount).send(None)  # where there is room it does not suspend
        except StopIteration:
            return

    def _room(self) -> float:
        """Capacity left: the limiter tells no more than whether something fits.

        Found by doubling a step down from the top of what may be free, then halving. Never too
        much, and too little by at most half a millisecond's worth.
        """
        grain = self._rate * 0.0005
        fits_not, step = self._closed - self._credit, grain
        if self._limiter.has_capacity(fits_not):
            fits_not = self._capacity
        while fits_not > step and not self._limiter.has_capacity(fits_not - step):
            fits_not -= step
            step *= 2
        fits = max(0.0, fits_not - step)
        while fits_not - fits > grain:
            middle = (fits + fits_not) / 2
            if self._limiter.has_capacity(middle):
                fits = middle
            else:
                fits_not = middle
        return fits
