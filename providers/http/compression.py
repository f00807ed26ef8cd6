"""Bodies that a server compresses although it was asked not to."""

import zlib
from collections.abc import Callable, Iterable
from typing import Any

_PART = 64 * 1024
"""Bytes that are decompressed at a time: a few may stand for millions."""


def content_coding(headers: Iterable[tuple[str, str]]) -> str:
    """Return how a body is compressed, or nothing."""
    codings = (value for name, value in headers if name.lower() == "content-encoding")
    coding = next(codings, "").strip().lower()
    return "" if coding == "identity" else coding


def decompress(body: bytes, coding: str, limit: int, *, is_complete: bool) -> bytes:
    """Return *body*, decompressed to at most *limit* bytes.

    Raises:
        ValueError: the coding is unknown, or the body is said to be complete and is not.
        zlib.error: it cannot be decompressed.
    """
    decompressor = _open(coding, body)
    content: bytes = decompressor.decompress(body, limit)
    if is_complete and not decompressor.eof and len(content) < limit:
        raise ValueError("the end is missing")
    return content


class Decompressor:
    """Passes a body on to *receive* as it comes in, decompressed."""

    def __init__(self, coding: str, receive: Callable[[bytes], None]) -> None:
        self._coding = coding
        self._receive = receive
        self._decompressor: Any = None

    def feed(self, data: bytes) -> None:
        """Pass the next part on.

        Raises:
            ValueError: the coding is unknown.
            zlib.error: it cannot be decompressed.
        """
        if self._decompressor is None:
            self._decompressor = _open(self._coding, data)
        while data:
            self._receive(self._decompressor.decompress(data, _PART))
            data = self._decompressor.unconsumed_tail


def _open(coding: str, body: bytes) -> Any:
    """Return the ``zlib`` object for a body that begins with *body*."""
    if coding in {"gzip", "x-gzip"}:
        return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    if coding == "deflate":  # with zlib's header, as RFC 9110 §8.4.1.2 has it, or without
        return zlib.decompressobj(wbits=zlib.MAX_WBITS if body[0] & 0xF == 8 else -zlib.MAX_WBITS)
    raise ValueError(f"no such coding: {coding}")
