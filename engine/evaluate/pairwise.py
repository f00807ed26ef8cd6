"""Pairwise judging of one prompt: two answers, scored by the judge in both orders (paper §5.3)."""

from collections.abc import Mapping

from msgspec import Struct

from ...prompts import Judge, RawReply, Respond
from ..calls.model import Model, PendingCall
from ..data.errors import ItemError
from ..data.records import Answer, identity
from ..data.test_sets import Question
from ..pipeline.stages.respond import answer
from .settings import Side
from .verdicts import Ruling

Answers = Mapping[str, Answer]
"""Answers by the id of their question."""


class PairwiseComparison(Struct, frozen=True, kw_only=True):
    """Everything about one prompt, as in ``comparisons.jsonl``.

    Attributes:
        id: the question's.
        category: the question's, if it has one.
        prompt: as the models got it.
        candidate: its answer.
        reference: its answer.
        rulings: candidate shown first, then reference shown first.
        reason: why the verdict is invalid; empty if it is not.
        detail: more about the reason.
    """

    id: str
    category: str
    prompt: str
    candidate: Answer | None = None
    reference: Answer | None = None
    rulings: tuple[Ruling | None, Ruling | None] = (None, None)
    reason: str = ""
    detail: str = ""


class _AnyAnswer(Respond, frozen=True, kw_only=True):
    """Accepts any answer: an empty one is a bad answer, which the judge may score low."""

    def read(self, reply: RawReply) -> str:
        return reply.text


class PairwiseEvaluator(Struct, frozen=True):
    """Gets two answers to a prompt, and the judge's scores in both orders."""

    answerers: Mapping[Side, Model | Answers]
    judge: Model

    async def __call__(self, question: Question) -> list[PairwiseComparison]:
        """Compare the answers to *question*. Without both answers and rulings it is invalid.

        Raises:
            ItemError: a transient failure; another attempt may succeed.
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
        scoring = (
            self._begin_scoring(question, candidate.text, reference.text),
            self._begin_scoring(question, reference.text, candidate.text),
        )
        one, one_error = await self._finish_scoring(scoring[0], swapped=False)
        two, two_error = await self._finish_scoring(scoring[1], swapped=True)
        fault = one_error or two_error
        return [_comparison(question, candidate, reference, rulings=(one, two), error=fault)]

    def _begin(self, side: Side, question: Question) -> PendingCall[str] | Answer:
        answerer = self.answerers[side]
        if not isinstance(answerer, Model):
            return answerer[question.id]
        return answerer.begin(
            _AnyAnswer(instruction=question.prompt),
            item=identity("question", question.id, question.prompt),
            # Greedy answers are shared by both sides and all evaluations.
            sample=f"/{side}" if answerer.sampling.temperature != 0 else "",
        )

    async def _finish(self, side: Side, pending: PendingCall[str] | Answer) -> Answer:
        if isinstance(pending, Answer):
            return pending
        answerer = self.answerers[side]
        assert isinstance(answerer, Model)
        reply = await answerer.finish(pending)
        return answer(reply)

    def _begin_scoring(
        self, question: Question, first: str, second: str
    ) -> PendingCall[tuple[float, float]]:
        prompt = Judge(instruction=question.prompt, first=first, second=second)
        return self.judge.begin(prompt, item=identity("question", question.id, question.prompt))

    async def _finish_scoring(
        self, pending: PendingCall[tuple[float, float]], *, swapped: bool
    ) -> tuple[Ruling | None, ItemError | None]:
        """Return one order's ruling, or why its scores cannot be read."""
        try:
            reply = await self.judge.finish(pending)
        except ItemError as error:
            if error.transient:
                raise
            return None, error
        first, second = reply.value
        scores = (second, first) if swapped else (first, second)
        return Ruling(*scores, reply.reply.text), None


def _comparison(
    question: Question,
    candidate: Answer | None,
    reference: Answer | None,
    *,
    rulings: tuple[Ruling | None, Ruling | None] = (None, None),
    error: ItemError | None = None,
) -> PairwiseComparison:
    return PairwiseComparison(
        id=question.id,
        category=question.category,
        prompt=question.prompt,
        candidate=candidate,
        reference=reference,
        rulings=rulings,
        reason=error.reason if error else "",
        detail=error.detail if error else "",
    )
