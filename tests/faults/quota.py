"""Quotas as servers enforce them: an exact sliding window, and a bucket. Pure: the clock is given.

A refused request takes nothing, as with most vendors.
"""

from collections import deque
from typing import Literal

from msgspec import Struct


class QuotaSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one model allows; None is unbounded."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    kind: Literal["window", "bucket"] = "window"
    span: float = 60.0
    """Seconds: of the window; of a bucket's capacity, at its rate of refilling."""
    retry_after: str = "seconds"
    """How a refusal says when to come back: seconds, ms, none."""
    headers: bool = False
    """Whether answers carry ``x-ratelimit-*``."""


class _Window:
    """At most *allowed* in any *span* seconds, to the last request."""

    def __init__(self, allowed: float, span: float) -> None:
        self._allowed = allowed
        self._span = span
        self._taken: deque[tuple[float, float]] = deque()
        self._sum = 0.0

    def wait(self, amount: float, now: float) -> float:
        """Seconds until *amount* fits; 0 if it does now."""
        while self._taken and self._taken[0][0] <= now - self._span:
            self._sum -= self._taken.popleft()[1]
        over = self._sum + amount - self._allowed
        if over <= 1e-9:
            return 0.0
        for when, taken in self._taken:
            over -= taken
            if over <= 1e-9:
                return when + self._span - now
        return self._span

    def take(self, amount: float, now: float) -> None:
        self._taken.append((now, amount))
        self._sum += amount

    def left(self) -> float:
        return max(0.0, self._allowed - self._sum)


class _Bucket:
    """Full at first, holds *allowed*, refills within *span* seconds."""

    def __init__(self, allowed: float, span: float) -> None:
        self._allowed = allowed
        self._rate = allowed / span
        self._level = allowed
        self._seen = 0.0

    def wait(self, amount: float, now: float) -> float:
        if self._seen:
            self._level = min(self._allowed, self._level + (now - self._seen) * self._rate)
        self._seen = now
        missing = min(amount, self._allowed) - self._level
        return max(0.0, missing / self._rate) if missing > 1e-9 else 0.0

    def take(self, amount: float, now: float) -> None:
        del now
        self._level -= amount

    def left(self) -> float:
        return max(0.0, self._level)


class Quota:
    """Requests and tokens of one model. Tokens are counted as used, once the answer is known."""

    def __init__(self, settings: QuotaSettings) -> None:
        self.settings = settings
        self._requests = _meter(settings, settings.requests_per_minute)
        self._tokens = _meter(settings, settings.tokens_per_minute)

    def admit(self, tokens: int, now: float) -> float:
        """Take one request of *tokens* and return 0, or return the seconds until it would fit."""
        parts = [(self._requests, 1.0), (self._tokens, float(tokens))]
        waits = [meter.wait(amount, now) for meter, amount in parts if meter is not None]
        wait = max(waits, default=0.0)
        if wait == 0:
            for meter, amount in parts:
                if meter is not None:
                    meter.take(amount, now)
        return wait

    def headers(self) -> dict[str, str]:
        """``x-ratelimit-*`` as they stand."""
        if not self.settings.headers:
            return {}
        said: dict[str, str] = {}
        for name, meter, limit in (
            ("requests", self._requests, self.settings.requests_per_minute),
            ("tokens", self._tokens, self.settings.tokens_per_minute),
        ):
            if meter is not None and limit is not None:
                said[f"x-ratelimit-limit-{name}"] = f"{limit:.0f}"
                said[f"x-ratelimit-remaining-{name}"] = f"{meter.left():.0f}"
                said[f"x-ratelimit-reset-{name}"] = f"{self.settings.span:g}s"
        return said

    def refusal(self, wait: float) -> dict[str, str]:
        """How a refusal says to come back after *wait* seconds."""
        match self.settings.retry_after:
            case "ms":
                return {"retry-after-ms": f"{wait * 1000 + 1:.0f}"}
            case "none":
                return {}
            case _:
                return {"Retry-After": f"{wait + 0.001:.3f}"}


def _meter(settings: QuotaSettings, per_minute: float | None) -> _Window | _Bucket | None:
    if per_minute is None:
        return None
    allowed = per_minute / 60 * settings.span
    kind = _Window if settings.kind == "window" else _Bucket
    return kind(allowed, settings.span)
