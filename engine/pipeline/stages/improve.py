"""Improve: an instruction, rewritten by one random action of its metadata (paper §4.2)."""

from msgspec import Struct

from ....prompts import Improve, InLanguage
from ...calls.model import Model
from ...data.errors import ItemError
from ...quality.similarity import is_near_copy
from .refinement import Refinement


class Improver(Struct, frozen=True):
    """Makes an instruction harder; tries at most *attempts* actions.

    A rewrite that is nearly its original would cost two answers and two judgements for nothing.
    """

    strong: Model
    attempts: int = 3

    async def __call__(self, refinement: Refinement) -> bool:
        """Rewrite the instruction of *refinement*; return whether that worked.

        Raises:
            ItemError: a transient failure.
        """
        rubrics, metadata = refinement.draft.rubrics, refinement.draft.metadata
        if not rubrics.actions:
            refinement.note_no_actions()
            return False
        for attempt in range(self.attempts):
            action = refinement.next_action()
            prompt = Improve(
                instruction=refinement.instruction,
                action=action,
                use_case=metadata.use_case,
                skills=metadata.skills,
                language=InLanguage(metadata.language),
            )
            sample = f"/{len(refinement.rounds)}.{attempt}"
            try:
                reply = await self.strong.ask(
                    prompt, item=refinement.draft.id, sample=sample, attempts=1
                )
            except ItemError as error:
                if error.transient:
                    raise
                refinement.note_failed_rewrite("improve_failed", error)
                continue
            if is_near_copy(reply.value, refinement.instruction):
                refinement.note_near_copy(reply.call)
                continue
            refinement.rewrite(reply.value, action=action, call=reply.call)
            return True
        return False
