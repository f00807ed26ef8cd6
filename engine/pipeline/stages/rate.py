"""Rate: keep what the judge finds accurate enough (AlpaGasus, docs/algorithm.md §8.2)."""

from statistics import fmean

from msgspec import Struct, structs

from ....prompts import Rate
from ...calls.model import Model
from ...data.errors import ItemError
from ...data.records import Example
from .answer import Answerer
from .draft import Draft


class Rater(Struct, frozen=True):
    """Keeps answers that *judges* rate at least *at_least* out of 5 for accuracy, on average."""

    answer: Answerer
    judges: tuple[Model, ...]
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
        pending = [judge.begin(prompt, item=item) for judge in self.judges]
        try:
            replies = [
                await judge.finish(call) for judge, call in zip(self.judges, pending, strict=True)
            ]
        except ItemError as error:
            if error.transient:
                raise
            return structs.replace(
                example, fate="failed", winner=None, reason=error.reason, detail=error.detail
            )
        rating = fmean(reply.value for reply in replies)
        is_accurate = rating >= self.at_least
        return structs.replace(
            example,
            fate="kept" if is_accurate else "filtered",
            reason="accurate" if is_accurate else "inaccurate",
            detail=f"rated {rating:g} of 5",
            calls=(*example.calls, *(reply.call for reply in replies)),
        )
