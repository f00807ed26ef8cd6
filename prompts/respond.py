"""Respond: ask for an answer to an instruction (paper §4.3)."""

from typing import Final

from .prompt import JsonSchema, Priority, Prompt, RawReply, Sizes, Typical, filler
from .reading import ParseError, is_refusal

_REFUSAL_WORDS: Final = 80
"""A longer answer that begins so goes on to say something, as WizardLM's eliminator assumes."""


class Respond(Prompt[str], frozen=True, kw_only=True):
    """Ask for the answer to *instruction*, as a user would."""

    name = "respond"
    priority = Priority.ANSWER

    instruction: str

    def read(self, reply: RawReply) -> str:
        if not reply.text.strip():
            raise ParseError("the answer is empty")
        return reply.text

    def schema(self) -> JsonSchema | None:
        return None

    @classmethod
    def typical(cls, sizes: Sizes) -> Typical:
        return Typical(cls(instruction=filler(sizes.instruction)), sizes.answer)


def reads_like_refusal(answer: str) -> bool:
    """Return whether *answer* is short and begins like a refusal in words."""
    return is_refusal(answer) and len(answer.split()) < _REFUSAL_WORDS
