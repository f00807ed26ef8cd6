"""The body of a response to a request for a stream, as it comes in; the same for all transports."""

from collections.abc import Iterable

from ..base import Progress, Rejected, Unavailable
from .events import MAX_EVENT_BYTES, Assembly, Event, EventParser, GarbledError, OversizeError
from .exchange import MAX_RESPONSE_BYTES

END_WAIT = 1.0
"""Seconds to wait, after the terminator, for the end of the response: only then can its connection
be used again. The reply is there; some servers leave the response open."""

_MAX_STREAM_BYTES = 8 * MAX_RESPONSE_BYTES
"""Of events with all that is around the reply in them: a chunk of 4 characters takes 250 bytes."""

_BOM = b"\xef\xbb\xbf"
_FIELD_BEGINS = b":deir"
"""The first letters of comments and of data, event, id and retry. No JSON begins so."""


class EventStream:
    """Puts the events of one response together.

    A server that does not know streams answers with JSON, which is kept as it is; which of the two
    it is, the first character tells, since servers mislabel both.

    Attributes:
        is_over: Whether nothing that follows matters: the reply has ended, or failed.
    """

    def __init__(self, assembly: Assembly, progress: Progress) -> None:
        self.is_over = False
        self._assembly = assembly
        self._progress = progress
        self._parser = EventParser()
        self._begun = False
        self._beginning: bytes = b""  # up to the first character, which may come in pieces
        self._plain: list[bytes] | None = None  # what came, where it is no stream
        self._size = 0
        self._error: type[Rejected | Unavailable] = Unavailable
        self._problem = ""

    @property
    def has_failed(self) -> bool:
        """Whether it is over without a reply."""
        return bool(self._problem)

    def feed(self, data: bytes) -> None:
        """Add the next part of the body. What is wrong with it, `finish` raises."""
        if self.is_over:
            return
        if not self._begun and not (data := self._begin(data)):
            return
        self._size += len(data)
        if self._plain is not None:
            self._plain.append(data)
            self._progress.add(data)
            if self._size > MAX_RESPONSE_BYTES:
                self._refuse(f"the response is larger than {MAX_RESPONSE_BYTES} bytes")
            return
        comments = self._parser.comments
        self._add(self._parser.feed(data))
        self._progress.events += self._parser.comments - comments
        if self._size > _MAX_STREAM_BYTES or self._assembly.size > MAX_RESPONSE_BYTES:
            self._refuse(f"the response is larger than {MAX_RESPONSE_BYTES} bytes")

    def finish(self, where: str) -> bytes:
        """Return the whole body, as if it had not been streamed. *where* names the endpoint.

        Raises:
            Unavailable: it is garbled, or ended before the reply did.
            Rejected: it is too large.
        """
        if self._plain is None and not self.is_over:
            self._add(self._parser.close())
        if self._problem:
            raise self._error(f"{where}: {self._problem}")
        if not self._begun or self._plain is not None:
            return b"".join(self._plain or ())
        if not self._assembly.is_complete:
            raise Unavailable(f"{where}: the stream ended before the reply did")
        try:
            return self._assembly.body()
        except GarbledError as error:
            raise Unavailable(f"{where}: the stream is garbled: {error}") from error

    def _begin(self, data: bytes) -> bytes:
        """Look for the first character; return all from there on, or nothing so far."""
        data = self._beginning + data
        if _BOM.startswith(data[: len(_BOM)]) and len(data) < len(_BOM):
            self._beginning = data
            return b""
        data = data.removeprefix(_BOM).lstrip(b" \t\r\n")
        self._beginning = b""
        if data:
            self._begun = True
            if data[0] not in _FIELD_BEGINS:
                self._plain = []
        return data

    def _add(self, events: Iterable[Event]) -> None:
        try:
            for event in events:
                self._assembly.add(event)
                self._progress.events += 1
                if self._assembly.is_over:
                    self.is_over = True
                    break
        except GarbledError as error:
            self._problem = f"the stream is garbled: {error}"
            self.is_over = True
        except OversizeError:
            self._refuse(f"an event is larger than {MAX_EVENT_BYTES} bytes")
        self._progress.received = max(self._progress.received, self._assembly.size)

    def _refuse(self, problem: str) -> None:
        self._error, self._problem, self.is_over = Rejected, problem, True
