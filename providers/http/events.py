"""Server-sent events: bytes in, events out (HTML Living Standard §9.2.6).

Tolerant where servers differ: lines end with CRLF, LF or CR, the space after the colon may be
missing, and the last event may lack its blank line.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

MAX_EVENT_BYTES = 8 * 1024 * 1024
"""Of one event; vendors send a few hundred, and a whole reply where it is repeated at the end."""


class Event(NamedTuple):
    """One event. ``id`` and ``retry`` are left out: nothing here reconnects."""

    type: str
    data: bytes


class Assembly(Protocol):
    """Puts the events of one stream together."""

    @property
    def size(self) -> int:
        """Return the characters of the reply so far."""
        ...

    @property
    def is_complete(self) -> bool:
        """Whether the stream may end here."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether nothing that follows matters: the terminator has come, or an error."""
        ...

    def add(self, event: Event) -> None:
        """Add *event*.

        Raises:
            GarbledError: it is not of this protocol.
        """
        ...

    def body(self) -> bytes:
        """Return what the server would have sent if it had not streamed.

        Raises:
            GarbledError: it cannot be written as JSON.
        """
        ...


class GarbledError(Exception):
    """An event is not of the protocol that was asked for. The message repeats none of it."""


class OversizeError(Exception):
    """An event is larger than `MAX_EVENT_BYTES`."""


class EventParser:
    """Divides one stream into events, wherever packets divide it.

    Attributes:
        comments: How many comments have come; servers send them to keep a connection alive.
    """

    def __init__(self) -> None:
        self.comments = 0
        self._rest: list[bytes] = []  # a line whose end is still to come
        self._rest_size = 0
        self._ended_with_cr = False
        self._type = ""
        self._data: list[bytes] = []
        self._data_size = 0

    def feed(self, data: bytes) -> Iterator[Event]:
        """Yield the events that *data* completes.

        Raises:
            OversizeError: an event is too large.
        """
        for line in self._lines(data):
            if line:
                self._read_field(line)
            elif (event := self._take()) is not None:
                yield event

    def close(self) -> Iterator[Event]:
        """Yield the last event, if the stream has ended without the blank line after it."""
        self._read_field(b"".join(self._rest))
        self._rest = []
        if (event := self._take()) is not None:
            yield event

    def _lines(self, data: bytes) -> list[bytes]:
        if not data:
            return []
        if self._ended_with_cr and data[:1] == b"\n":  # the second half of a CRLF
            data = data[1:]
        self._ended_with_cr = data.endswith(b"\r")
        if not data:
            return []
        lines = data.splitlines()  # of bytes: at LF, CR and CRLF, nowhere else
        rest = b"" if data.endswith((b"\n", b"\r")) else lines.pop()
        if lines and self._rest:
            lines[0] = b"".join((*self._rest, lines[0]))
            self._rest, self._rest_size = [], 0
        if rest:
            self._rest.append(rest)
            self._rest_size += len(rest)
            self._check_size(self._rest_size)
        return lines

    def _read_field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if name == b"data":
            self._data.append(value)
            self._data_size += len(value) + 1
            self._check_size(self._data_size)
        elif name == b"event":
            self._type = value.decode("utf-8", "replace")
        elif not name and line:
            self.comments += 1

    def _take(self) -> Event | None:
        """End an event. One without data is none."""
        event = Event(self._type, b"\n".join(self._data)) if self._data else None
        self._type, self._data, self._data_size = "", [], 0
        return event

    def _check_size(self, size: int) -> None:
        if size > MAX_EVENT_BYTES:
            raise OversizeError
