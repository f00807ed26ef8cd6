"""Contamination: what a text has in common with the prompts of test sets.

Two texts overlap when they share a run of n words (GPT-3's rule, with its 13). A text of fewer
words counts only as a whole: "Write a poem." is in no other text because that begins so.
"""

from collections.abc import Iterable

from msgspec import Struct

from ..data.text.ngrams import NgramIndex
from .checks import Part, Refusal


class Hit(Struct, frozen=True, order=True):
    """A prompt of a test set that a text overlaps with."""

    test: str
    question: str


class Overlap:
    """Finds runs of test prompts in texts, at half a microsecond a word."""

    def __init__(self, prompts: Iterable[tuple[str, str, str]], ngram: int) -> None:
        """Take *prompts*: test set, id of the question, and its text."""
        self._index = NgramIndex(
            ((Hit(test, question), prompt) for test, question, prompt in prompts), ngram
        )

    def hits(self, *texts: str) -> list[Hit]:
        """Return the prompts that any of *texts* overlaps with, in order."""
        return sorted({hit for text in texts for hit in self._index.matches(text)})


class Contamination:
    """The rule that drops what overlaps with a test set."""

    def __init__(self, overlap: Overlap) -> None:
        self._overlap = overlap

    def __call__(self, text: str, part: Part, /) -> Refusal | None:
        hits = self._overlap.hits(text)
        if not hits:
            return None
        named = ", ".join(f"{hit.test} {hit.question}" for hit in hits[:3])
        return Refusal("contaminated", f"{part}: {named}")
