"""Evolve: WizardLM's Evol-Instruct, rounds of one random operation each, and its eliminator.

Every round of a draft is an example of its own: evolved and answered, or eliminated, and then the
next round starts from the same instruction again (docs/algorithm.md §8.4).
"""

from collections.abc import Awaitable, Callable
from math import ceil
from random import Random

from msgspec import Struct, structs

from ....prompts import (
    METHODS,
    Broaden,
    Complicate,
    Deepen,
    Equal,
    Prompt,
    apologises,
    copies_frame,
    says_nothing,
)
from ...calls.model import Model
from ...data.errors import ItemError
from ...data.records import Answer, Call, Example, Fate, InstructionRequest, Iteration, identity
from .draft import Draft
from .respond import respond

Outcome = tuple[Fate, str, str]
"""A round's fate, its reason in a word, and a sentence."""

_SURVIVED: Outcome = ("kept", "evolved", "")


class Evolver(Struct, frozen=True):
    """Evolves drafts in *rounds* rounds; *complicate_input* adds a sixth operation to draw from."""

    strong: Model
    rounds: int = 4
    complicate_input: bool = False
    keep_cut_off: bool = False
    run_seed: int = 0

    async def __call__(self, draft: Draft) -> list[Example]:
        """Evolve *draft* into an example per round, of which at most ``draft.rows`` are kept.

        Raises:
            ItemError: a transient failure; the draft is to be evolved again another time.
        """
        lineage = list[Iteration]()
        examples = list[Example]()
        for number in range(1, self.rounds + 1):
            step = _Step(draft, number, tuple(lineage))
            try:
                outcome = await self._evolve(step)
            except ItemError as error:
                if error.transient:
                    raise
                outcome = ("failed", error.reason, error.detail)
            examples.append(step.example(*outcome, rounds=self.rounds))
            if outcome == _SURVIVED:
                lineage.append(structs.replace(step.evolved, strong=None))
        return self._sample(draft, examples)

    async def _evolve(self, step: "_Step") -> Outcome:
        """Evolve and answer; return how the round ends."""
        before = step.before
        action, prompt = self._operation(step)
        reply = await self.strong.ask(prompt, item=step.draft.id, sample=f"/{step.number}")
        step.calls.append(reply.call)
        step.evolved = structs.replace(step.evolved, instruction=reply.value, action=action)
        if copies_frame(reply.value, original=before):
            return "filtered", "copied_frame", "the evolved prompt holds words of the frame"
        if await self._is_equal(step, reply.value):
            return "filtered", "no_information_gain", "judged equal to the prompt before"
        return await self._answer(step)

    def _operation(self, step: "_Step") -> tuple[str, Prompt[str]]:
        """Draw one of the operations; return what it does and its prompt."""
        before = step.before
        operations: list[tuple[str, Prompt[str]]] = [
            (method, Deepen(instruction=before, method=method)) for method in METHODS
        ]
        broaden = Broaden(instruction=before)
        operations.append(("a brand new prompt of the same domain", broaden))
        if self.complicate_input:
            operations.append(("structured data as input", Complicate(instruction=before)))
        random = Random(f"{self.run_seed}/{step.draft.id}/{step.number}/operation")
        return random.choice(operations)

    async def _is_equal(self, step: "_Step", evolved: str) -> bool:
        prompt = Equal(first=step.before, second=evolved)
        reply = await self.strong.ask(prompt, item=step.draft.id, sample=f"/{step.number}")
        step.calls.append(reply.call)
        return reply.value

    async def _answer(self, step: "_Step") -> Outcome:
        evolved = step.evolved
        answer, call = await respond(
            self.strong, step.draft.id, evolved.instruction, number=step.number
        )
        step.calls.append(call)
        step.evolved = structs.replace(evolved, strong=answer)
        return self._judge_answer(answer)

    def _judge_answer(self, answer: Answer) -> Outcome:
        if apologises(answer.text):
            return "filtered", "apology", "a short answer that says sorry"
        if says_nothing(answer.text):
            return "filtered", "empty_answer", "an answer of punctuation and stop words alone"
        if answer.finish_reason == "length" and not self.keep_cut_off:
            return "filtered", "cut_off", "the answer of strong ended at max_tokens"
        return _SURVIVED

    def _sample(self, draft: Draft, examples: list[Example]) -> list[Example]:
        """Keep at most ``draft.rows`` of the rounds that survived, drawn at random."""
        kept = [example.number for example in examples if example.fate == "kept"]
        random = Random(f"{self.run_seed}/{draft.id}/rounds")
        sampled = set(random.sample(kept, min(draft.rows, len(kept))))
        return [
            structs.replace(example, fate="filtered", winner=None, reason="round_not_sampled")
            if example.fate == "kept" and example.number not in sampled
            else example
            for example in examples
        ]


class _Step:
    """One round of evolving one draft."""

    def __init__(self, draft: Draft, number: int, lineage: tuple[Iteration, ...]) -> None:
        self.draft = draft
        self.number = number
        self.lineage = lineage
        self.before = lineage[-1].instruction if lineage else draft.instruction
        self.evolved = Iteration(number=number, instruction=self.before)
        self.calls: list[Call] = list(draft.calls)

    def example(self, fate: Fate, reason: str, detail: str, *, rounds: int) -> Example:
        """Return the round's example, numbered so that no two rounds share a number."""
        draft = structs.replace(
            self.draft,
            id=identity("round", self.draft.id, str(self.number)),
            number=self.draft.number * rounds + self.number - 1,
        )
        return draft.example(
            fate,
            reason,
            detail,
            iterations=(*self.lineage, self.evolved),
            winner="strong" if fate == "kept" else None,
            calls=self.calls,
        )


class SampledDecoder(Struct, frozen=True):
    """Decodes all instructions, and samples as many to evolve as the request needs.

    The calls are those that CodecLM makes. Each instruction gives a row per round.
    """

    write: Callable[[InstructionRequest], Awaitable[list[Draft]]]
    rounds: int
    run_seed: int = 0

    async def __call__(self, request: InstructionRequest) -> list[Draft]:
        """Write the drafts of *request*, and sample those to evolve.

        Raises:
            ItemError: no instruction could be written.
        """
        drafts = await self.write(request)
        number = min(len(drafts), ceil(request.count / self.rounds))
        random = Random(f"{self.run_seed}/{request.metadata.id}/{request.start}/evolved")
        sample = sorted(random.sample(range(len(drafts)), number))
        base, rest = divmod(request.count, number)
        return [
            structs.replace(drafts[at], rows=min(self.rounds, base + (n < rest)))
            for n, at in enumerate(sample)
        ]
