"""Turn the responses and system errors of failed calls into the errors of `base`.

Pure: text and headers in, exceptions out. Error bodies come in a dozen shapes; each is searched for
three things: a sentence for the user, the codes by which the vendor classifies errors, and how long
to wait.
"""

import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any, TypeVar, cast

import msgspec
from msgspec import Struct
from multidict import istr

from .. import json_codec
from ..base import Denied, ProviderError, RateLimited, Rejected, Unavailable
from .rate_limits import LONGEST_WAIT, parse_duration, read_allowance, read_retry_after

T = TypeVar("T")

_LONGEST_MESSAGE = 300  # characters: a sentence for the user, not a page for the log
_SHORTEST_SECRET = 8  # characters: placeholder keys ("EMPTY", "ollama") are words messages need

_FATAL_CODES = frozenset(
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
"""Codes after which no later request will succeed, whatever 4xx status they come with."""

_STATUS_OF_CODE = {
    "api_error": 500,
    "authentication_error": 401,
    "bad_gateway": 502,
    "bad_request": 400,
    "badrequesterror": 400,
    "content_filter": 400,
    "content_policy_violation": 400,
    "context_length_exceeded": 400,
    "deadline_exceeded": 504,
    "failed_precondition": 400,
    "internal": 500,
    "internal_error": 500,
    "internal_server_error": 500,
    "internalservererror": 500,
    "invalid_argument": 400,
    "invalid_request_error": 400,
    "not_found_error": 404,
    "notfounderror": 404,
    "overloaded": 529,
    "overloaded_error": 529,
    "permission_denied": 403,
    "permission_error": 403,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "rate_limited": 429,
    "request_too_large": 413,
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
    "unprocessable_entity": 422,
    "unsupported_parameter": 400,
    "unsupported_value": 400,
}
"""The status that an error inside a 200 would have had otherwise."""


_GATEWAY_STATUSES = frozenset({502, 504, 524})
"""Statuses of a gateway that has waited for the server in vain; 524 is Cloudflare's."""


class ErrorDetails(Struct, frozen=True):
    """The contents of an error body.

    Attributes:
        message: A sentence for the user.
        codes: Its codes, types and reasons, in lower case.
        status: The HTTP status that it names, if it does.
        retry_after: The seconds that it asks to wait, if it does.
        is_input_at_fault: Whether it blames this one input, not the account.
    """

    message: str = ""
    codes: frozenset[str] = frozenset()
    status: int | None = None
    retry_after: float | None = None
    is_input_at_fault: bool = False


def decode_response(where: str, body: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    """Decode the JSON of a 2xx response.

    Raises:
        Unavailable: it is not JSON, most often a body that was cut off on the way, or JSON of
            another shape than this API's: a proxy's, or a server's that is starting or failing.
    """
    try:
        return json_codec.loads(body, decoder)
    except (msgspec.ValidationError, RecursionError) as error:
        raise Unavailable(f"{where}: unexpected response: {error}") from error
    except msgspec.DecodeError as error:
        is_page = body.lstrip()[:1] == b"<"
        problem = (
            "a web page instead of JSON; is the base URL right?" if is_page else "incomplete JSON"
        )
        raise Unavailable(f"{where}: {problem}") from error


def parse_error_body(body: bytes) -> ErrorDetails:
    """Read the body of an error response; one that says nothing gives empty details."""
    if body.lstrip()[:1] == b"<":
        title = re.search(rb"<title[^>]*>(.*?)</title>", body, re.DOTALL | re.IGNORECASE)
        return ErrorDetails(message=_decode_text(title[1]) if title else "(a web page)")
    try:
        tree: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ErrorDetails(message=_decode_text(body))
    return parse_error(tree)


def parse_error(tree: object) -> ErrorDetails:
    """Read a decoded error body, or its ``error`` member alone."""
    if isinstance(tree, list) and tree:
        tree = cast("list[object]", tree)[0]
    if isinstance(tree, str):
        return ErrorDetails(message=tree)
    if not isinstance(tree, dict):
        return ErrorDetails()
    outer = cast("dict[str, Any]", tree)
    inner = outer.get("error")
    if isinstance(inner, str):
        return ErrorDetails(message=inner, codes=frozenset(_codes(outer)))
    error = cast("dict[str, Any]", inner) if isinstance(inner, dict) else outer
    code = error.get("code")
    metadata = error.get("metadata")
    return ErrorDetails(
        message=_sentence(error),
        codes=frozenset(_codes(error)),
        status=code if isinstance(code, int) and 400 <= code <= 599 else None,
        retry_after=_retry_delay(error),
        is_input_at_fault=isinstance(metadata, dict) and "flagged_input" in metadata,
    )


def error_for_status(
    where: str,
    status: int,
    details: ErrorDetails,
    *,
    headers: Mapping[str, str],
    secrets: tuple[str, ...] = (),
) -> ProviderError:
    """Build the exception for an unsuccessful response. *where* names the endpoint."""
    reason = sanitize(details.message, secrets) or _phrase(status)
    message = f"{where}: {status} {reason}{_request_id(headers, secrets)}"
    wait = _retry_after(headers, details)
    word = headers.get(_SHOULD_RETRY, "").strip().lower()
    is_fatal = status < 500 and _is_fatal(status, details)
    if is_fatal and (word != "true" or not details.codes.isdisjoint(_FATAL_CODES)):
        return Denied(message)
    if status == 429:
        return RateLimited(message, retry_after=wait, allowance=read_allowance(headers))
    if word == "true":
        return Unavailable(message, retry_after=wait)
    if (status in {408, 409, 425} or status >= 500) and word != "false":
        return Unavailable(message, retry_after=wait, is_cut=status in _GATEWAY_STATUSES)
    return Rejected(message, is_filtered=not details.codes.isdisjoint(_FILTER_CODES))


_FILTER_CODES = frozenset(
    {
        "content_filter",  # Azure
        "responsibleaipolicyviolation",
        "content_policy_violation",  # OpenAI
        "data_inspection_failed",  # DashScope
        "datainspectionfailed",
        "sensitive_content",
    }
)
"""Codes of errors that blame the prompt's content."""

_SHOULD_RETRY = istr("X-Should-Retry")
"""OpenAI's and Anthropic's word on whether the same request may succeed; their SDKs obey it before
the status. A 429 is not given up for it: what is refused now is asked again later."""

_REQUEST_IDS = tuple(
    map(istr, ("X-Request-Id", "Request-Id", "Apim-Request-Id", "X-Amzn-RequestId"))
)
_LONGEST_ID = 80


def _request_id(headers: Mapping[str, str], secrets: tuple[str, ...]) -> str:
    """Return the request's id for a message: vendors' support asks for it."""
    value = next((headers[name] for name in _REQUEST_IDS if name in headers), "")
    text = sanitize(value, secrets)
    return f" (request {text})" if text and len(text) <= _LONGEST_ID else ""


def embedded_error(
    where: str, tree: object, *, headers: Mapping[str, str], secrets: tuple[str, ...] = ()
) -> ProviderError:
    """Build the exception for an ``error`` member inside a 200.

    Unless it says what kind of error it is, the same request may succeed later.
    """
    details = parse_error(tree)
    status = details.status or _status_of(details.codes)
    if status is None:
        reason = sanitize(details.message, secrets) or "without a word"
        wait = _retry_after(headers, details)
        return Unavailable(f"{where}: an error inside a 200: {reason}", retry_after=wait)
    return error_for_status(where, status, details, headers=headers, secrets=secrets)


def _status_of(codes: frozenset[str]) -> int | None:
    """Return the status that an error with *codes* would have had outside a 200."""
    if not codes.isdisjoint(_FATAL_CODES):
        return 403
    return next((_STATUS_OF_CODE[code] for code in sorted(codes) if code in _STATUS_OF_CODE), None)


def _retry_after(headers: Mapping[str, str], details: ErrorDetails) -> float | None:
    wait = read_retry_after(headers)
    return details.retry_after if wait is None else wait


def sanitize(text: str, secrets: tuple[str, ...] = ()) -> str:
    """Make a server's text safe for a terminal: one bounded line without escapes or secrets."""
    text = _ESCAPES.sub("", text)
    text = "".join(char if char.isprintable() else " " for char in text)
    text = " ".join(text.split())
    for secret in secrets:  # before the cut, which could leave half a key
        if len(secret) >= _SHORTEST_SECRET:
            text = _broken(secret).sub("***", text)
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}…"


@lru_cache(maxsize=64)
def _broken(secret: str) -> re.Pattern[str]:
    """Return a pattern for *secret*, also where a server has broken it into lines."""
    return re.compile(" ?".join(map(re.escape, secret[:512])) + re.escape(secret[512:]))


_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")


def describe_os_error(error: OSError) -> str:
    """Return an error of the system in its own words, without addresses or file names."""
    if isinstance(error, ssl.SSLError | socket.gaierror) or not error.errno:
        return sanitize(str(error.strerror or error))
    return os.strerror(error.errno)


def _is_fatal(status: int, details: ErrorDetails) -> bool:
    if not details.codes.isdisjoint(_FATAL_CODES):
        return True
    if status in {401, 402, 403, 404}:
        return not details.is_input_at_fault
    # Anthropic has sent this one as a plain invalid_request_error.
    return status == 400 and "credit balance is too low" in details.message


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Overloaded" if status == 529 else ""


def _decode_text(data: bytes) -> str:
    return data[: 16 * _LONGEST_MESSAGE].decode("utf-8", "replace")


def _sentence(error: dict[str, Any]) -> str:
    for name in ("message", "detail", "msg", "error_message", "errors"):
        value = error.get(name)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, list | dict) and value:
            return _decode_text(json_codec.dumps(value))
    return ""


def _codes(error: dict[str, Any]) -> Iterator[str]:
    for name in ("code", "type", "status"):
        code = error.get(name)
        if isinstance(code, str):
            yield code.lower()
    for detail in _google_details(error):
        reason = detail.get("reason")
        if isinstance(reason, str):
            yield reason.lower()


def _retry_delay(error: dict[str, Any]) -> float | None:
    """Return the delay of Google's RetryInfo, which stands in for Retry-After."""
    for detail in _google_details(error):
        delay = detail.get("retryDelay")
        wait = parse_duration(delay) if isinstance(delay, str) else None
        if wait is not None:
            return min(wait, LONGEST_WAIT)
    return None


def _google_details(error: dict[str, Any]) -> Iterator[dict[str, Any]]:
    details = error.get("details")
    if isinstance(details, list):
        for detail in cast("list[object]", details):
            if isinstance(detail, dict):
                yield cast("dict[str, Any]", detail)
