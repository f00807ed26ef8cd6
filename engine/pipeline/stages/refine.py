"""Refine: one basic instruction through at most four rounds of Self-Rubrics and filtering.

Paper §4.2, §4.3 and A.3: both models answer, the judge scores both orders, a gap above the
threshold selects, a smaller one sends the instruction on to be made harder by one random action.
The rounds are a loop in here and not a circle of streams, which would deadlock.
"""

from collections.abc import Iterator
from random import Random
from typing import Literal

from msgspec import Struct

from ....prompts import Improve, Respond, Score
from ...calls.counters import Counters
from ...calls.model import Model, ParsedReply, Pending
from ...data.errors import ItemError
from ...data.records import Answer, Call, Example, Fate, Iteration, Judgement, Winner
from .decode import Draft
from .filter import quality_gap, verdict


class Rules(Struct, frozen=True):
    """The loop's settings; `config` documents them."""

    threshold: float = 3.0
    max_iterations: int = 4
    filter_basic: bool = True
    leftover: Literal["drop", "keep_strong"] = "drop"
    action_sampling: Literal["without_replacement", "independent"] = "without_replacement"
    improve_attempts: int = 3
    keep_cut_off: bool = True
    run_seed: int = 0


class Improver(Struct, frozen=True):
    """Rewrites an instruction by one random action of its metadata (paper §4.2)."""

    strong: Model
    attempts: int = 3

    async def __call__(self, story: "Story") -> bool:
        """Rewrite *story*'s instruction; with other actions where that fails. False: none worked.

        Raises:
            ItemError: a passing failure.
        """
        if not story.actions:
            story.exhausted = ("no_actions", story.draft.rubrics.reason)
            return False
        metadata = story.draft.metadata
        for attempt in range(self.attempts):
            action = story.next_action()
            try:
                reply = await self.strong.ask(
                    Improve(
                        instruction=story.instruction,
                        action=action,
                        use_case=metadata.use_case,
                        skills=metadata.skills,
                    ),
                    item=story.draft.id,
                    sample=f"/{len(story.rounds)}.{attempt}",
                    attempts=1,
                )
            except ItemError as error:
                if error.transient:
                    raise
                story.exhausted = ("improve_failed", error.detail)
            else:
                story.calls.append(reply.call)
                story.improve(action, reply.value)
                return True
        return False


class Refiner(Struct, frozen=True):
    strong: Model
    target: Model
    judge: Model
    rules: Rules
    counters: Counters

    async def __call__(self, draft: Draft) -> list[Example]:
        """Give *draft* its fate. A question nobody could answer makes it ``failed``, not an error.

        Raises:
            ItemError: a passing failure; the draft is to be taken up again another time.
        """
        story = Story(draft, self.rules)
        try:
            await self._loop(story)
        except ItemError as error:
            if error.transient:
                raise
            story.end("failed", error.reason, error.detail)
        return [story.example()]

    async def _loop(self, story: "Story") -> None:
        rules = self.rules
        improve = Improver(self.strong, rules.improve_attempts)
        for number in range(1, rules.max_iterations + 1):
            if number > 1 and not await improve(story):
                break
            if number > 1 or rules.filter_basic:
                await self._contrast(story, number)
                if story.selected(rules):
                    self.counters.selected[number] = self.counters.selected.get(number, 0) + 1
                    return
            else:
                story.rounds.append(Iteration(number=1, instruction=story.instruction))
        story.left_over(rules)

    async def _contrast(self, story: "Story", number: int) -> None:
        """Let both models answer, and the judge score both orders."""
        strong, target = await self._answers(story, number)
        first = self._ask_score(story, strong.text, target.text)
        second = self._ask_score(story, target.text, strong.text)
        one = await self.judge.finish(first)
        two = await self.judge.finish(second)
        story.calls += [one.call, two.call]
        judgements = (
            Judgement(one.value[0], one.value[1], one.reply.text),
            Judgement(two.value[1], two.value[0], two.reply.text),
        )
        self.counters.scored[number] = self.counters.scored.get(number, 0) + 1
        story.rounds.append(
            Iteration(
                number=number,
                instruction=story.instruction,
                action=story.action,
                strong=strong,
                target=target,
                judgements=judgements,
                gap=quality_gap(judgements),
            )
        )

    async def _answers(self, story: "Story", number: int) -> tuple[Answer, Answer]:
        pending = [
            respond_to(role, story.draft.id, story.instruction, number=number)
            for role in (self.strong, self.target)
        ]
        strong = await self.strong.finish(pending[0])
        target = await self.target.finish(pending[1])
        story.calls += [strong.call, target.call]
        return as_answer(strong), as_answer(target)

    def _ask_score(self, story: "Story", first: str, second: str) -> Pending[tuple[float, float]]:
        prompt = Score(instruction=story.instruction, first=first, second=second)
        return self.judge.begin(prompt, item=story.draft.id)


class Story:
    """What has happened to one instruction so far."""

    def __init__(self, draft: Draft, rules: Rules) -> None:
        self.draft = draft
        self.instruction = draft.instruction
        self.action: str | None = None
        self.actions = draft.rubrics.actions
        self.rounds: list[Iteration] = []
        self.calls: list[Call] = list(draft.calls)
        self.exhausted: tuple[str, str] = ("gap", "")
        self._fate: Fate = "filtered"
        self._winner: Winner | None = None
        self._reason = ""
        self._detail = ""
        self._upcoming = _shuffled(
            self.actions,
            f"{rules.run_seed}/{draft.id}/actions",
            again=rules.action_sampling == "independent",
        )

    def next_action(self) -> str:
        return next(self._upcoming)

    def improve(self, action: str, instruction: str) -> None:
        self.action = action
        self.instruction = instruction

    def selected(self, rules: Rules) -> bool:
        """Select the last round if its gap says so."""
        last = self.rounds[-1]
        assert last.gap is not None
        choice = verdict(last.gap, rules.threshold)
        if choice == "again":
            return False
        self.take(choice, "selected", keep_cut_off=rules.keep_cut_off)
        return True

    def take(self, winner: Winner, reason: str, *, keep_cut_off: bool) -> None:
        """Keep the last round with *winner*'s answer, unless that was cut off and must not be."""
        self._winner = winner
        last = self.rounds[-1]
        answer = last.strong if winner == "strong" else last.target
        if answer is not None and answer.finish_reason == "length" and not keep_cut_off:
            self.end("filtered", "cut_off", f"the answer of {winner} ended at max_tokens")
        else:
            self.end("kept", reason)

    def left_over(self, rules: Rules) -> None:
        """No round was selected: drop it, or keep it marked as what it is."""
        reason, detail = self.exhausted
        if rules.leftover == "keep_strong" and self.rounds and self.rounds[-1].strong is not None:
            self._winner = "strong"
            self.end("kept", f"leftover_{reason}", detail)
        else:
            self.end("filtered", reason, detail)

    def end(self, fate: Fate, reason: str, detail: str = "") -> None:
        self._fate, self._reason, self._detail = fate, reason, detail

    def example(self) -> Example:
        return self.draft.ended(
            self._fate,
            self._reason,
            self._detail,
            iterations=self.rounds,
            winner=self._winner,
            calls=self.calls,
        )


def _shuffled(actions: tuple[str, ...], seed: str, *, again: bool) -> Iterator[str]:
    """Give actions at random: each once before any comes twice, or (*again*) independently."""
    random = Random(seed)  # made with the first action: most instructions never need one
    while True:
        if again:
            yield random.choice(actions)
        else:
            yield from random.sample(actions, len(actions))


def respond_to(model: Model, item: str, instruction: str, *, number: int) -> Pending[str]:
    """Begin to ask *model* for an answer in round *number* of *item*."""
    sample = f"/{number}.{model.role}"
    return model.begin(Respond(instruction=instruction), item=item, sample=sample)


def as_answer(reply: ParsedReply[str]) -> Answer:
    return Answer(reply.value, reply.reply.finish_reason)
