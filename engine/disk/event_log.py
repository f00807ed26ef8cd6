"""The event log: one JSON line per event, in the ``events.jsonl`` of what is being worked on.

An event concerns a run, a seed or an endpoint; calls are counted, not logged. Where an event goes
follows from its context (`contextvars`), so two runs in one process keep their events apart, and a
program that uses structlog itself keeps its own configuration.
"""

import logging
import os
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from ..data.files import open_regular
from .atomic import WriteError

_file: ContextVar[BinaryIO | None] = ContextVar("codeclm event log", default=None)


@contextmanager
def logging_to(path: Path) -> Generator[None]:
    """Append the events of the block, and of the tasks and threads it starts, to *path*.

    Elsewhere events are dropped.

    Raises:
        WriteError: *path* cannot be written.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    try:
        descriptor = open_regular(path, flags)
    except OSError as error:
        raise WriteError(f"{path}: cannot be written ({error.strerror})") from error
    with os.fdopen(descriptor, "ab", buffering=0) as file:
        token = _file.set(file)
        try:
            yield
        finally:
            _file.reset(token)


def event_logger() -> FilteringBoundLogger:
    """Return a logger whose events go to the file of the context that logs them."""
    logger: FilteringBoundLogger = structlog.wrap_logger(
        _ContextLogger(),
        processors=[
            _drop_unless_open,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_dump),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    return logger


class _ContextLogger:
    """Writes each line to the file of the context, in one piece: lines never mix."""

    def msg(self, line: bytes) -> None:
        file = _file.get()
        if file is not None and not file.closed:
            file.write(line + b"\n")

    info = warning = error = msg


def _drop_unless_open(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    del logger, name
    file = _file.get()
    if file is None or file.closed:
        raise structlog.DropEvent
    return event


def _dump(event: dict[str, Any], **_: Any) -> bytes:
    try:
        return orjson.dumps(event, default=str)
    except TypeError:  # a string with lone surrogates
        return orjson.dumps(
            {key: _without_surrogates(value) for key, value in event.items()}, default=str
        )


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return value
