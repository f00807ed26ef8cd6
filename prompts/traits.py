"""What instructions made from metadata share with its seed: their language, and a given text."""

import re
from typing import Any, Final

from msgspec import Struct

from .languages import phrase
from .reading import parse_json, reply_body

_MARKS = r"[ \t]*+(?:[-+•>#]++[ \t]*+|\*[ \t]++|\(?[0-9]{1,3}[.)][ \t]*+)*+[*_`\"']{0,3}"
_COLON = r"[ \t]{0,9}[*_`\"']{0,3}[ \t]{0,3}[:=\uff1a][ \t]{0,9}[*_]{0,3}[ \t]{0,3}"
_FLAGS: Final = re.IGNORECASE | re.MULTILINE
_LANGUAGE = re.compile(
    rf"^{_MARKS}(?:{phrase('language_label')}){_COLON}(?P<value>[^\n]{{0,120}})\n?", _FLAGS
)
_GIVEN_TEXT = re.compile(
    rf"^{_MARKS}(?:{phrase('given_text_label')}){_COLON}(?P<value>[^\n]{{0,120}})\n?", _FLAGS
)
_NAME = re.compile(r"[^\W\d_]{2,30}(?:[ -][^\W\d_]{2,30}){0,2}")
_YES, _NO = (
    re.compile(rf"\W*(?:{phrase(field)})(?![^\W\d_])", re.IGNORECASE) for field in ("yes", "no")
)
_FIRST_NOT_LATIN: Final = "\u0370"
_LATIN = re.compile(
    r"english|german|french|spanish|portuguese|italian|dutch|swedish|danish|norwegian|finnish"
    r"|polish|czech|turkish|indonesian|vietnamese"
)
_NOT_LATIN = re.compile(
    r"chinese|japanese|korean|arabic|persian|urdu|hebrew|russian|ukrainian|bulgarian|greek|hindi"
    r"|bengali|tamil|thai"
)
_SIGN_OF_TEXT = re.compile(
    r"\n|[\"\u201c\u201e\u00ab\u300c\u300e][^\n]{2}|[:\uff1a]\s*\S"
    r"|(?<!\w)['\u2018][^\n]{5,}['\u2019]|[.?!\u3002]\s*\S"
)
_UNKNOWN: Final = frozenset({"none", "unknown", "n", "na", "not applicable", "mixed", "any"})


class Traits(Struct, frozen=True):
    """What instructions made from metadata share with its seed.

    Attributes:
        language: its name; empty if not known.
        given_text: whether they work on a text, code or data; None if not known.
    """

    language: str = ""
    given_text: bool | None = None


class InLanguage(Struct, frozen=True):
    """The sentence that asks for a language; empty if *name* is."""

    name: str = ""

    def __str__(self) -> str:
        return f"Write in {self.name}." if self.name else ""


class WithText(Struct, frozen=True):
    """The sentence that asks for a text to work on; empty unless one *is_given*."""

    is_given: bool | None = None

    def __str__(self) -> str:
        if not self.is_given:
            return ""
        return (
            "Every instruction works on a text, code or data of its own: invent it, and write it"
            " out below the instruction."
        )


def read_traits(text: str) -> Traits:
    """Read the language and whether a text is given; what the reply does not say is not known.

    Raises:
        ParseError: the reply is empty or far too long.
    """
    reply = reply_body(text)
    fields = parse_json(reply)
    if fields is not None:
        return _from_json(fields)
    language, given = _LANGUAGE.search(reply), _GIVEN_TEXT.search(reply)
    return Traits(
        _language(language["value"]) if language else "", _answer(given["value"]) if given else None
    )


def credible(traits: Traits, instruction: str) -> Traits:
    """Return *traits* without what *instruction* contradicts: small models guess.

    A language of another script is not its language, and a text that is given shows: as a further
    line, a quotation, or something after a colon.
    """
    letters = [sign for sign in instruction if sign.isalpha()]
    latin = sum(sign < _FIRST_NOT_LATIN for sign in letters)
    name = traits.language.casefold()
    is_latin, is_other = latin == len(letters), 10 * latin < len(letters)
    contradicts = is_other if _LATIN.fullmatch(name) else is_latin and _NOT_LATIN.fullmatch(name)
    is_given = traits.given_text and _SIGN_OF_TEXT.search(instruction) is None
    return Traits("" if contradicts else traits.language, None if is_given else traits.given_text)


def without_traits(text: str) -> str:
    """Remove the lines that `read_traits` reads."""
    return _GIVEN_TEXT.sub("", _LANGUAGE.sub("", text))


def _from_json(fields: dict[str, Any]) -> Traits:
    language, given = fields.get("language"), fields.get("given_text")
    return Traits(
        _language(language) if isinstance(language, str) else "",
        given if isinstance(given, bool) else _answer(given) if isinstance(given, str) else None,
    )


def _language(value: str) -> str:
    """Return the name of a language: letters alone, for it stands in later prompts."""
    name = _NAME.search(value)
    if not name or name[0].casefold() in _UNKNOWN:
        return ""
    if not name[0].replace(" ", "").replace("-", "").isalpha():
        return ""
    return name[0] if not name[0].isascii() else name[0].title()


def _answer(value: str) -> bool | None:
    if _NO.match(value):
        return False
    return True if _YES.match(value) else None
