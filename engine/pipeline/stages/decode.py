"""Decode: metadata becomes basic instructions, and rubrics with the actions that follow from them.

Both are asked for at once, since neither needs the other (paper §4.1 and §4.2).
"""

from collections.abc import Sequence
from functools import partial

from msgspec import Struct

from .... import prompts
from ...calls.model import Model, PendingCall
from ...calls.replies import StoredReply
from ...data.errors import ItemError
from ...data.records import (
    Call,
    Example,
    Fate,
    InstructionRequest,
    Iteration,
    Metadata,
    Winner,
    identity,
)
from ...data.text.fingerprint import fingerprint


class Rubrics(Struct, frozen=True):
    """What makes an instruction of this metadata hard, and how to make one harder.

    ``reason`` says why there are none; instructions can then still be filtered as they are.
    """

    rubrics: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    reason: str = ""


class Draft(Struct, frozen=True):
    """A basic instruction on its way to its end. ``calls`` made it.

    ``refused`` says in a word why it is not to be taken further; ``rows`` is the most rows it may
    become (one, but where every round of evolving is a row).
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

    def ended(
        self,
        fate: Fate,
        reason: str,
        detail: str = "",
        *,
        iterations: Sequence[Iteration] = (),
        winner: Winner | None = None,
        calls: Sequence[Call] | None = None,
    ) -> Example:
        """Give the example that this draft ends as."""
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


class Decoder(Struct, frozen=True):
    """Asks for instructions and rubrics.

    ``chunk`` is the most instructions in one call, ``extra_calls`` how many more calls an order may
    make when answers held duplicates or too few, ``rubrics`` how many to ask for (0: none).
    """

    strong: Model
    chunk: int = 10
    extra_calls: int = 3
    rubrics: int = 4

    async def __call__(self, request: InstructionRequest) -> list[Draft]:
        """Write ``request.count`` basic instructions, or as many as could be had, none twice.

        Raises:
            ItemError: not one instruction could be had.
        """
        asked = _Collected(request)
        sizes = _sizes(request.count, self.chunk)
        pending = [self._begin(request, n, size) for n, size in enumerate(sizes)]
        rubrics = self._begin_rubrics(request.metadata) if self.rubrics else None
        for n, question in enumerate(pending):
            await self._collect(asked, question, sizes[n])
        for n in range(len(sizes), len(sizes) + self.extra_calls):
            missing = request.count - len(asked.texts)
            if missing <= 0:
                break
            size = min(missing, self.chunk)
            await self._collect(asked, self._begin(request, n, size), size)
        found = await self._finish_rubrics(asked, rubrics) if rubrics else Rubrics()
        if not asked.texts:
            raise ItemError("no_instructions", asked.detail)
        return asked.drafts(found)

    def _begin(self, request: InstructionRequest, n: int, size: int) -> PendingCall:
        return self.strong.begin(
            "decode",
            item=request.metadata.id,
            sample=f"/{request.start}.{n}" if request.start or n else "",
            number=size,
            use_case=request.metadata.use_case,
            skills=request.metadata.skills,
        )

    async def _collect(self, asked: "_Collected", question: PendingCall, size: int) -> None:
        try:
            answer = await self.strong.finish(question, partial(_read_instructions, size))
        except ItemError as error:
            if error.transient:
                raise
            asked.detail = error.detail
        else:
            asked.add(answer.value, answer.call)

    def _begin_rubrics(self, metadata: Metadata) -> PendingCall:
        return self.strong.begin(
            "rubrics",
            item=metadata.id,
            number=self.rubrics,
            use_case=metadata.use_case,
            skills=metadata.skills,
        )

    async def _finish_rubrics(self, asked: "_Collected", question: PendingCall) -> Rubrics:
        try:
            answer = await self.strong.finish(question, _read_rubrics)
        except ItemError as error:
            if error.transient:
                raise
            return Rubrics(reason=error.detail)
        asked.calls.append(answer.call)
        return answer.value


class _Collected:
    """Instructions of one order, none twice."""

    def __init__(self, request: InstructionRequest) -> None:
        self.request = request
        self.texts: list[str] = []
        self.calls: list[Call] = []
        self.detail = "every instruction was one this metadata already had"
        self._known = set(request.known)

    def add(self, texts: list[str], call: Call) -> None:
        self.calls.append(call)
        for text in texts:
            norm = fingerprint(text)
            if norm not in self._known and len(self.texts) < self.request.count:
                self._known.add(norm)
                self.texts.append(text)

    def drafts(self, rubrics: Rubrics) -> list[Draft]:
        metadata = self.request.metadata
        return [
            Draft(
                identity("instruction", metadata.id, text),
                self.request,
                self.request.start + n,
                text,
                rubrics,
                tuple(self.calls),
            )
            for n, text in enumerate(self.texts)
        ]


def _sizes(count: int, chunk: int) -> list[int]:
    """Cut *count* into calls of at most *chunk*."""
    full, rest = divmod(count, chunk)
    return [chunk] * full + ([rest] if rest else [])


def _read_instructions(number: int, reply: StoredReply) -> list[str]:
    return prompts.read_instructions(
        reply.text, number=number, truncated=reply.finish_reason == "length"
    )


def _read_rubrics(reply: StoredReply) -> Rubrics:
    read = prompts.read_rubrics(reply.text)
    return Rubrics(tuple(read.rubrics), tuple(read.actions))
