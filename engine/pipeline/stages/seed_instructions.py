"""Seeds as instructions: the user's own in place of decoded ones, for recipes without metadata."""

from math import ceil

from msgspec import Struct

from ...data.records import InstructionRequest, Metadata, Seed, identity
from .draft import Draft, Rubrics


def placeholder_metadata(seed: Seed) -> Metadata:
    """Return metadata that only records which seed it comes from."""
    return Metadata(seed.position, identity("seed", seed.id), "", (), "none", (seed.id,))


class SeedAsInstruction(Struct, frozen=True):
    """Takes the request's text as a basic instruction as often as its rows need.

    Each draft may become *rows* rows, has samples of its own, and an equal part of the request.
    """

    rows: int = 1

    async def __call__(self, request: InstructionRequest) -> list[Draft]:
        [text] = request.texts
        drafts = ceil(request.count / self.rows)
        base, rest = divmod(request.count, drafts)
        return [
            self._draft(request, request.start + n, text, base + (n < rest)) for n in range(drafts)
        ]

    def _draft(self, request: InstructionRequest, number: int, text: str, rows: int) -> Draft:
        suffix = (str(number),) if number else ()
        name = identity("instruction", request.metadata.id, text, *suffix)
        return Draft(name, request, number, text, Rubrics(), rows=rows)
