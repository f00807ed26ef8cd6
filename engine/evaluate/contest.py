"""The line of an evaluation: prompts ─▶ candidate ∥ reference ─▶ judge, both orders ─▶ verdict.

It keeps no ledger: every answer is in the cache before it is used, so that doing it again after a
kill pays for nothing twice, and a test set is small enough to be held in memory.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

import structlog
from msgspec import Struct

from ...prompts import Judge, RawReply, Respond, read_answer
from ..calls.clients import Clients
from ..calls.counters import Counters
from ..calls.model import Model, PendingCall
from ..data.errors import ItemError, RunStopped
from ..data.records import Answer, identity
from ..data.test_sets import Question
from ..pipeline.line import Stage, begin, run
from .settings import Side
from .verdicts import Ruling

events = structlog.get_logger()

Answers = Mapping[str, Answer]
"""What a contestant said, by the question's id."""


class Comparison(Struct, frozen=True, kw_only=True):
    """One prompt's whole story. ``reason`` says why a verdict is invalid, ``detail`` more of it."""

    id: str
    category: str
    prompt: str
    candidate: Answer | None = None
    reference: Answer | None = None
    rulings: tuple[Ruling | None, Ruling | None] = (None, None)
    """Candidate shown first, then reference shown first."""
    reason: str = ""
    detail: str = ""


class _AnyAnswer(Respond, frozen=True, kw_only=True):
    """Take any answer as it is: an empty one is a bad answer, and the judge may say so."""

    def read(self, reply: RawReply) -> str:
        return read_answer(reply)


class Contest(Struct, frozen=True):
    """Let two contestants answer, and the judge score both orders."""

    contestants: Mapping[Side, Model | Answers]
    judge: Model

    async def __call__(self, question: Question) -> list[Comparison]:
        """Compare the answers to *question*. What nobody can answer or judge is invalid.

        Raises:
            ItemError: a passing failure; another time it may well succeed.
        """
        candidate = reference = None
        try:
            pending = self._begin("candidate", question), self._begin("reference", question)
            candidate = await self._finish("candidate", pending[0])
            reference = await self._finish("reference", pending[1])
        except ItemError as error:
            if error.transient:
                raise
            return [_comparison(question, candidate, reference, error=error)]
        one, two = [
            self._ask(question, candidate.text, reference.text),
            self._ask(question, reference.text, candidate.text),
        ]
        first, fault = await self._ruling(one, swapped=False)
        second, another = await self._ruling(two, swapped=True)
        rulings, fault = (first, second), fault or another
        return [_comparison(question, candidate, reference, rulings=rulings, error=fault)]

    async def _ruling(
        self, pending: PendingCall[tuple[float, float]], *, swapped: bool
    ) -> tuple[Ruling | None, ItemError | None]:
        """Read one order's scores; where they can't be read, say why."""
        try:
            asked = await self.judge.finish(pending)
        except ItemError as error:
            if error.transient:
                raise
            return None, error
        first, second = asked.value
        scores = (second, first) if swapped else (first, second)
        return Ruling(*scores, asked.reply.text), None

    def _begin(self, side: Side, question: Question) -> PendingCall[str] | Answer:
        contestant = self.contestants[side]
        if not isinstance(contestant, Model):
            return contestant[question.id]
        return contestant.begin(
            _AnyAnswer(instruction=question.prompt),
            item=identity("question", question.id, question.prompt),
            # Greedy answers are shared, whichever side and evaluation asks for them.
            sample=f"/{side}" if contestant.sampling.temperature != 0 else "",
        )

    async def _finish(self, side: Side, pending: PendingCall[str] | Answer) -> Answer:
        contestant = self.contestants[side]
        if isinstance(pending, Answer):
            return pending
        assert isinstance(contestant, Model)
        reply = await contestant.finish(pending)
        return Answer(reply.value, reply.reply.finish_reason)

    def _ask(self, question: Question, first: str, second: str) -> PendingCall[tuple[float, float]]:
        prompt = Judge(instruction=question.prompt, first=first, second=second)
        return self.judge.begin(prompt, item=identity("question", question.id, question.prompt))


def _comparison(
    question: Question,
    candidate: Answer | None,
    reference: Answer | None,
    *,
    rulings: tuple[Ruling | None, Ruling | None] = (None, None),
    error: ItemError | None = None,
) -> Comparison:
    return Comparison(
        id=question.id,
        category=question.category,
        prompt=question.prompt,
        candidate=candidate,
        reference=reference,
        rulings=rulings,
        reason=error.reason if error else "",
        detail=error.detail if error else "",
    )


class Session(Struct):
    """What one session of an evaluation came to, in the order of the test set."""

    questions: Sequence[Question]
    counters: Counters
    comparisons: dict[str, Comparison] = {}
    unanswered: dict[str, str] = {}
    """Prompts that failed for a passing reason, by id."""
    stopped_by: str = ""

    @property
    def ordered(self) -> list[Comparison]:
        return [self.comparisons[q.id] for q in self.questions if q.id in self.comparisons]


async def hold(session: Session, contest: Contest, clients: Clients, *, workers: int) -> None:
    """Compare all of *session*'s questions, or as many as there are until it is stopped."""

    async def keep(comparison: Comparison) -> None:
        session.comparisons[comparison.id] = comparison
        if comparison.reason:
            events.warning("verdict.invalid", question=comparison.id, reason=comparison.reason)

    def lost(question: Question, error: ItemError) -> None:
        session.unanswered[question.id] = str(error)
        events.warning("question.lost", question=question.id, error=str(error))

    def halt(error: RunStopped) -> None:
        session.stopped_by = session.stopped_by or str(error)
        clients.stop()

    line = begin(Stage("contest", contest, lost, workers=workers))
    await run(_each(session.questions), line, keep, halt=halt, counts=session.counters.stages)
    await clients.drained()


async def _each(questions: Iterable[Question]) -> AsyncIterator[Question]:
    for question in questions:
        yield question
