"""Improve: ask for one instruction, made harder by one action (paper §4.2)."""

from .instruction import read_instruction
from .prompt import (
    TYPICAL_SKILLS,
    TYPICAL_USE_CASE,
    JsonSchema,
    Priority,
    Prompt,
    RawReply,
    Sizes,
    Typical,
    filler,
)
from .reading import ParseError, check_complete, normalise, reply_body
from .schemas import instruction as instruction_schema
from .traits import InLanguage


class Improve(Prompt[str], frozen=True, kw_only=True):
    """Ask for *instruction* to be made more challenging by *action*."""

    name = "improve"
    priority = Priority.REWRITE

    instruction: str
    action: str
    use_case: str = ""
    skills: tuple[str, ...] = ()
    language: InLanguage = InLanguage()

    def read(self, reply: RawReply) -> str:
        check_complete(reply, "the new instruction")
        return read_improved(reply.text, original=self.instruction)

    def schema(self) -> JsonSchema:
        return instruction_schema(self.instruction)

    @classmethod
    def typical(cls, sizes: Sizes) -> Typical:
        prompt = cls(
            instruction=filler(sizes.instruction),
            action=filler(15),
            use_case=TYPICAL_USE_CASE,
            skills=TYPICAL_SKILLS,
        )
        return Typical(prompt, 120)


def read_improved(text: str, *, original: str) -> str:
    """Read the improved instruction alone, without what models write around it.

    Raises:
        ParseError: as `read_instruction`, or it is the same as *original*.
    """
    improved = read_instruction(reply_body(text), original=original)
    if normalise(improved) == normalise(original):
        raise ParseError("the instruction is unchanged")
    return improved
