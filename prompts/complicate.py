"""Complicate: ask for structured data to be added as input (WizardLM, docs/algorithm.md §8.4)."""

from .evolved import read_rewrite
from .prompt import JsonSchema, Priority, Prompt, RawReply, Sizes, Typical, filler
from .schemas import instruction as instruction_schema


class Complicate(Prompt[str], frozen=True, kw_only=True):
    """Ask for *instruction* to be made harder by data to work on, such as a table or code."""

    name = "complicate"
    priority = Priority.REWRITE

    instruction: str

    def read(self, reply: RawReply) -> str:
        return read_rewrite(reply, original=self.instruction)

    def schema(self) -> JsonSchema:
        return instruction_schema(self.instruction)

    @classmethod
    def typical(cls, sizes: Sizes) -> Typical:
        return Typical(cls(instruction=filler(sizes.instruction)), 100)
