"""How many calls one endpoint takes at a time, found by trying.

Synchronous, on an injected clock: the dispatcher asks for the limit and reports what happened.
"""

from collections.abc import Callable
from math import inf
from typing import NamedTuple

from msgspec import Struct

USED = 0.8
"""Share of the limit in flight below which a success says nothing about a higher limit."""

DECREASE, STEEP_DECREASE = 0.85, 0.5
"""Factors by which the limit shrinks; the steep one if the decrease before it did not help."""

REFUSED_SHARE = 1 / 3
"""Share of refused calls from which on the endpoint is at fault rather than single calls."""

MIN_CALLS = 16
"""Fewest calls of which that share is taken; at a limit below 4, four round trips."""

FIRST_PATIENCE, LONGEST_PATIENCE = 1.0, 30.0
"""Seconds before the limit probes beyond the wall again."""

BREATH, LONGEST_BREATH = 0.1, 0.05
"""A short pause after a refusal: round trips, and at most so many seconds."""

SPREAD = 0.75
"""Share of a round trip over which a full limit is spread."""

FIRST_HOLD, LONGEST_HOLD = 0.05, 5.0
"""Seconds for which nothing is sent to an endpoint that refuses everything."""

NOTABLE_SHARE = 0.05
"""Share of refused calls from which on a lower limit is tried."""

CALLS_BEFORE_TRIAL, CALLS_IN_TRIAL = 200, 48
"""Fewest calls to take these shares of, or two round trips."""

HELPFUL = 0.2
"""Share of the refusals before that a trial may still meet to have found the cause."""

FIRST_TRIAL_PATIENCE, LONGEST_TRIAL_PATIENCE = 5.0, 60.0
"""Seconds until the next trial after one that changed nothing."""


class _Trial(NamedTuple):
    """Fewer calls in flight for a while, to see whether fewer are refused."""

    limit: float
    """Before."""
    share: float
    """Refused before."""


class _Calls(Struct):
    """How many calls ended in a time, and how many of them were refused."""

    ended: int = 0
    refused: int = 0

    def count(self, *, refused: bool) -> None:
        self.ended += 1
        self.refused += refused

    def halve(self) -> None:
        """Forget half of them, so that an hour of answers does not hide a minute of refusals."""
        self.ended //= 2
        self.refused //= 2


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
        self._recent = _Calls()
        """Since the limit last shrank."""
        self._streak = 0  # decreases since a call last got through
        self._latency = 0.0
        self._calls = _Calls()
        """Since the limit was last changed on purpose."""
        self._overall = _Calls()
        """Since the last trial."""
        self._trial: _Trial | None = None
        self._next_trial = -inf
        self.ruled_out = 0.0
        """Share of calls refused for another reason than their number, as a trial has found."""
        self._trial_patience = FIRST_TRIAL_PATIENCE
        self._wall = inf
        self._patience = FIRST_PATIENCE
        self._probe_at = -inf
        self._probing = False
        self._share_before = 0.0
        """Of calls refused just below the wall."""

    @property
    def limit(self) -> int:
        """Calls that may be in flight now."""
        return int(self._limit)

    @property
    def spacing(self) -> float:
        """Seconds to leave between two sends, so that a full limit is not sent in bursts.

        Where calls were refused before, a round trip's worth is spread over most of the round trip.
        """
        return 0.0 if self._wall == inf else SPREAD * self._latency / self._limit

    def note_success(self, in_flight: int, sent_at: float) -> None:
        """Note an answer. *in_flight* includes it; *sent_at* is when it was sent."""
        latency = self._clock() - sent_at
        self._latency += (latency - self._latency) * (0.1 if self._latency else 1.0)
        if sent_at > self._shrunk_before:
            self._streak = 0
        if sent_at <= self._shrunk_at:
            return

        self._count(refused=False)
        if self._trial is None and in_flight >= USED * self.limit:
            self._grow()

    def note_refusal(
        self,
        in_flight: int,
        sent_at: float,
        *,
        retry_after: float | None = None,
        width: float = inf,
        overrun: bool = False,
    ) -> float:
        """Note a 429, with arguments as for `note_success`; *retry_after* is in seconds.

        Returns the seconds for which nothing at all should be sent: mostly 0.0 if the server named
        a time for this call, since then this call waits and the others go on.
        """
        if sent_at <= self._shrunk_at:
            return 0.0  # part of a burst that was counted

        self._count(refused=True)
        calls = max(self._recent.ended + in_flight - 1, min(MIN_CALLS, 4 * self.limit))
        tolerable = self._trial is not None or self._recent.refused <= REFUSED_SHARE * calls
        if tolerable and not overrun:
            if not self._end_probe():
                self._try_fewer(width)
            return self._breath(retry_after)

        self._trial = None
        self._shrink()
        return self._pause(retry_after)

    def restore(self) -> None:
        """Take back the latest decreases: the calls were not refused for their number."""
        if self._wall < inf:
            self._limit = max(self._limit, self._wall)
            self._wall = inf
        self._patience = FIRST_PATIENCE
        self._recent = _Calls()
        self._streak = 0
        self._trial = None
        self._calls, self._overall = _Calls(), _Calls()

    def _end_probe(self) -> bool:
        """Return to the plateau if a probe beyond it meets refusals that were not there before."""
        calls = self._calls
        usual = 2 * self._share_before * calls.ended + 1
        if not self._probing or self._wall == inf or calls.refused <= usual:
            return False
        plateau = self._plateau
        self._meet_wall(self._limit)
        self._limit = max(1.0, min(plateau, self._plateau))
        self._shrunk_before, self._shrunk_at = self._shrunk_at, self._clock()
        self._recent = _Calls()
        self._calls = _Calls()
        return True

    @property
    def _plateau(self) -> float:
        """The highest limit that stays below the wall."""
        return min(self._wall * 0.95, self._wall - 1)

    def _try_fewer(self, width: float) -> None:
        """Begin a trial if some calls are refused all the time."""
        calls = self._overall
        if self._trial is not None or self._limit <= 1 or self._clock() < self._next_trial:
            return
        if calls.ended < max(CALLS_BEFORE_TRIAL, 2 * self._limit):
            return
        if calls.refused > NOTABLE_SHARE * calls.ended:
            self._begin_trial(calls.refused / calls.ended, width)

    def _begin_trial(self, share: float, width: float) -> None:
        self._trial = _Trial(self._limit, share)
        self._limit = max(1.0, min(self._limit * DECREASE, width * 0.95))
        self._shrunk_before, self._shrunk_at = self._shrunk_at, self._clock()
        self._calls, self._overall = _Calls(), _Calls()

    def _judge_trial(self, trial: "_Trial") -> None:
        """Keep the lower limit if hardly any call is refused at it, else return to the old one."""
        share = self._calls.refused / self._calls.ended
        self._calls = _Calls()
        self._trial = None
        if share > trial.share * HELPFUL:  # it does not depend on how many are in flight
            self._limit = max(self._limit, trial.limit)
            self._next_trial = self._clock() + self._trial_patience
            self._trial_patience = min(self._trial_patience * 2, LONGEST_TRIAL_PATIENCE)
            self.ruled_out = trial.share
            return
        self._trial_patience = FIRST_TRIAL_PATIENCE
        self._meet_wall(min(trial.limit, self._limit + 1))

    def _meet_wall(self, limit: float) -> None:
        same_wall = limit >= self._wall * 0.9
        longer = min(self._patience * 2, LONGEST_PATIENCE)
        self._patience = longer if same_wall else FIRST_PATIENCE
        self._wall = limit
        self._probing = False
        self._probe_at = self._clock() + self._patience

    def _count(self, *, refused: bool) -> None:
        self._recent.count(refused=refused)
        if self._recent.ended > 4 * max(self._limit, MIN_CALLS):
            self._recent.halve()
        self._calls.count(refused=refused)
        self._overall.count(refused=refused)
        if self._overall.ended >= 2 * max(CALLS_BEFORE_TRIAL, 2 * self._limit):
            self._overall.halve()
        if self._trial is not None:
            if self._calls.ended >= max(CALLS_IN_TRIAL, 2 * self._limit):
                self._judge_trial(self._trial)

    def _grow(self) -> None:
        plateau = self._plateau
        if self._limit < plateau:
            self._limit = min(self._limit + 1, plateau)
        elif self._clock() >= self._probe_at:
            if not self._probing:
                self._probing = True
                self._share_before = self._calls.refused / max(self._calls.ended, MIN_CALLS)
                self._calls = _Calls()
            boldness = min(max(self._latency / 2, 0.5), 1.0)  # slow servers get fewer round trips
            self._limit += max(1.0, (self._limit - plateau) * boldness) / self._limit
            if self._limit > max(self._wall * 1.25, self._wall + 2):
                self._wall = inf  # the wall is gone
        self._limit = min(self._limit, self._ceiling)

    def _shrink(self) -> None:
        now = self._clock()
        self._streak += 1
        if self._streak == 1:
            self._meet_wall(self._limit)
        self._probe_at = now + self._patience
        self._limit = max(1.0, self._limit * (DECREASE if self._streak == 1 else STEEP_DECREASE))
        self._shrunk_before, self._shrunk_at = self._shrunk_at, now
        self._recent = _Calls()
        self._calls = _Calls()

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
