"""Text files as bytes, unpacked if they are gzipped, and lines of bounded length."""

import gzip
import io
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from .source import SeedError

MAX_LINE: Final = 64 << 20
"""Most bytes of a line that are held in memory."""


MAX_UNPACKED: Final = 512 << 20
"""Most bytes of what must be read to its end: an array, a line. A small gzip may hold terabytes."""


class TooLargeError(Exception):
    """A file holds more in one piece than is read. The message says what, and what to do."""


@contextmanager
def open_text(path: Path) -> Generator[io.BufferedReader]:
    """Open *path* after its byte order mark.

    Raises:
        SeedError: the file cannot be read, also while the block reads it.
    """
    try:
        with io.BufferedReader(path.open("rb", buffering=0), 1 << 18) as raw:
            file: io.BufferedReader[Any] = raw
            if raw.peek(2)[:2] == b"\x1f\x8b":
                file = io.BufferedReader(gzip.GzipFile(fileobj=raw), 1 << 18)
            if file.peek(3)[:3] == b"\xef\xbb\xbf":
                file.read(3)
            yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SeedError(
            f"{path}: damaged gzip file ({error}): download or compress it again"
        ) from error
    except TooLargeError as error:
        raise SeedError(f"{path}: {error}") from error
    except OSError as error:
        raise SeedError(f"{path}: {error.strerror or error}") from error


def bounded_lines(file: io.BufferedReader) -> Iterator[bytes]:
    """Yield the lines of *file*; of a longer line than `MAX_LINE`, its beginning."""
    return iter(partial(file.readline, MAX_LINE), b"")


def skip_rest(file: io.BufferedReader, line: bytes) -> bool:
    """Skip to the end of the line that begins with *line*; return whether anything was skipped."""
    if len(line) < MAX_LINE or line.endswith(b"\n"):
        return False
    skipped = len(line)
    while line and not line.endswith(b"\n"):
        line = file.readline(1 << 20)
        skipped += len(line)
        if skipped > MAX_UNPACKED:
            raise TooLargeError(f"a line is longer than {MAX_UNPACKED:,} bytes: is it damaged?")
    return True


def read_all(file: io.BufferedReader) -> bytes:
    """Return the rest of *file*.

    Raises:
        TooLargeError: it is more than `MAX_UNPACKED`.
    """
    content = file.read(MAX_UNPACKED + 1)
    if len(content) > MAX_UNPACKED:
        raise TooLargeError(
            f"more than {MAX_UNPACKED:,} bytes, and an array is read whole: save it as .jsonl"
        )
    return content
