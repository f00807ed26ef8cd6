"""Read one instruction out of a reply, without what models write around it.

Around it stand labels, preambles, remarks about the rewrite, and marks that enclose the whole text.
What the text itself holds (code, lists, quotes, headings, notes) stays as it is. Where the two
cannot be told apart, the reply is refused: asking again costs less than junk in a dataset.
"""

import re
from typing import Any, Final

from .languages import phrase
from .reading import (
    SIGNS,
    ParseError,
    excerpt,
    is_refusal,
    outside_fences,
    parse_json,
    split_label,
    strip_fence,
    strip_quotes,
)
from .remarks import ABOUT_REWRITE, may_end_with_remarks, without_remarks
from .schemas import LONGEST_INSTRUCTION

_FLAGS: Final = re.IGNORECASE
_ARTICLE = r"(?:the |your |my |an? |die |der |la |le |el |l['\u2019]|o |il )?"
_TEXT = re.compile(phrase("text"), _FLAGS)
_CHANGED = re.compile(phrase("changed"), _FLAGS)
_BEGINS_LABEL = re.compile(rf"{_ARTICLE}(?:{phrase('text')}|{phrase('changed')})", _FLAGS)
_BARE_LABEL = re.compile(r"improved|revised|rewritten|enhanced|improvement|revision", _FLAGS)
_LINKS = re.compile(
    r"\([^()]*\)|\uff08[^\uff08\uff09]*\uff09"
    r"|\b(?:the|an?|of|for|your|my|is|reads|would be|could be|as|follows|than|slightly|even|still"
    r"|much|with|and|l|la|le|el|de|del|que|die|der|und|noch|plus)\b",
    _FLAGS,
)
_WORD = re.compile(r"[^\W\d_]+")
_DASH = re.compile(r" [-\u2013\u2014] ")
_QUALIFIED_LABEL = re.compile(
    rf"{_ARTICLE}(?:{phrase('text')}) ?[(\uff08][^()\n]{{1,40}}[)\uff09]", _FLAGS
)
_ITEM_LABEL = re.compile(rf"{_ARTICLE}{phrase('item')}", _FLAGS)
_AMBIGUOUS_LABEL = re.compile(r"rewrite|challenge|output|result|answer|response", _FLAGS)
_PLAIN_LABEL = re.compile(rf"{_ARTICLE}{phrase('plain_text')}", _FLAGS)
_OLD_LABEL = re.compile(phrase("old_text"), _FLAGS)
_INTERJECTION = re.compile(
    rf"[¡\s]{{0,3}}(?:{phrase('interjections')}"
    r"[ \t]{0,2}[!.,:\uff01\uff0c\u3002\u060c\u2014\u2013-]{1,2}\s{0,9}){1,3}",
    _FLAGS,
)
_ANNOUNCES = re.compile(phrase("announces"), _FLAGS)
_NOT_OURS = re.compile(r"\bs? of (?:my|our|his|her|their)\b", _FLAGS)
_THE_TEXT = re.compile(
    rf"\b(?:one|an?|une?|una|eine) {phrase('plain_text')}\b"
    r"|\b(?:the|this|that) (?:instruction|prompt)\b|\baction item\b",
    _FLAGS,
)
_OWN = re.compile(r"\b(?:my|our|mein\w*|unser\w*|mon|ma|mes|mi|mis)\b|我的", _FLAGS)
_HERE_IT_IS = re.compile(r"[^\n]{0,80}\b(?:version|result|attempt|it is|you go)\b", _FLAGS)
_EXPLAINS = re.compile(phrase("explains"), _FLAGS)
_ALTERNATIVE = re.compile(
    rf"^[{SIGNS}]{{0,8}}(?:option|version|alternative|variant|variation) (?:[123]|[abc]\b)",
    _FLAGS | re.MULTILINE,
)
_TAG = re.compile(
    r"<((?:[a-z]{1,20}[_ -]){0,2}(instruction|prompt|rewrite|version|task|question|output|result)"
    r"s?)>",
    _FLAGS,
)
_LISTED = re.compile(r"[ \t]*+(?:[-*+•]|[0-9]{1,3}[.)])[ \t]")
_LONE_MARK = re.compile(r"(?:[-*+•]|1[.)])[ \t]++")
_HEADING_MARK = re.compile(r"#{1,6}[ \t]++")
_KEY = re.compile(r"(?:\w{1,30}_)?(?:instruction|prompt|task|question|version|rewrite)")
_LEADING_RULE = re.compile(r"\A(?:[-*_]{3,}[ \t]*+\n)++")
_BLANK_LINE = re.compile(r"\n[ \t]*+(?=\n)")
_LONGEST: Final = 100_000
_LONGEST_LABEL: Final = 60
_LONGEST_LINE: Final = 300
_LONGEST_PREAMBLE: Final = 1_200
_MOST_LAYERS: Final = 6


def read_instruction(reply: str, *, original: str = "") -> str:
    """Return the instruction in *reply*, which may be a rewrite of *original*.

    Args:
        reply: The body of a reply.
        original: What was to be rewritten. A label that it begins with, too, belongs to the text.

    Raises:
        ParseError: it is empty, absurdly long or a refusal, it holds several versions or the
            prompt's labels, or what may be a remark.
    """
    text = _from_json(reply) or reply
    if len(text) > _LONGEST:
        raise ParseError(f"the instruction has {len(text):,} characters")
    is_announced = False
    for _ in range(_MOST_LAYERS):
        before = text
        text = unwrapped(_LEADING_RULE.sub("", text)).strip()
        stripped = _without_label(_without_preamble(text, original).strip(), original)
        is_announced = is_announced or stripped != text
        if is_announced:
            stripped = _without_item_label(stripped)
        text = without_remarks(stripped.strip()).strip()
        if text == before:
            break
    _check(text, original)
    return text


def _check(text: str, original: str) -> None:
    if not text.strip(f"{SIGNS}\"'`\n"):
        raise ParseError("the instruction is empty")
    if is_refusal(text) and not is_refusal(original):
        raise ParseError(f"a refusal: {excerpt(text)}")
    label = split_label(text.split("\n", 1)[0])[0]
    if _AMBIGUOUS_LABEL.fullmatch(label) and not _AMBIGUOUS_LABEL.match(original):
        raise ParseError(f"an answer, or an unclear label: {excerpt(text)}")
    if _offers_several(text) and not _offers_several(original):
        raise ParseError(f"several versions: {excerpt(text)}")
    if _holds_labels(text) and not _holds_labels(original):
        raise ParseError(f"it holds the prompt's own labels: {excerpt(text)}")
    if _begins_with_announcement(text) and not _begins_with_announcement(original):
        raise ParseError(f"an announcement may precede the instruction: {excerpt(text)}")
    if may_end_with_remarks(text) and not may_end_with_remarks(original):
        raise ParseError(f"a remark may follow the instruction: {excerpt(text)}")


def _begins_with_announcement(text: str) -> bool:
    """Return whether *text* begins with a paragraph like "Here is one possible improvement:"."""
    first = _first_paragraph(text).strip(SIGNS)
    is_announced = first.endswith((":", "\uff1a")) and _ANNOUNCES.match(first) and "\n" not in first
    return bool(is_announced and not _OWN.search(first))


def _offers_several(text: str) -> bool:
    first = text.split("\n", 1)[0].rstrip()
    is_announced = _ANNOUNCES.match(first) and first.endswith(":")
    return bool(_ALTERNATIVE.match(text) or (is_announced and _ALTERNATIVE.search(text)))


def _holds_labels(text: str) -> bool:
    lines = text.split("\n")
    for line, is_outside in zip(lines, outside_fences(lines), strict=True):
        label = split_label(line)[0] if is_outside else ""
        if _is_new_label(label) or _OLD_LABEL.fullmatch(label):
            return True
    return False


def _from_json(reply: str) -> str | None:
    """Return the instruction in a reply that is JSON; None if it is not.

    Raises:
        ParseError: it is as long as a schema allows, so it was cut off.
    """
    fields: dict[str, Any] = parse_json(reply) or {}
    texts = [
        value
        for key, value in fields.items()
        if isinstance(value, str)
        and _KEY.fullmatch(key)
        and not key.startswith(("original", "old"))
    ]
    if len(texts) != 1:
        return None
    if len(texts[0]) == LONGEST_INSTRUCTION:
        raise ParseError(f"the instruction was cut off at {LONGEST_INSTRUCTION:,} characters")
    return texts[0]


def unwrapped(text: str) -> str:
    """Remove marks that enclose the whole of *text*."""
    text = strip_quotes(strip_fence(inside_tag(text)))
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
    is_instruction = tag[2].lower() in {"instruction", "prompt", "rewrite", "version"}
    below = f"-\n\n{text[end + len(tag[0]) + 1 :].strip()}"
    return text[tag.end() : end] if is_instruction or without_remarks(below) == "-" else text


def _without_preamble(text: str, original: str) -> str:
    """Remove what a model says before the text.

    Raises:
        ParseError: it begins like a reply to a user, and no text is announced.
    """
    paragraph = _first_paragraph(text)
    greeting = _INTERJECTION.match(paragraph)
    if not greeting or _INTERJECTION.match(original):
        return _without_announcement(text)
    body = text[greeting.end() :]
    if "\n" in greeting[0] or greeting[0] == paragraph:
        return body
    stripped = _without_announcement(body)
    if stripped != body:
        return stripped
    first, _, rest = body.partition("\n")
    is_announced = _HERE_IT_IS.match(first) or _names_new_text(first[:_LONGEST_LINE])
    if is_announced and first.rstrip(" *_").endswith((":", "\uff1a")) and rest.strip():
        return rest
    if "!" in greeting[0] or "\uff01" in greeting[0]:
        raise ParseError(f"begins like a chat: {excerpt(text)}")
    return text


def _without_announcement(text: str) -> str:
    """Remove "Here is the new instruction:", or a paragraph on what is new in it."""
    first, _, rest = text.partition("\n")
    label, value = split_label(first, longest=_LONGEST_LINE)
    if _ANNOUNCES.match(label) and _names_new_text(label) and (value or rest.strip()):
        return f"{value}\n{rest}"
    paragraph = _first_paragraph(text)
    below = text[len(paragraph) :]
    if not below.strip() or not _EXPLAINS.match(paragraph):
        return text
    is_about = _names_new_text(paragraph) or ABOUT_REWRITE.search(paragraph)
    return below if is_about else text


def reads_like_chat(text: str) -> bool:
    """Return whether *text* begins like a chat or a refusal."""
    return _INTERJECTION.match(text) is not None or is_refusal(text)


def _first_paragraph(text: str) -> str:
    return _BLANK_LINE.split(text[:_LONGEST_PREAMBLE], maxsplit=1)[0]


def _without_label(text: str, original: str) -> str:
    """Remove the label of the text, and the original before it if that was repeated."""
    first, _, rest = text.partition("\n")
    label, value = split_label(first)
    if not label:
        label, *dashed = _DASH.split(first.strip(SIGNS), maxsplit=1)
        value = dashed[0] if dashed else ""
    if _is_label(label, original):
        return f"{value}\n{rest}"
    if not _OLD_LABEL.fullmatch(label) or _OLD_LABEL.search(original):
        return text
    lines = text.split("\n")
    starts = [at for at, line in enumerate(lines) if _is_new_label(split_label(line)[0])]
    if len(starts) != 1:
        raise ParseError(f"it holds the prompt's own labels: {excerpt(text)}")
    return "\n".join([split_label(lines[starts[0]])[1], *lines[starts[0] + 1 :]])


def _without_item_label(text: str) -> str:
    """Remove "Task:" from a text that was announced; elsewhere it may be the text's own."""
    first, _, rest = text.lstrip().partition("\n")
    label, value = split_label(first)
    return f"{value}\n{rest}" if value and _ITEM_LABEL.fullmatch(label) else text


def _is_label(label: str, original: str) -> bool:
    if not label or original.lstrip(SIGNS).lower().startswith(label.lower()):
        return False
    is_plain = _PLAIN_LABEL.fullmatch(label) or _QUALIFIED_LABEL.fullmatch(label)
    return _is_new_label(label) or is_plain is not None


def _is_new_label(label: str) -> bool:
    """Return whether *label* names a changed text, such as "Final improved prompt (harder)"."""
    if not label or len(label) > _LONGEST_LABEL:
        return False
    if _BARE_LABEL.fullmatch(label):
        return True
    rest = _LINKS.sub(" ", _CHANGED.sub(" ", _TEXT.sub(" ", label)))
    begins = _BEGINS_LABEL.match(label) is not None
    return begins and _names_new_text(label) and len(_WORD.findall(rest)) <= 1


def _names_new_text(line: str) -> bool:
    if _THE_TEXT.search(line):
        return True
    return bool(_CHANGED.search(line) and _TEXT.search(line) and not _NOT_OURS.search(line))
