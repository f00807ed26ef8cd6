"""How fast one endpoint may be asked: known limits are paced, unknown ones are found.

`Pacer` keeps what is known (requests and tokens per minute, what the server says of itself),
`Concurrency` finds what is not, `OutputLengths` and `PromptLengths` guess what a call will cost
before it is made. All of it is synchronous: one dispatcher asks and does the waiting.

Knows no job, no queue and no provider.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable
from math import ceil, inf
from typing import Annotated, NamedTuple

from aiolimiter import AsyncLimiter
from msgspec import Meta, Struct

from ...providers.base import Allowance

PerMinute = Annotated[float, Meta(gt=0)]


class Limits(Struct, frozen=True):
    """What the user knows of an endpoint. ``None`` is unknown, and then not paced."""

    requests_per_minute: PerMinute | None = None
    tokens_per_minute: PerMinute | None = None
    """Prompt and answer together."""
    max_concurrent: Annotated[int, Meta(ge=1)] = 512
    """Most calls in flight, whatever the server would bear."""


class PacerStatistics(NamedTuple):
    requests: int
    """Requests let out so far."""
    tokens: float
    """Tokens taken so far: used where known, else reserved."""
    held: float
    """Seconds until a hold ends; 0.0 where there is none."""


# -- known limits -------------------------------------------------------------------------------

# What is left unused, as a share: a server that counts any 60 s then never counts one too many,
# although sends bunch up to CATCH_UP and travel unevenly. Tokens come in lumps of a whole call.
REQUEST_HEADROOM = 0.005
TOKEN_HEADROOM = 0.02

CATCH_UP = 0.05
"""Seconds of allowance that may be sent at once, to make up for a timer or a loop that was late."""

LONGEST_DEBT = 600.0
"""Seconds of allowance: more than that is not waited off, whatever a call claims to have used."""

LONGEST_CREDIT = 1.0
"""Seconds of allowance: refunds beyond it are dropped, for they would go out as one burst."""

SHORTEST_NAP = 0.005
"""Seconds: where that much can be caught up, a few sends share one timer."""

LONGEST_SPREAD = 60.0
"""Seconds over which the remainder of a longer window (a day's) is spread, or waited for."""


class _Meter:
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


class _Spread:
    """What a server says is left, spread over the time until all of it is back.

    On a fixed window this is even use of the rest. On a bucket that refills steadily it settles
    at half a bucket and the refill rate. Neither needs to know which of them the server has.
    """

    __slots__ = ("_due", "_gap", "_until")

    def __init__(self) -> None:
        self._gap = 0.0  # seconds per unit
        self._until = -inf  # from then on, what was heard no longer holds
        self._due = -inf  # when the last grant was paid for

    def hear(self, remaining: float | None, reset: float | None, now: float) -> None:
        if remaining is None or reset is None or remaining < 0 or reset <= 0:
            return

        self._gap = min(reset, LONGEST_SPREAD) / max(remaining, 1.0)
        self._until = now + reset
        if remaining < 1:
            self._due = now  # nothing to catch up: not before the reset

    def opens(self, amount: float, now: float) -> float:
        """When *amount* may go, on the clock of *now*."""
        if now >= self._until:
            return now

        gap = min(amount * self._gap, LONGEST_SPREAD)
        return min(max(self._due + gap, now - CATCH_UP), self._until)

    def take(self, amount: float, now: float) -> None:
        if now < self._until:
            self._due = self.opens(amount, now)


class Pacer:
    """Request and token pacing of one endpoint; what the server says is kept as well.

    Made where the loop runs. *clock* is that loop's ``time``: `AsyncLimiter` reads it too.
    Over any span of S seconds it lets out at most the configured rate times S + ``CATCH_UP``
    (or one request), and it starts at that pace, with no burst.
    """

    def __init__(self, limits: Limits, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._requests = _request_meter(limits.requests_per_minute, clock)
        self._tokens = _token_meter(limits.tokens_per_minute, clock)
        self._told: tuple[_Spread, _Spread] | None = None
        self._held_until = -inf
        self._request_count = 0
        self._token_count = 0.0

    def delay(self, tokens: float) -> float:
        """Seconds until a request that reserves *tokens* may be sent; 0.0 is now. Takes nothing.

        In whole milliseconds, rounded up: uvloop's timers round, and turn half of one into a busy
        loop. A refund or a header may shorten the delay, a hold lengthen it: look again.
        """
        delay = 0.0
        if self._requests is not None:
            delay = self._requests.delay()
        if self._tokens is not None:
            delay = max(delay, self._tokens.delay())
        if self._told is not None or self._held_until > 0:
            delay = max(delay, self._server_delay(tokens))
        return ceil(delay * 1000 - 1e-6) / 1000 if delay > 0 else 0.0  # a nanosecond is noise

    def take(self, tokens: float) -> None:
        """Take one request and *tokens* now. A debt, if they are many, is waited off by the next.

        Each request taken is settled once.
        """
        self._request_count += 1
        self._token_count += tokens
        if self._requests is not None:
            self._requests.take(1.0)
        if self._tokens is not None:
            self._tokens.take(tokens)
        if self._told is not None:
            now = self._clock()
            requests_left, tokens_left = self._told
            requests_left.take(1.0, now)
            tokens_left.take(tokens, now)

    def settle(self, reserved: float, used: float) -> None:
        """Refund or charge the difference, once what a request used is known."""
        self._token_count += used - reserved
        if self._tokens is None:
            return

        if used > reserved:
            self._tokens.take(used - reserved)
        else:
            self._tokens.give_back(reserved - used)

    def refused(self) -> None:
        """Note that a request was too many, though the limit was kept."""
        if self._requests is not None:
            self._requests.tighten()

    def heard(self, allowance: Allowance) -> None:
        """Heed what the server said on an answer; it can slow the pace, never raise it.

        Limits it names are not used: they come without the span they are for.
        """
        now = self._clock()
        requests_left, tokens_left = self._told or (_Spread(), _Spread())
        requests_left.hear(allowance.requests_remaining, allowance.requests_reset, now)
        tokens_left.hear(allowance.tokens_remaining, allowance.tokens_reset, now)
        self._told = requests_left, tokens_left

    def hold(self, seconds: float) -> None:
        """Let nothing out for *seconds* from now; a longer hold stays."""
        self._held_until = max(self._held_until, self._clock() + seconds)

    def statistics(self) -> PacerStatistics:
        held = max(0.0, self._held_until - self._clock())
        return PacerStatistics(self._request_count, self._token_count, held)

    def _server_delay(self, tokens: float) -> float:
        now = self._clock()
        opens = self._held_until
        if self._told is not None:
            requests_left, tokens_left = self._told
            opens = max(opens, requests_left.opens(1.0, now), tokens_left.opens(tokens, now))
        return max(0.0, opens - now)


def _request_meter(per_minute: float | None, clock: Callable[[], float]) -> _Meter | None:
    if per_minute is None:
        return None

    rate = per_minute / 60 * (1 - REQUEST_HEADROOM)
    # One request is always let out whole. Where a second holds few of them, anything saved would
    # make one too many in it; 4 ms' worth cannot, and makes up for timers of 1 ms.
    return _Meter(rate, slack=max(rate * CATCH_UP - 1, rate * 0.004), clock=clock)


def _token_meter(per_minute: float | None, clock: Callable[[], float]) -> _Meter | None:
    if per_minute is None:
        return None

    rate = per_minute / 60 * (1 - TOKEN_HEADROOM)
    return _Meter(rate, slack=rate * CATCH_UP, clock=clock)


# -- unknown limits -----------------------------------------------------------------------------

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

    def succeeded(self, in_flight: int, sent_at: float) -> None:
        """Count an answer. *in_flight* includes it; *sent_at* is when it was sent."""
        self._latency += (self._clock() - sent_at - self._latency) * 0.1
        if sent_at > self._shrunk_before:
            self._streak = 0
        if sent_at <= self._shrunk_at:
            return

        self._count()
        if in_flight >= USED * self.limit:
            self._grow()

    def refused(self, in_flight: int, sent_at: float, *, retry_after: float | None = None) -> float:
        """Count a 429, as `succeeded`. *retry_after* are seconds, if the server named any.

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


# -- what a call will cost ----------------------------------------------------------------------

MEMORY = 64  # answers per stage: enough for a nine-in-ten quantile, few enough to follow a change
UNKNOWN_OUTPUT = 1024


class OutputLengths:
    """How many tokens to reserve for an answer: what nine in ten of the stage's last ones needed.

    The tenth is charged afterwards. Before a stage has been heard 8 times: a quarter of what it
    may use, at least 1,024.
    """

    def __init__(self) -> None:
        self._recent: dict[str, tuple[deque[int], list[int]]] = {}

    def reserve(self, stage: str, max_tokens: int | None) -> int:
        """Tokens to reserve for one answer, at most *max_tokens*."""
        bound = UNKNOWN_OUTPUT * 64 if max_tokens is None else max_tokens
        heard = self._recent.get(stage)
        if heard is None or len(heard[1]) < 8:
            return min(bound, max(UNKNOWN_OUTPUT, (max_tokens or 0) // 4))

        ordered = heard[1]
        return min(bound, ordered[len(ordered) * 9 // 10])

    def learn(self, stage: str, used: int) -> None:
        """Remember that an answer of *stage* took *used* tokens."""
        order, ordered = self._recent.setdefault(stage, (deque(), []))
        if len(order) == MEMORY:
            del ordered[bisect_left(ordered, order.popleft())]
        order.append(used)
        insort(ordered, used)


class PromptLengths:
    """How many tokens a prompt has: a fourth of its characters, corrected by what servers count.

    One for each endpoint: vendors and languages differ by a factor of three.
    """

    def __init__(self) -> None:
        self._characters = 4000.0
        self._tokens = 1000.0

    def estimate(self, characters: int) -> int:
        """Tokens of a prompt of so many *characters*, rounded up."""
        return ceil(characters * self._tokens / self._characters)

    def learn(self, characters: int, tokens: int) -> None:
        """Remember that *characters* were counted as *tokens*; 0 tokens say nothing."""
        if characters <= 0 or tokens <= 0:
            return

        self._characters = self._characters * 0.98 + characters
        self._tokens = self._tokens * 0.98 + tokens
