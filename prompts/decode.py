"""Decode: ask for basic instructions of one metadata item, and read a numbered list (paper §4.1).

An instruction may span lines and hold code, bullets and numbered lists of its own, so only a
counter that continues the outer list begins a new one.
"""

import json
import re
from collections.abc import Iterator
from typing import Final, cast

from .instruction import read_instruction, reads_like_chat
from .items import (
    clean_item,
    is_about_all,
    is_heading,
    item_text,
    untitled,
    without_headings,
    without_last_remark,
    without_notes,
)
from .languages import phrase
from .numbering import Marker, bulleted, counted, lettered, top_level, uncounted
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
    is_truncated,
    normalise,
    outside_fences,
    parse_json,
    reply_body,
)
from .schemas import LONGEST_INSTRUCTION, list_of, object_of, string
from .tables import column, rows_of
from .traits import InLanguage, WithText
from .wrapping import inside_tag

_ITEM_HEAD = re.compile(rf"[*_]{{0,3}}{phrase('item')}s?[*_]{{0,3}}", re.IGNORECASE)
_ITEM_TAG = re.compile(rf"<(?P<close>/?)(?:{phrase('item')})[_ ]?[0-9]{{0,3}}>", re.IGNORECASE)
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_CUT_JSON = re.compile(r"\s*(?:```\w*\s*)?\{\s*\"[\w -]{0,40}\"\s*:\s*\[")
_MOST_LINES: Final = 50_000


class Decode(Prompt[list[str]], frozen=True, kw_only=True):
    """Ask for *number* instructions that belong to a use case and need certain skills."""

    name = "decode"
    priority = Priority.WRITE

    number: int
    use_case: str
    skills: tuple[str, ...]
    language: InLanguage = InLanguage()
    material: WithText = WithText()

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
        if len(value) != LONGEST_INSTRUCTION:  # else the schema cut it off
            texts.append(value.strip())
    return [clean_item(text) for text in _uncounted(texts)]


def _uncounted(texts: list[str]) -> list[str]:
    """Remove counters if every one of *texts* begins with its own."""
    pairs = [uncounted(text) for text in texts]
    if all(pair[0] == at and pair[1] for at, pair in enumerate(pairs, 1)):
        return [text for _, text in pairs]
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
    return [clean_item(item) for item in _uncounted(texts)]


def _from_lines(text: str, number: int, *, truncated: bool) -> list[str]:
    if len(tagged := _from_tags(text)) > 1:
        return tagged[:-1] if truncated else tagged
    lines = inside_tag(text).strip().split("\n")
    if len(lines) > _MOST_LINES:
        raise ParseError(f"the reply has {len(lines):,} lines")
    outside = outside_fences(lines)
    markers = _markers(lines, outside, number)
    if number == 1 and (not markers or (len(markers) > 1 and markers[0].line > 0)):
        return _lone(lines, truncated=truncated)
    if not markers:
        items = _from_table(lines) or _unmarked(lines, outside, number)
        return items[:-1] if truncated else items

    ends = [marker.line for marker in markers[1:]] + [len(lines)]
    blocks = [
        item_text(marker.text, lines[marker.line + 1 : end])
        for marker, end in zip(markers, ends, strict=True)
    ]
    blocks[-1] = without_last_remark(blocks[-1])
    if all(lines[marker.line].lstrip().startswith("#") for marker in markers):
        blocks = without_headings(blocks)
    if truncated:
        blocks = blocks[:-1]
    return untitled([clean_item(block) for block in without_notes(blocks)])


def _from_tags(text: str) -> list[str]:
    """Return what stands between tags that are named like an instruction."""
    items: list[str] = []
    start: int | None = None
    for tag in _ITEM_TAG.finditer(text):
        if tag["close"] and start is not None:
            items.append(clean_item(text[start : tag.start()].strip()))
        start = None if tag["close"] else tag.end()
    return items


def _from_table(lines: list[str]) -> list[str]:
    """Return the column of instructions in a table; the second of two if the first one counts."""
    rows = rows_of(lines)
    items = column(rows, _ITEM_HEAD)
    if not items and rows and len(rows[0]) == 2 and all(row[0].isdigit() for row in rows[1:]):
        items = [row[1] for row in rows[1:]]
    return [clean_item(item) for item in items]


def _markers(lines: list[str], outside: list[bool], number: int) -> list[Marker]:
    """Return where items begin; counters may begin anew in sections if that gives *number*."""
    markers = counted(lines, outside)
    outermost = top_level(markers)
    if len(outermost) < number and len(sections := _in_sections(markers, lines)) == number:
        return sections
    if outermost or number == 1:
        return outermost
    return top_level(lettered(lines, outside)) or bulleted(lines, outside)


def _in_sections(markers: list[Marker], lines: list[str]) -> list[Marker]:
    """Return the markers of all lists whose first item stands below a heading."""
    kept: list[Marker] = []
    for section in _sections(markers, lines):
        kept += top_level(section)
    return kept


def _sections(markers: list[Marker], lines: list[str]) -> Iterator[list[Marker]]:
    section: list[Marker] = []
    for marker in markers:
        near = lines[max(0, marker.line - 3) : marker.line]
        above = next((line for line in reversed(near) if line.strip()), "")
        if section and marker.number == 1 and is_heading(above):
            yield section
            section = []
        section.append(marker)
    yield section


def _unmarked(lines: list[str], outside: list[bool], number: int) -> list[str]:
    """Return paragraphs, or lines, if there are as many as were asked for."""
    if not all(outside):
        return []
    text = "\n".join(lines)
    for parts in (re.split(r"\n[ \t]*\n", text), lines):
        items = [part.strip() for part in parts if part.strip()]
        if items and items[0].endswith((":", "\uff1a")):
            del items[0]
        if items and is_about_all(items[-1]):
            del items[-1]
        if len(items) == number and not any(map(reads_like_chat, items)):
            return [clean_item(item) for item in items]
    return []


def _lone(lines: list[str], *, truncated: bool) -> list[str]:
    if truncated:
        raise ParseError("cut off before the instruction was complete")
    return [read_instruction("\n".join(lines))]
