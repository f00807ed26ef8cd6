"""Plausible: does a mixed pair of use case and skills make sense?

The authors removed unreasonable pairs by hand (paper A.3); this asks the strong model instead.
"""

from msgspec import Struct

from ....prompts import Plausible
from ...calls.model import Model
from ...data.errors import ItemError
from ...data.records import Metadata


class Plausibility(Struct, frozen=True):
    """Drops metadata that makes no sense."""

    strong: Model

    async def select(self, items: list[Metadata]) -> list[Metadata]:
        """Return those of *items* that make sense; one that the model cannot judge is left out.

        Raises:
            ItemError: a transient failure.
        """
        pending = [
            self.strong.begin(Plausible(use_case=item.use_case, skills=item.skills), item=item.id)
            for item in items
        ]
        sensible = list[Metadata]()
        for item, question in zip(items, pending, strict=True):
            try:
                reply = await self.strong.finish(question)
            except ItemError as error:
                if error.transient:
                    raise
                continue
            if reply.value:
                sensible.append(item)
        return sensible
