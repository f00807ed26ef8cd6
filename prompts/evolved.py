"""Evolve: shared parts of WizardLM's rewriting prompts, and the elimination of their results.

The rules of elimination are those of docs/algorithm.md §8.4.
"""

import re
from typing import Final

from .instruction import read_instruction
from .prompt import RawReply
from .reading import check_complete, reply_body

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
STOP_WORDS: Final = frozenset(_STOP_WORDS.split())
"""English words that say nothing by themselves."""


def read_rewrite(reply: RawReply, *, original: str) -> str:
    """Read the reply to a prompt that asks for *original* to be rewritten.

    Raises:
        ParseError: it was cut off, or as `read_evolved`.
    """
    check_complete(reply, "the evolved prompt")
    return read_evolved(reply.text, original=original)


def read_evolved(text: str, *, original: str = "") -> str:
    """Read an evolved prompt alone, without what models write around it.

    Raises:
        ParseError: as `read_instruction`.
    """
    return read_instruction(reply_body(text), original=original)


def copies_frame(evolved: str, *, original: str) -> bool:
    """Return whether *evolved* holds words of the template that *original* does not."""
    return any(phrase in evolved.lower() and phrase not in original.lower() for phrase in _FRAME)


def apologises(answer: str) -> bool:
    """Return whether *answer* says sorry in fewer than 80 words: the model could not answer."""
    return "sorry" in answer.lower() and len(answer.split()) < _SORRY_WORDS


def says_nothing(answer: str) -> bool:
    """Return whether *answer* consists of punctuation and stop words only."""
    return all(word.lower().replace("\u2019", "'") in STOP_WORDS for word in _WORD.findall(answer))
