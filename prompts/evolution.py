"""Evol-Instruct and Tree-Instruct: how a prompt is evolved, and how the replies are read.

The methods of WizardLM and its rules of elimination (spec §8.4), and Tree-Instruct's rewrite
(§8.3), in our own words.
"""

import re
from typing import Final

from .reading import (
    ParseError,
    json_reply,
    normal,
    one_word,
    opened,
    quoted,
    refuses,
    unfenced,
    unquoted,
)

METHODS: Final = (
    "Add one more constraint or requirement to #Given Prompt#.",
    "If #Given Prompt# asks about some issue, raise the depth and the breadth of the inquiry.",
    "Replace general concepts in #Given Prompt# by more specific ones.",
    "If simple thought solves #Given Prompt#, rewrite it to ask explicitly for reasoning in steps.",
)
"""In-depth evolving: constraints, deepening, concretising, reasoning. Only the prompt varies."""

_LABEL = re.compile(
    r"(?:#++[ \t]*+)?[*_]{0,3}#?(?:rewritten|created|new) (?:prompt|instruction)#?[*_]{0,3}"
    r"[ \t]*+(?::[*_]{0,3}|\n|$)\s*+",
    re.IGNORECASE,
)
_MARKS: Final = ("given prompt", "rewritten prompt", "created prompt", "new prompt#")
_NOT_EQUAL = re.compile(r"\b(?:not|un|isn['\u2019]t|aren['\u2019]t)[\s_-]*equal", re.IGNORECASE)
_EQUAL = re.compile(r"\bequal\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_SORRY_WORDS: Final = 80
_STOP_WORDS: Final = """
a about after all also am an and any are as at be because been before being but by can could did do
does doing for from had has have having he her here hers him his how i if in into is it its just me
more most my no nor not now of off on once only or other our ours out over own same she should so
some such than that the their theirs them then there these they this those through to too under
until up very was we were what when where which while who whom why will with would you your yours
"""
_STOP: Final = frozenset(_STOP_WORDS.split())


def read_evolved(text: str) -> str:
    """Read an evolved prompt, without a repeated label, quotes or fence around it.

    Raises:
        ParseError: it is empty.
    """
    evolved = _instruction(text)
    if not evolved:
        raise ParseError("the evolved prompt is empty")
    return evolved


def read_grown(text: str, *, original: str) -> str:
    """Read Tree-Instruct's new instruction.

    Raises:
        ParseError: it is empty, unchanged or a refusal, says NONE, or speaks of the procedure.
    """
    grown = _instruction(text)
    if not grown or normal(grown) == "none":
        raise ParseError("there is no new instruction")
    if "semantic parsing" in grown.lower() and "semantic parsing" not in original.lower():
        raise ParseError(f"it speaks of the procedure: {quoted(grown)}")
    if normal(grown) == normal(original):
        raise ParseError("the instruction was not changed")
    if refuses(grown) and not refuses(original):
        raise ParseError(f"a refusal: {quoted(grown)}")
    return grown


def read_equal(text: str) -> bool:
    """Read whether two prompts are equal. "Not equal" holds the word "equal": it is tried first.

    Raises:
        ParseError: it says neither.
    """
    reply = one_word(text)
    if isinstance(reply, bool):
        return reply
    if _NOT_EQUAL.search(reply):
        return False
    if _EQUAL.search(reply):
        return True
    raise ParseError(f"neither equal nor not equal: {quoted(reply)}")


def copies_marks(evolved: str, *, original: str) -> bool:
    """Tell whether *evolved* took over words of the frame it was asked in."""
    return any(mark in evolved.lower() and mark not in original.lower() for mark in _MARKS)


def apologises(answer: str) -> bool:
    """Tell whether *answer* says sorry in fewer than 80 words: the prompt could not be answered."""
    return "sorry" in answer.lower() and len(answer.split()) < _SORRY_WORDS


def says_nothing(answer: str) -> bool:
    """Tell whether *answer* is made of punctuation and stop words alone."""
    return all(word.lower().replace("\u2019", "'") in _STOP for word in _WORD.findall(answer))


def _instruction(text: str) -> str:
    reply = opened(text)
    given = (json_reply(reply) or {}).get("instruction")
    found = given.strip() if isinstance(given, str) else reply
    if label := _LABEL.match(found):
        found = found[label.end() :]
    return unquoted(unfenced(found.strip()))
