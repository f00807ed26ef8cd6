"""Decode: metadata becomes basic instructions, and rubrics with the actions that follow from them.

Both are asked for at once, since neither needs the other (paper §4.1 and §4.2).
"""

from collections import deque

from msgspec import Struct

from ....prompts import Decode, InLanguage, RubricsAndActions, WithText, WriteRubrics
from ...calls.model import Model, PendingCall
from ...data.errors import ItemError
from ...data.records import Call, InstructionRequest, Metadata, identity
from ...data.text.fingerprint import fingerprint
from .draft import Draft, Rubrics

_MOST_PENDING = 1024
"""Calls of one request that wait at once: a million instructions are a hundred thousand calls."""


class Decoder(Struct, frozen=True):
    """Asks for instructions and rubrics.

    ``chunk`` is the most instructions in one call, ``extra_calls`` how many more calls a request
    may take if replies hold duplicates or too few, ``rubrics`` how many to ask for (0: none).
    """

    strong: Model
    chunk: int = 10
    extra_calls: int = 3
    rubrics: int = 4

    async def __call__(self, request: InstructionRequest) -> list[Draft]:
        """Write ``request.count`` distinct basic instructions, or as many as possible.

        Raises:
            ItemError: no instruction could be written, or a transient failure.
        """
        collected = _Collected(request)
        sizes = _sizes(request.count, self.chunk)
        rubrics = self._begin_rubrics(request.metadata) if self.rubrics else None
        pending = deque[PendingCall[list[str]]]()
        for n, size in enumerate(sizes):
            pending.append(self._begin(request, n, size))
            if len(pending) == _MOST_PENDING:
                await self._collect(collected, pending.popleft())
        while pending:
            await self._collect(collected, pending.popleft())
        for n in range(len(sizes), len(sizes) + self.extra_calls):
            missing = request.count - len(collected.texts)
            if missing <= 0:
                break
            size = min(missing, self.chunk)
            await self._collect(collected, self._begin(request, n, size))
        drafts_rubrics = await self._finish_rubrics(collected, rubrics) if rubrics else Rubrics()
        if not collected.texts:
            raise collected.failure
        return collected.drafts(drafts_rubrics)

    def _begin(self, request: InstructionRequest, n: int, size: int) -> PendingCall[list[str]]:
        metadata = request.metadata
        return self.strong.begin(
            Decode(
                number=size,
                use_case=metadata.use_case,
                skills=metadata.skills,
                language=InLanguage(metadata.language),
                material=WithText(metadata.given_text),
            ),
            item=metadata.id,
            sample=f"/{request.start}.{n}" if request.start or n else "",
        )

    async def _collect(self, collected: "_Collected", question: PendingCall[list[str]]) -> None:
        try:
            reply = await self.strong.finish(question)
        except ItemError as error:
            if error.transient:
                raise
            collected.failure = error
        else:
            collected.add(reply.value, reply.call)

    def _begin_rubrics(self, metadata: Metadata) -> PendingCall[RubricsAndActions]:
        return self.strong.begin(
            WriteRubrics(
                number=self.rubrics,
                use_case=metadata.use_case,
                skills=metadata.skills,
                language=InLanguage(metadata.language),
            ),
            item=metadata.id,
        )

    async def _finish_rubrics(
        self, collected: "_Collected", question: PendingCall[RubricsAndActions]
    ) -> Rubrics:
        try:
            reply = await self.strong.finish(question)
        except ItemError as error:
            if error.transient:
                raise
            return Rubrics(reason=error.detail, is_refused=error.is_refused)
        collected.calls.append(reply.call)
        return Rubrics(*reply.value)


class _Collected:
    """The distinct instructions of one request."""

    def __init__(self, request: InstructionRequest) -> None:
        self.request = request
        self.texts: list[str] = []
        self.calls: list[Call] = []
        self.failure = ItemError(
            "no_instructions", "every instruction was one that this metadata already had"
        )
        """Why nothing was written, if nothing was."""
        self._fingerprints = set(request.fingerprints)

    def add(self, texts: list[str], call: Call) -> None:
        self.calls.append(call)
        for text in texts:
            text_fingerprint = fingerprint(text)
            is_new = text_fingerprint not in self._fingerprints
            if is_new and len(self.texts) < self.request.count:
                self._fingerprints.add(text_fingerprint)
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
    """Split *count* into calls of at most *chunk*."""
    full, rest = divmod(count, chunk)
    return [chunk] * full + ([rest] if rest else [])
