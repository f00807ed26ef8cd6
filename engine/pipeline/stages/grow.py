"""Grow: Tree-Instruct's rewrite, a larger semantic tree (docs/algorithm.md §8.3)."""

from msgspec import Struct

from ....prompts import Grow
from ...calls.model import Model
from ...data.errors import ItemError
from .refinement import Refinement

WORDS_PER_NODE = 4
"""Words that a node adds at least: the original asks for 12 with three nodes."""

MOST_WORDS = 200
"""Words of a grown instruction at most; the original's 100, for three nodes, do not hold ten."""


class Grower(Struct, frozen=True):
    """Adds ``nodes[n]`` nodes in pass *n*: (10,) in one pass, (3, 3, 4) in three."""

    strong: Model
    nodes: tuple[int, ...] = (10,)

    async def __call__(self, refinement: Refinement) -> bool:
        """Enlarge the instruction of *refinement*; return whether that worked.

        Raises:
            ItemError: a transient failure.
        """
        number = len(refinement.rounds)
        nodes = self.nodes[number - 1]
        prompt = Grow(
            instruction=refinement.instruction,
            nodes=nodes,
            fewest=WORDS_PER_NODE * nodes,
            most=MOST_WORDS,
        )
        try:
            reply = await self.strong.ask(prompt, item=refinement.draft.id, sample=f"/{number}")
        except ItemError as error:
            if error.transient:
                raise
            refinement.failure = ("grow_failed", error.detail)
            return False
        refinement.rewrite(reply.value, action=f"{nodes} more nodes", call=reply.call)
        return True
