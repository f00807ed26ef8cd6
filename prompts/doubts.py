"""Reasons to doubt that a text is one instruction and nothing else."""

import re
from typing import Final

from .labels import is_new_label, is_old_label
from .languages import phrase
from .reading import SIGNS, ParseError, excerpt, is_refusal, outside_fences, split_label
from .remarks import MATERIAL, may_end_with_remarks, names_action

_FLAGS: Final = re.IGNORECASE
ANNOUNCES: Final = re.compile(phrase("announces"), _FLAGS)
"""How a line begins that announces a text."""
OWN: Final = re.compile(r"\b(?:my|our|mein\w*|unser\w*|mon|ma|mes|mi|mis)\b|我的", _FLAGS)
"""What a person says of what is hers: no model announces "my poem"."""
TASKS: Final = re.compile(phrase("tasks"), _FLAGS)
"""How an instruction begins."""
_ASKS = re.compile(phrase("asks"), _FLAGS)
_AMBIGUOUS_LABEL = re.compile(r"rewrite|challenge|output|result|answer|response", _FLAGS)
_ALTERNATIVE = re.compile(
    rf"^[{SIGNS}]{{0,8}}(?:option|version|alternative|variant|variation|variante|opción|opzione"
    r"|fassung|選項|选项|版本|вариант|案) ?(?:[123一二]|[abc]\b)",
    _FLAGS | re.MULTILINE,
)
_STRUCTURE = re.compile(
    r"[ \t]|[-*+•>|#`~<{\[\"'$]|\(?[0-9a-zA-Z]{1,3}[.)]"
    r"|[\u201c\u201e\u00ab\u300c\u2018\uff08\u2460-\u2473]"
)
"""How a list, code, a table, a quotation or a formula begins."""
_LONGEST_LINE: Final = 100
_SEVERAL = re.compile(
    r"\b(?:two|three|four|five|several|some|a few|a couple|[2-9]|zwei|drei|einige|deux|trois"
    r"|quelques|dos|tres|varias|два|две|три|несколько) (?:[^\W\d_]+ ){0,4}"
    r"(?:versions?|rewrit\w+|options|variants|variations|alternatives|instructions|prompts"
    r"|fassungen|anweisungen|varianten|consignes|versiones|opciones|instrucciones|верси\w+|вариант\w+)\b"
    r"|[两二三2-9几]个[^\n]{0,10}(?:版本|指令|选项)|[二三2-9]つの",
    _FLAGS,
)


def check_alone(text: str, original: str, *, is_announced: bool = False) -> None:
    """Check that *text*, which may be a rewrite of *original*, is one instruction alone.

    Where a text *is_announced*, its first line is its own.

    Raises:
        ParseError: it may not be.
    """
    if not text.strip(f"{SIGNS}\"'`\n"):
        raise ParseError("the instruction is empty")
    if is_refusal(text) and not is_refusal(original):
        raise ParseError(f"a refusal: {excerpt(text)}")
    if _ASKS.match(text) and not _ASKS.match(original):
        raise ParseError(f"it speaks of the instruction: {excerpt(text)}")
    label = split_label(text.split("\n", 1)[0])[0]
    if _AMBIGUOUS_LABEL.fullmatch(label) and not _AMBIGUOUS_LABEL.match(original):
        raise ParseError(f"an answer, or an unclear label: {excerpt(text)}")
    if offers_several(text) and not offers_several(original):
        raise ParseError(f"several versions: {excerpt(text)}")
    if _holds_labels(text) and not _holds_labels(original):
        raise ParseError(f"it holds the prompt's own labels: {excerpt(text)}")
    if _begins_with_announcement(text) and not _begins_with_announcement(original):
        raise ParseError(f"an announcement may precede the instruction: {excerpt(text)}")
    if not is_announced and _begins_with_colon(text) and not _begins_with_colon(original):
        raise ParseError(f"an announcement may precede the instruction: {excerpt(text)}")
    first = text.split("\n\n", 1)[0]
    if first != text and names_action(first) and not names_action(original):
        raise ParseError(f"a remark may precede the instruction: {excerpt(text)}")
    if may_end_with_remarks(text, original) and not may_end_with_remarks(original):
        raise ParseError(f"a remark may follow the instruction: {excerpt(text)}")


def offers_several(text: str) -> bool:
    """Return whether *text* holds numbered versions, or announces several."""
    first = text.split("\n", 1)[0].rstrip(f"{SIGNS}")
    is_announced = ANNOUNCES.match(first.lstrip(SIGNS)) and first.endswith((":", "\uff1a"))
    return bool(
        _ALTERNATIVE.match(text)
        or (is_announced and (_ALTERNATIVE.search(text) or _SEVERAL.search(first)))
    )


def _begins_with_announcement(text: str) -> bool:
    """Return whether *text* begins with a paragraph like "Here is one possible improvement:"."""
    first = re.split(r"\n[ \t]*+(?=\n)", text[:1_200], maxsplit=1)[0].strip(SIGNS)
    is_announced = first.endswith((":", "\uff1a")) and ANNOUNCES.match(first) and "\n" not in first
    return bool(is_announced and not OWN.search(first))


def _begins_with_colon(text: str) -> bool:
    """Return whether prose follows a colon after a short line without a task or a material."""
    first, _, below = text.partition("\n")
    line = first.strip(SIGNS)
    is_open = line.endswith((":", "\uff1a")) and len(line) < _LONGEST_LINE
    is_prose = below.strip() and not _STRUCTURE.match(below.lstrip("\n"))
    return bool(is_open and is_prose and not (MATERIAL.search(line) or TASKS.match(line)))


def _holds_labels(text: str) -> bool:
    lines = text.split("\n")
    for line, is_outside in zip(lines, outside_fences(lines), strict=True):
        label = split_label(line)[0] if is_outside else ""
        if is_new_label(label) or is_old_label(label):
            return True
    return False
