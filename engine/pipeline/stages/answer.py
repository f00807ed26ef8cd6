"""Answer: get the strong model's answer to an instruction, rewritten or as it is, unscored.

The paper's ablations and the simpler baselines end this way; they differ in the rewriting.
"""

from collections.abc import Awaitable, Callable

from msgspec import Struct, structs

from ...calls.model import Model
from ...config import FilterConfig
from ...data.errors import ItemError
from ...data.records import Example, Iteration
from .draft import Draft
from .refinement import Refinement
from .respond import respond

Rewrite = Callable[[Refinement], Awaitable[bool]]
"""Rewrites a refinement's instruction, and returns whether that worked."""


class Answerer(Struct, frozen=True):
    """Rewrites *rewrites* times, then lets the strong model answer the last instruction.

    An instruction whose rewriting fails midway keeps the last rewrite that worked; one that cannot
    be rewritten at all is filtered.
    """

    strong: Model
    settings: FilterConfig
    rewrite: Rewrite | None = None
    rewrites: int = 0
    run_seed: int = 0

    async def __call__(self, draft: Draft) -> list[Example]:
        """Give *draft* its fate.

        Raises:
            ItemError: a transient failure; the draft is to be answered again another time.
        """
        refinement = Refinement(draft, self.settings, self.run_seed)
        refinement.rounds.append(Iteration(number=1, instruction=refinement.instruction))
        try:
            if await self._rewrite(refinement):
                await self._answer(refinement)
        except ItemError as error:
            if error.transient:
                raise
            refinement.end("failed", error.reason, error.detail)
        return [refinement.example()]

    async def _rewrite(self, refinement: Refinement) -> bool:
        """Rewrite as often as possible; if no rewrite works, end *refinement*."""
        for number in range(2, self.rewrites + 2):
            if self.rewrite is None or not await self.rewrite(refinement):
                break
            refinement.rounds.append(
                Iteration(
                    number=number, instruction=refinement.instruction, action=refinement.action
                )
            )
        if self.rewrites and len(refinement.rounds) == 1:
            refinement.end("filtered", *refinement.failure)
            return False
        return True

    async def _answer(self, refinement: Refinement) -> None:
        last = refinement.rounds[-1]
        answer, call = await respond(
            self.strong, refinement.draft.id, last.instruction, number=last.number
        )
        refinement.calls.append(call)
        refinement.rounds[-1] = structs.replace(last, strong=answer)
        refinement.keep("strong", "answered")
