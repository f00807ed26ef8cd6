"""Decode: ask for basic instructions of one metadata item, and read a numbered list (paper §4.1).

An instruction may span lines and hold code, bullets and numbered lists of its own, so only a
counter that continues the outer list begins a new one.
"""

import json
import re
from typing import Final, NamedTuple, cast

from .prompt import (
    TYPICAL_SKILLS,
    TYPICAL_USE_CASE,
    JsonSchema,
    Priority,
    Prompt,
    RawReply,
    Sizes,
    Typical,
)
from .reading import (
    ParseError,
    excerpt,
    is_list,
    is_object,
    is_refusal,
    is_truncated,
    normalise,
    outside_fences,
    parse_json,
    reply_body,
    strip_quotes,
)
from .schemas import LONGEST_INSTRUCTION, list_of, object_of, string

_NOUN = r"(?:instruction|task|prompt|question|item)"
_MARKER = re.compile(
    r"(?P<indent>[ \t]{0,8})(?:#{1,6}[ \t]*+)?(?:[-*+•][ \t]++)?(?P<bold>\*\*|__)?"
    rf"(?P<label>{_NOUN}[ \t]{{0,3}}#?)?[(\[]?(?P<number>[0-9]{{1,4}})"
    r"(?P<close>[.):\]]{1,2}|(?=[ \t]*+(?:\*\*|__)?[ \t]*+\Z)|(?=(?:\*\*|__)[:.)]))"
    r"(?P<unbold>\*\*|__)?(?=[ \t]|\Z|[*_:.)])(?:[ \t]*+[:.)])?",
    re.IGNORECASE,
)
_BULLET = re.compile(r"(?P<indent>[ \t]{0,8})[-*+•][ \t]+")
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


class Decode(Prompt[list[str]], frozen=True, kw_only=True):
    """Ask for *number* instructions that belong to a use case and need certain skills."""

    name = "decode"
    priority = Priority.WRITE

    number: int
    use_case: str
    skills: tuple[str, ...]

    def read(self, reply: RawReply) -> list[str]:
        return read_instructions(reply.text, number=self.number, truncated=is_truncated(reply))

    def schema(self) -> JsonSchema:
        return object_of(
            instructions=list_of(string(LONGEST_INSTRUCTION), self.number, self.number)
        )

    @classmethod
    def typical(cls, sizes: Sizes) -> Typical:
        prompt = cls(number=sizes.number, use_case=TYPICAL_USE_CASE, skills=TYPICAL_SKILLS)
        return Typical(prompt, sizes.instruction * sizes.number)


def read_instructions(text: str, *, number: int, truncated: bool = False) -> list[str]:
    """Read up to *number* instructions, without their counters, titles and answers.

    If *truncated*, the reply was cut off and its last instruction is left out. Of instructions that
    differ only in case, white space or final punctuation, the first is returned.

    Raises:
        ParseError: the reply holds no instruction.
    """
    reply = reply_body(text)
    items = _from_json(reply, truncated=truncated)
    if items is None:
        items = _from_lines(reply, number, truncated=truncated)
    distinct: dict[str, str] = {}
    for item in filter(str.strip, items):
        distinct.setdefault(normalise(item), item)
    if not distinct:
        raise ParseError(f"no instructions: {excerpt(reply)}")
    return list(distinct.values())[:number]


def _from_json(text: str, *, truncated: bool) -> list[str] | None:
    fields = parse_json(text)
    if fields is None:
        return _from_cut_json(text) if truncated else None
    items = fields.get("instructions", fields.get(""))
    if items is None and isinstance(fields.get("instruction"), str):
        items = [fields["instruction"]]
    if not is_list(items):
        return None
    texts: list[str] = []
    for item in items:
        value = item.get("instruction") if is_object(item) else item
        if not isinstance(value, str):
            return None
        texts.append(
            _LABEL.sub("", value.strip(), count=1) if _LABEL.match(value) else value.strip()
        )
    return texts


def _from_cut_json(text: str) -> list[str] | None:
    """Return the complete strings of an array that was cut off in the middle of one."""
    head = _CUT_JSON.match(text)
    if not head:
        return None
    texts: list[str] = []
    at = head.end()
    while literal := _STRING.match(text, at):
        try:
            texts.append(cast("str", json.loads(literal[0], strict=False)).strip())
        except ValueError:
            break
        at = literal.end()
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
    return texts


def _from_lines(text: str, number: int, *, truncated: bool) -> list[str]:
    lines = re.split(r"\r?\n", text)
    if len(lines) > _MOST_LINES:
        raise ParseError(f"the reply has {len(lines):,} lines")
    outside = outside_fences(lines)
    markers = _top_level(_counters(lines, outside) or _bullets(lines, outside, number))
    is_lone = number == 1 and (not markers or (len(markers) > 1 and markers[0].line > 0))
    if is_lone:
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
    if is_refusal(text):
        raise ParseError(f"a refusal: {excerpt(text)}")
    return [_clean(text)]


def _counters(lines: list[str], outside: list[bool]) -> list[_Marker]:
    """Return the lines that begin with a counter in the style and at the depth of the first one."""
    markers: list[_Marker] = []
    for at, line in enumerate(lines):
        if not outside[at] or not (match := _MARKER.match(line)):
            continue
        if not match["close"] and not (match["label"] or match["bold"]):
            continue
        style = (match["label"] is not None, match["close"][:1] if not match["label"] else "")
        indent = len(match["indent"].expandtabs(4))
        if markers and (style != markers[0].style or indent > markers[0].indent + 1):
            continue
        rest = line[match.end() :]
        if match["bold"] and not match["unbold"]:
            # "**1. Title** text": the bold began before the counter.
            rest = match["bold"] + rest.lstrip() if rest.strip(" *_") else ""
        markers.append(_Marker(at, int(match["number"]), indent, style, rest.strip()))
    return markers


def _bullets(lines: list[str], outside: list[bool], number: int) -> list[_Marker]:
    """Return bullets used in place of counters, if more than one instruction was asked for."""
    markers: list[_Marker] = []
    if number == 1:
        return markers
    for at, line in enumerate(lines):
        if outside[at] and (match := _BULLET.match(line)):
            indent = len(match["indent"].expandtabs(4))
            if not markers or indent <= markers[0].indent + 1:
                text = line[match.end() :].strip()
                markers.append(_Marker(at, len(markers) + 1, indent, (False, "-"), text))
    return markers if len(markers) > 1 else []


def _top_level(markers: list[_Marker]) -> list[_Marker]:
    """Keep the markers that count on from the first one; leave out lists inside an instruction.

    An inner list begins with 1. A number that could continue either list belongs to the inner one
    if the same number occurs again before the next 1.
    """
    if not markers:
        return []
    recurs = _recurs(markers)
    kept = [markers[0]]
    following, inner = markers[0].number + 1, 0
    for at, marker in enumerate(markers[1:], 1):
        if marker.number == following and not (inner == following and recurs[at]):
            kept.append(marker)
            following, inner = following + 1, 0
        elif marker.number == 1:
            inner = 2
        elif marker.number == inner:
            inner += 1
    return kept


def _recurs(markers: list[_Marker]) -> list[bool]:
    recurs = [False] * len(markers)
    last: dict[int, int] = {}
    for at in range(len(markers) - 1, -1, -1):
        number = markers[at].number
        here = last.get(number)
        recurs[at] = here is not None and here < last.get(1, len(markers))
        last[number] = at
    return recurs


def _block(marker: _Marker, below: list[str]) -> str:
    """Return the text of one instruction without its indentation and without an answer after it."""
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
    return strip_quotes(block.strip())


def _untitled(blocks: list[str]) -> list[str]:
    """Remove bold titles if every instruction has one; a single one may be part of the text."""
    titles = [_TITLE.match(block) for block in blocks]
    if len(blocks) < 2 or not all(
        title and title.end() < len(block) for title, block in zip(titles, blocks, strict=True)
    ):
        return blocks
    return [block[title.end() :] for title, block in zip(titles, blocks, strict=True) if title]
