"""Drafts: what the writing stage passes to the finishing stage."""

from collections.abc import Sequence

from msgspec import Struct

from ...data.records import Call, Example, Fate, InstructionRequest, Iteration, Metadata, Winner


class Rubrics(Struct, frozen=True):
    """What makes an instruction of one metadata item hard, and how to make one harder.

    ``reason`` says why there are none; the instructions can still be filtered without.
    """

    rubrics: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    reason: str = ""


class Draft(Struct, frozen=True):
    """A basic instruction on its way to its fate.

    Attributes:
        id: Names it and its lineage, the same in every run.
        request: The request that asked for it.
        number: Its number among the instructions of its metadata.
        instruction: Its text.
        rubrics: Those of its metadata.
        calls: The calls that wrote it.
        refused: A one-word reason why it is dropped; empty if it is not.
        rows: The most rows it may become: one, unless every round of evolving is a row.
    """

    id: str
    request: InstructionRequest
    number: int
    instruction: str
    rubrics: Rubrics
    calls: tuple[Call, ...] = ()
    refused: str = ""
    rows: int = 1

    @property
    def metadata(self) -> Metadata:
        return self.request.metadata

    def example(
        self,
        fate: Fate,
        reason: str,
        detail: str = "",
        *,
        iterations: Sequence[Iteration] = (),
        winner: Winner | None = None,
        calls: Sequence[Call] | None = None,
    ) -> Example:
        """Return the example that this draft becomes."""
        return Example(
            id=self.id,
            position=self.metadata.position,
            number=self.number,
            metadata=self.metadata,
            basic_instruction=self.instruction,
            iterations=tuple(iterations),
            fate=fate,
            winner=winner,
            reason=reason,
            detail=detail,
            rubrics=self.rubrics.rubrics,
            actions=self.rubrics.actions,
            calls=self.calls if calls is None else tuple(calls),
        )
