"""Grow: Tree-Instruct's rewrite, which enlarges an instruction's semantic tree (spec §8.3)."""

from msgspec import Struct

from ....prompts import Grow
from ...calls.model import Model
from ...data.errors import ItemError
from .refine import Story

WORDS_A_NODE = 4
"""Words that a node adds at least: the original asks for 12 with three nodes."""

MOST_WORDS = 200
"""Of a grown instruction; the original's 100 for three nodes hold no ten."""


class Grower(Struct, frozen=True):
    """Adds ``nodes`` nodes, in each pass so many as its place says: (10,) or (3, 3, 4)."""

    strong: Model
    nodes: tuple[int, ...] = (10,)

    async def __call__(self, story: Story) -> bool:
        """Enlarge *story*'s instruction. False: it could not be done.

        Raises:
            ItemError: a passing failure.
        """
        done = len(story.rounds)
        nodes = self.nodes[done - 1]
        try:
            reply = await self.strong.ask(
                Grow(
                    instruction=story.instruction,
                    nodes=nodes,
                    fewest=WORDS_A_NODE * nodes,
                    most=MOST_WORDS,
                ),
                item=story.draft.id,
                sample=f"/{done}",
            )
        except ItemError as error:
            if error.transient:
                raise
            story.exhausted = ("grow_failed", error.detail)
            return False
        story.calls.append(reply.call)
        story.improve(f"{nodes} more nodes", reply.value)
        return True
