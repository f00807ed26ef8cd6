"""Reasoning: what a model thinks before it answers, told apart from the answer by its marks.

Servers that know a model's marks keep its reasoning in a field of its own (vLLM's
``--reasoning-parser``, llama.cpp's ``--reasoning-format``); others leave it in the text.
"""

import re
from itertools import islice
from typing import Final, NamedTuple

_PAIRS: Final = (
    ("<think>", "</think>"),  # DeepSeek, Qwen, GLM, Kimi, MiniMax, Nemotron, Phi, OLMo, …
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),  # EXAONE
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),  # Magistral
    ("◁think▷", "◁/think▷"),  # Kimi-VL
    ("<|begin_of_thought|>", "<|end_of_thought|>"),  # Sky-T1, OpenThinker
    ("<|START_THINKING|>", "<|END_THINKING|>"),  # Cohere
    ("<|channel|>analysis<|message|>", "<|end|>"),  # gpt-oss
)
_BY_TEMPLATE: Final = ("</think>", "</seed:think>", "[/THINK]", "◁/think▷", "<|end_of_thought|>")
"""Closing marks whose opening one may be in the chat template, so that only they are in a reply."""

_OPENING: Final = re.compile(
    rf"\s*+(?:{'|'.join(re.escape(opening) for opening, _ in _PAIRS)})", re.IGNORECASE
)
_CLOSING: Final = {
    opening.lower(): re.compile(rf"(?<!`){re.escape(closing)}(?!`)", re.IGNORECASE)
    for opening, closing in _PAIRS
}
_LONE_CLOSING: Final = re.compile(
    rf"(?<!`)(?:{'|'.join(map(re.escape, _BY_TEMPLATE))})(?!`)", re.IGNORECASE
)
_FENCE: Final = re.compile(r"^[ \t]{0,12}(?:```|~~~)", re.MULTILINE)
_MOST_MENTIONS: Final = 20
"""Closing marks to look at: an answer about them may mention some before the one that counts."""

_BEFORE_ANSWER: Final = re.compile(
    r"\s*+(?:<\|start\|>assistant)?+"
    r"(?:<\|channel\|>final<\|message\|>|<\|begin_of_solution\|>|<\|START_RESPONSE\|>)?+\s*+"
)
_AFTER_ANSWER: Final = re.compile(
    r"\s*+(?:<\|return\|>|<\|end\|>|<\|end_of_solution\|>|<\|END_RESPONSE\|>)\s*+\Z"
)


class SplitReply(NamedTuple):
    """A reply's text in two parts.

    Attributes:
        answer: What remains without the reasoning; the text as it was if there is none.
        reasoning: What was thought first.
        is_closed: Whether the reasoning ends; if not, there is no answer.
    """

    answer: str
    reasoning: str = ""
    is_closed: bool = True


def split_reasoning(text: str) -> SplitReply:
    """Split *text* into reasoning at its start and the answer behind it.

    Marks elsewhere are the answer's own: in code, or where an answer writes about them.
    """
    if not _may_hold_reasoning(text):
        return SplitReply(text)
    thoughts = list[str]()
    at = 0
    if not _OPENING.match(text) and (lone := _lone_closing(text)) is not None:
        thoughts.append(text[: lone.start()])
        at = lone.end()
    while opening := _OPENING.match(text, at):
        closing = _CLOSING[opening[0].strip().lower()].search(text, opening.end())
        if closing is None:
            thoughts.append(text[opening.end() :])
            return SplitReply("", _joined(thoughts), is_closed=False)
        thoughts.append(text[opening.end() : closing.start()])
        at = closing.end()
    return SplitReply(_unwrapped(text, at), _joined(thoughts)) if at else SplitReply(text)


def _may_hold_reasoning(text: str) -> bool:
    """Return whether *text* begins like a mark or holds a closing one; costs little per reply."""
    if "<" not in text and "[" not in text and "◁" not in text:
        return False
    start = text[:1]
    if start.isspace():
        start = text.lstrip()[:1]
    if start in {"<", "[", "◁"}:
        return True
    return "think>" in text or "_of_thought" in text or "/THINK]" in text or "/think▷" in text


def _lone_closing(text: str) -> re.Match[str] | None:
    """Return the mark that ends reasoning whose opening mark was in the chat template."""
    for closing in islice(_LONE_CLOSING.finditer(text), _MOST_MENTIONS):
        opening = closing[0].replace("/", "", 1).replace("end_of", "begin_of")
        before = text[: closing.start()]
        if opening.lower() in before.lower() or len(_FENCE.findall(before)) % 2:
            return None
        if not _is_mention(before, text[closing.end() : closing.end() + 40]):
            return closing
    return None


def _is_mention(before: str, after: str) -> bool:
    """Return whether a mark between two texts is part of a sentence about it."""
    line = before.rpartition("\n")[2].rstrip()
    if not line or after[:1] in {"", "\n", "\r"}:
        return False
    if not after[0].isspace():
        return after[0] in ".,;:!?)]}'\"`"
    following = after.lstrip()[:1]
    return following.islower() or line[-1] not in ".!?…"


def _unwrapped(text: str, at: int) -> str:
    """Return what of *text* follows *at*, without the marks that some models put around answers."""
    start = _BEFORE_ANSWER.match(text, at)
    assert start is not None  # it may match nothing
    return _AFTER_ANSWER.sub("", text[start.end() :], count=1)


def _joined(thoughts: list[str]) -> str:
    return "\n\n".join(filter(None, map(str.strip, thoughts)))
