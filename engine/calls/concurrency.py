"""How many calls one endpoint bears at a time, found by trying.

Synchronous, on an injected clock: the dispatcher asks for the limit and reports what happened.
"""

from collections.abc import Callable
from math import inf

USED = 0.8  # of the limit in flight: below it, success says nothing about a higher one
DECREASE, STEEP_DECREASE = 0.85, 0.5  # steep where the milder one before it did not help
REFUSED_SHARE = 1 / 3
FEWEST_CALLS = 16  # of which a share is taken; at a limit below 4, four round trips
FIRST_PATIENCE, LONGEST_PATIENCE = 1.0, 30.0
BREATH, LONGEST_BREATH = 0.1, 0.05  # round trips, seconds
FIRST_HOLD, LONGEST_HOLD = 0.05, 5.0


class Concurrency:
    """Adaptive bound on calls in flight.

    Grows while used: twofold per round trip up to where refusals were last met (the wall), then
    waits just below it, and probes on by one call (or 2 %) per round trip; each probe that meets
    the same wall doubles the patience before the next.

    A 429 may concern its own request (a server's whim, one user's quota) or the endpoint. One by
    one they look alike, so the share decides. Less than a third of the calls under way refused:
    those wait by themselves. More: the limit shrinks, once per burst. If after that *nothing* new
    gets through either, no concurrency is low enough, and the whole endpoint is held.
    """

    def __init__(
        self, *, ceiling: int, start: int | None = None, clock: Callable[[], float]
    ) -> None:
        """Allow 1 to *ceiling* calls, at first *start* (32 if not given)."""
        self._ceiling = float(max(1, ceiling))
        self._limit = min(self._ceiling, 32.0 if start is None else max(1.0, start))
        self._clock = clock
        self._shrunk_at = -inf
        self._shrunk_before = -inf
        self._answered = 0
        self._refused = 0
        self._streak = 0  # decreases between which no call got through
        self._latency = 0.0
        self._wall = inf
        self._patience = FIRST_PATIENCE
        self._probe_at = -inf

    @property
    def limit(self) -> int:
        """Calls that may be in flight now."""
        return int(self._limit)

    def note_success(self, in_flight: int, sent_at: float) -> None:
        """Count an answer. *in_flight* includes it; *sent_at* is when it was sent."""
        self._latency += (self._clock() - sent_at - self._latency) * 0.1
        if sent_at > self._shrunk_before:
            self._streak = 0
        if sent_at <= self._shrunk_at:
            return

        self._count()
        if in_flight >= USED * self.limit:
            self._grow()

    def note_refusal(
        self, in_flight: int, sent_at: float, *, retry_after: float | None = None
    ) -> float:
        """Count a 429, as `note_success`. *retry_after* are seconds, if the server named any.

        Returns seconds for which nothing at all should be sent. Mostly 0.0 where the server named
        a time for this call: then only it waits, and the others run on.
        """
        if sent_at <= self._shrunk_at:
            return 0.0  # of a burst that was counted

        self._count()
        self._refused += 1
        calls = max(self._answered + in_flight - 1, min(FEWEST_CALLS, 4 * self.limit))
        if self._refused <= REFUSED_SHARE * calls:
            return self._breath(retry_after)

        self._shrink()
        return self._pause(retry_after)

    def _count(self) -> None:
        self._answered += 1
        if self._answered > 4 * max(self._limit, FEWEST_CALLS):
            # halved now and then, so that an hour of answers does not hide a minute of refusals
            self._answered //= 2
            self._refused //= 2

    def _grow(self) -> None:
        plateau = min(self._wall * 0.95, self._wall - 1)
        if self._limit < plateau:
            self._limit = min(self._limit + 1, plateau)
        elif self._clock() >= self._probe_at:
            self._limit += max(1.0, self._limit * 0.02) / self._limit
            if self._limit > max(self._wall * 1.1, self._wall + 1):
                self._wall = inf  # it is gone
        self._limit = min(self._limit, self._ceiling)

    def _shrink(self) -> None:
        now = self._clock()
        self._streak += 1
        if self._streak == 1:
            same = self._limit >= self._wall * 0.9
            self._patience = min(self._patience * 2, LONGEST_PATIENCE) if same else FIRST_PATIENCE
            self._wall = self._limit
        self._probe_at = now + self._patience
        self._limit = max(1.0, self._limit * (DECREASE if self._streak == 1 else STEEP_DECREASE))
        self._shrunk_before, self._shrunk_at = self._shrunk_at, now
        self._answered = self._refused = 0

    def _breath(self, retry_after: float | None) -> float:
        """A moment, lest the place of a refused call be offered again within milliseconds.

        A server that refills steadily would refuse those too: a bucket a tenth of a second deep
        was used to 75 % without it, to 89 % with it.
        """
        breath = min(self._latency * BREATH, LONGEST_BREATH)
        return breath if retry_after is None or 0 < retry_after <= breath else 0.0

    def _pause(self, retry_after: float | None) -> float:
        if self._streak < 2 and self._limit > 1:
            return self._breath(retry_after)

        if retry_after is not None and retry_after > 0:
            return retry_after

        return min(FIRST_HOLD * 2.0 ** max(0, min(self._streak - 2, 16)), LONGEST_HOLD)
