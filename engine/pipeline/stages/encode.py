"""Encode: a seed instruction becomes its metadata (paper §4.1)."""

from msgspec import Struct

from .... import prompts
from ...calls.model import Model
from ...calls.replies import StoredReply
from ...data.records import Call, Metadata, Seed, identity


class Encoder(Struct, frozen=True):
    """``use_cases`` and ``skills`` restrict the metadata to a predefined set; empty: anything."""

    strong: Model
    use_cases: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()

    async def __call__(self, seed: Seed) -> tuple[Metadata, Call]:
        """Ask for the use case and the skills of *seed*.

        Raises:
            ItemError: no readable metadata could be had.
        """
        asked = await self.strong.ask(
            "encode",
            self._read,
            item=seed.id,
            instruction=seed.instruction,
            vocabulary=prompts.vocabulary(self.use_cases, self.skills),
        )
        use_case, skills = asked.value
        metadata = Metadata(
            position=seed.position,
            id=identity("metadata", seed.id, use_case, *skills),
            use_case=use_case,
            skills=skills,
            origin="seed",
            seed_ids=(seed.id,),
        )
        return metadata, asked.call

    def _read(self, reply: StoredReply) -> tuple[str, tuple[str, ...]]:
        return prompts.read_metadata(reply.text, use_cases=self.use_cases, skills=self.skills)
