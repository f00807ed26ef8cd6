"""Lines at the end of what a terminal shows, redrawn in place; what others print goes above them.

Control sequences are those of ECMA-48 that every terminal knows. The cursor stays visible: a killed
process leaves the terminal as it was.
"""

import io
import os
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TextIO

from .terminal import printable

_UP, _ERASE_LINE, _ERASE_BELOW, _HOME = "\x1b[{}A", "\x1b[2K", "\x1b[J", "\x1b[H"


class Screen:
    """Lines that are redrawn in place.

    Args:
        stream: the terminal.
        size: its columns and lines now.
    """

    def __init__(self, stream: TextIO, size: Callable[[], os.terminal_size] | None = None) -> None:
        self._stream = stream
        self._size = size or (lambda: _terminal_size(stream))
        self._lines: Sequence[str] = ()
        self._lines_size = os.terminal_size((0, 0))
        self._lock = threading.RLock()

    @property
    def columns(self) -> int:
        """How wide a line may be: one less than the terminal, where a full line would wrap."""
        return max(1, self._size().columns - 1)

    def draw(self, lines: Sequence[str]) -> None:
        """Show *lines* in place of those before; lines beyond the terminal's height are left out.

        Args:
            lines: each of at most `columns`, and of nothing but text and its colours.
        """
        with self._lock:
            size = self._size()
            visible = lines[: max(1, size.lines - 1)]
            body = "".join(f"{_ERASE_LINE}{line}\n" for line in visible)
            self._write(f"{self._start(size)}{body}{_ERASE_BELOW}")
            self._lines, self._lines_size = visible, size

    def erase(self) -> None:
        """Remove the lines."""
        with self._lock:
            if self._lines:
                self._write(f"{self._start(self._size())}{_ERASE_BELOW}")
            self._lines = ()

    def print_above(self, text: str) -> None:
        """Print *text*, whole lines, above the lines."""
        with self._lock:
            lines = self._lines
            self.erase()
            self._write(text)
            if lines:
                self.draw(lines)

    def _start(self, size: os.terminal_size) -> str:
        """Return the sequence that goes to where the first line begins."""
        if not self._lines:
            return "\r"
        up = f"\r{_UP.format(len(self._lines))}"
        if size.columns >= self._lines_size.columns and size.lines >= self._lines_size.lines:
            return up
        # A smaller terminal: some wrap the lines again, some cut them, so where they begin is not
        # known. What is there scrolls away, but for the lines that are certainly ours.
        scroll = "\n" * size.lines
        return f"{up}{_ERASE_BELOW}\x1b[{size.lines};1H{scroll}{_HOME}"

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


@contextmanager
def printing_above(screen: Screen) -> Generator[None]:
    """Show what the block prints above the lines of *screen*, where it would be on a terminal."""
    before = sys.stdout, sys.stderr
    try:
        if sys.stdout.isatty():
            sys.stdout = _Above(screen, sys.stdout)
        if sys.stderr.isatty():
            sys.stderr = _Above(screen, sys.stderr)
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, _Above):
                stream.end()
        sys.stdout, sys.stderr = before


class _Above(io.TextIOBase):
    """A terminal whose lines go above a screen's as soon as they are whole."""

    def __init__(self, screen: Screen, stream: TextIO) -> None:
        self._screen, self._stream = screen, stream
        self._rest = ""

    def write(self, text: str, /) -> int:
        lines, newline, self._rest = (self._rest + text).rpartition("\n")
        if newline:
            self._screen.print_above(printable(lines) + newline)
        return len(text)

    def end(self) -> None:
        """Print what has no newline yet."""
        if self._rest:
            self._screen.print_above(printable(self._rest) + "\n")
            self._rest = ""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()


def _terminal_size(stream: TextIO) -> os.terminal_size:
    """Return the size of the terminal; 80 by 24 where it does not say."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        size = os.terminal_size((0, 0))
    return os.terminal_size((size.columns or 80, size.lines or 24))
