"""Rows of JSON: lines, or the elements of an array."""

import re
from collections.abc import Iterable, Iterator
from json import JSONDecoder
from pathlib import Path

import msgspec
from msgspec import Raw

from .source import SeedError, UnusableRecordError
from .text_file import MAX_LINE, bounded_lines, open_text, read_all, skip_rest
from .values import parse_json

_elements = msgspec.json.Decoder(list[Raw])
_SPACE = re.compile(r"[ \t\r\n]*")


def read_lines(path: Path) -> Iterator[tuple[int, bytes | UnusableRecordError]]:
    """Yield each line that is not blank with its number, from 1."""
    with open_text(path) as file:
        for number, line in enumerate(bounded_lines(file), 1):
            if line.isspace():
                continue
            if len(line) >= MAX_LINE and skip_rest(file, line):
                yield number, UnusableRecordError(f"the line is longer than {MAX_LINE:,} bytes")
            else:
                yield number, line


def is_array(path: Path) -> bool:
    """Tell a JSON array from JSON lines, which are often called .json too.

    Raises:
        SeedError: the file is neither.
    """
    with open_text(path) as file:
        first = next((line for line in bounded_lines(file) if not line.isspace()), b"")
    if first.lstrip().startswith(b"["):
        return True
    try:
        parse_json(first)
    except UnusableRecordError as error:
        raise SeedError(
            f"{path}: neither a JSON array of records nor JSON lines ({error}): rename it to .jsonl"
            " if only its first line is bad"
        ) from error
    return False


def read_array(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield each element of an array with its number, from 0. The file is held in memory."""
    with open_text(path) as file:
        content = read_all(file)
    try:
        elements: Iterable[bytes] = map(bytes, _elements.decode(content))
    except (msgspec.DecodeError, RecursionError):
        elements = _split(path, content)
    yield from enumerate(elements)


def _split(path: Path, content: bytes) -> Iterator[bytes]:
    """Split an array that the fast decoder refuses, so that only its bad elements are lost."""
    text = content.decode("utf-8", "surrogateescape")
    decode = JSONDecoder().raw_decode
    start = _after_space(text, text.index("[") + 1)
    while not text.startswith("]", start):
        try:
            _, end = decode(text, start)
        except (ValueError, RecursionError) as error:
            raise SeedError(f"{path}: not a JSON array ({error})") from error
        yield text[start:end].encode("utf-8", "surrogateescape")
        start = _after_space(text, end)
        if text.startswith(",", start):
            start = _after_space(text, start + 1)
        elif not text.startswith("]", start):
            raise SeedError(f"{path}: not a JSON array (character {start}: expected , or ])")


def _after_space(text: str, start: int) -> int:
    space = _SPACE.match(text, start)
    return space.end() if space else start
