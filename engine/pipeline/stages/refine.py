"""Refine: one basic instruction through at most four rounds of Self-Rubrics and filtering.

Paper §4.2, §4.3 and A.3: both models answer and the judge scores both orders. A gap above the
threshold selects the instruction; otherwise one random action makes it harder for the next round.
The rounds are a loop inside this stage: a circle of streams would deadlock.
"""

from msgspec import Struct, structs

from ...calls.counters import Counters
from ...calls.model import Model
from ...config import FilterConfig
from ...data.errors import ItemError
from ...data.records import Answer, Example, Iteration, Judgement
from .draft import Draft
from .filter import quality_gap
from .improve import Improver
from .refinement import Refinement
from .respond import begin_response, finish_response
from .score import AnswerPair, PairScorer


class Refiner(Struct, frozen=True):
    """Gives drafts their fates."""

    strong: Model
    target: Model
    scorer: PairScorer
    settings: FilterConfig
    counters: Counters
    run_seed: int = 0

    async def __call__(self, draft: Draft) -> list[Example]:
        """Refine *draft*. A prompt without a readable reply makes it ``failed``, not an error.

        Raises:
            ItemError: a transient failure; the draft is to be refined again another time.
        """
        refinement = Refinement(draft, self.settings, self.run_seed)
        try:
            await self._loop(refinement)
        except ItemError as error:
            if error.transient:
                raise
            refinement.end("failed", error.reason, error.detail)
        return [refinement.example()]

    async def _loop(self, refinement: Refinement) -> None:
        settings = self.settings
        improve = Improver(self.strong, settings.improve_attempts)
        for number in range(1, settings.max_iterations + 1):
            if number > 1 and not await improve(refinement):
                break
            if number > 1 or settings.filter_basic:
                await self._contrast(refinement, number)
                if await self._selects(refinement):
                    self.counters.selected[number] = self.counters.selected.get(number, 0) + 1
                    return
            else:
                refinement.rounds.append(Iteration(number=1, instruction=refinement.instruction))
        refinement.end_unselected()

    async def _contrast(self, refinement: Refinement, number: int) -> None:
        """Add a round: both models answer, and the judge scores both orders."""
        strong, target = await self._answers(refinement, number)
        judgements = await self._score(refinement, strong, target)
        self.counters.scored[number] = self.counters.scored.get(number, 0) + 1
        refinement.rounds.append(
            Iteration(
                number=number,
                instruction=refinement.instruction,
                action=refinement.action,
                strong=strong,
                target=target,
                judgements=judgements,
                gap=quality_gap(judgements),
            )
        )

    async def _selects(self, refinement: Refinement) -> bool:
        """End with the last round if its gap is large enough, twice over with ``confirm``."""
        if not refinement.exceeds():
            return False
        if self.settings.confirm:
            last = refinement.rounds[-1]
            assert last.strong is not None
            assert last.target is not None
            confirmation = await self._score(
                refinement, last.strong, last.target, sample="/confirmation"
            )
            refinement.rounds[-1] = structs.replace(last, confirmation=confirmation)
            if not refinement.is_confirmed(quality_gap(confirmation)):
                return False
        refinement.select()
        return True

    async def _score(
        self, refinement: Refinement, strong: Answer, target: Answer, sample: str = ""
    ) -> tuple[Judgement, Judgement]:
        pair = AnswerPair(refinement.instruction, strong.text, target.text)
        scored = await self.scorer(pair, refinement.draft.id, sample)
        refinement.calls += scored.calls
        return scored.judgements

    async def _answers(self, refinement: Refinement, number: int) -> tuple[Answer, Answer]:
        item, instruction = refinement.draft.id, refinement.instruction
        pending = [
            begin_response(model, item, instruction, number=number)
            for model in (self.strong, self.target)
        ]
        strong, strong_call = await finish_response(self.strong, pending[0])
        target, target_call = await finish_response(self.target, pending[1])
        refinement.calls += [strong_call, target_call]
        return strong, target
