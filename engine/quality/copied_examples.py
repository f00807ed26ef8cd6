"""Instructions that copy an example of the prompts, as small models do."""

from collections.abc import Iterable

from ..data.text.ngrams import NgramIndex
from .checks import Part, Violation

_SIZE = 8
"""Consecutive words that are no coincidence: fewer than the 13 of a test set's, since examples are
single sentences."""


class CopiedExampleCheck:
    """The check that drops instructions that share a run of words with an example."""

    def __init__(self, examples: Iterable[str]) -> None:
        self._index = NgramIndex(((example, example) for example in examples), _SIZE)

    def __call__(self, text: str, part: Part, /) -> Violation | None:
        if part != "instruction" or not (copied := self._index.matches(text)):
            return None
        return Violation("copied_example", f"instruction: the prompts' {min(copied)!r}")
