"""Grow: ask for a larger semantic tree (Tree-Instruct, docs/algorithm.md §8.3)."""

from .evolved import read_evolved
from .prompt import JsonSchema, Priority, Prompt, RawReply, Sizes, Typical, filler
from .reading import ParseError, check_complete, excerpt, normalise
from .schemas import instruction as instruction_schema


class Grow(Prompt[str], frozen=True, kw_only=True):
    """Ask for *nodes* more nodes: at least *fewest* words more, and at most *most* in all."""

    name = "grow"
    priority = Priority.REWRITE

    instruction: str
    nodes: int
    fewest: int
    most: int

    def read(self, reply: RawReply) -> str:
        check_complete(reply, "the new instruction")
        return read_grown(reply.text, original=self.instruction)

    def schema(self) -> JsonSchema:
        return instruction_schema(self.instruction)

    @classmethod
    def typical(cls, sizes: Sizes) -> Typical:
        prompt = cls(instruction=filler(sizes.instruction), nodes=10, fewest=40, most=200)
        return Typical(prompt, 150)


def read_grown(text: str, *, original: str) -> str:
    """Read the new instruction.

    Raises:
        ParseError: as `read_evolved`, or it is "none", unchanged, or mentions the procedure.
    """
    grown = read_evolved(text, original=original)
    if normalise(grown) == "none":
        raise ParseError("there is no new instruction")
    if "semantic parsing" in grown.lower() and "semantic parsing" not in original.lower():
        raise ParseError(f"it mentions the procedure: {excerpt(grown)}")
    if normalise(grown) == normalise(original):
        raise ParseError("the instruction is unchanged")
    return grown
