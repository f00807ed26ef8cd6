"""What all parsers share: opening a reply, and the marks that models put around their words."""

import re
from json import JSONDecoder
from typing import Any, Final, TypeGuard, cast

LONGEST: Final = 1_000_000
"""Characters; a longer reply is a model that ran away, and is not searched."""

_THINKING = re.compile(r"\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_FENCE_OPEN = re.compile(r"\s*(`{3,}|~{3,})[^\n`]*\r?\n")
_BRACKET = re.compile(r"[{\[]")
_LEAD_TO_JSON = re.compile(r"[^\d\n]{0,200}(?:\r?\n\s*)?(?:(?:```|~~~)\w*\s*)?")
_LONGEST_LEAD: Final = 300
_MARK = re.compile(r"(?:[-*+•\u2013>#]++[ \t]++|#++[ \t]*+|\(?[0-9]{1,4}[.)][ \t]++)++")
_REFUSAL = re.compile(
    r"(?:i['\u2019]?m |i am |we are )?(?:very |so )?(?:sorry|afraid)\b.{0,40}?\b(?:can|unable)"
    r"|(?:i|we) (?:can(?: ?not|['\u2019]t)|won['\u2019]t|will not|must decline)\b"
    r"|(?:i am|i['\u2019]m|we are) (?:unable|not able)\b"
    r"|as an? (?:ai|artificial|large language|language model)\b"
    r"|unfortunately,? (?:i|we) (?:can|am|are)",
    re.IGNORECASE,
)
_QUOTES: Final = {
    '"': '"',
    "'": "'",
    "`": "`",
    "“": "”",
    "„": "“",
    "«": "»",
    "\u2018": "\u2019",
}


class ParseError(ValueError):
    """A reply that cannot be read; the message is one line and says why."""


def opened(text: str) -> str:
    """Give the reply proper: no thinking aloud before it, no fence around all of it.

    Raises:
        ParseError: nothing is left, or far too much.
    """
    if len(text) > LONGEST:
        raise ParseError(f"the reply has {len(text):,} characters")
    if text.lstrip().startswith("<") and (thinking := _THINKING.match(text)):
        text = text[thinking.end() :]
    text = unfenced(text.strip())
    if not text:
        raise ParseError("the reply is empty")
    return text


def unfenced(text: str) -> str:
    """Take a code fence off that holds the whole text."""
    first = _FENCE_OPEN.match(text)
    if not first or not text.endswith(first[1]):
        return text
    inside = text[first.end() : -len(first[1])]
    if first[1][:3] in inside or not (inside.endswith("\n") or not inside):
        return text
    return inside.strip()


def json_reply(text: str) -> dict[str, Any] | None:
    """Find the JSON object that *text* is, with at most a line or a fence before it.

    Keys come back in lower case with ``_`` between words, as models spell them freely. A bare array
    comes back under the key ``""``. None where there is no such JSON.
    """
    start = _BRACKET.search(text, 0, _LONGEST_LEAD)
    if not start or not _LEAD_TO_JSON.fullmatch(text, 0, start.start()):
        return None
    try:
        value = cast("object", _DECODER.raw_decode(text, start.start())[0])
    except (ValueError, RecursionError):
        return None
    if is_list(value):
        return {"": value}
    if not is_object(value):
        return None
    return {re.sub(r"[\W_]+", "_", key).strip("_").lower(): value[key] for key in value}


def one_word(text: str) -> str | bool:
    """Return what a reply says where a word was asked for: in JSON its value, else all of it."""
    reply = opened(text)
    for value in (json_reply(reply) or {}).values():
        if isinstance(value, bool):
            return value
        if isinstance(value, str):
            reply = value
    return reply


def is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Tell whether a JSON *value* is an object (its keys are strings by JSON's rules)."""
    return isinstance(value, dict)


def bare(text: str) -> str:
    """Strip list marks, bold and quotes from a short text on one line."""
    text = text.strip()
    if mark := _MARK.match(text):
        text = text[mark.end() :]
    return unquoted(text.strip().strip("*_").strip())


def unquoted(text: str) -> str:
    """Take quotation marks off that enclose the whole text and do not occur within it."""
    closing = _QUOTES.get(text[:1])
    if closing is None or len(text) < 2 or not text.endswith(closing):
        return text
    inside = text[1:-1]
    if closing in inside or text[0] in inside:
        return text
    return inside.strip()


def normal(text: str) -> str:
    """Even *text* out for comparing: no case, single spaces, nothing that ends a sentence.

    Punctuation within counts: "3 + 4" is not "3 * 4".
    """
    return " ".join(text.casefold().split()).strip(" .!?\"'")


def refuses(text: str) -> bool:
    """Tell whether *text* opens as a refusal does."""
    return _REFUSAL.match(text.lstrip(" \t\n\"'*")) is not None


def quoted(text: str) -> str:
    """Show the beginning of *text* on one line, for complaints."""
    shown = repr(text[:80])
    return shown if len(text) <= 80 and len(shown) <= 90 else f"{shown[:80]}…"


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


_DECODER: Final = JSONDecoder(parse_constant=_refuse)
