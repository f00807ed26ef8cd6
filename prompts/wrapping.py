"""What encloses the whole of a text: JSON, tags, tables, code fences, quotes and other marks."""

import re
from typing import Any, Final

from .labels import is_new_label
from .reading import ParseError, parse_json, strip_fence, strip_quotes
from .remarks import without_remarks
from .schemas import LONGEST_INSTRUCTION
from .tables import rows_of

_TAG = re.compile(
    r"<((?:[a-z]{1,20}[_ -]){0,2}(instruction|prompt|rewrite|version|task|question|output|result"
    r"|improved|revised|rewritten|enhanced|answer|response|final|text|reply)s?)>",
    re.IGNORECASE,
)
_AMBIGUOUS_TAGS: Final = frozenset(
    {"task", "question", "output", "result", "answer", "response", "final", "text", "reply"}
)
_BRACKET = re.compile(r"[ \t]*[*_]{0,2}[(\uff08][^()\uff08\uff09\n]{1,100}[)\uff09][*_.]{0,3}\Z")
_LONGEST_BRACKET: Final = 120
_ARROWS = "\u2192\u21d2\u279c\u27a1\u27a4\u25b6\U0001f449"
_LISTED = re.compile(rf"[ \t]*+(?:[-*+•{_ARROWS}]|[0-9]{{1,3}}[.)])\ufe0f?[ \t]")
_LONE_MARK = re.compile(rf"(?:[-*+•{_ARROWS}]|1[.)])\ufe0f?[ \t]++")
_BOXED = re.compile(
    r"(?:\${1,2}|\\\[|\\\()?\s*\\boxed\{(?:\\text(?:bf|it|rm)?\{(?P<text>.*)\}|(?P<inside>.*))\}"
    r"\s*(?:\${1,2}|\\\]|\\\))?",
    re.DOTALL,
)
_HEADING_MARK = re.compile(r"#{1,6}[ \t]++")
_KEY = re.compile(r"(?:\w{1,30}_)?(?:instruction|prompt|task|question|version|rewrite)")
_OLD_KEYS: Final = ("original", "old", "input", "given")


def from_json(reply: str) -> str | None:
    """Return the instruction in a reply that is JSON; None if it is not.

    Raises:
        ParseError: it is as long as a schema allows, so it was cut off.
    """
    fields: dict[str, Any] = parse_json(reply) or {}
    texts = [
        value
        for key, value in fields.items()
        if isinstance(value, str) and _KEY.fullmatch(key) and not key.startswith(_OLD_KEYS)
    ]
    if len(texts) != 1:
        return None
    if len(texts[0]) == LONGEST_INSTRUCTION:
        raise ParseError(f"the instruction was cut off at {LONGEST_INSTRUCTION:,} characters")
    return texts[0]


def from_table(reply: str) -> str | None:
    """Return the instruction in a reply that is a table; None if it is none.

    Raises:
        ParseError: no cell is labelled as the new text: no instruction is a table alone.
    """
    lines = reply.strip().split("\n")
    rows = rows_of(lines) if all(line.lstrip().startswith("|") for line in lines) else []
    if not rows:
        return None
    cells = [
        row[at]
        for at, head in enumerate(rows[0])
        for row in rows[1:]
        if is_new_label(head.strip("*_ "))
    ]
    cells += [row[1] for row in rows if len(row) == 2 and is_new_label(row[0].strip("*_ "))]
    if len(cells) != 1:
        raise ParseError("the reply is a table")
    return cells[0]


def unwrapped(text: str) -> str:
    """Remove marks that enclose the whole of *text*."""
    text = strip_quotes(_without_bracket(strip_fence(inside_tag(_unboxed(text)))))
    lines = text.split("\n")
    if all(line.startswith(">") for line in lines):
        text = "\n".join(line[1:].removeprefix(" ") for line in lines)
    for mark in ("***", "**", "__", "*", "_"):
        inside = text[len(mark) : -len(mark)]
        if (
            text.startswith(mark)
            and text.endswith(mark)
            and mark[0] not in inside
            and inside.strip()
        ):
            return inside
    if len(lines) == 1 or not any(_LISTED.match(line) for line in lines[1:]):
        return _unlisted(text, lines)
    return text


def _unboxed(text: str) -> str:
    """Remove the box that models trained on mathematics put around an answer."""
    box = _BOXED.fullmatch(text)
    inside = (box["text"] or box["inside"] or "") if box else ""
    return inside if inside and "\\boxed" not in inside else text


def _without_bracket(text: str) -> str:
    """Remove a remark in brackets behind quotation marks that enclose the rest."""
    bracket = _BRACKET.search(text, max(0, len(text) - _LONGEST_BRACKET))
    if not bracket:
        return text
    quoted = text[: bracket.start()].rstrip()
    return quoted if strip_quotes(quoted) != quoted else text


def _unlisted(text: str, lines: list[str]) -> str:
    if mark := _LONE_MARK.match(text):
        return text[mark.end() :]
    if len(lines) == 1 and (mark := _HEADING_MARK.match(text)):
        return text[mark.end() :]
    return text


def inside_tag(text: str) -> str:
    """Return what stands in a tag that is named like an instruction and begins *text*."""
    tag = _TAG.match(text)
    if not tag:
        return text
    end = text.rfind(f"</{tag[1]}>")
    if end < 0:
        return text
    is_instruction = tag[2].lower() not in _AMBIGUOUS_TAGS
    below = f"-\n\n{text[end + len(tag[0]) + 1 :].strip()}"
    is_whole = (
        is_instruction or below == "-\n\n" or without_remarks(below, is_announced=True) == "-"
    )
    return text[tag.end() : end] if is_whole else text
