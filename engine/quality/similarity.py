"""How alike two texts are: MinHash over runs of two words, or ROUGE-L as in Self-Instruct.

A measure keeps what it has been given and finds what is like a new text among it; it does not know
what the texts are.
"""

from importlib import import_module
from typing import Any, Literal, Protocol

from ..data.text.words import runs, words

Like = tuple[float, int]
"""Likeness, from 0 to 1, and the number of the text that is so alike, from 0."""


class Measure(Protocol):
    """Numbers texts from 0 in the order they are added."""

    def add(self, text: str, /) -> None: ...

    def like(self, text: str, /) -> list[Like]:
        """Return the texts so far whose likeness to *text* is above the threshold."""
        ...


def measure(kind: Literal["minhash", "rouge"], threshold: float) -> Measure:
    """Open a measure.

    Raises:
        ImportError: its library is not installed.
    """
    return MinHash(threshold) if kind == "minhash" else Rouge(threshold)


class MinHash:
    """Jaccard likeness of the sets of two-word runs, estimated with a standard error of 0.04.

    Sketches lie in a table by bands of hashes. Bands are as long as they can be while a pair just
    at the threshold is found with 95 %: longer ones take less memory, shorter ones find more.
    A text costs 40 µs and, at a threshold of 0.7, 3.1 KB: a million rows 3.1 GB.
    """

    HASHES = 120
    RUN = 2

    def __init__(self, threshold: float) -> None:
        self._rensa: Any = import_module("rensa")
        self._threshold = threshold
        self._sketches: list[Any] = []
        bands = self.HASHES // _band(threshold, self.HASHES)
        self._table: Any = self._rensa.RMinHashLSH(threshold, self.HASHES, bands)
        self._last: tuple[str, Any] = "", None

    def add(self, text: str, /) -> None:
        sketch = self._sketch(text)
        if sketch is not None:
            self._table.insert(len(self._sketches), sketch)
        self._sketches.append(sketch)

    def like(self, text: str, /) -> list[Like]:
        sketch = self._sketch(text)
        if sketch is None:
            return []
        found = ((sketch.jaccard(self._sketches[n]), n) for n in self._table.query(sketch))
        return [pair for pair in found if pair[0] > self._threshold]

    def _sketch(self, text: str) -> Any:
        """Return the sketch, None where there is no word. What is asked for is often added next."""
        if self._last[0] != text:
            said = runs(words(text), self.RUN)
            sketch: Any = None
            if said:
                sketch = self._rensa.RMinHash(self.HASHES, 0)
                sketch.update(said)
            self._last = text, sketch
        return self._last[1]


def _band(threshold: float, hashes: int) -> int:
    """Return how many hashes a band has."""
    sizes = [size for size in range(1, 13) if hashes % size == 0]
    found = [s for s in sizes if (1 - threshold**s) ** (hashes // s) <= 0.05]
    return max(found, default=1)


class Rouge:
    """ROUGE-L: F1 of the longest common subsequence of words.

    A text is compared with all before it, at 0.3 µs each: for some ten thousand rows.
    """

    def __init__(self, threshold: float) -> None:
        process: Any = import_module("rapidfuzz.process")
        distance: Any = import_module("rapidfuzz.distance")
        self._extract: Any = process.extract
        # 2 LCS / (m + n): what Indel calls its normalised similarity is ROUGE-L's F1.
        self._f1: Any = distance.Indel.normalized_similarity
        self._threshold = threshold
        self._letters: dict[str, str] = {}
        self._texts: list[str] = []

    def add(self, text: str, /) -> None:
        self._texts.append(self._spelt(text))

    def like(self, text: str, /) -> list[Like]:
        spelt = self._spelt(text)
        if not spelt:
            return []
        found = self._extract(
            spelt,
            self._texts,
            scorer=self._f1,
            processor=None,
            score_cutoff=self._threshold,
            limit=None,
        )
        return [(score, n) for _, score, n in found if score > self._threshold]

    def _spelt(self, text: str) -> str:
        """Write each word as one character, so that a text's words are a string's characters."""
        return "".join(
            self._letters.setdefault(w, _letter(len(self._letters))) for w in words(text)
        )


def _letter(number: int) -> str:
    """Return the character of a word; beyond a million different words they are used again."""
    number %= 0x110000 - 0x800
    return chr(number if number < 0xD800 else number + 0x800)
