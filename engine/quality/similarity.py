"""How alike two texts are: MinHash over runs of two words, or ROUGE-L as in Self-Instruct.

A measure keeps what it has been given and finds what is like a new text among it; it does not know
what the texts are.
"""

from importlib import import_module
from typing import Any, Literal, Protocol

from ..data.text.ngrams import shingles
from ..data.text.rouge import Match, RougeIndex
from ..data.text.words import words


class Measure(Protocol):
    """Numbers texts from 0 in the order they are added."""

    def add(self, text: str, /) -> None: ...

    def similar(self, text: str, /) -> list[Match]:
        """Return the texts so far whose similarity to *text* is above the threshold."""
        ...


def measure(kind: Literal["minhash", "rouge"], threshold: float) -> Measure:
    """Open a measure.

    Raises:
        ImportError: its library is not installed.
    """
    return MinHash(threshold) if kind == "minhash" else RougeIndex(threshold)


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

    def similar(self, text: str, /) -> list[Match]:
        sketch = self._sketch(text)
        if sketch is None:
            return []
        candidates = self._table.query(sketch)
        matches = (Match(sketch.jaccard(self._sketches[n]), n) for n in candidates)
        return [match for match in matches if match.similarity > self._threshold]

    def _sketch(self, text: str) -> Any:
        """Return the sketch, None where there is no word. What is asked for is often added next."""
        if self._last[0] != text:
            said = shingles(words(text), self.RUN)
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
