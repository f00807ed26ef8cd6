"""ROUGE-L: how similar two texts are, by the longest common subsequence of their words.

Self-Instruct drops a new instruction whose F1 with an earlier one is above 0.7 (Wang et al. 2023).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from rapidfuzz import process
from rapidfuzz.distance import Indel, LCSseq

from .words import words


class Match(NamedTuple):
    """A text of an index: its similarity, from 0 to 1, and its number."""

    similarity: float
    number: int


def rouge_l(a: Sequence[str], b: Sequence[str]) -> float:
    """Return the F1 of the longest common subsequence of two word lists, from 0 to 1.

    Two empty lists have nothing in common: 0.
    """
    total = len(a) + len(b)
    return 2 * LCSseq.similarity(a, b) / total if total else 0.0


class RougeIndex:
    """Texts, numbered from 0 as they are added, to be searched for similar ones.

    A search compares with every text, at 0.3 µs each: good for some ten thousand.
    """

    def __init__(self, threshold: float) -> None:
        """Count as similar what has a `rouge_l` strictly above *threshold*."""
        self._threshold = threshold
        self._letters: dict[str, str] = {}
        self._texts: list[str] = []

    def add(self, text: str, /) -> None:
        for word in words(text):
            self._letters.setdefault(word, _letter(len(self._letters)))
        self._texts.append(self._spelling(text))

    def similar(self, text: str, /) -> list[Match]:
        """Return the similar texts. Changes nothing: threads may search at the same time."""
        spelling = self._spelling(text)
        candidates: list[tuple[str, float, int]] = _extract(
            spelling,
            self._texts,
            # Equals ROUGE-L's F1, but for the last digit; `rouge_l` decides.
            scorer=Indel.normalized_similarity,
            score_cutoff=max(0.0, self._threshold - 1e-9),
            limit=None,
        )
        matches = (Match(rouge_l(spelling, other), number) for other, _, number in candidates)
        return [match for match in matches if match.similarity > self._threshold]

    def _spelling(self, text: str) -> str:
        """Write each word as one character: rapidfuzz compares strings faster than lists.

        Words in no indexed text share one character, which no indexed text contains.
        """
        return "".join(self._letters.get(word, _UNKNOWN) for word in words(text))


_extract: Any = process.extract
_UNKNOWN = "\0"


def _letter(number: int) -> str:
    """Return the character of a word; beyond a million different words, characters are reused."""
    number = 1 + number % (0x110000 - 0x800 - 1)
    return chr(number if number < 0xD800 else number + 0x800)
