"""Rate: keep what the judge finds accurate enough (AlpaGasus, docs/algorithm.md §8.2)."""

from msgspec import Struct, structs

from ....prompts import Rate
from ...calls.model import Model
from ...data.errors import ItemError
from ...data.records import Example
from .answer import Answerer
from .draft import Draft


class Rater(Struct, frozen=True):
    """Keeps answers that *judge* rates at least *at_least* out of 5 for accuracy."""

    answer: Answerer
    judge: Model
    at_least: float = 4.5

    async def __call__(self, draft: Draft) -> list[Example]:
        """Answer *draft*, and rate the answer.

        Raises:
            ItemError: a transient failure; the draft is to be answered again another time.
        """
        return [await self._rated(draft.id, example) for example in await self.answer(draft)]

    async def _rated(self, item: str, example: Example) -> Example:
        answer = example.answer("strong")
        if example.fate != "kept" or answer is None:
            return example
        prompt = Rate(instruction=example.instruction, answer=answer.text)
        try:
            reply = await self.judge.ask(prompt, item=item)
        except ItemError as error:
            if error.transient:
                raise
            return structs.replace(
                example, fate="failed", winner=None, reason=error.reason, detail=error.detail
            )
        is_accurate = reply.value >= self.at_least
        return structs.replace(
            example,
            fate="kept" if is_accurate else "filtered",
            reason="accurate" if is_accurate else "inaccurate",
            detail=f"rated {reply.value:g} of 5",
            calls=(*example.calls, reply.call),
        )
