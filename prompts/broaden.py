"""Broaden: ask for a new instruction of the same domain (WizardLM, docs/algorithm.md §8.4)."""

from .evolved import read_rewrite
from .prompt import JsonSchema, Priority, Prompt, RawReply, Sizes, Typical, filler
from .schemas import instruction as instruction_schema


class Broaden(Prompt[str], frozen=True, kw_only=True):
    """Ask for a rarer instruction of the same domain, length and difficulty."""

    name = "broaden"
    priority = Priority.REWRITE

    instruction: str

    def read(self, reply: RawReply) -> str:
        return read_rewrite(reply, original=self.instruction)

    def schema(self) -> JsonSchema:
        return instruction_schema(self.instruction)

    @classmethod
    def typical(cls, sizes: Sizes) -> Typical:
        return Typical(cls(instruction=filler(sizes.instruction)), 100)
