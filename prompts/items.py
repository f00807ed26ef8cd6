"""One item of a list of instructions, without what models write before and below it."""

import re
from typing import Final

from .languages import phrase
from .reading import split_label
from .wrapping import unwrapped

_LABEL = re.compile(
    rf"(?:\*\*|__)?{phrase('item')}[ \t]{{0,3}}#?[0-9]{{0,4}}[ \t]{{0,3}}(?:\*\*|__)?"
    r"[ \t]{0,3}[:.\uff1a][ \t]{0,3}(?:\*\*|__)?\s*",
    re.IGNORECASE,
)
_TITLE = re.compile(
    r"(?:\*\*|__)[^*_\n]{1,80}(?:[:\uff1a](?:\*\*|__)|(?:\*\*|__)[ \t]{0,3}"
    r"(?:[:\uff1a]|[-\u2013\u2014][ \t]|(?=\n)))\s*"
)
_ANSWER = re.compile(
    r"[ \t]*+(?:[-*>][ \t]++)?[*_]{0,3}(?:(?:sample|example|expected|possible|model)[ ])?"
    r"(?:answer|response|solution|antwort|réponse|respuesta|答案|回答)[*_]{0,3}[ \t]{0,3}[:\uff1a]",
    re.IGNORECASE,
)
_QUESTION = re.compile(
    r"[ \t>*_]*+(?:question|q|frage|pregunta|问题)[*_]{0,2}[ \t]?[:\uff1a]", re.IGNORECASE
)
"""An answer's label below one belongs to the instruction."""
_ALL_ITEMS = re.compile(
    rf"[*_(\uff08]{{0,3}}(?:{phrase('all_items')}|{phrase('closes')})", re.IGNORECASE
)
_TO_ALL = re.compile(r"\A(?![ \t>|`-])[^\n]{0,120}\b(?:these|them|all (?:of|three|four|five))\b")
_ABOUT_LABEL = re.compile(
    rf"(?:{phrase('skills')}|{phrase('use_case')}|focus"
    r"|rationale|why|topic|domain|category|difficulty|purpose)"
    r"(?: (?:used|needed|required|tested|level))?",
    re.IGNORECASE,
)
"""The label of a line about an item, below it."""
_NOTE_LABEL = re.compile(phrase("notes"), re.IGNORECASE)
_IS_ABOUT_ITEM = re.compile(
    rf"\b(?:this|requires?|tests?|needs|assess\w*|combines?|covers?|{phrase('skills')})\b"
    rf"|{phrase('all_items')}|{phrase('about_rewrite')}",
    re.IGNORECASE,
)
"""A note on an item speaks of it; a note to whoever answers it does not."""

_BRACKETED = re.compile(r"\[[^\[\]]*\]")
_ABOUT_ITEM = re.compile(
    rf"[ \t]*+[*_]{{0,2}}[(\uff08\[](?:{phrase('skills')}[ \t]?[:\uff1a]"
    r"|this (?:instruction|task|prompt|question)\b|requires?\b|focus\b)[^()\n]{0,300}[)\uff09\]]"
    r"[*_]{0,2}\Z"
    r"|[ \t]*+[-\u2013\u2014][ \t][*_]{0,2}this (?:instruction|task|prompt|question)\b"
    r"[^\n]{0,300}\Z",
    re.IGNORECASE,
)
_HEADING = re.compile(
    r"[ \t]*+(?:#{1,6}[ \t][^\n]*|\*\*[^*\n]{1,60}[^*\n.?!]\*\*:?|[-*_]{3,})[ \t]*+"
)
_LONGEST_TAIL: Final = 600
_MOST_NOTES: Final = 3


def item_text(first: str, below: list[str]) -> str:
    """Join the *first* line of an item and those *below*, without indentation and an answer."""
    block = [first, *below]
    for at, line in enumerate(below, 1):
        if not _ANSWER.match(line) or _QUESTION.match(block[at - 1]):
            continue
        if any(map(str.strip, block[:at])):
            answer = (_ANSWER.sub("", line, count=1).strip("*_ "), *block[at + 1 :])
            below = below[: at - 1] if any(map(str.strip, answer)) else below
            break
    depths = [len(line) - len(line.lstrip()) for line in below if line.strip()]
    depth = min(depths, default=0)
    return "\n".join([first, *(line[depth:].rstrip() for line in below)]).strip()


def without_last_remark(block: str) -> str:
    """Remove a last paragraph or line about all instructions from the last one."""
    before, _, last = block.rpartition("\n")
    is_apart = before.endswith("\n") and _TO_ALL.search(last)
    return before.rstrip() if before and (is_about_all(last) or is_apart) else block


def is_about_all(line: str) -> bool:
    """Return whether *line* speaks of all items, or closes a chat."""
    return _ALL_ITEMS.match(line.replace("**", "")) is not None


def without_notes(blocks: list[str]) -> list[str]:
    """Remove last lines like "Skills: …" or "_Focus: …_" if every item has one."""
    for _ in range(_MOST_NOTES):
        parts = [block.rstrip().rpartition("\n") for block in blocks]
        labels = {split_label(last)[0].lower() for before, _, last in parts if before}
        if len(blocks) < 2 or len(labels) != 1 or not all(before for before, _, _ in parts):
            break
        label = labels.pop()
        is_note = _NOTE_LABEL.fullmatch(label) and all(
            _IS_ABOUT_ITEM.search(last) for _, _, last in parts
        )
        if not is_note and not _ABOUT_LABEL.fullmatch(label):
            break
        blocks = [before.rstrip() for before, _, _ in parts]
    return blocks


def without_headings(blocks: list[str]) -> list[str]:
    """Remove the first lines of *blocks* if all are titles above a text."""
    parts = [block.partition("\n") for block in blocks]
    is_titled = all(
        below.strip() and not title.rstrip().endswith((".", "?", "!", ":", "\u3002"))
        for title, _, below in parts
    )
    return [below.strip() for _, _, below in parts] if is_titled else blocks


def clean_item(block: str) -> str:
    """Remove from an instruction its label, its marks and what is said about it."""
    if (label := _LABEL.match(block)) and label.end() < len(block):
        block = block[label.end() :]
    lines = block.split("\n")
    # What stands below the last blank line may be the heading of the next item, or a rule.
    while len(lines) > 1 and (
        not lines[-1].strip() or (not lines[-2].strip() and is_heading(lines[-1]))
    ):
        lines.pop()
    text = "\n".join(lines)
    if about := _ABOUT_ITEM.search(text, max(0, len(text) - _LONGEST_TAIL)):
        text = text[: about.start()]
    text = unwrapped(text.strip())
    return text[1:-1].strip() if _BRACKETED.fullmatch(text) else text


def is_heading(line: str) -> bool:
    """Return whether *line* is a heading, a short line in bold, or a rule."""
    return _HEADING.fullmatch(line) is not None


def untitled(blocks: list[str]) -> list[str]:
    """Remove bold titles if every instruction has one; a single one may be part of the text."""
    titles = [_TITLE.match(block) for block in blocks]
    if len(blocks) < 2 or not all(
        title and title.end() < len(block) for title, block in zip(titles, blocks, strict=True)
    ):
        return blocks
    return [block[title.end() :] for title, block in zip(titles, blocks, strict=True) if title]
