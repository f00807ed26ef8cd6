"""Remarks that models add after a rewritten instruction: what they changed, and "let me know"."""

import re
from typing import Final

from .languages import phrase
from .reading import SIGNS, ParseError, excerpt, normalise, outside_fences, split_label

ABOUT_REWRITE: Final = re.compile(phrase("about_rewrite"), re.IGNORECASE)
"""Words of a remark about a rewrite, which the rewrite itself does not hold."""

_BEGINS = re.compile(phrase("remarks"), re.IGNORECASE)
_CLOSES = re.compile(phrase("closes"), re.IGNORECASE)
_CHANGES = re.compile(phrase("changes"), re.IGNORECASE)
_ECHO = re.compile(phrase("old_text"), re.IGNORECASE)
_NOTES = re.compile(phrase("notes"), re.IGNORECASE)
_ADDS = re.compile(r"i(?:['\u2019]ve| have)? (?:also )?(?:kept|added)\b", re.IGNORECASE)
_ENCLOSED = re.compile(r"[*_]{0,3}[(\uff08].*[)\uff09][*_]{0,3}|\*[^*\n]+\*|_[^_\n]+_", re.DOTALL)
_SUSPECT = re.compile(phrase("suspect"), re.IGNORECASE)
_POINTS_BACK = re.compile(phrase("points_back"), re.IGNORECASE)
MATERIAL: Final = re.compile(phrase("material"), re.IGNORECASE)
"""What an instruction may work on, or how it points to it."""
_SPEAKS_OF_TEXT = re.compile(phrase("in_the_text"), re.IGNORECASE)
_SENTENCE_END: Final = (".", "!", "?", "\u3002", "\uff01", "\uff1f", "\u061f")
_ENDS_SENTENCE = re.compile(rf"[{''.join(_SENTENCE_END)}]\W*\Z")
_OFFERS = re.compile(phrase("offers"), re.IGNORECASE)
_ENDS_QUESTION = re.compile(r"[?\uff1f\u061f\u3002]\W*\Z")
_OF_THE_TEXT = re.compile(
    r"\b(?:this|the|next|your|that) (?:\w+ )?(?:instruction|prompt|rewrite)\b", re.IGNORECASE
)
RULE: Final = re.compile(
    r"[ \t]*+(?:-{3,}|\*{3,}|_{3,}|\* \* \*|- - -|[\u2013-\u2015]{1,3})[ \t]*+"
)
_LENGTH = re.compile(
    r"[(\[\uff08]?\W{0,3}(?:(?:approx(?:\.|imately)?|about|~|word count:?|约|共) ?)?[0-9]{1,4} ?"
    r"(?:words|characters|tokens|w\u00f6rter|zeichen|mots|caract\u00e8res|palabras|caracteres|слов\w*"
    r"|字|文字|个字|كلمة)\W{0,3}",
    re.IGNORECASE,
)
_LAST_REMARK = re.compile(
    r"(?<=[^\s(\uff08])[ \t]*[*_]{0,2}[(\uff08\[]([^()\uff08\uff09\n]{8,400})[)\uff09\]][*_]{0,2}\Z"
)
_SALUTATION = re.compile(
    r"^[ \t\"]*(?:dear|hi|hello|hey)\b[^\n]{0,40}[,:!]", re.IGNORECASE | re.MULTILINE
)
"""A letter ends with words that end chats, too."""

_NAMES_ACTION: Final = re.compile(phrase("names_action"), re.IGNORECASE)
_WORKS_ON_ACTION: Final = re.compile(phrase("works_on_action"), re.IGNORECASE)
_LATER_TASK = re.compile(
    rf"(?:[.!?;:]\s+|[\u3002\uff01\uff1f\uff1a]\s*)[\"\u201c]?(?:{phrase('tasks')})", re.IGNORECASE
)
_AFTER_COLON = re.compile(r"[:\uff1a][ \t]+\w")
_OPENS_FENCE = re.compile(r"^[ \t]*+(?:`{3}|~{3})", re.MULTILINE)
_TICKED = re.compile(r"[ \t]*+[\u2705\u2713\u2714\u2611\U0001f300-\U0001faff]\ufe0f?[ \t]+\w")
_LAST_OFFER = re.compile(
    rf"[.!?\"\u201d)]\s+(?:{phrase('last_offers')})[^\n]{{0,120}}[.!?]\Z", re.IGNORECASE
)
_LONGEST: Final = 1_200
_MOST: Final = 12


def without_remarks(text: str, original: str = "", *, is_announced: bool = False) -> str:
    """Remove remarks about the rewrite, and closing lines, from the end of *text*.

    Raises:
        ParseError: a section seems to say what was changed in *original*, but nothing in it does,
            and no text *is_announced*.
    """
    lines = text.split("\n")
    outside = outside_fences(lines)
    closes = _SALUTATION.search(text) is None
    start = _start_of_changes(lines, outside)
    _check_changes(lines[start:], original, is_announced=is_announced)
    lines = lines[:start]
    for _ in range(_MOST):
        while len(lines) > 1 and not lines[-1].strip():
            lines.pop()
        length = _length_of_remark(lines, outside, closes=closes, is_announced=is_announced)
        if length == 0:
            break
        del lines[-length:]
    return _without_bracket("\n".join(lines))


def _without_bracket(text: str) -> str:
    """Remove "(Note: I have kept the subject)" from the end of the last line."""
    bracket = _LAST_REMARK.search(text, max(0, len(text) - _LONGEST))
    if not bracket or not _is_remark([bracket[1]], closes=False):
        return text
    return text[: bracket.start()]


def may_end_with_remarks(text: str, original: str = "") -> bool:
    """Return whether a later paragraph of *text* may be a remark on it.

    It begins with a label like those of remarks, speaks of "this instruction" at the end, or points
    back to a text that mentions no material. Such paragraphs may also be the instruction's own;
    those that *original* holds are.
    """
    lines = text.split("\n")
    outside = outside_fences(lines)
    starts = [
        at for at in range(1, len(lines)) if outside[at] and lines[at] and not lines[at - 1].strip()
    ]
    if any(_SUSPECT.search(split_label(lines[at])[0]) for at in starts):
        return True
    if _LAST_OFFER.search(text, max(0, len(text) - _LONGEST)):
        return True
    last = "\n".join(lines[starts[-1] :]).strip() if starts else ""
    if not last or len(last) > _LONGEST or last in original:
        return False
    if _OF_THE_TEXT.search(last) or names_action(last):
        return True
    if _CLOSES.match(last) and holds_later_task(last) and not _AFTER_COLON.search(last):
        return True
    if _ENCLOSED.fullmatch(last) or _NOTES.fullmatch(split_label(last)[0]):
        prose = last[: opening.start()] if (opening := _OPENS_FENCE.search(last)) else last
        return _SUSPECT.search(prose) is not None or "original" in prose
    if _OFFERS.match(last) and _ENDS_QUESTION.search(last) and "\n" not in last:
        return True
    above = "\n".join(lines[: starts[-1]]).rstrip()
    return _is_set_off(last, above) or _points_back(last, above.rstrip(f'{SIGNS}\n"\u201d'))


def _is_set_off(last: str, above: str) -> bool:
    """Return whether *last* is ticked off, or begins like a remark below a rule."""
    if all(_TICKED.match(line) for line in last.split("\n")):
        return not above.endswith((":", "\uff1a"))
    is_below_rule = RULE.fullmatch(above.rsplit("\n", 1)[-1]) is not None
    return is_below_rule and _BEGINS.match(last.lstrip(SIGNS)) is not None


def _points_back(last: str, above: str) -> bool:
    """Return whether the paragraph *last* speaks of the complete text *above* it."""
    is_sentence = "\n" not in last and _ENDS_SENTENCE.search(last)
    if not is_sentence or not above.endswith((*_SENTENCE_END, "`", "|")):
        return False
    begins = last.lstrip(SIGNS)
    if _SPEAKS_OF_TEXT.match(begins):
        return True
    return _POINTS_BACK.match(begins) is not None and not MATERIAL.search(above)


def holds_later_task(paragraph: str, *, after_commas: bool = False) -> bool:
    """Return whether a sentence of *paragraph* after the first begins like an instruction.

    Args:
        paragraph: Prose.
        after_commas: Whether a clause counts as a sentence.
    """
    sentences = paragraph.replace(", ", ". ") if after_commas else paragraph
    return _LATER_TASK.search(sentences) is not None


def names_action(paragraph: str) -> bool:
    """Return whether *paragraph* speaks of "the action item", which the prompt gave."""
    return _NAMES_ACTION.search(paragraph) is not None


def is_about_action(paragraph: str) -> bool:
    """Return whether *paragraph* says what the prompt's action asks for or how it was met."""
    return _WORKS_ON_ACTION.search(paragraph) is not None and not holds_later_task(paragraph)


def _length_of_remark(
    lines: list[str], outside: list[bool], *, closes: bool, is_announced: bool
) -> int:
    """Return how many of the last lines are one remark: a paragraph, or its last line."""
    end = len(lines)
    if end < 2 or not outside[end - 1]:
        return 0
    start = end - 1
    while start > 0 and outside[start - 1] and lines[start - 1].strip():
        if RULE.fullmatch(lines[start - 1]):
            break
        start -= 1
    if RULE.fullmatch(lines[end - 1]):  # two of them enclose a part of the text
        return int(sum(RULE.fullmatch(line) is not None for line in lines) == 1)
    above = next((line.rstrip() for line in reversed(lines[:start]) if line.strip()), "")
    closes = closes and not above.endswith((":", "\uff1a"))
    if start > 0 and _is_remark(lines[start:end], closes=closes):
        return end - start
    if start == end - 1 and is_announced and _SPEAKS_OF_TEXT.match(lines[start].lstrip(SIGNS)):
        return 1
    return 1 if start < end - 1 and _is_remark(lines[end - 1 :], closes=closes) else 0


def _is_remark(lines: list[str], *, closes: bool) -> bool:
    if sum(map(len, lines)) > _LONGEST:
        return False
    paragraph = "\n".join(lines)
    remark = paragraph.strip(f"{SIGNS}()[]\uff08\uff09")
    if _LENGTH.fullmatch(paragraph.strip()):
        return True
    if _CLOSES.match(remark):
        return closes and not (_AFTER_COLON.search(remark) or holds_later_task(remark))
    if is_about_action(remark):
        return True
    label = split_label(remark.split("\n", 1)[0])[0]
    if _BEGINS.match(remark) or _ENCLOSED.fullmatch(paragraph.strip()):
        is_change = label and _CHANGES.fullmatch(label)
        return bool(is_change or ABOUT_REWRITE.search(remark) or _ADDS.match(remark))
    return bool(label and _NOTES.fullmatch(label) and ABOUT_REWRITE.search(remark))


def _start_of_changes(lines: list[str], outside: list[bool]) -> int:
    """Return where a section begins that explains the rewrite; the number of lines if none does."""
    for at in range(1, len(lines)):
        above = lines[at - 1]
        if not outside[at] or not lines[at].strip() or (above.strip() and not RULE.match(above)):
            continue
        label, text = split_label(lines[at])
        if label and (_CHANGES.fullmatch(label) or _ECHO.fullmatch(label)):
            return at
        if (
            label
            and not text
            and _NOTES.fullmatch(label)
            and _is_about_rewrite(lines[at + 1 : at + 9])
        ):
            return at
    return len(lines)


def _check_changes(lines: list[str], original: str, *, is_announced: bool) -> None:
    """Check that a section of changes is the model's, not the instruction's own."""
    if not lines or is_announced:
        return
    label, text = split_label(lines[0])
    section = "\n".join(lines)
    repeated = normalise("\n".join([text, *lines[1:]]))
    repeats = _ECHO.fullmatch(label) and repeated[:60] == normalise(original)[: len(repeated)][:60]
    is_known = repeats or ABOUT_REWRITE.search(section) or _SUSPECT.search(label)
    if not is_known:
        raise ParseError(f"a remark may follow the instruction: {excerpt(section)}")


def _is_about_rewrite(lines: list[str]) -> bool:
    """Return whether the first paragraph of *lines* is a remark on the rewrite."""
    below = "\n".join(line[:_LONGEST] for line in lines).lstrip("\n")
    return ABOUT_REWRITE.search(below.split("\n\n", 1)[0]) is not None
