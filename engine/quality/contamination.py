"""Contamination: what a text has in common with the prompts of test sets.

Two texts overlap when they share a run of n words (GPT-3's rule, with its 13). A text of fewer
words counts only as a whole: "Write a poem." is in no other text because that begins so.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from ..data.text.words import runs, words
from .checks import Part, Refusal


class Hit(Struct, frozen=True, order=True):
    """A prompt of a test set that a text overlaps with."""

    test: str
    question: str


class Overlap:
    """Finds runs of test prompts in texts, at half a microsecond a word."""

    def __init__(self, prompts: Iterable[tuple[str, str, str]], ngram: int) -> None:
        """Take *prompts*: test set, id of the question, and its text."""
        self._ngram = ngram
        self._known: dict[str, list[Hit]] = {}
        for test, question, prompt in prompts:
            for run in set(self._runs(prompt)):
                self._known.setdefault(run, []).append(Hit(test, question))

    def hits(self, *texts: str) -> list[Hit]:
        """Return the prompts that any of *texts* overlaps with, in order."""
        return sorted({hit for text in texts for hit in self._hits(text)})

    def _hits(self, text: str) -> Iterator[Hit]:
        for run in self._runs(text):
            yield from self._known.get(run, ())

    def _runs(self, text: str) -> list[str]:
        return runs(words(text), self._ngram)


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
