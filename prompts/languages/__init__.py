"""The words that models write around what was asked for: one row for each language.

Every field of a row is a regular expression without anchors, matched without case. A reader
combines one field of all rows with `phrase`.
"""

import re
from typing import Final

from .english import ENGLISH
from .further import DUTCH, KOREAN
from .german import GERMAN
from .language import Language
from .others import ARABIC, CHINESE, JAPANESE, RUSSIAN
from .romance import FRENCH, ITALIAN, PORTUGUESE, SPANISH

__all__ = ["LANGUAGES", "Language", "phrase"]

LANGUAGES: Final = (
    ENGLISH,
    GERMAN,
    FRENCH,
    SPANISH,
    PORTUGUESE,
    ITALIAN,
    RUSSIAN,
    CHINESE,
    JAPANESE,
    ARABIC,
    DUTCH,
    KOREAN,
)

_WITH_SIGNS: Final = "(?:\\1[\u064b-\u0652]*)"
_ARABIC_LETTER: Final = re.compile("([\u0621-\u064a])")


def phrase(field: str) -> str:
    """Return a pattern for *field* in any of the languages.

    Arabic vowel signs may stand after any letter: writers set them as they please.
    """
    alternatives = "|".join(getattr(language, field) for language in LANGUAGES)
    return f"(?:{_ARABIC_LETTER.sub(_WITH_SIGNS, alternatives)})"
