"""Rules that look at one text alone: its length, its language, what it has of a test set.

A rule is a function from a text to what it has against it, so that one can be added.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Literal, NamedTuple, Protocol

from ..data.text.words import words

Part = Literal["instruction", "response"]


class Refusal(NamedTuple):
    """Why an instruction is dropped: one of few words, and a sentence."""

    reason: str
    detail: str


class Check(Protocol):
    def __call__(self, text: str, part: Part, /) -> Refusal | None:
        """Say what is wrong with *text*, an instruction or a response; None: nothing."""
        ...


def refusal(checks: Sequence[Check], text: str, part: Part) -> Refusal | None:
    """Return what the first of *checks* has against *text*."""
    said = (check(text, part) for check in checks)
    return next((found for found in said if found is not None), None)


class Length:
    """Bounds on the number of words, both allowed."""

    def __init__(self, part: Part, least: int | None, most: int | None) -> None:
        self._part = part
        self._least = least or 0
        self._most = most

    def __call__(self, text: str, part: Part, /) -> Refusal | None:
        if part != self._part:
            return None
        count = len(words(text))
        if count < self._least:
            return Refusal("too_short", f"{part}: {count} words")
        if self._most is not None and count > self._most:
            return Refusal("too_long", f"{part}: {count} words")
        return None


class Language:
    """Texts must be in one of *languages*, named by their ISO 639-1 codes.

    Where the detector is not sure (a formula, three words) the text passes.
    """

    SURE = 0.2
    """Of 893 English instructions and answers it took 5 for another language, all below 0.1."""
    LOOKED_AT = 2000
    """Characters: the detector takes 0.15 µs for each, and more of them tell it nothing new."""

    def __init__(self, languages: Sequence[str]) -> None:
        """Load the detector's table: 0.7 s.

        Raises:
            ImportError: its library is not installed.
            ValueError: no such language.
        """
        langid: Any = import_module("py3langid.langid")
        self._languages = frozenset(languages)
        self._detector: Any = langid.LanguageIdentifier.from_model_file(
            langid.MODEL_FILE, norm_probs=True
        )
        known = sorted(set(self._detector.nb_classes))
        if unknown := self._languages - set(known):
            raise ValueError(f"no language {min(unknown)!r}; there are {', '.join(known)}")

    def __call__(self, text: str, part: Part, /) -> Refusal | None:
        found, sure = self._detector.classify(text[: self.LOOKED_AT])
        if found in self._languages or sure < self.SURE:
            return None
        return Refusal("language", f"{part}: {found} ({sure:.0%})")
