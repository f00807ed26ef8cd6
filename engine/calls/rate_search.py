"""How many requests a second one endpoint takes, found from what it refuses.

Synchronous, on an injected clock: the pacer asks for the delay and reports what happened.
"""

from collections.abc import Callable
from math import inf
from typing import NamedTuple

from msgspec import Struct

BACKLOG = 32
"""Latest sends of which the refused share is taken."""

OVERRUN = 16
"""Refusals among them from which on the endpoint is at fault rather than single calls."""

NARROW = 0.75
"""Share of the most calls in flight that were admitted lately; a refusal at no more than that
cannot be for their number."""

WIDTH_MEMORY = 30.0
"""Seconds for which that most is remembered."""

MARK_TIME = 3.0
"""Seconds, once to twice, over which it is known what comes through."""

TRIAL_PACE, TRIAL_LEAD, TRIAL_SENDS, HELPFUL = 0.85, 1.0, 64, 0.4
"""Of a trial: the share of what comes through that is its pace, the seconds until it counts, how
many are then sent, and the share of the refusals before that these may still meet if the rate is
the cause."""

FIRST_HOLD, LONGEST_HOLD = 0.04, 3.0
"""Seconds until a blocked endpoint is probed, for windows of up to a second, proportionally more
for longer ones; doubled with each probe that is refused."""

FIRST_GUESS = 4.0
"""Times the first estimate, to pace to until a second one confirms it: the first comes from a
window that may have been half over, or from an outage that was no limit at all."""

ENOUGH_ADMITTED, ENOUGH_TIME = 8, 0.5
"""Requests and seconds that a stretch must have for an estimate."""

PRECISE = 0.03
"""Relative error below which an estimate is accepted; a coarser one is measured again."""

HEADROOM = 0.02
"""Share of an estimate that is left unused."""

PATIENCE = 2.0
"""Seconds without a refusal before the pace is raised to see whether the limit has moved."""

STEP_TIME = 0.9
"""Seconds between raises."""

FIRST_RAISE = 0.02
"""Relative size of the first raise; each further one is twice as large, up to doubling the pace."""

BACK = 1.1
"""Times the steady pace up to which a refused raise just falls back to it."""

SCALE_MEMORY = 4.0
"""Times a block's own length for which it is remembered."""

LONGEST_SCALE = 60.0
"""Seconds: no window is taken to be longer."""

SLACK = 0.015
"""Seconds of the pace that may be caught up, for timers that are late."""


class Sending(NamedTuple):
    """One request that was sent."""

    number: int = 0
    at: float = 0.0
    in_flight: int = 0
    """Requests in flight, itself included."""


class _Block(Struct):
    """Time during which everything sent is refused."""

    began: float
    """When its first refusal came."""
    last_refused: float
    """When the latest request that was refused had been sent."""
    hold: float
    """Seconds until the next probe."""
    probe: float | None = None
    """When the latest probe was sent, unless it was refused."""


class _Edge(Struct, frozen=True):
    """A moment at which the server began to admit requests again: its allowance was just used up.

    Between two edges it admitted as many as it allows, or fewer if they were sent too slowly.
    """

    at: float
    error: float
    """Seconds by which it may have been earlier or later."""
    admitted: int
    """Requests admitted before."""


class _Trial(NamedTuple):
    """A lower pace for a while, to see whether fewer requests are refused."""

    share: float
    """Refused before."""
    begins: float
    """When what is sent counts: until then a window may be full of what was sent before."""
    sent: int = 0
    refused: int = 0


class RateSearch:
    """A pace that follows an unknown limit of requests per time: a window's or a bucket's.

    Nothing is limited until most requests are refused although fewer are in flight than the server
    took before, so that their number cannot be the reason. Then one probe at a time finds out when
    the server admits requests again. What it admitted between two such moments, divided by the
    time between them, is the limit, whatever the window. A pace just below it provokes no refusal;
    where none comes, the pace is raised in growing steps until one does.

    How long the server blocked tells how long its windows are; raises take that long.
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rate = inf
        self._steady = 0.0
        """Highest pace that provoked no refusal for a while."""
        self._confirmed = False
        self._expires = inf
        """When a first estimate that nothing has confirmed is dropped."""
        self._due = -inf
        self._spread_until = -inf
        self._hold_until = -inf
        self._sent = 0
        self._refused = 0
        self._recently_refused = [-BACKLOG] * BACKLOG
        """Of the latest sends, the numbers of those that were refused."""
        self._widest, self._widest_at = 0, -inf
        self._sample: Sending | None = None
        """A request that was sent so lately that others in flight then may yet be refused."""
        self._sample_refused = 0
        """Those that were."""
        self._block: _Block | None = None
        self._edge: _Edge | None = None
        self._scale, self._scale_at = 0.0, -inf
        """Seconds of the longest block lately, which the server's window is at least."""
        self._hold = FIRST_HOLD
        self._sent_at_opening = 0
        self._set_at, self._sent_before = -inf, 0
        """When the pace was set, and how many had been sent by then."""
        self._raises = 0
        self._fallen_back = False
        """Whether the stretch before the next edge says nothing: its pace was lowered."""
        self._refusal_time = 0.02
        self._trial: _Trial | None = None
        self._marks = ((-inf, 0), (-inf, 0))
        """When how many had been admitted: twice, to know what comes through."""

    @property
    def rate(self) -> float:
        """Requests per second that may be sent now; inf if no limit is known."""
        return self._rate

    @property
    def width(self) -> int:
        """Most requests that the server had at once lately."""
        return self._widest

    def available_at(self) -> float:
        """Return when the next request may be sent, on the clock's time."""
        return max(self._hold_until, self._due, self._spread_until)

    def take(self, in_flight: int, spacing: float = 0.0) -> Sending:
        """Note that a request is sent now.

        Args:
            in_flight: requests in flight, itself included.
            spacing: seconds to leave before the next, on average.
        """
        now = self._clock()
        if spacing > 0:
            self._spread_until = max(self._spread_until, now - SLACK) + spacing
        if self._edge is None:
            self._edge = _Edge(now, 0.0, 0)
        block = self._block
        if block is not None:
            if block.probe is not None:  # nothing was heard of it: it was admitted
                self._unblock(block, block.probe)
            else:
                block.probe = now
                self._hold_until = now + 2 * self._refusal_time + 0.002
        if self._rate < inf:
            self._adapt(now)
            if self._rate < inf:
                self._due = max(self._due, now - SLACK) + 1 / self._rate
        self._sent += 1
        if now >= self._marks[1][0] + MARK_TIME:
            self._marks = self._marks[1], (now, self._sent - self._refused)
        trial = self._trial
        if trial is not None and now >= trial.begins:
            if trial.sent == TRIAL_SENDS:
                self._judge_trial(trial, now)
            else:
                self._trial = trial._replace(sent=trial.sent + 1)
        sending = Sending(self._sent, now, in_flight)
        if self._sample is None:
            self._sample, self._sample_refused = sending, 0
        return sending

    def note_answer(self, sending: Sending) -> None:
        """Note that a request was admitted."""
        self._learn_width()
        block = self._block
        if block is not None and block.probe is not None and sending.at >= block.probe:
            self._unblock(block, block.probe)

    def note_refusal(self, sending: Sending, retry_after: float | None) -> bool:
        """Note a 429, and tell whether it is for the rate rather than for the calls in flight.

        *retry_after* are the seconds that the server named.
        """
        now = self._clock()
        self._refused += 1
        self._recently_refused[sending.number % BACKLOG] = sending.number
        self._refusal_time += (now - sending.at - self._refusal_time) * 0.2
        if self._sample is not None and sending.number <= self._sample.number:
            self._sample_refused += 1
        self._learn_width()
        if self._trial is not None:
            if sending.at >= self._trial.begins:
                self._trial = self._trial._replace(refused=self._trial.refused + 1)
            return True
        block = self._block
        if block is None:
            narrow = sending.in_flight <= max(1.0, self._widest * NARROW)
            if not self._is_limiting(now) and not (narrow and self.overrun):
                return False
            self._begin_block(now, sending.at)
        else:
            self._extend_block(block, now, sending.at, retry_after)
        return True

    # -- whose fault ---------------------------------------------------------------------------

    def _is_limiting(self, now: float) -> bool:
        """Tell whether the pace, and not the calls in flight, determines how much is sent."""
        if self._rate == inf:
            return False
        sent = self._sent - self._sent_before
        return sent + 1 >= 0.8 * self._rate * (now - self._set_at)

    def _learn_width(self) -> None:
        """Learn how many requests the server had when a sample was sent, once it is known.

        Those that it had refused by then, though nobody knew yet, were never its load.
        """
        sample = self._sample
        if sample is None or self._clock() < sample.at + 3 * self._refusal_time + 0.005:
            return
        self._sample = None
        width = sample.in_flight - self._sample_refused
        if width >= self._widest or sample.at > self._widest_at + WIDTH_MEMORY:
            self._widest, self._widest_at = width, sample.at

    @property
    def overrun(self) -> bool:
        """Whether most of the latest sends were refused."""
        oldest = self._sent - BACKLOG
        return sum(number > oldest for number in self._recently_refused) >= OVERRUN

    def try_pace(self, share: float) -> None:
        """Slow down for a while, to find out whether the rate is why a *share* is refused."""
        now = self._clock()
        since, admitted = self._marks[0]
        if self._is_limiting(now) or self._block is not None or since == -inf:
            return
        self._set((self._sent - self._refused - admitted) / (now - since) * TRIAL_PACE, now)
        self._trial = _Trial(share, now + TRIAL_LEAD)

    def _judge_trial(self, trial: _Trial, now: float) -> None:
        """Keep the pace if it helped."""
        self._trial = None
        if trial.refused <= trial.share * HELPFUL * TRIAL_SENDS:
            self._set(self._rate, now)
            self._confirmed = True
        else:
            self._rate = inf

    # -- blocks --------------------------------------------------------------------------------

    def _begin_block(self, now: float, sent_at: float) -> None:
        if self._sent - self._sent_at_opening >= ENOUGH_ADMITTED:
            self._hold = max(FIRST_HOLD, self._scale * FIRST_HOLD)
        self._block = _Block(now, sent_at, self._hold)
        self._hold_until = now + self._hold
        self._expires = inf
        if self._raises and self._rate <= BACK * self._steady:
            self._set(self._steady, now)
            self._fallen_back = True

    def _extend_block(
        self, block: _Block, now: float, sent_at: float, retry_after: float | None
    ) -> None:
        block.last_refused = max(block.last_refused, sent_at)
        if block.probe is None or sent_at < block.probe:
            return  # sent before the block was noticed
        block.probe = None
        block.hold = min(block.hold * 2, LONGEST_HOLD)
        self._hold_until = now + block.hold
        if retry_after is not None:
            # Whole seconds are rounded up: the time is at least a second less.
            told = retry_after - 1 if retry_after == int(retry_after) else retry_after
            if told > block.hold:
                self._hold_until = now + told
                block.last_refused = now + told

    def _unblock(self, block: _Block, probe: float) -> None:
        """End *block*: the request sent at *probe* was admitted."""
        before = min(block.last_refused, probe)
        at, error = (before + probe) / 2, (probe - before) / 2
        self._block = None
        self._hold = block.hold
        self._sent_at_opening = self._sent
        self._learn_scale(at - block.began, at)
        self._set_at, self._sent_before = self._clock(), self._sent
        # The probe was the latest send, and is not part of what was admitted before.
        edge = _Edge(at, error, self._sent - self._refused - 1)
        last = self._edge
        self._edge = edge
        if last is None:
            return
        length, admitted = at - last.at, edge.admitted - last.admitted
        if self._fallen_back:
            self._fallen_back = False
        elif length < max(ENOUGH_TIME, 0.8 * self._scale) or admitted < ENOUGH_ADMITTED:
            self._edge = last  # measure on
        elif not self._estimate(
            admitted / length, (error + last.error) / length, length, at - block.began
        ):
            self._edge = last

    def _learn_scale(self, blocked: float, now: float) -> None:
        if blocked >= self._scale or now > self._scale_at + SCALE_MEMORY * self._scale:
            self._scale, self._scale_at = min(blocked, LONGEST_SCALE), now

    # -- the pace ------------------------------------------------------------------------------

    def _estimate(self, rate: float, error: float, length: float, blocked: float) -> bool:
        """Set the pace to an estimate of *rate*; tell whether that is good enough to keep."""
        now = self._clock()
        if self._rate == inf:
            blocked = min(1.0, 4 * blocked / length)
            self._set(rate * (1 + (FIRST_GUESS - 1) * blocked), now)
            self._confirmed = blocked < 0.4
            self._expires = now + max(length, PATIENCE)
            return True
        if self._raises:
            self._set(self._rate, now)  # it was not this high all the time: measure again
            return True
        self._confirmed = True
        if error > PRECISE:
            self._set(min(self._rate, rate * (1 + 2 * error)), now)
            return False
        self._set(rate * (1 - HEADROOM), now)
        return True

    def _set(self, rate: float, now: float) -> None:
        self._rate = rate
        self._raises = 0
        self._set_at, self._sent_before = now, self._sent
        if self._steady > rate:
            self._steady = 0.0

    def _adapt(self, now: float) -> None:
        """Raise the pace if the server has refused nothing for a while."""
        if self._block is not None or self._trial is not None:
            return
        if not self._confirmed:
            if now >= self._expires:
                self._rate = inf
            return
        wait = STEP_TIME if self._raises else PATIENCE
        if now - self._set_at < max(wait, self._scale):
            return
        limiting = self._is_limiting(now)
        raises = self._raises
        if limiting:
            self._steady = self._rate
            self._rate *= 1 + min(1.0, FIRST_RAISE * 2.0**raises)
            raises += 1
        self._set_at, self._sent_before = now, self._sent
        self._raises = raises
