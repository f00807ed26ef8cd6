"""Read rate limits from response headers: how long to wait, and what is left."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from time import time

from multidict import istr

from ..base import Allowance

LONGEST_WAIT = 3600.0
"""Seconds; a longer wait, or a later reset of a limit, is cut to this."""

_RETRY_AFTER_MS = istr("Retry-After-Ms")
_RETRY_AFTER = istr("Retry-After")


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that the server asks to wait, from 0 to `LONGEST_WAIT`.

    A date in the past gives 0. None where the header is missing, negative or cannot be parsed.
    """
    if (text := headers.get(_RETRY_AFTER_MS)) is not None:
        milliseconds = _parse_number(text)
        if milliseconds is not None and milliseconds >= 0:
            return min(milliseconds / 1000, LONGEST_WAIT)
    if (text := headers.get(_RETRY_AFTER)) is None:
        return None
    seconds = _parse_number(text)
    if seconds is None:
        return _seconds_until_date(text)
    return min(seconds, LONGEST_WAIT) if seconds >= 0 else None


def read_allowance(headers: Mapping[str, str]) -> Allowance | None:
    """Return what the headers say of the server's limits, None where they say nothing.

    Understands ``x-ratelimit-*`` as OpenAI, Groq, similar vendors and gateways send them, and
    ``anthropic-ratelimit-*``.
    """
    if _REMAINING in headers or _REMAINING_TOKENS in headers or _LIMIT in headers:
        return _read_allowance(headers, OPENAI_HEADERS, parse_duration)
    if _ANTHROPIC in headers or _ANTHROPIC_INPUT in headers:
        units = ("Tokens",) if _ANTHROPIC_TOKENS in headers else ("Input-Tokens", "Output-Tokens")
        allowances = (
            _read_allowance(headers, ANTHROPIC_HEADERS[unit], _seconds_until_instant)
            for unit in units
        )
        return min(allowances, key=_tokens_left)
    return None


def _tokens_left(allowance: Allowance) -> float:
    """Return the share of the tokens that is left; more than all where nothing is said."""
    limit, remaining = allowance.tokens_limit, allowance.tokens_remaining
    if remaining is None:
        return 2.0
    return remaining / limit if limit else 1.0


_REMAINING = istr("X-RateLimit-Remaining-Requests")
_REMAINING_TOKENS = istr("X-RateLimit-Remaining-Tokens")
_LIMIT = istr("X-RateLimit-Limit-Requests")
_ANTHROPIC = istr("Anthropic-RateLimit-Requests-Remaining")
_ANTHROPIC_TOKENS = istr("Anthropic-RateLimit-Tokens-Remaining")
_ANTHROPIC_INPUT = istr("Anthropic-RateLimit-Input-Tokens-Remaining")
OPENAI_HEADERS = tuple(
    istr(f"X-RateLimit-{value}-{unit}")
    for unit in ("Requests", "Tokens")
    for value in ("Limit", "Remaining", "Reset")
)
ANTHROPIC_HEADERS = {
    tokens: tuple(
        istr(f"Anthropic-RateLimit-{unit}-{value}")
        for unit in ("Requests", tokens)
        for value in ("Limit", "Remaining", "Reset")
    )
    for tokens in ("Tokens", "Input-Tokens", "Output-Tokens")
}
"""By the tokens they count. "Tokens" stands for the most restrictive of all, where it is sent."""


def _read_allowance(
    headers: Mapping[str, str],
    names: tuple[istr, ...],
    parse_reset: Callable[[str], float | None],
) -> Allowance:
    limit, remaining, reset, tokens, tokens_remaining, tokens_reset = map(headers.get, names)
    return Allowance(
        requests_limit=_parse_amount(limit),
        requests_remaining=_parse_amount(remaining),
        requests_reset=_bounded(reset, parse_reset),
        tokens_limit=_parse_amount(tokens),
        tokens_remaining=_parse_amount(tokens_remaining),
        tokens_reset=_bounded(tokens_reset, parse_reset),
    )


def _bounded(reset: str | None, parse_reset: Callable[[str], float | None]) -> float | None:
    seconds = None if reset is None else parse_reset(reset)
    return None if seconds is None else min(seconds, LONGEST_WAIT)


_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
_DURATION_PART = r"([0-9]+(?:\.[0-9]*)?)(ns|us|µs|ms|s|m|h|d)"
_PARTS = re.compile(_DURATION_PART)
_DURATION = re.compile(f"(?:{_DURATION_PART})+")


def parse_duration(text: str) -> float | None:
    """Return the seconds in ``6m0s``, ``12ms``, ``34.5s`` or a number, None for other text."""
    text = text.strip()
    if text.endswith("s") and text[:-1].replace(".", "", 1).isdecimal():  # the usual form, fast
        return float(text[:-1])
    if len(text) > 64:
        return None
    if _DURATION.fullmatch(text):
        return sum(float(amount) * _UNITS[unit] for amount, unit in _PARTS.findall(text))
    return _parse_amount(text)


def _parse_amount(text: str | None) -> float | None:
    number = None if text is None else _parse_number(text)
    return number if number is not None and number >= 0 else None


def _parse_number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None


def _seconds_until_date(text: str) -> float | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:  # "-0000" means UTC from an unknown place (RFC 5322 §3.3)
        date = date.replace(tzinfo=UTC)
    return min(max(date.timestamp() - time(), 0.0), LONGEST_WAIT)


def _seconds_until_instant(text: str) -> float | None:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return max(instant.timestamp() - time(), 0.0)
