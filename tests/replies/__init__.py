"""Replies as models write them, of our own wording, each with what is right to read from it.

One file for each stage, and one in ``held_out`` that parsers were not written against. Those in
``unseen_1`` are by another hand, who had not read the parsers; further batches by the same hand,
each read once before the parsers learnt from it; ``unseen_7`` follows a third author's, in our own
words. A reply begins with ``@@ FAMILY LANGUAGE``. What
is right stands at the end, in lines ``=> TEXT`` with ``\\n`` for a line break, or ``=> refused``;
or the reply marks it itself, ⟦thus⟧.
"""

import re
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from codeclm.prompts import ParseError, split_reasoning
from codeclm.prompts.decode import read_instructions
from codeclm.prompts.encode import read_metadata
from codeclm.prompts.equal import read_equal
from codeclm.prompts.evolved import read_evolved
from codeclm.prompts.improve import read_improved
from codeclm.prompts.judge import read_verdict
from codeclm.prompts.rubrics import read_rubrics
from codeclm.prompts.score import read_scores

FOLDER = Path(__file__).parent
ORIGINAL = "Explain how rain forms."
_HEADER = re.compile(
    r"^@@ (?P<family>\w+) (?P<language>\w+)(?: n=(?P<number>\d+))?\n", re.MULTILINE
)

_MARKED = re.compile("⟦(.*?)⟧", re.DOTALL)
_MARKS = str.maketrans("", "", "⟦⟧")


class ModelReply(NamedTuple):
    family: str
    language: str
    number: int
    """Instructions asked for, where that matters."""
    text: str
    right: tuple[str, ...]
    """The lines that are right, or nothing where the reply must be refused."""


class Counts(NamedTuple):
    right: int
    refused: int
    """Rightly."""
    unread: int
    """Refused though readable."""
    wrong: int


def replies(file: Path) -> Iterator[ModelReply]:
    """Read the replies of one file."""
    parts = _HEADER.split(file.read_text("utf-8"))
    for family, language, number, body in zip(*(parts[n::4] for n in range(1, 5)), strict=True):
        text, *lines = re.split(r"^=> ?", body, flags=re.MULTILINE)
        right = tuple(line.rstrip("\n").replace("\\n", "\n") for line in lines)
        right = right or tuple(_MARKED.findall(text))
        refused = right == ("refused",)
        text = split_reasoning(text.translate(_MARKS).rstrip("\n")).answer
        yield ModelReply(family, language, int(number or 3), text, () if refused else right)


def _pairs(text: str) -> tuple[str, ...]:
    rubrics, actions = read_rubrics(text)
    return tuple(
        f"{rubric} | {action}" for rubric, action in zip_longest(rubrics, actions, fillvalue="")
    )


def _metadata(text: str) -> tuple[str, ...]:
    use_case, skills = read_metadata(text)
    return (f"{use_case} | {'; '.join(skills)}",)


def _numbers(scores: tuple[float, float]) -> tuple[str, ...]:
    return (f"{scores[0]:g} {scores[1]:g}",)


READERS: dict[str, Callable[[ModelReply], Any]] = {
    "encode": lambda reply: _metadata(reply.text),
    "decode": lambda reply: tuple(read_instructions(reply.text, number=reply.number)),
    "rubrics": lambda reply: _pairs(reply.text),
    "improve": lambda reply: (read_improved(reply.text, original=ORIGINAL),),
    "evolved": lambda reply: (read_evolved(reply.text),),
    "score": lambda reply: _numbers(read_scores(reply.text)),
    "judge": lambda reply: _numbers(read_verdict(reply.text)),
    "equal": lambda reply: ("equal" if read_equal(reply.text) else "not equal",),
}


def outcome(stage: str, reply: ModelReply) -> tuple[str, ...]:
    """Return what the parser of *stage* reads, nothing if it refuses."""
    try:
        read: tuple[str, ...] = READERS[stage](reply)
    except ParseError:
        return ()
    return read


def count(stage: str, file: Path) -> Counts:
    """Count what the parser of *stage* makes of the replies of *file*."""
    right = refused = unread = wrong = 0
    for reply in replies(file):
        read = outcome(stage, reply)
        if read == reply.right:
            right, refused = right + bool(read), refused + (not read)
        else:
            unread, wrong = unread + (not read), wrong + bool(read)
    return Counts(right, refused, unread, wrong)
