"""Deepen: ask for an instruction rewritten in depth (WizardLM, docs/algorithm.md §8.4)."""

from typing import Final

from .evolved import read_rewrite
from .prompt import JsonSchema, Priority, Prompt, RawReply, Sizes, Typical, filler
from .schemas import instruction as instruction_schema

METHODS: Final = (
    "Add one more constraint or requirement to #Given Prompt#.",
    "If #Given Prompt# asks about some issue, raise the depth and the breadth of the inquiry.",
    "Replace general concepts in #Given Prompt# by more specific ones.",
    "If simple thought solves #Given Prompt#, rewrite it to ask explicitly for reasoning in steps.",
)
"""Add constraints, deepen, make concrete, ask for reasoning."""


class Deepen(Prompt[str], frozen=True, kw_only=True):
    """Ask for *instruction* to be made a little harder by *method*, one of `METHODS`."""

    name = "deepen"
    priority = Priority.REWRITE

    instruction: str
    method: str

    def read(self, reply: RawReply) -> str:
        return read_rewrite(reply, original=self.instruction)

    def schema(self) -> JsonSchema:
        return instruction_schema(self.instruction)

    @classmethod
    def typical(cls, sizes: Sizes) -> Typical:
        return Typical(cls(instruction=filler(sizes.instruction), method=filler(20)), 100)
