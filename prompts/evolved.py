"""Evolve: shared parts of WizardLM's rewriting prompts, and the elimination of their results.

The rules of elimination are those of docs/algorithm.md §8.4.
"""

import re
from typing import Final

from .prompt import RawReply
from .reading import (
    ParseError,
    check_complete,
    parse_json,
    reply_body,
    strip_fence,
    strip_quotes,
)

_LABEL = re.compile(
    r"(?:#++[ \t]*+)?[*_]{0,3}#?(?:rewritten|created|new) (?:prompt|instruction)#?[*_]{0,3}"
    r"[ \t]*+(?::[*_]{0,3}|\n|$)\s*+",
    re.IGNORECASE,
)
_FRAME: Final = ("given prompt", "rewritten prompt", "created prompt", "new prompt#")
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


def read_rewrite(reply: RawReply) -> str:
    """Read the reply to a rewriting prompt.

    Raises:
        ParseError: it was cut off or is empty.
    """
    check_complete(reply, "the evolved prompt")
    return read_evolved(reply.text)


def read_evolved(text: str) -> str:
    """Read an evolved prompt, without an echoed label, quotes or fence around it.

    Raises:
        ParseError: it is empty.
    """
    evolved = strip_label(text)
    if not evolved:
        raise ParseError("the evolved prompt is empty")
    return evolved


def strip_label(text: str) -> str:
    """Return the rewritten instruction in a reply, without label, quotes or fence around it."""
    reply = reply_body(text)
    field = (parse_json(reply) or {}).get("instruction")
    instruction = field.strip() if isinstance(field, str) else reply
    if label := _LABEL.match(instruction):
        instruction = instruction[label.end() :]
    return strip_quotes(strip_fence(instruction.strip()))


def copies_frame(evolved: str, *, original: str) -> bool:
    """Return whether *evolved* holds words of the template that *original* does not."""
    return any(phrase in evolved.lower() and phrase not in original.lower() for phrase in _FRAME)


def apologises(answer: str) -> bool:
    """Return whether *answer* says sorry in fewer than 80 words: the model could not answer."""
    return "sorry" in answer.lower() and len(answer.split()) < _SORRY_WORDS


def says_nothing(answer: str) -> bool:
    """Return whether *answer* consists of punctuation and stop words only."""
    return all(word.lower().replace("\u2019", "'") in _STOP for word in _WORD.findall(answer))
