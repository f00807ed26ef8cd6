"""What a server says when it does not answer, in our words. Pure: text and headers in, errors out.

Error bodies come in a dozen shapes. Whatever their shape, three things are looked for: a sentence
for the user, the words the vendor classifies by, and how long to wait.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from math import isfinite
from time import time
from typing import Any, TypeVar, cast

import msgspec
from msgspec import Struct
from multidict import istr

from . import json_codec
from .base import Allowance, Denied, ProviderError, RateLimited, Rejected, Unavailable

T = TypeVar("T")

LONGEST_WAIT = 3600.0
"""Seconds; a server that asks for more is taken to ask for this."""

_LONGEST_MESSAGE = 300  # characters: a sentence for the user, not a page for the log
_SHORTEST_SECRET = 8  # characters: dummy keys ("EMPTY", "ollama") are words that messages need

_HOPELESS = frozenset(
    {
        "access_terminated",
        "account_deactivated",
        "api_key_invalid",
        "billing_error",
        "billing_hard_limit_reached",
        "billing_not_active",
        "insufficient_quota",
        "invalid_api_key",
        "model_not_found",
        "quota_exceeded_for_billing",
    }
)
"""Words that mean no later request fares better, whatever 4xx status they come with."""

_STATUS_OF = {
    "api_error": 500,
    "authentication_error": 401,
    "bad_gateway": 502,
    "deadline_exceeded": 504,
    "internal": 500,
    "internal_error": 500,
    "internal_server_error": 500,
    "internalservererror": 500,
    "not_found_error": 404,
    "notfounderror": 404,
    "overloaded": 529,
    "overloaded_error": 529,
    "permission_denied": 403,
    "permission_error": 403,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "rate_limited": 429,
    "requests": 429,
    "resource_exhausted": 429,
    "server_error": 500,
    "service_unavailable": 503,
    "serviceunavailableerror": 503,
    "timeout": 504,
    "timeout_error": 504,
    "tokens": 429,
    "too_many_requests": 429,
    "unauthenticated": 401,
    "unavailable": 503,
}
"""The status an error would have had, had it not come inside a 200."""


class Fault(Struct, frozen=True):
    """An error body, read. ``words`` are its codes, types and reasons in lower case."""

    message: str = ""
    words: frozenset[str] = frozenset()
    status: int | None = None
    retry_after: float | None = None
    one_input: bool = False
    """Whether it says that this input is at fault, not the account."""


def decode(where: str, body: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    """Read the JSON of a 2xx answer.

    Raises:
        Unavailable: it is not JSON: most often a body cut off on the way.
        Rejected: it is JSON, but not this vendor's.
    """
    try:
        return json_codec.loads(body, decoder)
    except (msgspec.ValidationError, RecursionError) as error:
        raise Rejected(f"{where}: an answer of another shape: {error}") from error
    except msgspec.DecodeError as error:
        is_page = body.lstrip()[:1] == b"<"
        what = (
            "a web page instead of JSON; is the base URL right?" if is_page else "unfinished JSON"
        )
        raise Unavailable(f"{where}: {what}") from error


def read_fault(body: bytes) -> Fault:
    """Read the body of an error answer; one that says nothing gives an empty fault."""
    if body.lstrip()[:1] == b"<":
        title = re.search(rb"<title[^>]*>(.*?)</title>", body, re.DOTALL | re.IGNORECASE)
        return Fault(message=_text(title[1]) if title else "(a web page)")
    try:
        tree: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Fault(message=_text(body))
    return fault_of(tree)


def fault_of(tree: object) -> Fault:
    """Find the message and the words in a decoded error body, or in its ``error`` member alone."""
    if isinstance(tree, list) and tree:
        tree = cast("list[object]", tree)[0]
    if isinstance(tree, str):
        return Fault(message=tree)
    if not isinstance(tree, dict):
        return Fault()
    outer = cast("dict[str, Any]", tree)
    inner = outer.get("error")
    if isinstance(inner, str):
        return Fault(message=inner, words=frozenset(_words(outer)))
    error = cast("dict[str, Any]", inner) if isinstance(inner, dict) else outer
    code = error.get("code")
    metadata = error.get("metadata")
    return Fault(
        message=_sentence(error),
        words=frozenset(_words(error)),
        status=code if isinstance(code, int) and 400 <= code <= 599 else None,
        retry_after=_retry_delay(error),
        one_input=isinstance(metadata, dict) and "flagged_input" in metadata,
    )


def failure(
    where: str,
    status: int,
    fault: Fault,
    *,
    headers: Mapping[str, str],
    secrets: tuple[str, ...] = (),
) -> ProviderError:
    """The error for an answer that is none. *where* names the endpoint."""
    said = clean(fault.message, secrets) or _phrase(status)
    message = f"{where}: {status} {said}"
    wait = retry_after(headers)
    if wait is None:
        wait = fault.retry_after
    if status < 500 and _is_hopeless(status, fault):
        return Denied(message)
    if status == 429:
        return RateLimited(message, retry_after=wait, allowance=allowance(headers))
    if status in {408, 409, 425} or status >= 500:
        return Unavailable(message, retry_after=wait)
    return Rejected(message)


def embedded(
    where: str, tree: object, *, headers: Mapping[str, str], secrets: tuple[str, ...] = ()
) -> ProviderError:
    """The error for an ``error`` member found inside a 200."""
    fault = fault_of(tree)
    found = (_STATUS_OF[word] for word in sorted(fault.words) if word in _STATUS_OF)
    status = fault.status or next(found, 400)
    return failure(where, status, fault, headers=headers, secrets=secrets)


def clean(text: str, secrets: tuple[str, ...] = ()) -> str:
    """A server's text made fit for a terminal: no escapes, no secrets, one line, bounded."""
    text = _ESCAPES.sub("", text)
    text = "".join(char if char.isprintable() else " " for char in text)
    text = " ".join(text.split())
    for secret in secrets:  # before the cut, which could leave half a key
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "***")
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}…"


_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")


_RETRY_AFTER_MS = istr("Retry-After-Ms")
_RETRY_AFTER = istr("Retry-After")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds the server asks to wait, from 0 to `LONGEST_WAIT`.

    A value that is negative, not a number or unreadable counts as not said; a date that is past
    is 0.
    """
    if (text := headers.get(_RETRY_AFTER_MS)) is not None:
        wait = _number(text)
        if wait is not None and wait >= 0:
            return min(wait / 1000, LONGEST_WAIT)
    if (text := headers.get(_RETRY_AFTER)) is None:
        return None
    wait = _number(text)
    if wait is None:
        return _until_date(text)
    return min(wait, LONGEST_WAIT) if wait >= 0 else None


def allowance(headers: Mapping[str, str]) -> Allowance | None:
    """What the answer tells of the server's limits, None where it tells nothing.

    Known are ``x-ratelimit-*`` as OpenAI, Groq, vendors like them and gateways send them, and
    ``anthropic-ratelimit-*``.
    """
    if _REMAINING in headers or _REMAINING_TOKENS in headers or _LIMIT in headers:
        return _read_allowance(headers, OPENAI_HEADERS, seconds)
    if _ANTHROPIC in headers:
        return _read_allowance(headers, ANTHROPIC_HEADERS, _until_instant)
    return None


_REMAINING = istr("X-RateLimit-Remaining-Requests")
_REMAINING_TOKENS = istr("X-RateLimit-Remaining-Tokens")
_LIMIT = istr("X-RateLimit-Limit-Requests")
_ANTHROPIC = istr("Anthropic-RateLimit-Requests-Remaining")
OPENAI_HEADERS = tuple(
    istr(f"X-RateLimit-{what}-{of}")
    for of in ("Requests", "Tokens")
    for what in ("Limit", "Remaining", "Reset")
)
ANTHROPIC_HEADERS = tuple(
    istr(f"Anthropic-RateLimit-{of}-{what}")
    for of in ("Requests", "Tokens")
    for what in ("Limit", "Remaining", "Reset")
)


def _read_allowance(headers: Mapping[str, str], names: tuple[istr, ...], reset: Any) -> Allowance:
    get = headers.get
    limit, remaining, renewed, tokens, tokens_remaining, tokens_renewed = map(get, names)
    return Allowance(
        requests_limit=_amount(limit),
        requests_remaining=_amount(remaining),
        requests_reset=None if renewed is None else reset(renewed),
        tokens_limit=_amount(tokens),
        tokens_remaining=_amount(tokens_remaining),
        tokens_reset=None if tokens_renewed is None else reset(tokens_renewed),
    )


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


def seconds(text: str) -> float | None:
    """Read ``6m0s``, ``12ms``, ``34.5s`` or plain seconds; None where it is none of them."""
    text = text.strip()
    if text.endswith("s") and text[:-1].replace(".", "", 1).isdecimal():  # the commonest, quickly
        return float(text[:-1])
    if len(text) > 64:
        return None
    if _DURATION.fullmatch(text):
        return sum(float(amount) * _UNITS[unit] for amount, unit in _PARTS.findall(text))
    return _amount(text)


def _amount(text: str | None) -> float | None:
    number = None if text is None else _number(text)
    return number if number is not None and number >= 0 else None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None


def _until_date(text: str) -> float | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:  # "-0000": UTC, of unknown place
        date = date.replace(tzinfo=UTC)
    return min(max(date.timestamp() - time(), 0.0), LONGEST_WAIT)


def _until_instant(text: str) -> float | None:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return max(instant.timestamp() - time(), 0.0)


def _is_hopeless(status: int, fault: Fault) -> bool:
    if not fault.words.isdisjoint(_HOPELESS):
        return True
    if status in {401, 402, 403, 404}:
        return not fault.one_input
    # Anthropic has sent this one as a plain invalid_request_error.
    return status == 400 and "credit balance is too low" in fault.message


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Overloaded" if status == 529 else ""


def _text(data: bytes) -> str:
    return data[: 16 * _LONGEST_MESSAGE].decode("utf-8", "replace")


def _sentence(error: dict[str, Any]) -> str:
    for name in ("message", "detail", "msg", "error_message", "errors"):
        said = error.get(name)
        if isinstance(said, str) and said:
            return said
        if isinstance(said, list | dict) and said:
            return _text(json_codec.dumps(said))
    return ""


def _words(error: dict[str, Any]) -> Iterator[str]:
    for name in ("code", "type", "status"):
        word = error.get(name)
        if isinstance(word, str):
            yield word.lower()
    for detail in _details(error):
        reason = detail.get("reason")
        if isinstance(reason, str):
            yield reason.lower()


def _retry_delay(error: dict[str, Any]) -> float | None:
    """Google's way to say Retry-After: a RetryInfo among the details."""
    for detail in _details(error):
        delay = detail.get("retryDelay")
        wait = seconds(delay) if isinstance(delay, str) else None
        if wait is not None:
            return min(wait, LONGEST_WAIT)
    return None


def _details(error: dict[str, Any]) -> Iterator[dict[str, Any]]:
    details = error.get("details")
    if isinstance(details, list):
        for detail in cast("list[object]", details):
            if isinstance(detail, dict):
                yield cast("dict[str, Any]", detail)
