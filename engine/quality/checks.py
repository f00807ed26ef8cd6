"""Checks that look at one text alone: its length and its language.

A check is a function from a text to its violation, if any, so that more can be added.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Literal, NamedTuple, Protocol

from ..data.text.words import words

Part = Literal["instruction", "response"]


class Violation(NamedTuple):
    """Why an instruction is dropped.

    Attributes:
        reason: One of a few words, so that reasons can be counted.
        detail: What was found, as text.
    """

    reason: str
    detail: str


class Check(Protocol):
    def __call__(self, text: str, part: Part, /) -> Violation | None:
        """Return the violation in *text*, an instruction or a response; None if there is none."""
        ...


def first_violation(checks: Sequence[Check], text: str, part: Part) -> Violation | None:
    """Return the violation of the first of *checks* that *text* fails; None if it passes all."""
    violations = (check(text, part) for check in checks)
    return next((violation for violation in violations if violation is not None), None)


class LengthCheck:
    """Bounds on the number of words, both inclusive; None means no bound."""

    def __init__(self, part: Part, minimum: int | None, maximum: int | None) -> None:
        self._part = part
        self._minimum = minimum or 0
        self._maximum = maximum

    def __call__(self, text: str, part: Part, /) -> Violation | None:
        if part != self._part:
            return None
        count = len(words(text))
        if count < self._minimum:
            return Violation("too_short", f"{part}: {count} words")
        if self._maximum is not None and count > self._maximum:
            return Violation("too_long", f"{part}: {count} words")
        return None


class LanguageCheck:
    """Texts must be in one of *languages* (ISO 639-1 codes).

    A text passes if the detector is unsure, as with a formula or three words.
    """

    MIN_CONFIDENCE = 0.2
    """Of 893 English instructions and answers, 5 were taken for another language, all below 0.1."""
    MAX_CHARACTERS = 2000
    """The detector takes 0.15 µs a character, and more of them change nothing."""

    def __init__(self, languages: Sequence[str]) -> None:
        """Load the detector's model, which takes 0.7 s.

        Raises:
            ImportError: py3langid is not installed.
            ValueError: an unknown language.
        """
        langid: Any = import_module("py3langid.langid")
        self._languages = frozenset(languages)
        self._detector: Any = langid.LanguageIdentifier.from_model_file(
            langid.MODEL_FILE, norm_probs=True
        )
        supported = sorted(set(self._detector.nb_classes))
        if unknown := self._languages - set(supported):
            raise ValueError(f"no language {min(unknown)!r}; available: {', '.join(supported)}")

    def __call__(self, text: str, part: Part, /) -> Violation | None:
        language, confidence = self._detector.classify(text[: self.MAX_CHARACTERS])
        if language in self._languages or confidence < self.MIN_CONFIDENCE:
            return None
        return Violation("language", f"{part}: {language} ({confidence:.0%})")
