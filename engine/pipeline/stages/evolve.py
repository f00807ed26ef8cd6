"""Evolve: WizardLM's Evol-Instruct, rounds of one random operation each, and its eliminator.

Spec §8.4. Every round of a draft is an example of its own: evolved and answered, or eliminated, in
which case the next round sets out from the same instruction once more.
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
from .answer import respond
from .decode import Draft

Ending = tuple[Fate, str, str]
"""A round's fate, its reason in a word, and a sentence."""

_SURVIVED: Ending = ("kept", "evolved", "")


class Evolver(Struct, frozen=True):
    """*rounds* rounds; with *complicate_input* the sixth operation is among those drawn."""

    strong: Model
    rounds: int = 4
    complicate_input: bool = False
    keep_cut_off: bool = True
    run_seed: int = 0

    async def __call__(self, draft: Draft) -> list[Example]:
        """Evolve *draft*; an example for each round, of which at most ``draft.rows`` are kept.

        Raises:
            ItemError: a passing failure; the draft is to be taken up again another time.
        """
        lineage = list[Iteration]()
        examples = list[Example]()
        for number in range(1, self.rounds + 1):
            trial = _Trial(draft, number, tuple(lineage))
            try:
                ending = await self._evolve(trial)
            except ItemError as error:
                if error.transient:
                    raise
                ending = ("failed", error.reason, error.detail)
            examples.append(trial.ended(*ending, rounds=self.rounds))
            if ending == _SURVIVED:
                lineage.append(structs.replace(trial.evolved, strong=None))
        return self._sampled(draft, examples)

    async def _evolve(self, trial: "_Trial") -> Ending:
        """Carry *trial* out; return how it ends."""
        before = trial.before
        action, prompt = self._operation(trial)
        reply = await self.strong.ask(prompt, item=trial.draft.id, sample=f"/{trial.number}")
        trial.calls.append(reply.call)
        trial.evolved = structs.replace(trial.evolved, instruction=reply.value, action=action)
        if copies_frame(reply.value, original=before):
            return "filtered", "copied_frame", "the evolved prompt holds words of the frame"
        if await self._equal(trial, before, reply.value):
            return "filtered", "no_information_gain", "judged equal to the prompt before"
        return await self._answered(trial)

    def _operation(self, trial: "_Trial") -> tuple[str, Prompt[str]]:
        """Draw one of the operations; return what it does and its prompt."""
        before = trial.before
        operations: list[tuple[str, Prompt[str]]] = [
            (method, Deepen(instruction=before, method=method)) for method in METHODS
        ]
        broaden = Broaden(instruction=before)
        operations.append(("a brand new prompt of the same domain", broaden))
        if self.complicate_input:
            operations.append(("structured data as input", Complicate(instruction=before)))
        random = Random(f"{self.run_seed}/{trial.draft.id}/{trial.number}/operation")
        return random.choice(operations)

    async def _equal(self, trial: "_Trial", before: str, evolved: str) -> bool:
        prompt = Equal(first=before, second=evolved)
        reply = await self.strong.ask(prompt, item=trial.draft.id, sample=f"/{trial.number}")
        trial.calls.append(reply.call)
        return reply.value

    async def _answered(self, trial: "_Trial") -> Ending:
        evolved = trial.evolved
        answer, call = await respond(
            self.strong, trial.draft.id, evolved.instruction, number=trial.number
        )
        trial.calls.append(call)
        trial.evolved = structs.replace(evolved, strong=answer)
        return self._judged(answer)

    def _judged(self, answer: Answer) -> Ending:
        if apologises(answer.text):
            return "filtered", "apology", "a short answer that says sorry"
        if says_nothing(answer.text):
            return "filtered", "empty_answer", "an answer of punctuation and stop words alone"
        if answer.finish_reason == "length" and not self.keep_cut_off:
            return "filtered", "cut_off", "the answer of strong ended at max_tokens"
        return _SURVIVED

    def _sampled(self, draft: Draft, examples: list[Example]) -> list[Example]:
        """Keep at most ``draft.rows`` of the rounds, drawn evenly from those that survived."""
        kept = [example.number for example in examples if example.fate == "kept"]
        random = Random(f"{self.run_seed}/{draft.id}/rounds")
        chosen = set(random.sample(kept, min(draft.rows, len(kept))))
        return [
            structs.replace(example, fate="filtered", winner=None, reason="round_not_drawn")
            if example.fate == "kept" and example.number not in chosen
            else example
            for example in examples
        ]


class _Trial:
    """One round of one draft."""

    def __init__(self, draft: Draft, number: int, lineage: tuple[Iteration, ...]) -> None:
        self.draft = draft
        self.number = number
        self.lineage = lineage
        self.before = lineage[-1].instruction if lineage else draft.instruction
        self.evolved = Iteration(number=number, instruction=self.before)
        self.calls: list[Call] = list(draft.calls)

    def ended(self, fate: Fate, reason: str, detail: str, *, rounds: int) -> Example:
        """Give the round's example, numbered so that no two rounds share a place."""
        draft = structs.replace(
            self.draft,
            id=identity("round", self.draft.id, str(self.number)),
            number=self.draft.number * rounds + self.number - 1,
        )
        return draft.ended(
            fate,
            reason,
            detail,
            iterations=(*self.lineage, self.evolved),
            winner="strong" if fate == "kept" else None,
            calls=self.calls,
        )


class SampledDecoder(Struct, frozen=True):
    """Of an order's basic instructions, so many as give its rows in *rounds* rounds each.

    All are decoded, by the very calls that CodecLM makes; which are evolved is drawn.
    """

    write: Callable[[InstructionRequest], Awaitable[list[Draft]]]
    rounds: int
    run_seed: int = 0

    async def __call__(self, request: InstructionRequest) -> list[Draft]:
        """Write the drafts of *request*, and draw those to be evolved.

        Raises:
            ItemError: not one instruction could be had.
        """
        drafts = await self.write(request)
        number = min(len(drafts), ceil(request.count / self.rounds))
        random = Random(f"{self.run_seed}/{request.metadata.id}/{request.start}/evolved")
        drawn = sorted(random.sample(range(len(drafts)), number))
        base, rest = divmod(request.count, number)
        return [
            structs.replace(drafts[at], rows=min(self.rounds, base + (n < rest)))
            for n, at in enumerate(drawn)
        ]
