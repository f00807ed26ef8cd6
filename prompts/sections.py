"""Sections of a reply: a heading of the instruction's kind below it begins another one."""

import re
from typing import Final

from .reading import ParseError, excerpt, outside_fences

_HEADING = re.compile(r"(#{1,6})[ \t]")
_BOLD = re.compile(
    r"\*\*(?P<inside>[^*\n]{1,60}[:\uff1a])\*\*|\*\*(?P<before>[^*\n]{1,60})\*\*[ \t]*[:\uff1a]"
)
_NOUNS: Final = (
    "constraints? requirements? output format length tone style audience input text examples? data"
    " context background hint deadline task scope scenario goal role rules? dates? option part step"
    " question register vorgaben anforderungen ausgabe kontext eingabe contraintes exigences"
    " restricciones requisitos 要求 限制 格式 示例 条件 形式 требования ограничения"
    " المتطلبات القيود"
)
_PART = re.compile(
    rf"[^\W\d_]+|(?:[^\s]+ ){{0,2}}(?:{_NOUNS.replace(' ', '|')})(?: [0-9A-Z]{{1,2}})?",
    re.IGNORECASE,
)
"""Labels in bold that an instruction may hold: one word, such as a speaker's name, or a part's."""


def check_last_section(text: str, below: str) -> None:
    """Check that the section that *text* begins with is its last one.

    Args:
        text: What begins with the label of the instruction.
        below: What follows the label.

    Raises:
        ParseError: another heading of the same kind follows, which may be a remark's.
    """
    heading, is_bold = _HEADING.match(text), _BOLD.match(text) is not None
    if not heading and not is_bold:
        return
    lines = below.split("\n")
    for line, is_outside in list(zip(lines, outside_fences(lines), strict=True))[1:]:
        if not is_outside:
            continue
        later, label = _HEADING.match(line), _BOLD.match(line)
        is_heading = heading and later and len(later[1]) <= len(heading[1])
        if is_heading or (is_bold and label and not _is_part(label)):
            raise ParseError(f"a section follows the instruction's: {excerpt(line)}")


def _is_part(label: re.Match[str]) -> bool:
    words = (label["inside"] or label["before"]).strip(" :\uff1a")
    return _PART.fullmatch(words) is not None
