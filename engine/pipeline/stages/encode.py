"""Encode: a seed instruction becomes its metadata (paper §4.1)."""

from msgspec import Struct

from ....prompts import Encode, Vocabulary
from ...calls.model import Model
from ...data.records import Call, Metadata, Seed, identity


class Encoder(Struct, frozen=True):
    """Describes a seed by a use case and skills of *vocabulary*."""

    strong: Model
    vocabulary: Vocabulary = Vocabulary()

    async def __call__(self, seed: Seed) -> tuple[Metadata, Call]:
        """Ask for the use case, the skills and the language of *seed*.

        Raises:
            ItemError: no reply with metadata could be read.
        """
        prompt = Encode(instruction=seed.instruction, vocabulary=self.vocabulary)
        reply = await self.strong.ask(prompt, item=seed.id)
        description = reply.value
        use_case, skills = description.use_case, description.skills
        metadata = Metadata(
            position=seed.position,
            id=identity("metadata", seed.id, use_case, *skills),
            use_case=use_case,
            skills=skills,
            origin="seed",
            seed_ids=(seed.id,),
            language=description.traits.language,
            given_text=description.traits.given_text,
        )
        return metadata, reply.call
