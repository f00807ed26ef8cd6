"""Plausible: ask whether a mixed use case and skills make sense together (paper A.3)."""

import re

from .languages import phrase
from .prompt import (
    TYPICAL_SKILLS,
    TYPICAL_USE_CASE,
    JsonSchema,
    Priority,
    Prompt,
    RawReply,
    Sizes,
    Typical,
)
from .reading import ParseError, excerpt, read_word, tags_as_labels
from .schemas import BOOLEAN, object_of

_YES_OR_NO = re.compile(
    rf"\W*(?:(?:final )?answer(?: is)?\W+)?(?:(?P<yes>{phrase('yes')})|{phrase('no')})"
    r"(?:\b|(?=[\u3400-\u9fff]))",
    re.IGNORECASE,
)


class Plausible(Prompt[bool], frozen=True, kw_only=True):
    """Ask whether an instruction could belong to *use_case* and need *skills*."""

    name = "plausible"
    priority = Priority.ENCODE

    use_case: str
    skills: tuple[str, ...]

    def read(self, reply: RawReply) -> bool:
        return read_yes(reply.text)

    def schema(self) -> JsonSchema:
        return object_of(plausible=BOOLEAN)

    @classmethod
    def typical(cls, sizes: Sizes) -> Typical:
        del sizes  # metadata has one length
        return Typical(cls(use_case=TYPICAL_USE_CASE, skills=TYPICAL_SKILLS), 2)


def read_yes(text: str) -> bool:
    """Read a yes or a no, which must be the first word.

    Raises:
        ParseError: it is neither.
    """
    reply = read_word(text)
    if isinstance(reply, bool):
        return reply
    word = _YES_OR_NO.match(tags_as_labels(reply))
    if not word:
        raise ParseError(f"neither yes nor no: {excerpt(reply)}")
    return word["yes"] is not None
