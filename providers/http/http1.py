"""One HTTP/1.1 connection on the bare event loop: one call at a time, bytes out, a response in.

The parser is llhttp, through httptools.
"""

import asyncio
import zlib
from asyncio import AbstractEventLoop, Future, Transport
from typing import Any, Literal, NamedTuple, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from .exchange import max_body_bytes

_MAX_HEAD_BYTES = 256 * 1024  # 1xx responses included
_MAX_FIELD_BYTES = 8190  # of one header, as aiohttp bounds it

LossReason = Literal["silent", "unanswered", "in_head", "in_body", "unreadable"]
"""``unanswered``: lost before the first byte of the response; ``in_head``, ``in_body``: later."""


class LostError(Exception):
    """No complete response arrived.

    Attributes:
        reason: What went wrong.
        detail: Why a response is unreadable: the parser's words, never the server's.
        cause: The error that the loop reported, if any.
    """

    def __init__(
        self, reason: LossReason, *, detail: str = "", cause: Exception | None = None
    ) -> None:
        super().__init__(reason)
        self.reason: LossReason = reason
        self.detail = detail
        self.cause = cause


class RawResponse(NamedTuple):
    """A response as received. One that is not complete exceeds `max_body_bytes`."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    is_complete: bool

    @property
    def is_success(self) -> bool:
        return self.is_complete and 200 <= self.status < 300

    def decompress(self) -> bytes:
        """Return the body, decompressed to at most one byte more than `max_body_bytes`.

        Raises:
            LostError: it cannot be decompressed.
        """
        codings = [value for name, value in self.headers if name.lower() == "content-encoding"]
        if not codings or not self.body or codings == ["identity"]:
            return self.body
        try:
            return _inflate(self, codings[0].strip().lower())
        except zlib.error:
            raise LostError("in_body") from None


def _inflate(raw: RawResponse, coding: str) -> bytes:
    if coding in {"gzip", "x-gzip"}:
        window_bits = 16 + zlib.MAX_WBITS
    elif coding == "deflate":  # with zlib's header, as RFC 9110 §8.4.1.2 has it, or without
        window_bits = zlib.MAX_WBITS if raw.body[0] & 0xF == 8 else -zlib.MAX_WBITS
    else:
        raise LostError("in_body")
    limit = max_body_bytes(raw.status) + 1
    decompressor = zlib.decompressobj(wbits=window_bits)
    body = decompressor.decompress(raw.body, limit)
    if raw.is_complete and not decompressor.eof and len(body) < limit:
        raise LostError("in_body")
    return body


class Connection(asyncio.Protocol):
    """One connection, which carries one call at a time.

    Attributes:
        quiet_sweeps: How often the session's sweep has passed since the last byte in or out.
        is_lost: Whether it is closed, by either side; do not use it again.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.quiet_sweeps = 0
        self.is_lost = False
        self._loop = loop
        self._transport: Transport
        self._waiter: Future[RawResponse] | None = None
        self._parser: Any = HttpResponseParser(self)
        # As lenient as aiohttp: some servers end lines with LF alone.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        self._reset()

    def _reset(self) -> None:
        self._status = 0
        self._headers: list[tuple[str, str]] = []
        self._parts: list[bytes] = []
        self._received = 0  # bytes off the socket
        self._body_size = 0  # bytes
        self._body_limit = 0  # bytes; 0 until the head is read
        self._has_begun = False
        self._is_done = False
        self._is_complete = False
        self._keeps_alive = False

    # Called by the session.

    @property
    def is_waiting(self) -> bool:
        return self._waiter is not None

    def send(self, data: bytes) -> "Future[RawResponse]":
        """Send a request. The future fails with `LostError`."""
        self._reset()
        self.quiet_sweeps = 0
        self._waiter = waiter = self._loop.create_future()
        if self.is_lost:  # closed as soon as it was open
            self._end(None)
        else:
            self._transport.write(data)
        return waiter

    def is_reusable(self) -> bool:
        """Whether it can carry another call: all was sent, the response was read, and no more."""
        unsent = self._transport.get_write_buffer_size()
        return self._keeps_alive and not self.is_lost and not unsent

    def give_up(self, lost: LostError) -> None:
        """Fail the call in flight, if there is one, and close."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(lost)
        self.drop()

    def drop(self) -> None:
        """Close at once, when no caller waits."""
        self.is_lost = True
        self._waiter = None
        self._transport.abort()

    # Called by the loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.quiet_sweeps = 0
        if self._waiter is None:  # no request is in flight
            self.drop()
            return
        self._has_begun = True
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            self._keeps_alive = False
        except HttpParserError as error:
            self._keeps_alive = False
            if not self._is_done:
                self._refuse(error)
                return
        self._received += len(data)
        if self._is_done:
            self._deliver()
        # A chunk of one byte takes six.
        elif self._received > _MAX_HEAD_BYTES + 8 * self._body_limit:
            self.give_up(LostError("unreadable", detail="its framing does not end"))

    def eof_received(self) -> None:
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc)
        self._parser = None  # break the reference cycle

    def _end(self, error: Exception | None) -> None:
        self.is_lost = True
        if self._waiter is None:
            return
        if error is None and self._status and not self._is_framed():
            self._is_complete = True
            self._deliver()
            return
        reason: LossReason = (
            "in_body" if self._status else "in_head" if self._has_begun else "unanswered"
        )
        self.give_up(LostError(reason, cause=error))

    def _is_framed(self) -> bool:
        """Whether the head says where the body ends; if not, it ends with the connection."""
        names = {name.lower() for name, _ in self._headers}
        return not names.isdisjoint({"content-length", "transfer-encoding"})

    def _refuse(self, error: HttpParserError) -> None:
        if self._status:
            self.give_up(LostError("in_body"))
            return
        detail = str(error) if error.__context__ is None else str(error.__context__)
        self.give_up(LostError("unreadable", detail=detail))

    def _deliver(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            waiter.set_result(RawResponse(self._status, self._headers, body, self._is_complete))

    # Called by the parser.

    def on_message_begin(self) -> None:
        if self._is_done:
            raise ValueError("more than one response")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._status:  # a trailer: nothing in it matters
            return
        if len(name) + len(value) > _MAX_FIELD_BYTES:
            raise ValueError(f"a header of more than {_MAX_FIELD_BYTES} bytes")
        self._headers.append((name.decode("latin-1"), value.decode("utf-8", "surrogateescape")))

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        self._body_limit = max_body_bytes(self._status)

    def on_body(self, data: bytes) -> None:
        if self._is_done:
            return
        self._parts.append(data)
        self._body_size += len(data)
        if self._body_size > self._body_limit:
            self._is_done = True

    def on_message_complete(self) -> None:
        if 100 <= self._status < 200 and self._status != 101:  # the response is still to come
            self._status = self._body_limit = 0
            self._headers = []
        elif not self._is_done:
            self._is_done = self._is_complete = True
            self._keeps_alive = self._status != 101 and self._parser.should_keep_alive()
