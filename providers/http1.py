"""One HTTP/1.1 connection on the bare loop: bytes out, and for one call at a time an answer in.

The parser is llhttp, through httptools. Knows no pool, no clock and no endpoint.
"""

import asyncio
import zlib
from asyncio import AbstractEventLoop, Future, Transport
from typing import Any, NamedTuple, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from .exchange import bound

_LARGEST_HEAD = 256 * 1024  # bytes, 1xx answers included
_LARGEST_FIELD = 8190  # bytes of one header, as aiohttp bounds it


class LostError(Exception):
    """No whole answer came.

    ``when``: "silent", "unanswered" (not a byte), "begun" (within the head), "answering" (within
    the body), "unreadable" (for the reason ``said``, in words that are never the server's).
    """

    def __init__(self, when: str, *, said: str = "", cause: Exception | None = None) -> None:
        super().__init__(when)
        self.when = when
        self.said = said
        self.cause = cause


class Raw(NamedTuple):
    """An answer as it came; one that is not whole went beyond its bound."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    is_whole: bool

    @property
    def is_good(self) -> bool:
        return self.is_whole and 200 <= self.status < 300

    def read(self) -> bytes:
        """The body, decompressed up to its bound and a byte more.

        Raises:
            LostError: it cannot be decompressed.
        """
        coding = [value for name, value in self.headers if name.lower() == "content-encoding"]
        if not coding or not self.body or coding == ["identity"]:
            return self.body
        try:
            return _inflate(self, coding[0].strip().lower())
        except zlib.error:
            raise LostError("answering") from None


def _inflate(raw: Raw, coding: str) -> bytes:
    if coding in {"gzip", "x-gzip"}:
        bits = 16 + zlib.MAX_WBITS
    elif coding == "deflate":  # with zlib's header, as it should be, or without
        bits = zlib.MAX_WBITS if raw.body[0] & 0xF == 8 else -zlib.MAX_WBITS
    else:
        raise LostError("answering")
    most = bound(raw.status) + 1
    reader = zlib.decompressobj(wbits=bits)
    text = reader.decompress(raw.body, most)
    if raw.is_whole and not reader.eof and len(text) < most:
        raise LostError("answering")
    return text


class Connection(asyncio.Protocol):
    """One connection: bytes in, for one call at a time an answer out.

    Attributes:
        quiet: Visits of the sweep since anything was heard or sent.
        is_lost: Closed, by whomever; it must not be used again.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.quiet = 0
        self.is_lost = False
        self._loop = loop
        self._transport: Transport
        self._waiter: Future[Raw] | None = None
        self._parser: Any = HttpResponseParser(self)
        # As aiohttp reads: servers that end lines with LF alone are met in the wild.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        self._begin()

    def _begin(self) -> None:
        self._status = 0
        self._headers: list[tuple[str, str]] = []
        self._parts: list[bytes] = []
        self._fed = 0  # bytes, as they came
        self._size = 0  # bytes of the body
        self._most = 0  # of those; 0 until the head is read
        self._has_begun = False
        self._is_done = False
        self._is_whole = False
        self._stays = False

    # What the session does.

    @property
    def is_waiting(self) -> bool:
        return self._waiter is not None

    def send(self, data: bytes) -> "Future[Raw]":
        """Send a request; the future fails with `LostError`."""
        self._begin()
        self.quiet = 0
        self._waiter = waiter = self._loop.create_future()
        if self.is_lost:  # closed as soon as it was open
            self._end(None)
        else:
            self._transport.write(data)
        return waiter

    def is_fit(self) -> bool:
        """Whether another call may go over it: all was sent, all was read and no more."""
        unsent = self._transport.get_write_buffer_size()
        return self._stays and not self.is_lost and not unsent

    def give_up(self, lost: LostError) -> None:
        """Fail the call under way, if there is one, and close."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(lost)
        self.drop()

    def drop(self) -> None:
        """Close at once; whoever waits here has been told, or has gone."""
        self.is_lost = True
        self._waiter = None
        self._transport.abort()

    # What the loop does.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.quiet = 0
        if self._waiter is None:  # nothing was asked
            self.drop()
            return
        self._has_begun = True
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            self._stays = False
        except HttpParserError as error:
            self._stays = False
            if not self._is_done:
                self._refuse(error)
                return
        self._fed += len(data)
        if self._is_done:
            self._deliver()
        elif self._fed > _LARGEST_HEAD + 8 * self._most:  # a chunk of one byte takes six
            self.give_up(LostError("unreadable", said="its framing has no end"))

    def eof_received(self) -> None:
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc)
        self._parser = None  # it and we refer to each other

    def _end(self, error: Exception | None) -> None:
        self.is_lost = True
        if self._waiter is None:
            return
        if error is None and self._status and not self._is_framed():
            self._is_whole = True
            self._deliver()
            return
        when = "answering" if self._status else "begun" if self._has_begun else "unanswered"
        self.give_up(LostError(when, cause=error))

    def _is_framed(self) -> bool:
        """Whether the head says where the body ends; else it ends with the connection."""
        names = {name.lower() for name, _ in self._headers}
        return not names.isdisjoint({"content-length", "transfer-encoding"})

    def _refuse(self, error: HttpParserError) -> None:
        if self._status:
            self.give_up(LostError("answering"))
            return
        said = str(error) if error.__context__ is None else str(error.__context__)
        self.give_up(LostError("unreadable", said=said))

    def _deliver(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            waiter.set_result(Raw(self._status, self._headers, body, self._is_whole))

    # What the parser finds.

    def on_message_begin(self) -> None:
        if self._is_done:
            raise ValueError("more than was asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._status:  # a trailer: nothing that counts comes in one
            return
        if len(name) + len(value) > _LARGEST_FIELD:
            raise ValueError(f"a header of more than {_LARGEST_FIELD} bytes")
        self._headers.append((name.decode("latin-1"), value.decode("utf-8", "surrogateescape")))

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        self._most = bound(self._status)

    def on_body(self, data: bytes) -> None:
        if self._is_done:
            return
        self._parts.append(data)
        self._size += len(data)
        if self._size > self._most:  # enough is known
            self._is_done = True

    def on_message_complete(self) -> None:
        if 100 <= self._status < 200 and self._status != 101:  # the answer is still to come
            self._status = self._most = 0
            self._headers = []
        elif not self._is_done:
            self._is_done = self._is_whole = True
            self._stays = self._status != 101 and self._parser.should_keep_alive()
