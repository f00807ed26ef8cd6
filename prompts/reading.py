"""Shared by parsers: the body of a reply, JSON in it, and the marks that models add to text."""

import re
from json import JSONDecoder
from typing import Any, Final, TypeGuard, cast

from .languages import phrase
from .prompt import RawReply

LONGEST: Final = 1_000_000
"""Characters; a longer reply comes from a model that did not stop, and is not searched."""

SIGNS: Final = " \t*_#>+•-"
"""Characters that mark headings, quotes, items of lists, bold and italics."""
_LABEL_SIGNS: Final = f"{SIGNS}\"“'[]【】《》=~"
_MARKS_A_LABEL: Final = frozenset("#*_【[=")
_PICTURES = re.compile("^[\u2190-\u2bff\U0001f000-\U0001faff\ufe0f\u200d\\s]+")

_FENCE_OPEN = re.compile(r"\s*(`{3,}|~{3,}|\"{3})[^\n`]*\r?\n")
_TAG = re.compile(r"<(?P<close>/?)(?P<name>[a-z][a-z_ 0-9]{0,40})>", re.IGNORECASE)
_BRACKET = re.compile(r"[{\[]")
_LEAD_TO_JSON = re.compile(r"[^\d\n]{0,200}(?:\r?\n\s*)?(?:(?:```|~~~)\w*\s*)?")
_LONGEST_LEAD: Final = 300
_MARK = re.compile(r"(?:[-*+•\u2013>#]++[ \t]++|#++[ \t]*+|\(?[0-9]{1,4}[.)][ \t]++)++")
_REFUSAL = re.compile(phrase("refuses"), re.IGNORECASE)
_FENCE = re.compile(r"[ \t]{0,12}(`{3,}|~{3,})")
_QUOTES: Final = {
    '"': '"',
    "'": "'",
    "`": "`",
    "“": "”",
    "„": "“",
    "«": "»",
    "\u2018": "\u2019",
    "「": "」",
    "『": "』",
}
_INNER_QUOTE: Final = {
    "'": (re.compile(r"(?<![\w'])'(?=\S)"), re.compile(r"(?<=[^\s'])'(?!\w)")),
    '"': (re.compile(r'(?<![^\s(\[])"(?=\S)'), re.compile(r'(?<=\S)"(?![^\s.,;:!?)\]])')),
}
"""What a quotation mark that looks the same at both ends looks like where it opens and closes."""


class ParseError(ValueError):
    """A reply that cannot be read. The message is one line and says why."""


def is_truncated(reply: RawReply) -> bool:
    """Return whether *reply* was cut off at ``max_tokens``."""
    return reply.finish_reason == "length"


def check_complete(reply: RawReply, what: str) -> None:
    """Reject a reply that was cut off, where half of *what* is useless.

    Raises:
        ParseError: it was.
    """
    if is_truncated(reply):
        raise ParseError(f"{what} was cut off at max_tokens")


def reply_body(text: str) -> str:
    """Return a reply without a code fence around it, its lines ended by line feeds alone.

    Raises:
        ParseError: nothing remains, or the reply is longer than `LONGEST`.
    """
    if len(text) > LONGEST:
        raise ParseError(f"the reply has {len(text):,} characters")
    text = strip_fence(text.replace("\r\n", "\n").strip())
    if not text:
        raise ParseError("the reply is empty")
    return text


def strip_fence(text: str) -> str:
    """Remove a code fence that encloses the whole text."""
    first = _FENCE_OPEN.match(text)
    if not first or not text.endswith(first[1]):
        return text
    inside = text[first.end() : -len(first[1])]
    if first[1][:3] in inside or not (inside.endswith("\n") or not inside):
        return text
    return inside.strip()


def outside_fences(lines: list[str]) -> list[bool]:
    """Tell which lines lie outside code fences; a fence that is never closed does not count."""
    outside = [True] * len(lines)
    opening: tuple[int, str] | None = None
    for at, line in enumerate(lines):
        if not (fence := _FENCE.match(line)):
            continue
        if opening is None:
            opening = at, fence[1]
        elif fence[1].startswith(opening[1]):
            outside[opening[0] : at + 1] = [False] * (at + 1 - opening[0])
            opening = None
    return outside


def parse_json(text: str) -> dict[str, Any] | None:
    """Parse the JSON value that *text* is, after at most one line or fence.

    Returns an object's fields, with keys in lower case and ``_`` between words, since models spell
    them freely; an array under the key ``""``; None if *text* is not such JSON.
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


def read_word(text: str) -> str | bool:
    """Return what a reply of one word says: the value if it is JSON, else its whole body."""
    reply = reply_body(text)
    for value in (parse_json(reply) or {}).values():
        if isinstance(value, bool):
            return value
        if isinstance(value, str):
            reply = value
    return reply


def is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a JSON *value* is an object; its keys are strings by JSON's rules."""
    return isinstance(value, dict)


def strip_marks(text: str) -> str:
    """Remove list markers, bold and quotes from a short text on one line."""
    text = text.strip()
    if mark := _MARK.match(text):
        text = text[mark.end() :]
    return strip_quotes(text.strip().strip("*_").strip())


def strip_quotes(text: str) -> str:
    """Remove quotation marks that enclose the whole text, which may hold quotations."""
    closing = _QUOTES.get(text[:1])
    if closing is None or len(text) < 2 or not text.endswith(closing):
        return text
    inside = text[1:-1]
    is_whole = _is_balanced(inside, text[0], closing)
    return inside.strip() if is_whole else text


def _is_balanced(inside: str, opening: str, closing: str) -> bool:
    """Return whether the quotation marks in *inside* open before they close."""
    if closing not in inside and opening not in inside:
        return True
    if opening == closing:
        return _opens_first(inside, opening)
    depth = 0
    for sign in inside:
        depth += (sign == opening) - (sign == closing)
        if depth < 0:
            return False
    return depth == 0


def _opens_first(inside: str, mark: str) -> bool:
    if mark not in _INNER_QUOTE or inside.count(mark) % 2:
        return False
    opens, closes = _INNER_QUOTE[mark]
    starts = [at for at, sign in enumerate(inside) if sign == mark]
    return all(opens.match(inside, at) for at in starts[::2]) and all(
        closes.match(inside, at) for at in starts[1::2]
    )


def split_label(line: str, *, longest: int = 80) -> tuple[str, str]:
    """Split *line* at its first colon into a label and the rest, both without the label's marks.

    A line without a colon is a label if a heading or bold marks it. Where there is no label, it is
    empty and the rest is *line*.
    """
    at = line.replace("\uff1a", ":").find(":", 0, longest)
    if at < 0:
        is_marked = len(line) <= longest and line.lstrip()[:1] in _MARKS_A_LABEL
        return (_bare(line), "") if is_marked else ("", line)
    head = line[:at]
    label = _bare(head)
    rest = line[at + 1 :].strip()
    if head.count("**") % 2:
        rest = rest.removeprefix("**") if rest.startswith("**") else rest.removesuffix("**")
    elif head.count("*") % 2 and rest[:2] in {"*", "* "}:
        rest = rest[1:]
    return label, rest.strip()


def _bare(label: str) -> str:
    return _PICTURES.sub("", label.strip(_LABEL_SIGNS)).strip(_LABEL_SIGNS)


def tags_as_labels(text: str) -> str:
    """Write ``<name>text</name>`` as ``name: text``, on lines of their own where they were."""
    if "</" not in text:
        return text
    return _TAG.sub(lambda tag: "" if tag["close"] else f"{tag['name']}: ", text)


def normalise(text: str) -> str:
    """Normalise *text* for comparison: no case, single spaces, no punctuation at either end.

    Punctuation inside counts: "3 + 4" is not "3 * 4". The engine's fingerprints of instructions
    are coarser; this one decides whether a model changed a text.
    """
    return " ".join(text.casefold().split()).strip(" .!?\"'")


def is_refusal(text: str) -> bool:
    """Return whether *text* begins like a refusal."""
    return _REFUSAL.match(text.lstrip(" \t\n\"'*")) is not None


def excerpt(text: str) -> str:
    """Return the beginning of *text* on one line, for messages."""
    start = repr(text[:80])
    return start if len(text) <= 80 and len(start) <= 90 else f"{start[:80]}…"


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


_DECODER: Final = JSONDecoder(parse_constant=_refuse)
