"""Read the improver's reply: one instruction, harder than the one before."""

import re
from typing import Final

from .reading import ParseError, json_reply, normal, opened, quoted, refuses, unfenced, unquoted

_KIND = r"(?:improved|input|original|given|revised|rewritten|new|enhanced|modified|updated)"
_LABEL = re.compile(
    rf"(?:#++[ \t]*+)?[*_]{{0,3}}{_KIND} instructions?[*_]{{0,3}}[ \t]*+(?::[*_]{{0,3}}|$)\s*+",
    re.IGNORECASE | re.MULTILINE,
)
_CUE = re.compile(
    rf"^[ \t]*+(?:#++[ \t]*+)?[*_]{{0,3}}(?:{_KIND} instruction|action item)[*_]{{0,3}}[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)
_LEAD = re.compile(
    r"[^\n]{0,100}\b(?:improved|challenging|revised|rewritten|enhanced|harder|updated|modified) "
    r"(?:instruction|version|prompt)\b[^\n]{0,100}:[*_]{0,3}[ \t]*+\n\s*",
    re.IGNORECASE,
)
_LEAD_WORD = re.compile(
    r"^\W*(?:sure|certainly|of course|here(?:['\u2019]s| is)|absolutely|okay|ok)\b", re.IGNORECASE
)
_FEWEST_WORDS: Final = 3


def read_improved(text: str, *, original: str) -> str:
    """Read the improved instruction, without an echoed label, quotes or fence around it.

    Raises:
        ParseError: it is empty, a refusal, still holds the prompt's labels, or says no more than
            *original*.
    """
    reply = opened(text)
    fields = json_reply(reply) or {}
    given = fields.get("instruction", fields.get("improved_instruction"))
    instruction = _unwrapped(given if isinstance(given, str) else reply)

    if not instruction:
        raise ParseError("the improved instruction is empty")
    if _CUE.search(instruction) and not _CUE.search(original):
        raise ParseError(f"the prompt's own labels are in it: {quoted(instruction)}")
    if refuses(instruction) and not refuses(original):
        raise ParseError(f"a refusal: {quoted(instruction)}")
    if normal(instruction) == normal(original):
        raise ParseError("the instruction was not changed")
    return instruction


def copies_action(text: str, action: str) -> bool:
    """Tell whether *text* holds *action* word for word; one or two words do not count."""
    words, copied = (" ".join(re.findall(r"\w+", part.casefold())) for part in (action, text))
    return words.count(" ") + 1 >= _FEWEST_WORDS and f" {words} " in f" {copied} "


def _unwrapped(text: str) -> str:
    text = text.strip()
    if _LEAD_WORD.match(text) and (lead := _LEAD.match(text)):
        text = text[lead.end() :]
    if label := _LABEL.match(text):
        text = text[label.end() :]
    return unquoted(unfenced(text.strip()))
