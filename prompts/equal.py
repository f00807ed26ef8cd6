"""Equal: ask whether a rewritten instruction gained anything (WizardLM, docs/algorithm.md §8.4)."""

import re

from .languages import phrase
from .prompt import JsonSchema, Priority, Prompt, RawReply, Sizes, Typical, filler
from .reading import ParseError, excerpt, read_word
from .schemas import BOOLEAN, object_of

_NOT_EQUAL = re.compile(phrase("not_equal"), re.IGNORECASE)
_EQUAL = re.compile(phrase("equal"), re.IGNORECASE)
_VERDICT = re.compile(r"[:\uff1a\u2014][ \t*_]*([^:\uff1a\u2014\n]{1,30})\W*\Z")
_EITHER = re.compile(r"\bequal\b\W{0,5}(?:or\b\W{0,5})?not[\s-]equal", re.IGNORECASE)


class Equal(Prompt[bool], frozen=True, kw_only=True):
    """Ask whether two instructions have the same constraints, depth and breadth."""

    name = "equal"
    priority = Priority.ANSWER

    first: str
    second: str

    def read(self, reply: RawReply) -> bool:
        return read_equal(reply.text)

    def schema(self) -> JsonSchema:
        return object_of(equal=BOOLEAN)

    @classmethod
    def typical(cls, sizes: Sizes) -> Typical:
        instruction = filler(sizes.instruction)
        return Typical(cls(first=instruction, second=instruction), 3)


def read_equal(text: str) -> bool:
    """Read whether two prompts are equal.

    Raises:
        ParseError: the reply says neither.
    """
    reply = read_word(text)
    if isinstance(reply, bool):
        return reply
    if last := _VERDICT.search(reply):
        reply = last[1] if _EQUAL.search(last[1]) else reply
    negative, positive = _NOT_EQUAL.search(reply), _EQUAL.search(reply)
    if not (negative or positive) or _EITHER.search(reply):
        raise ParseError(f"neither equal nor not equal: {excerpt(reply)}")
    # A negation holds the word that it negates; what is said first is the judgement.
    return not negative or (positive is not None and positive.start() < negative.start())
