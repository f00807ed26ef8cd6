"""One HTTP/1.1 connection on the bare event loop: one call at a time, bytes out, a response in.

The parser is llhttp, through httptools.
"""

import asyncio
import zlib
from asyncio import AbstractEventLoop, Future, TimerHandle, Transport
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from ..base import Progress, current_progress
from .compression import Decompressor, content_coding, decompress
from .event_stream import END_WAIT, EventStream
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
    """A response as received. One that is not complete exceeds `max_body_bytes`.

    The body of a stream is in its `EventStream`.
    """

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
        coding = content_coding(self.headers) if self.body else ""
        if not coding:
            return self.body
        limit = max_body_bytes(self.status) + 1
        try:
            return decompress(self.body, coding, limit, is_complete=self.is_complete)
        except (ValueError, zlib.error):
            raise LostError("in_body") from None


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
        self._stream: EventStream | None = None
        self._grace: TimerHandle | None = None
        self._progress = Progress()
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
        self._feed_stream: Callable[[bytes], None] | None = None

    # Called by the session.

    @property
    def is_waiting(self) -> bool:
        return self._waiter is not None

    def send(self, data: bytes, stream: EventStream | None = None) -> "Future[RawResponse]":
        """Send a request; the body of a 2xx goes to *stream*. The future fails with `LostError`."""
        self._reset()
        self._stream = stream
        self.quiet_sweeps = 0
        self._progress = current_progress()
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
            if not self._is_done and not self._has_reply():
                self._refuse(error)
                return
        self._received += len(data)
        if self._is_done:
            self._deliver()
        elif self._stream is not None and self._stream.is_over:
            self._deliver_soon(self._stream)
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
        is_end = error is None and self._status and not self._is_framed()
        if is_end or self._has_reply():
            self._is_complete = True
            self._deliver()
            return
        reason: LossReason = (
            "in_body" if self._status else "in_head" if self._has_begun else "unanswered"
        )
        self.give_up(LostError(reason, cause=error))

    def _has_reply(self) -> bool:
        """Whether a stream is over: nothing that happens to the connection can harm it."""
        return self._stream is not None and self._stream.is_over

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

    def _deliver_soon(self, stream: EventStream) -> None:
        """Wait a moment for the end of a response whose stream is over: see `END_WAIT`."""
        if stream.has_failed:
            self._deliver()
        elif self._grace is None:
            self._grace = self._loop.call_later(END_WAIT, self._deliver)

    def _deliver(self) -> None:
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None
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
        if self._stream is not None and 200 <= self._status < 300:
            coding = content_coding(self._headers)
            feed = self._stream.feed
            self._feed_stream = Decompressor(coding, feed).feed if coding else feed

    def on_body(self, data: bytes) -> None:
        if self._feed_stream is not None:
            self._feed_stream(data)
            return
        if self._is_done:
            return
        self._parts.append(data)
        self._progress.add(data)
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
