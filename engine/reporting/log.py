"""The run's event log: one JSON line per event in ``events.jsonl``.

An event concerns a run, a seed or an endpoint; calls are counted, not logged.
"""

import logging
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

from ..data.files import open_regular
from ..disk.atomic import WriteError


@contextmanager
def to_file(path: Path) -> Generator[None]:
    """Append the events of this process to *path* within the block, and drop them after it."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    try:
        descriptor = open_regular(path, flags)
    except OSError as error:
        raise WriteError(f"{path}: cannot be written ({error.strerror})") from error
    with os.fdopen(descriptor, "ab", buffering=0) as file:
        _configure(file)
        try:
            yield
        finally:
            to_nowhere()


def _configure(file: BinaryIO) -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_dump),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.BytesLoggerFactory(file),
        cache_logger_on_first_use=False,
    )


def to_nowhere() -> None:
    """Drop the events of this process from now on."""
    structlog.configure(
        processors=[_drop],
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _drop(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    del logger, name, event
    raise structlog.DropEvent


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
