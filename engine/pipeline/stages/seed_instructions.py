"""Seeds as instructions: the user's own in place of decoded ones, for recipes without metadata."""

from msgspec import Struct

from ...data.records import InstructionRequest, Metadata, Seed, identity
from .draft import Draft, Rubrics


def placeholder_metadata(seed: Seed, *, pass_number: int = 0) -> Metadata:
    """Return metadata that only records which seed it comes from.

    *pass_number* counts passes over the seeds from 0: each pass gets samples of its own.
    """
    suffix = (str(pass_number),) if pass_number else ()
    return Metadata(seed.position, identity("seed", seed.id, *suffix), "", (), "none", (seed.id,))


class SeedAsInstruction(Struct, frozen=True):
    """Takes ``request.texts`` as basic instructions; each may become *rows* rows."""

    rows: int = 1

    async def __call__(self, request: InstructionRequest) -> list[Draft]:
        return [
            Draft(
                identity("instruction", request.metadata.id, text),
                request,
                request.start + n,
                text,
                Rubrics(),
                rows=self.rows,
            )
            for n, text in enumerate(request.texts)
        ]
