"""Respond: ask for an answer to an instruction (paper §4.3)."""

from .prompt import JsonSchema, Priority, Prompt, RawReply, Sizes, Typical, filler
from .reading import ParseError, WithheldError


class Respond(Prompt[str], frozen=True, kw_only=True):
    """Ask for the answer to *instruction*, as a user would."""

    name = "respond"
    priority = Priority.ANSWER

    instruction: str

    def read(self, reply: RawReply) -> str:
        answer = read_answer(reply)
        if not answer.strip():
            raise ParseError("the answer is empty")
        return answer

    def schema(self) -> JsonSchema | None:
        return None

    @classmethod
    def typical(cls, sizes: Sizes) -> Typical:
        return Typical(cls(instruction=filler(sizes.instruction)), sizes.answer)


def read_answer(reply: RawReply) -> str:
    """Read an answer, the whole *reply*, which may be empty.

    Raises:
        WithheldError: a filter or the model itself withheld it.
    """
    if reply.finish_reason in {"content_filter", "refusal"} and not reply.text.strip():
        raise WithheldError(reply.finish_reason)
    return reply.text
