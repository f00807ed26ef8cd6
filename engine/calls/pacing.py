"""How fast one endpoint may be asked, as far as its limits are known.

`Pacer` keeps to the requests and tokens per minute that the user states and to what the server says
of itself. It is synchronous and reads an injected clock: the dispatcher does the waiting.
"""

from collections.abc import Callable
from math import ceil, inf
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from ...providers.base import Allowance
from .meter import Meter

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


# What is left unused, as a share: a server that counts any 60 s then never counts one too many,
# although sends bunch up to CATCH_UP and travel unevenly. Tokens come in lumps of a whole call.
REQUEST_HEADROOM = 0.005
TOKEN_HEADROOM = 0.02

CATCH_UP = 0.05
"""Seconds of allowance that may be sent at once, to make up for a late timer or a busy loop."""

LONGEST_SPREAD = 60.0
"""Seconds over which the remainder of a longer window (a day's) is spread, or waited for."""


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

    def note_refusal(self) -> None:
        """Note that a request was too many, though the limit was kept."""
        if self._requests is not None:
            self._requests.tighten()

    def note_allowance(self, allowance: Allowance) -> None:
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


def _request_meter(per_minute: float | None, clock: Callable[[], float]) -> Meter | None:
    if per_minute is None:
        return None

    rate = per_minute / 60 * (1 - REQUEST_HEADROOM)
    # One request is always let out whole. Where a second holds few of them, anything saved would
    # make one too many in it; 4 ms' worth cannot, and makes up for timers of 1 ms.
    return Meter(rate, slack=max(rate * CATCH_UP - 1, rate * 0.004), clock=clock)


def _token_meter(per_minute: float | None, clock: Callable[[], float]) -> Meter | None:
    if per_minute is None:
        return None

    rate = per_minute / 60 * (1 - TOKEN_HEADROOM)
    return Meter(rate, slack=rate * CATCH_UP, clock=clock)
