"""When two texts count as the same: by their normal form, or a fingerprint of it."""

from hashlib import blake2b

_EDGES = " \t\r\n\"'`.,;:!?*_-"


def normalised(text: str) -> str:
    """Return *text* with case folded and white space reduced to single spaces."""
    return " ".join(text.casefold().split())


def fingerprint(text: str) -> int:
    """Return 64 bits of the normalised *text*, as the signed integer that SQLite stores.

    Punctuation around the text is ignored, too (docs/algorithm.md §3.5). Two different texts
    among ten million share a fingerprint with a probability of 1 in 370,000.
    """
    data = normalised(text).strip(_EDGES).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little", signed=True)
