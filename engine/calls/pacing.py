"""Pace calls to one endpoint, as far as its limits are known.

`Pacer` keeps to the requests and tokens per minute that the user states, and to what the server
reports. It is synchronous and reads an injected clock: the dispatcher does the waiting.
"""

from collections.abc import Callable
from math import ceil, inf
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from ...providers.base import Allowance
from .meter import Meter
from .rate_search import RateSearch
from .refusals import Cause, Sending
from .request_pace import RequestPace

PerMinute = Annotated[float, Meta(gt=0)]


class Limits(Struct, frozen=True):
    """An endpoint's limits, as far as the user knows them. ``None``: unknown and not paced."""

    requests_per_minute: PerMinute | None = None
    tokens_per_minute: PerMinute | None = None
    """Prompt and answer together."""
    max_concurrent: Annotated[int, Meta(ge=1)] = 512
    """Most calls in flight."""


class PacerStatistics(NamedTuple):
    requests: int
    """Requests sent so far."""
    tokens: float
    """Tokens taken so far: those used if known, else those reserved."""
    hold: float
    """Seconds until the current hold ends; 0.0 if there is none."""


TOKEN_HEADROOM = 0.02
"""Share of the limit that is left unused. Tokens come in lumps of a whole call, so they need more
than requests."""

CATCH_UP = 0.05
"""Seconds of tokens that may be sent at once, to make up for a late timer or a busy loop."""

LONGEST_SPREAD = 60.0
"""Seconds: what is left of a longer window, such as a day's, is spread over no more than that."""


class _Remainder:
    """What a server reports as left of an allowance, spread over the time until it is full.

    With a fixed window that uses the remainder evenly; with a bucket that refills steadily it
    settles at half a bucket and the refill rate. So there is no need to know which the server has.
    """

    __slots__ = ("_due", "_gap", "_until")

    def __init__(self) -> None:
        self._gap = 0.0  # seconds per unit
        self._until = -inf  # when the server's report expires
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


class Pacer:
    """Request and token pacing of one endpoint.

    It starts at the configured rates, without a burst.
    """

    def __init__(self, limits: Limits, *, clock: Callable[[], float]) -> None:
        """Pace to *limits*. *clock* is the running loop's ``time``, which `AsyncLimiter` reads."""
        self._clock = clock
        per_minute = limits.requests_per_minute
        self._requests = None if per_minute is None else RequestPace(per_minute, clock)
        self._tokens = _token_meter(limits.tokens_per_minute, clock)
        self._remainders: tuple[_Remainder, _Remainder] | None = None
        """Of requests and of tokens, once the server has reported any."""
        self._search = RateSearch(clock=clock)
        self.note_answer = self._search.note_answer  # once a call: a method more would be felt
        self._hold_until = -inf
        self._request_count = 0
        self._token_count = 0.0

    @property
    def paces_tokens(self) -> bool:
        """Whether tokens are limited, so that requests must say how many to reserve."""
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
        if self._remainders is not None or self._hold_until > 0 or self._search.is_active:
            delay = max(delay, self._server_delay(tokens))
        return ceil(delay * 1000 - 1e-6) / 1000 if delay > 0 else 0.0  # a nanosecond is noise

    def take(self, tokens: float, in_flight: int = 1) -> Sending:
        """Take one request and *tokens* now; the next request waits off a debt.

        Settle each request once, and note what became of what this returns. *in_flight* requests
        are in flight with this one.
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
        return self._search.take(in_flight)

    def settle(self, reserved: float, used: float) -> None:
        """Refund or charge the difference once it is known what a request used."""
        self._token_count += used - reserved
        if self._tokens is None:
            return

        if used > reserved:
            self._tokens.take(used - reserved)
        else:
            self._tokens.refund(reserved - used)

    def note_refusal(self, sending: Sending, retry_after: float | None) -> Cause:
        """Note that the server refused a request although the limits were kept; tell what for."""
        if self._requests is not None:
            self._requests.tighten()
        return self._search.note_refusal(sending, retry_after)

    @property
    def width(self) -> int:
        """Most requests that the server had at once lately."""
        return self._search.width

    def note_narrowing(self) -> None:
        """Note that fewer requests are allowed in flight since a refusal."""
        self._search.note_narrowing()

    def note_allowance(self, allowance: Allowance) -> None:
        """Note the limits that the server reports; they can slow the pace, never raise it.

        The limits themselves are not used: servers do not say for which span they hold.
        """
        now = self._clock()
        of_requests, of_tokens = self._remainders or (_Remainder(), _Remainder())
        of_requests.update(allowance.requests_remaining, allowance.requests_reset, now)
        of_tokens.update(allowance.tokens_remaining, allowance.tokens_reset, now)
        self._remainders = of_requests, of_tokens

    def hold(self, seconds: float) -> None:
        """Hold everything for *seconds*, or until a longer hold ends."""
        self._hold_until = max(self._hold_until, self._clock() + seconds)

    def statistics(self) -> PacerStatistics:
        until = max(self._hold_until, self._search.available_at())
        hold = max(0.0, until - self._clock())
        return PacerStatistics(self._request_count, self._token_count, hold)

    def _server_delay(self, tokens: float) -> float:
        now = self._clock()
        available = max(self._hold_until, self._search.available_at())
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
