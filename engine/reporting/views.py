"""Where progress is shown: bars on a terminal, a line now and then in a log, or JSON lines."""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Literal, Protocol, TextIO, assert_never

from ...providers import json_codec
from .progress import RunProgress
from .progress_text import is_held_up_long, log_line, stop_message
from .screen import Screen, printing_above
from .terminal import printable, printable_json

Display = Literal["auto", "full", "plain", "json", "none"]
"""``auto``: ``full`` on a terminal that can move its cursor, else ``plain``."""


class View(Protocol):
    """Where progress is shown."""

    interval: float
    """Seconds between two looks at the progress."""

    def update(self, progress: RunProgress) -> None:
        """Show *progress*."""
        ...

    def close(self, progress: RunProgress) -> None:
        """Show the end of a session, or of what there is to see."""
        ...


@contextmanager
def opened_view(display: Display, stream: TextIO) -> Generator[View]:
    """Open a view on *stream*."""
    resolved = _resolved(display, stream, os.environ)
    match resolved:
        case "full":
            screen = Screen(stream)
            with printing_above(screen):
                yield _Bars(screen, stream)
        case "plain":
            yield _Log(stream)
        case "json":
            yield _JsonLines(stream)
        case "none":
            yield _StopsAlone(stream)
        case _:
            assert_never(resolved)


def _resolved(
    display: Display, stream: TextIO, environ: Mapping[str, str]
) -> Literal["full", "plain", "json", "none"]:
    if display != "auto":
        return display
    is_dumb = environ.get("TERM", "dumb") in {"", "dumb", "unknown"}
    return "full" if stream.isatty() and not is_dumb else "plain"


class _Bars:
    """Bars on a terminal, drawn in place."""

    interval = 0.5

    def __init__(self, screen: Screen, stream: TextIO) -> None:
        from .bars import BarRenderer  # noqa: PLC0415  (rich takes long to import)

        self._screen = screen
        self._renderer = BarRenderer(stream)

    def update(self, progress: RunProgress) -> None:
        self._screen.draw(self._renderer.lines(progress, self._screen.columns))

    def close(self, progress: RunProgress) -> None:
        self._screen.erase()  # the summary follows
        if progress.state == "stopping at once":
            self._screen.print_above(f"{stop_message(progress)}\n")


LOG_INTERVAL = 30.0
"""Seconds after which a log gets another line."""


class _Log:
    """A line at every tenth of the work, every thirty seconds, and when something happens."""

    interval = 1.0

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._line_at = 0.0
        self._last_event: object = None

    def update(self, progress: RunProgress) -> None:
        event = _event(progress)
        if event != self._last_event or progress.elapsed - self._line_at >= LOG_INTERVAL:
            self._last_event, self._line_at = event, progress.elapsed
            self._print(log_line(progress))

    def close(self, progress: RunProgress) -> None:
        if progress.state == "stopping at once":
            self._print(log_line(progress))

    def _print(self, line: str) -> None:
        self._stream.write(f"{printable(line)}\n")
        self._stream.flush()


def _event(progress: RunProgress) -> object:
    """Return what a log shows as soon as it changes."""
    held_up = tuple(endpoint.name for endpoint in progress.endpoints if is_held_up_long(endpoint))
    is_stopping = progress.state in {"stopping", "stopping at once"}
    return is_stopping, held_up, int(10 * (progress.share or 0))


class _JsonLines:
    """Progress as one line of JSON a second."""

    interval = 1.0

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def update(self, progress: RunProgress) -> None:
        self._stream.write(f"{printable_json(json_codec.dumps(progress).decode())}\n")
        self._stream.flush()

    def close(self, progress: RunProgress) -> None:
        if progress.state == "stopping at once":
            self.update(progress)


class _StopsAlone:
    """Nothing but the answer to a request to stop."""

    interval = 0.5

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_stopping = False

    def update(self, progress: RunProgress) -> None:
        if progress.state == "stopping" and not self._is_stopping:
            self._is_stopping = True
            self._answer(progress)

    def close(self, progress: RunProgress) -> None:
        if progress.state == "stopping at once":
            self._answer(progress)

    def _answer(self, progress: RunProgress) -> None:
        self._stream.write(f"codeclm: {stop_message(progress)}\n")
        self._stream.flush()
