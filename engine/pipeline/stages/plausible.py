"""Plausible: does a mixed pair of use case and skills make sense?

The authors removed unreasonable pairs by hand (paper A.3); this asks the strong model instead.
"""

from msgspec import Struct

from .... import prompts
from ...calls.model import Model
from ...calls.replies import StoredReply
from ...data.errors import ItemError
from ...data.records import Metadata


class Plausibility(Struct, frozen=True):
    strong: Model

    async def sift(self, items: list[Metadata]) -> list[Metadata]:
        """Return those of *items* that make sense; one the model can't judge is left out."""
        pending = [
            self.strong.begin("plausible", item=item.id, use_case=item.use_case, skills=item.skills)
            for item in items
        ]
        sensible = list[Metadata]()
        for item, question in zip(items, pending, strict=True):
            try:
                answer = await self.strong.finish(question, _read_yes)
            except ItemError as error:
                if error.transient:
                    raise
                continue
            if answer.value:
                sensible.append(item)
        return sensible


def _read_yes(reply: StoredReply) -> bool:
    return prompts.read_yes(reply.text)
