"""Contamination: texts that share a run of words with the prompts of test sets."""

from collections.abc import Iterable

from msgspec import Struct

from ..data.text.ngrams import NgramIndex
from .checks import Part, Violation


class Overlap(Struct, frozen=True, order=True):
    """A question of a test set whose prompt shares a run of words with a text."""

    test_set: str
    question: str


class PromptIndex:
    """Finds prompts of test sets that share *size* consecutive words with a text."""

    def __init__(self, prompts: Iterable[tuple[str, str, str]], size: int) -> None:
        """Index *prompts*: test set, id of the question, and its text."""
        self._index = NgramIndex(
            ((Overlap(test_set, question), prompt) for test_set, question, prompt in prompts), size
        )

    def overlaps(self, *texts: str) -> list[Overlap]:
        """Return the questions that any of *texts* overlaps with, sorted."""
        return sorted({overlap for text in texts for overlap in self._index.matches(text)})


class ContaminationCheck:
    """The check that drops texts that overlap with a test set."""

    MAX_NAMED = 3
    """Questions named in the detail."""

    def __init__(self, index: PromptIndex) -> None:
        self._index = index

    def __call__(self, text: str, part: Part, /) -> Violation | None:
        overlaps = self._index.overlaps(text)
        if not overlaps:
            return None
        named = ", ".join(f"{o.test_set} {o.question}" for o in overlaps[: self.MAX_NAMED])
        return Violation("contaminated", f"{part}: {named}")
