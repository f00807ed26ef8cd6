"""How many requests a second an endpoint takes, found from what it refuses.

Synchronous, on an injected clock: the pacer asks when the next request may go and reports what
became of each.
"""

from collections.abc import Callable
from math import inf, sqrt
from typing import NamedTuple

from .block import Block, SlowStart
from .refusals import Cause, Refusals, Sending

TOLERABLE = 0.01
"""Share of the requests that may be refused, or of the time that may be lost to blocks, at a pace
that is kept."""

HEADROOM = 0.02
"""Share of a measured limit that is left unused."""

PATIENCE, STEP = 2.0, 1.0
"""Seconds at one pace before it is raised for the first time, and between raises."""

FIRST_RAISE = 0.02
"""Relative size of the first raise; each further one is twice as large, up to doubling the pace."""

FIRST_GUESS = 4.0
"""Times the first measurement, to pace to until there is a second: the first may begin in the
middle of a window, or span an outage that was no limit at all."""

SHORTEST_STRETCH, FEWEST = 0.5, 8
"""Seconds and admitted requests that a measurement needs."""

FULL = 0.8
"""Share of the longest block that the time between two measurements has at least: windows are not
shorter."""

RETEST = 0.9
"""Factor by which the share of refusals that is tolerated shrinks, so that it is tested again."""

ENOUGH = 16
"""Requests of which the refused share means anything."""

MOST_LOWERED = 6
"""How often the pace may be lowered in a row while requests are still refused: if that does not
help, there is no limit."""

LARGEST_STEP = 4.0
"""Factor by which single refusals lower the pace at most: a second's chance shall not stop it."""

FIRST_REST, LONGEST_REST = 10.0, 300.0
"""Seconds without a pace after that, doubled each time."""

LONG = 2.0
"""Seconds of a Retry-After that no number in flight explains, where most requests are refused."""

LEAST_PACE = 1 / 60
"""Requests per second."""

HOLD_GAPS, FIRST_HOLD = 2.0, 0.04
"""Until a blocked endpoint is probed first: gaps between requests at the pace, and seconds where
there is no pace."""

SCALE_MEMORY, LONGEST_SCALE = 600.0, 60.0
"""Seconds for which the longest block is remembered, and the most it is taken to be."""

IDLE = 1.0
"""Seconds without a request, though one might have been sent, from which on they do not count."""

SLACK = 0.015
"""Seconds of the pace that may be caught up, for timers that are late."""


class _Mark(NamedTuple):
    """A moment, and what had been sent and refused by then."""

    at: float
    """In seconds during which there was something to send."""
    sent: int
    refused: int


class RateSearch:
    """A pace that follows an unknown limit of requests per time, a window's or a bucket's.

    There is none until most requests are refused although fewer are in flight than the server
    bore before, so that their number cannot be the reason. Then:

    * While everything is refused (a *block*), one probe at a time finds out when that ends. What
      was admitted between the ends of two blocks, divided by the time, is the limit, whatever the
      window.
    * The pace is set just below it. While hardly anything is refused, the pace is raised in growing
      steps, but no faster than the longest block, since a raise takes a window to show.
    * Where too many requests are refused one by one, without a block, what came through is the new
      pace. If that does not help, the refusals have another reason and are tolerated.

    Attributes:
        is_active: whether requests may have to wait.
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._refusals = Refusals(clock=clock)
        self.is_active = False
        self._rate = inf
        self._due = -inf
        self._sent = self._refused = 0
        self._sent_at, self._idle = clock(), 0.0
        """When the latest request was sent, and the seconds during which there was none to send."""
        self._waiting_until = -inf
        """Until when refused requests wait, as the server asked: they are there to be sent."""
        self._block: Block | None = None
        self._slow_start = SlowStart()
        self._older_edge = self._edge = self._change = self._mark(clock())
        """When blocks ended, and when the pace last changed."""
        self._blocks = 0
        """How many have been measured."""
        self._hold = FIRST_HOLD
        self._sent_before = 0
        """What had been sent when the latest block ended."""
        self._scale, self._scale_at = 0.0, -inf
        """Seconds of the longest block lately, which the server's window is at least."""
        self._raises, self._proven = 0, 0.0
        """How often the pace was raised in a row, and what it was before the last time: at least
        that was borne for a while. 0 where it was not raised, or a block came at it."""
        self._before: tuple[float, float] | None = None
        """The pace before it was lowered for single refusals, and their share then."""
        self._lowered = 0
        """How often the pace was lowered since hardly any request was refused."""
        self._rest, self._rest_until = FIRST_REST, -inf
        self._crowded_share = inf
        """Share of refusals when fewer requests at a time were tried last: if that did not help
        well, it is not tried again."""
        self._refused_narrow = 0
        """Refusals since the latest change that cannot be for the number in flight."""
        self._usual = 0.0
        """Share of refusals that a lower pace does not prevent."""

    @property
    def width(self) -> int:
        """The most requests that the server had at a time lately."""
        return self._refusals.width

    @property
    def rate(self) -> float:
        """Requests per second that may be sent now; inf if no limit is known."""
        return self._rate

    def available_at(self) -> float:
        """Return when the next request may be sent, on the clock's time."""
        return self._due if self._block is None else self._block.hold_until

    def take(self, in_flight: int) -> Sending:
        """Note that a request is sent now; *in_flight* are in flight with it."""
        now = self._clock()
        if self.is_active:
            self._keep_pace(now)
        elif now - self._sent_at > IDLE:
            self._idle += max(0.0, now - max(self._sent_at, self._waiting_until))
        self._sent_at = now
        self._sent += 1
        sending = Sending(self._sent, now, in_flight)
        if self._refusals.sample is None:
            self._refusals.begin_sample(sending)
        return sending

    def _keep_pace(self, now: float) -> None:
        """Note when the next request is due, after one that is sent now."""
        since = max(self._sent_at + IDLE, self.available_at(), self._waiting_until)
        self._idle += max(0.0, now - since)
        block = self._block
        if block is not None:
            if block.probe is not None:  # nothing was heard of it: it was admitted
                self._end_block(block, block.probe)
            else:
                block.send_probe(now, self._refusals.seconds)
        elif self._rate < inf and self._busy(now) >= self._change.at + STEP:
            self._review(now)
        if not self._slow_start.is_over:
            self._due = now + self._slow_start.gap(now, 1 / self._rate)
        elif self._rate < inf:
            self._due = max(self._due, now - SLACK) + 1 / self._rate
        elif self._block is None:
            self.is_active = False

    def note_answer(self, sending: Sending) -> None:
        """Note that a request was admitted."""
        sample, block = self._refusals.sample, self._block
        if sample is not None and sample.number <= sending.number:
            self._refusals.learn_width(sample)
        if block is not None and block.probe is not None and sending.at >= block.probe:
            self._end_block(block, block.probe)

    def note_refusal(self, sending: Sending, retry_after: float | None) -> Cause:
        """Note a 429, and tell what it was for.

        *retry_after* are the seconds that the server named.
        """
        now = self._clock()
        self._waiting_until = max(self._waiting_until, now + (retry_after or 0.0) + 1)
        self._refused += 1
        self._refusals.note_refusal(sending)
        if self._block is not None:
            self._block.note_refusal(now=now, sent_at=sending.at, retry_after=retry_after)
        elif self._is_limiting(now):
            if self._refusals.is_next_to_another(sending):
                self._begin_block(now, sending.at, retry_after)
            elif self._rate > self._proven > 0 and self._is_excess(2):
                self._fall_back(now)
        else:
            return self._blame(sending, now, retry_after)
        return Cause.RATE

    def note_narrowing(self) -> None:
        """Note that fewer calls are allowed in flight: what was refused before does not count."""
        if self._rate == inf:
            self._change = self._mark(self._clock())

    def _blame(self, sending: Sending, now: float, retry_after: float | None) -> Cause:
        """Tell what a request was refused for that the pace did not limit."""
        if now < self._rest_until:
            return Cause.NUMBER
        is_narrow = self._refusals.is_narrow(sending)
        is_pause = (retry_after or 0.0) >= LONG
        if (is_narrow or is_pause) and self._refusals.are_most(self._sent):
            self._begin_block(now, sending.at, retry_after)
            return Cause.FIRST_BLOCK
        self._refused_narrow += is_narrow
        return Cause.NUMBER if self._rate < inf else self._review_unpaced(now)

    def _is_limiting(self, now: float) -> bool:
        """Tell whether the pace, and not the calls in flight, determines how much is sent."""
        if self._rate == inf:
            return False
        sent = self._sent - self._change.sent
        return sent + 1 >= 0.8 * self._rate * (self._busy(now) - self._change.at)

    # -- blocks --------------------------------------------------------------------------------

    def _begin_block(self, now: float, sent_at: float, retry_after: float | None) -> None:
        if self._sent - self._sent_before >= FEWEST:
            self._hold = FIRST_HOLD if self._rate == inf else HOLD_GAPS / self._rate
        self.is_active = True
        self._block = Block(now=now, sent_at=sent_at, hold=self._hold, retry_after=retry_after)

    def _end_block(self, block: Block, probe: float) -> None:
        """Set the pace by what was admitted until *block* ended, before the one sent at *probe*."""
        now, at = self._clock(), block.end(probe)
        self._block, self._hold = None, block.hold
        self._slow_start.begin(now, self._refusals.seconds)
        self._refusals.forget()
        self._sent_before = self._sent
        if self._rate < inf and not block.refused_probes:
            return
        # The probe was the latest send, and is not part of what was admitted before.
        edge = _Mark(self._busy(at), self._sent - 1, self._refused)
        is_short = edge.at - self._edge.at < max(SHORTEST_STRETCH, FULL * self._scale)
        since = self._older_edge if is_short and self._blocks else self._edge
        measured = max(self._measure(since, edge), self._measure(self._change, edge))
        if not measured:
            return  # measure on
        self._learn_scale(at - block.began, at)
        proven, raises = self._proven, self._raises
        self._set(self._pace_for(max(measured, proven)), now)
        if measured < proven:
            self._raises = max(raises - 2, 0)
        self._before = None
        self._blocks += 1
        if not is_short:
            self._older_edge, self._edge = self._edge, edge

    def _pace_for(self, limit: float) -> float:
        """Return the pace to keep a measured *limit*."""
        if not self._blocks:
            return limit * FIRST_GUESS
        if limit >= self._rate * (1 - TOLERABLE):
            return self._rate
        return limit * (1 - HEADROOM)

    def _learn_scale(self, seconds: float, now: float) -> None:
        """Learn how long a block was, and with it how long the windows are at least."""
        if seconds >= self._scale or now > self._scale_at + SCALE_MEMORY:
            self._scale, self._scale_at = min(seconds, LONGEST_SCALE), now

    # -- the pace ------------------------------------------------------------------------------

    def _review_unpaced(self, now: float) -> Cause:
        """If too many requests are refused, try fewer at a time, then a pace."""
        if self._busy(now) < self._change.at + STEP:
            return Cause.NUMBER
        is_wide = 2 * self._refused_narrow < self._refused - self._change.refused
        cause, share = Cause.NUMBER, self._share
        if self._is_excess(3):
            if is_wide and share < self._crowded_share / 2:
                self._crowded_share = share
                cause = Cause.CROWD
            else:
                self._lower(now)
        self._change, self._refused_narrow = self._mark(now), 0
        return cause

    def _review(self, now: float) -> None:
        """Lower the pace if too many requests were refused at it, or raise it after a while."""
        if self._sent < self._change.sent + ENOUGH:
            return
        if self._is_excess(2 if self._before is None else 3):
            self._lower(now)
            return
        wait = STEP if self._raises else PATIENCE
        window = self._scale if self._blocks > 1 else self._scale / FIRST_GUESS
        if self._busy(now) < self._change.at + max(wait, window):
            return
        self._before = None
        self._usual = min(self._usual, (self._usual + self._share) / 2) * RETEST
        if self._share <= TOLERABLE:
            self._lowered = 0
        raises, rate = self._raises, self._rate
        limiting = self._is_limiting(now)
        step = min(1.0, FIRST_RAISE * 2.0 ** min(raises, 10)) if limiting else 0.0
        self._set(rate * (1 + step), now)
        if limiting:
            # A pace that was raised before any window's length was known has proven nothing.
            self._raises, self._proven = raises + 1, rate if self._blocks > 1 else 0.0

    @property
    def _share(self) -> float:
        """The share of requests that were refused since the pace changed."""
        return (self._refused - self._change.refused) / max(self._sent - self._change.sent, 1)

    def _is_excess(self, fewest: int) -> bool:
        """Tell whether too many were refused since then, and at least so many."""
        sent, refused = self._sent - self._change.sent, self._refused - self._change.refused
        usual = self._usual * sent
        return refused >= fewest and refused > usual + 2 * sqrt(usual) + TOLERABLE * sent

    def _lower(self, now: float) -> None:
        """Lower the pace, or return to the former one if that did not help."""
        share = self._share
        if self._before is not None and share >= self._before[1] / 2:
            (rate, share_before), self._before = self._before, None
            self._usual = (share_before + share) / 2
            self._set(rate, now)
        elif limit := self._measure(self._change, self._mark(now)):
            self._before = self._rate, share
            least = 0.0 if self._rate == inf else self._rate / LARGEST_STEP
            self._set(min(self._rate, max(limit, least)) * (1 - HEADROOM), now)

    def _fall_back(self, now: float) -> None:
        """Return to just below the pace before the last raise."""
        proven, raises, lowered = self._proven, self._raises, self._lowered
        self._set(proven * (1 - HEADROOM), now)
        self._raises, self._proven, self._lowered = max(raises - 2, 0), proven, lowered

    def _set(self, rate: float, now: float) -> None:
        self._lowered += rate < self._rate < inf
        if self._lowered > MOST_LOWERED:
            rate, self._lowered, self._before = inf, 0, None
            self._rest_until = now + self._rest
            self._rest = min(2 * self._rest, LONGEST_REST)
        self._rate = max(rate, LEAST_PACE)
        self.is_active = True
        self._raises, self._proven = 0, 0.0
        self._change = self._mark(now)

    def _mark(self, now: float) -> _Mark:
        return _Mark(self._busy(now), self._sent, self._refused)

    def _busy(self, now: float) -> float:
        return now - self._idle

    def _measure(self, since: _Mark, until: _Mark) -> float:
        """Return the limit that what was admitted shows; 0 if there is too little to tell."""
        seconds = until.at - since.at
        admitted = until.sent - since.sent - (until.refused - since.refused)
        if seconds < SHORTEST_STRETCH or admitted < FEWEST:
            return 0.0
        return admitted / seconds / (1 - min(self._usual, 0.5))
