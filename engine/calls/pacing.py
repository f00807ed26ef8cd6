"""How fast one endpoint may be asked, as far as its limits are known.

`Pacer` keeps to the requests and tokens per minute that the user states and to what the server says
of itself. It is synchronous and reads an injected clock: the dispatcher does the waiting.
"""

from collections import deque
from collections.abc import Callable
from math import ceil, inf
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from ...providers.base import Allowance
from .meter import Meter
from .rate_search import RateSearch, Sending

PerMinute = Annotated[float, Meta(gt=0)]


class Limits(Struct, frozen=True):
    """What the user knows of an endpoint's limits. ``None`` is unknown, and then not paced."""

    requests_per_minute: PerMinute | None = None
    tokens_per_minute: PerMinute | None = None
    """Prompt and answer together."""
    max_concurrent: Annotated[int, Meta(ge=1)] = 512
    """Most calls in flight, however many the server would take."""


class PacerStatistics(NamedTuple):
    requests: int
    """Requests sent so far."""
    tokens: float
    """Tokens taken so far: those used where that is known, else those reserved."""
    hold: float
    """Seconds until the current hold ends; 0.0 if there is none."""


REQUEST_HEADROOM, TOKEN_HEADROOM = 0.005, 0.02
"""Shares of the limits that are left unused. A server that counts any 60 s then never counts one
too many, although sends bunch up within CATCH_UP and travel unevenly. Tokens come in lumps of a
whole call, so they need more."""

CATCH_UP = 0.05
"""Seconds of allowance that may be sent at once, to make up for a late timer or a busy loop."""

LONG_CATCH_UP, CATCH_UP_PACE = 0.25, 1.25
"""Seconds of allowance that a busy machine makes up for at no more than so many times the pace."""

SECOND, LONGEST_SECOND, LENGTHEN = 1.008, 1.05, 0.002
"""Seconds in which no more is sent than a second allows, since requests travel unevenly; the most,
and by how much it grows with each refusal."""

FEW = 20.0
"""Requests per second below which only a late timer is made up for: any more would be one too many
in some second."""

LONGEST_SPREAD = 60.0
"""Seconds: what is left of a longer window, such as a day's, is spread over no more than that."""


class _Remainder:
    """What a server says is left of an allowance, spread over the time until it is full again.

    With a fixed window that uses the remainder evenly; with a bucket that refills steadily it
    settles at half a bucket and the refill rate. So there is no need to know which the server has.
    """

    __slots__ = ("_due", "_gap", "_until")

    def __init__(self) -> None:
        self._gap = 0.0  # seconds per unit
        self._until = -inf  # when what the server said expires
        self._due = -inf  # when the last grant was paid off

    def update(self, remaining: float | None, reset: float | None, now: float) -> None:
        if remaining is None or reset is None or remaining < 0 or reset <= 0:
            return

        self._gap = min(reset, LONGEST_SPREAD) / max(remaining, 1.0)
        self._until = now + reset
        if remaining < 1:
            self._due = now  # nothing to catch up before the reset

    def available_at(self, amount: float, now: float) -> float:
        """Return when *amount* may be taken, on the clock of *now*."""
        if now >= self._until:
            return now

        gap = min(amount * self._gap, LONGEST_SPREAD)
        return min(max(self._due + gap, now - CATCH_UP), self._until)

    def take(self, amount: float, now: float) -> None:
        if now < self._until:
            self._due = self.available_at(amount, now)


class _RequestPace:
    """The pace of a stated limit: exact for servers that count a minute, or each second.

    Three allowances at once: the stated one, a higher one over which a delay is made up for, and
    a second's worth in any second.
    """

    def __init__(self, per_minute: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        second = per_minute / 60
        rate = second * (1 - REQUEST_HEADROOM)
        # A request is always let out whole. Where a second holds few of them, any slack would make
        # one too many in it; 4 ms' worth cannot, and makes up for timers of 1 ms.
        short = max(rate * CATCH_UP - 1, rate * 0.004)
        many = second >= FEW
        slack = rate * LONG_CATCH_UP - 1 if many else short
        self._meters = [Meter(rate, slack=slack, clock=clock)]
        if many:
            self._meters.append(Meter(rate * CATCH_UP_PACE, slack=short, clock=clock))
        self._rate, self._short, self._many = rate, short, many
        self._second = SECOND
        self._sent: deque[float] | None = deque(maxlen=ceil(second)) if many else None

    def delay(self) -> float:
        delay = max(meter.delay() for meter in self._meters)
        sent = self._sent
        if sent is not None and len(sent) == sent.maxlen:
            delay = max(delay, sent[0] + self._second - self._clock())
        return delay

    def take(self) -> None:
        for meter in self._meters:
            meter.take(1.0)
        if self._sent is not None:
            self._sent.append(self._clock())

    def tighten(self) -> None:
        """Make up for no more than a late timer from now on: the server has no room for more."""
        self._second = min(self._second + LENGTHEN, LONGEST_SECOND)
        if self._many:
            self._many = False
            self._meters = [Meter(self._rate, slack=self._short, clock=self._clock)]
            self._meters[0].take(1.0)
        self._meters[0].tighten()


class Pacer:
    """Request and token pacing of one endpoint.

    In any span of S seconds it lets out at most the configured rate times (S + ``CATCH_UP``), or
    one request. It starts at that pace, without a burst.
    """

    def __init__(self, limits: Limits, *, clock: Callable[[], float]) -> None:
        """Pace to *limits*. *clock* is the running loop's ``time``, which `AsyncLimiter` reads."""
        self._clock = clock
        per_minute = limits.requests_per_minute
        self._requests = None if per_minute is None else _RequestPace(per_minute, clock)
        self._tokens = _token_meter(limits.tokens_per_minute, clock)
        self._remainders: tuple[_Remainder, _Remainder] | None = None
        """Of requests and of tokens, once the server has said anything."""
        self._search = RateSearch(clock=clock)
        self._hold_until = -inf
        self._request_count = 0
        self._token_count = 0.0

    @property
    def paces_tokens(self) -> bool:
        """Whether there is a limit of tokens, so that requests must say how many to reserve."""
        return self._tokens is not None

    def delay(self, tokens: float) -> float:
        """Return the seconds until a request that reserves *tokens* may be sent. Takes nothing.

        Rounded up to whole milliseconds: uvloop's timers round, and half of one would become a
        busy loop. Ask again when the delay is over: a refund or a header may have shortened it, a
        hold lengthened it.
        """
        delay = 0.0
        if self._requests is not None:
            delay = self._requests.delay()
        if self._tokens is not None:
            delay = max(delay, self._tokens.delay())
        available = self._search.available_at()
        if self._remainders is not None or self._hold_until > 0 or available > 0:
            delay = max(delay, self._server_delay(tokens, available))
        return ceil(delay * 1000 - 1e-6) / 1000 if delay > 0 else 0.0  # a nanosecond is noise

    def take(self, tokens: float, in_flight: int = 1, spacing: float = 0.0) -> Sending:
        """Take one request and *tokens* now; the next request waits off a debt.

        Each request is to be settled once.

        Args:
            tokens: to reserve.
            in_flight: requests in flight, itself included.
            spacing: seconds to leave before the next request, on average.
        """
        self._request_count += 1
        self._token_count += tokens
        if self._requests is not None:
            self._requests.take()
        if self._tokens is not None:
            self._tokens.take(tokens)
        if self._remainders is not None:
            now = self._clock()
            of_requests, of_tokens = self._remainders
            of_requests.take(1.0, now)
            of_tokens.take(tokens, now)
        return self._search.take(in_flight, spacing)

    def settle(self, reserved: float, used: float) -> None:
        """Refund or charge the difference once it is known what a request used."""
        self._token_count += used - reserved
        if self._tokens is None:
            return

        if used > reserved:
            self._tokens.take(used - reserved)
        else:
            self._tokens.refund(reserved - used)

    def note_answer(self, sending: Sending) -> None:
        """Note that the server took a request."""
        self._search.note_answer(sending)

    def note_refusal(self, sending: Sending, retry_after: float | None) -> bool:
        """Note that the server refused a request although the limits were kept.

        Returns whether it is for the rate of requests rather than for those in flight.
        """
        if self._requests is not None:
            self._requests.tighten()
        return self._search.note_refusal(sending, retry_after)

    def try_pace(self, share: float) -> None:
        """Find out whether the rate of requests is why a *share* of them is refused."""
        self._search.try_pace(share)

    def note_allowance(self, allowance: Allowance) -> None:
        """Note what the server said of its limits; it can slow the pace, never raise it.

        The limits themselves are not used: servers do not say for which span they hold.
        """
        now = self._clock()
        of_requests, of_tokens = self._remainders or (_Remainder(), _Remainder())
        of_requests.update(allowance.requests_remaining, allowance.requests_reset, now)
        of_tokens.update(allowance.tokens_remaining, allowance.tokens_reset, now)
        self._remainders = of_requests, of_tokens

    @property
    def width(self) -> int:
        """Most requests that the server had at once lately."""
        return self._search.width

    @property
    def overrun(self) -> bool:
        """Whether most of the latest sends were refused."""
        return self._search.overrun

    def hold(self, seconds: float) -> None:
        """Let nothing out for *seconds*, or until a longer hold ends."""
        self._hold_until = max(self._hold_until, self._clock() + seconds)

    def statistics(self) -> PacerStatistics:
        hold = max(0.0, self._hold_until - self._clock())
        return PacerStatistics(self._request_count, self._token_count, hold)

    def _server_delay(self, tokens: float, available: float) -> float:
        now = self._clock()
        available = max(available, self._hold_until)
        if self._remainders is not None:
            of_requests, of_tokens = self._remainders
            available = max(
                available, of_requests.available_at(1.0, now), of_tokens.available_at(tokens, now)
            )
        return max(0.0, available - now)


def _token_meter(per_minute: float | None, clock: Callable[[], float]) -> Meter | None:
    if per_minute is None:
        return None

    rate = per_minute / 60 * (1 - TOKEN_HEADROOM)
    return Meter(rate, slack=rate * CATCH_UP, clock=clock)
