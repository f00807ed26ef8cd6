"""Answer: an instruction, rewritten or as it is, gets the strong model's answer; nothing is judged.

The end of the paper's ablations and of the simpler baselines: what differs is the rewriting. With a
rating (AlpaGasus, spec §8.2) what was answered is kept only if the answer is accurate enough.
"""

from collections.abc import Awaitable, Callable

from msgspec import Struct, structs

from ....prompts import Rate
from ...calls.model import Model
from ...data.errors import ItemError
from ...data.records import Answer, Call, Example, Iteration
from .decode import Draft
from .refine import Rules, Story, as_answer, respond_to

Rewrite = Callable[[Story], Awaitable[bool]]
"""Gives a story its next instruction, or says that none could be had."""


class Answerer(Struct, frozen=True):
    """Rewrites *rewrites* times, then lets the strong model answer the last instruction.

    One whose rewriting fails midway keeps the last rewrite that worked; one that could not be
    rewritten at all is filtered.
    """

    strong: Model
    rules: Rules
    rewrite: Rewrite | None = None
    rewrites: int = 0

    async def __call__(self, draft: Draft) -> list[Example]:
        """Give *draft* its fate.

        Raises:
            ItemError: a passing failure; the draft is to be taken up again another time.
        """
        story = Story(draft, self.rules)
        story.rounds.append(Iteration(number=1, instruction=story.instruction))
        try:
            if await self._rewritten(story):
                await self._answer(story)
        except ItemError as error:
            if error.transient:
                raise
            story.end("failed", error.reason, error.detail)
        return [story.example()]

    async def _rewritten(self, story: Story) -> bool:
        for number in range(2, self.rewrites + 2):
            if self.rewrite is None or not await self.rewrite(story):
                break
            story.rounds.append(
                Iteration(number=number, instruction=story.instruction, action=story.action)
            )
        if self.rewrites and len(story.rounds) == 1:
            story.end("filtered", *story.exhausted)
            return False
        return True

    async def _answer(self, story: Story) -> None:
        last = story.rounds[-1]
        answer, call = await respond(
            self.strong, story.draft.id, last.instruction, number=last.number
        )
        story.calls.append(call)
        story.rounds[-1] = structs.replace(last, strong=answer)
        story.take("strong", "answered", keep_cut_off=self.rules.keep_cut_off)


async def respond(
    strong: Model, item: str, instruction: str, *, number: int
) -> tuple[Answer, Call]:
    """Ask *strong* to answer in round *number*: the call that Contrastive Filtering makes too.

    Raises:
        ItemError: no answer could be had.
    """
    pending = respond_to(strong, item, instruction, number=number)
    reply = await strong.finish(pending)
    return as_answer(reply), reply.call


class Rater(Struct, frozen=True):
    """Keeps what *judge* rates at least *least* out of 5 for its accuracy."""

    answer: Answerer
    judge: Model
    least: float = 4.5

    async def __call__(self, draft: Draft) -> list[Example]:
        """Let *draft* be answered, and rate the answer.

        Raises:
            ItemError: a passing failure; the draft is to be taken up again another time.
        """
        return [await self._rated(draft.id, example) for example in await self.answer(draft)]

    async def _rated(self, item: str, example: Example) -> Example:
        answer = example.answer("strong")
        if example.fate != "kept" or answer is None:
            return example
        try:
            prompt = Rate(instruction=example.instruction, answer=answer.text)
            reply = await self.judge.ask(prompt, item=item)
        except ItemError as error:
            if error.transient:
                raise
            return structs.replace(
                example, fate="failed", winner=None, reason=error.reason, detail=error.detail
            )
        enough = reply.value >= self.least
        return structs.replace(
            example,
            fate="kept" if enough else "filtered",
            reason="accurate" if enough else "inaccurate",
            detail=f"rated {reply.value:g} of 5",
            calls=(*example.calls, reply.call),
        )
