"""Read the decoder's reply: a numbered list of instructions.

An instruction may span lines and hold code, bullets and numbered lists of its own, so that only a
counter that continues the outer list begins a new one.
"""

import json
import re
from typing import Final, NamedTuple, cast

from .reading import (
    ParseError,
    is_list,
    is_object,
    json_reply,
    normal,
    opened,
    quoted,
    refuses,
    unquoted,
)

_NOUN = r"(?:instruction|task|prompt|question|item)"
_MARKER = re.compile(
    r"(?P<indent>[ \t]{0,8})(?:#{1,6}[ \t]*+)?(?:[-*+•][ \t]++)?(?P<bold>\*\*|__)?"
    rf"(?P<label>{_NOUN}[ \t]{{0,3}}#?)?[(\[]?(?P<number>[0-9]{{1,4}})"
    r"(?P<close>[.):\]]{1,2}|(?=[ \t]*+(?:\*\*|__)?[ \t]*+\Z)|(?=(?:\*\*|__)[:.)]))"
    r"(?P<unbold>\*\*|__)?(?=[ \t]|\Z|[*_:.)])(?:[ \t]*+[:.)])?",
    re.IGNORECASE,
)
_BULLET = re.compile(r"(?P<indent>[ \t]{0,8})[-*+•][ \t]+")
_FENCE = re.compile(r"[ \t]{0,12}(`{3,}|~{3,})")
_LABEL = re.compile(
    rf"(?:\*\*|__)?(?:{_NOUN}[ \t]{{0,3}}#?[0-9]{{0,4}}|instruction)[ \t]{{0,3}}(?:\*\*|__)?"
    r"[ \t]{0,3}[:.][ \t]{0,3}(?:\*\*|__)?\s*",
    re.IGNORECASE,
)
_TITLE = re.compile(
    r"(?:\*\*|__)[^*_\n]{1,80}(?::(?:\*\*|__)|(?:\*\*|__)[ \t]{0,3}(?::|(?=\n)))\s*"
)
_ANSWER = re.compile(
    r"[ \t]*+(?:[-*>][ \t]++)?[*_]{0,3}(?:(?:sample|example|expected|possible|model)[ ])?"
    r"(?:answer|response|solution)[*_]{0,3}[ \t]{0,3}:",
    re.IGNORECASE,
)
_REMARK = re.compile(
    r"\n\s*\n(?:these (?:instructions|tasks|prompts)|let me know|i hope|feel free|please let me|"
    r"each of these|would you like|note: (?:these|the|all))[^\n]*+\Z",
    re.IGNORECASE,
)
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_CUT_JSON = re.compile(r"\s*(?:```\w*\s*)?\{\s*\"[\w -]{0,40}\"\s*:\s*\[")
_MOST_LINES: Final = 50_000


class _Marker(NamedTuple):
    line: int
    number: int
    indent: int
    style: tuple[bool, str]
    text: str


def read_instructions(text: str, *, number: int, truncated: bool = False) -> list[str]:
    """Read up to *number* instructions, without their counters, titles and answers.

    *truncated* says that the reply was cut off: its last instruction is then left out. Instructions
    that differ only in case, blanks or their final stop are given once.

    Raises:
        ParseError: there is none.
    """
    reply = opened(text)
    found = _from_json(reply, truncated=truncated)
    if found is None:
        found = _from_lines(reply, number, truncated=truncated)
    distinct: dict[str, str] = {}
    for item in filter(str.strip, found):
        distinct.setdefault(normal(item), item)
    if not distinct:
        raise ParseError(f"no instructions: {quoted(reply)}")
    return list(distinct.values())[:number]


def _from_json(text: str, *, truncated: bool) -> list[str] | None:
    fields = json_reply(text)
    if fields is None:
        return _from_cut_json(text) if truncated else None
    items = fields.get("instructions", fields.get(""))
    if items is None and isinstance(fields.get("instruction"), str):
        items = [fields["instruction"]]
    if not is_list(items):
        return None
    found: list[str] = []
    for item in items:
        value = item.get("instruction") if is_object(item) else item
        if not isinstance(value, str):
            return None
        found.append(
            _LABEL.sub("", value.strip(), count=1) if _LABEL.match(value) else value.strip()
        )
    return found


def _from_cut_json(text: str) -> list[str] | None:
    """The whole strings of an array that was cut off in the middle of one."""
    head = _CUT_JSON.match(text)
    if not head:
        return None
    found: list[str] = []
    at = head.end()
    while string := _STRING.match(text, at):
        try:
            found.append(cast("str", json.loads(string[0], strict=False)).strip())
        except ValueError:
            break
        at = string.end()
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
    return found


def _from_lines(text: str, number: int, *, truncated: bool) -> list[str]:
    lines = re.split(r"\r?\n", text)
    if len(lines) > _MOST_LINES:
        raise ParseError(f"the reply has {len(lines):,} lines")
    outside = _outside_fences(lines)
    markers = _top_level(_counters(lines, outside) or _bullets(lines, outside, number))
    alone = number == 1 and (not markers or (len(markers) > 1 and markers[0].line > 0))
    if alone:
        return _lone(lines, truncated=truncated)
    if not markers:
        return []

    ends = [marker.line for marker in markers[1:]] + [len(lines)]
    blocks = [
        _block(marker, lines[marker.line + 1 : end])
        for marker, end in zip(markers, ends, strict=True)
    ]
    blocks[-1] = _REMARK.sub("", blocks[-1])
    if truncated:
        blocks = blocks[:-1]
    return _untitled([_clean(block) for block in blocks])


def _lone(lines: list[str], *, truncated: bool) -> list[str]:
    text = "\n".join(lines).strip()
    if truncated:
        raise ParseError("cut off before the instruction was complete")
    if refuses(text):
        raise ParseError(f"a refusal: {quoted(text)}")
    return [_clean(text)]


def _outside_fences(lines: list[str]) -> list[bool]:
    """Which lines stand outside of code fences; a fence that is never closed is none."""
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


def _counters(lines: list[str], outside: list[bool]) -> list[_Marker]:
    """All lines that begin with a counter in the style and at the depth of the first one."""
    found: list[_Marker] = []
    for at, line in enumerate(lines):
        if not outside[at] or not (match := _MARKER.match(line)):
            continue
        if not match["close"] and not (match["label"] or match["bold"]):
            continue
        style = (match["label"] is not None, match["close"][:1] if not match["label"] else "")
        indent = len(match["indent"].expandtabs(4))
        if found and (style != found[0].style or indent > found[0].indent + 1):
            continue
        rest = line[match.end() :]
        if match["bold"] and not match["unbold"]:
            # "**1. Title** text": the bold began before the counter.
            rest = match["bold"] + rest.lstrip() if rest.strip(" *_") else ""
        found.append(_Marker(at, int(match["number"]), indent, style, rest.strip()))
    return found


def _bullets(lines: list[str], outside: list[bool], number: int) -> list[_Marker]:
    """Bullets in place of counters, where more than one instruction was asked for."""
    found: list[_Marker] = []
    if number == 1:
        return found
    for at, line in enumerate(lines):
        if outside[at] and (match := _BULLET.match(line)):
            indent = len(match["indent"].expandtabs(4))
            if not found or indent <= found[0].indent + 1:
                text = line[match.end() :].strip()
                found.append(_Marker(at, len(found) + 1, indent, (False, "-"), text))
    return found if len(found) > 1 else []


def _top_level(markers: list[_Marker]) -> list[_Marker]:
    """Keep the markers that count on from the first; leave out lists inside an instruction.

    An inner list begins with a 1. Where a number would continue both lists, it belongs to the inner
    one if the same number comes once more before the next 1.
    """
    if not markers:
        return []
    again = _comes_again(markers)
    kept = [markers[0]]
    following, inner = markers[0].number + 1, 0
    for at, marker in enumerate(markers[1:], 1):
        if marker.number == following and not (inner == following and again[at]):
            kept.append(marker)
            following, inner = following + 1, 0
        elif marker.number == 1:
            inner = 2
        elif marker.number == inner:
            inner += 1
    return kept


def _comes_again(markers: list[_Marker]) -> list[bool]:
    again = [False] * len(markers)
    last: dict[int, int] = {}
    for at in range(len(markers) - 1, -1, -1):
        number = markers[at].number
        here = last.get(number)
        again[at] = here is not None and here < last.get(1, len(markers))
        last[number] = at
    return again


def _block(marker: _Marker, below: list[str]) -> str:
    """The text of one instruction, without an answer after it and without its indentation."""
    for at, line in enumerate(below):
        if _ANSWER.match(line) and (marker.text or any(before.strip() for before in below[:at])):
            has_answer = any(
                part.strip()
                for part in (_ANSWER.sub("", line, count=1).strip("*_ "), *below[at + 1 :])
            )
            below = below[:at] if has_answer else below
            break
    depths = [len(line) - len(line.lstrip()) for line in below if line.strip()]
    depth = min(depths, default=0)
    return "\n".join([marker.text, *(line[depth:].rstrip() for line in below)]).strip()


def _clean(block: str) -> str:
    if (label := _LABEL.match(block)) and label.end() < len(block):
        block = block[label.end() :]
    return unquoted(block.strip())


def _untitled(blocks: list[str]) -> list[str]:
    """Take bold titles off where every instruction has one; a single one may be meant."""
    titles = [_TITLE.match(block) for block in blocks]
    if len(blocks) < 2 or not all(
        title and title.end() < len(block) for title, block in zip(titles, blocks, strict=True)
    ):
        return blocks
    return [block[title.end() :] for title, block in zip(titles, blocks, strict=True) if title]
