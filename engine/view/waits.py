"""A run's event log: its sessions, what kept them waiting, and what went wrong."""

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ..data.files import open_regular

_MOST_BYTES = 4 << 20
"""Of the log's end that are read."""

_MOST_MESSAGES = 200


class Wait(Struct, frozen=True):
    """A time in which an endpoint let nothing out or answered nobody, in seconds since 1970."""

    endpoint: str
    cause: str
    start: float
    end: float | None


class WorkingTime(Struct, frozen=True):
    """When a session worked, in seconds since 1970, and how it ended; None if nobody knows."""

    start: float
    end: float | None
    ending: str | None


class Message(Struct, frozen=True):
    """A warning or an error that a session logged."""

    time: float
    level: str
    event: str
    detail: str


class EventLog(Struct, frozen=True):
    """What a run's log says.

    Attributes:
        is_whole: whether all of it was read, or only its end.
    """

    sessions: tuple[WorkingTime, ...]
    waits: tuple[Wait, ...]
    messages: tuple[Message, ...]
    is_whole: bool


class _Event(Struct, frozen=True):
    event: str
    timestamp: datetime
    level: str = ""
    endpoint: str = ""
    error: str | None = None
    ending: str | None = None
    reason: str | None = None


_event = msgspec.json.Decoder(_Event)
_any = msgspec.json.Decoder(dict[str, Any])


def read_event_log(path: Path) -> EventLog:
    """Read the log at *path*, or its last 4 MiB; a line that is no event is skipped. Blocks."""
    try:
        descriptor = open_regular(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return EventLog((), (), (), is_whole=True)
    with os.fdopen(descriptor, "rb") as file:
        size = os.fstat(descriptor).st_size
        file.seek(max(0, size - _MOST_BYTES))
        lines = file.read(_MOST_BYTES).split(b"\n")
    is_whole = size <= _MOST_BYTES
    history = _History()
    for line in lines if is_whole else lines[1:]:
        history.add(line)
    return history.log(is_whole=is_whole)


class _History:
    """What the events so far amount to."""

    def __init__(self) -> None:
        self._sessions = list[WorkingTime]()
        self._waits = list[Wait]()
        self._open = dict[str, Wait]()
        self._messages = list[Message]()

    def add(self, line: bytes) -> None:
        try:
            event = _event.decode(line)
        except (msgspec.MsgspecError, UnicodeError):
            return
        time = event.timestamp.timestamp()
        match event.event:
            case "run.began":
                self._end_waits(time)
                self._sessions.append(WorkingTime(time, None, None))
            case "run.ended":
                self._end_waits(time)
                self._end_session(time, event.ending)
            case "endpoint.out" | "endpoint.paused":
                self._end_wait(event.endpoint, time)
                cause = event.error or "its rate limit lets nothing out"
                self._open[event.endpoint] = Wait(event.endpoint, cause, time, None)
            case "endpoint.back":
                self._end_wait(event.endpoint, time)
            case _:
                pass
        if event.level in {"warning", "error", "critical"}:
            self._messages.append(Message(time, event.level, event.event, _detail(line)))

    def _end_session(self, time: float, ending: str | None) -> None:
        if self._sessions and self._sessions[-1].end is None:
            begun = self._sessions.pop()
            self._sessions.append(WorkingTime(begun.start, time, ending))

    def _end_wait(self, endpoint: str, time: float) -> None:
        wait = self._open.pop(endpoint, None)
        if wait is not None:
            self._waits.append(msgspec.structs.replace(wait, end=time))

    def _end_waits(self, time: float) -> None:
        for endpoint in list(self._open):
            self._end_wait(endpoint, time)

    def log(self, *, is_whole: bool) -> EventLog:
        return EventLog(
            tuple(self._sessions),
            (*self._waits, *self._open.values()),
            tuple(self._messages[-_MOST_MESSAGES:]),
            is_whole,
        )


def _detail(line: bytes) -> str:
    fields = _any.decode(line)
    return "; ".join(_fields(fields))[:1000]


def _fields(fields: dict[str, Any]) -> Iterator[str]:
    for name, value in fields.items():
        if name not in {"event", "level", "timestamp"} and value not in (None, ""):
            yield f"{name}: {value}"
