"""Evolve: WizardLM's Evol-Instruct, rounds of one random operation each, and its eliminator.

Spec §8.4. Every round of a draft is an example of its own: evolved and answered, or eliminated, in
which case the next round sets out from the same instruction once more.
"""

from collections.abc import Awaitable, Callable
from math import ceil
from random import Random
from typing import Any

from msgspec import Struct, structs

from .... import prompts
from ....prompts import METHODS, ParseError, Stage
from ...calls.model import Model
from ...calls.replies import StoredReply
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
        name, stage, values = self._operation(trial)
        asked = await self.strong.ask(
            stage,
            _read_evolved,
            item=trial.draft.id,
            sample=f"/{trial.number}",
            instruction=before,
            **values,
        )
        trial.calls.append(asked.call)
        trial.evolved = structs.replace(trial.evolved, instruction=asked.value, action=name)
        if prompts.copies_marks(asked.value, original=before):
            return "filtered", "copied_frame", "the evolved prompt holds words of the frame"
        if await self._equal(trial, before, asked.value):
            return "filtered", "no_information_gain", "judged equal to the prompt before"
        return await self._answered(trial)

    def _operation(self, trial: "_Trial") -> tuple[str, Stage, dict[str, Any]]:
        operations: list[tuple[str, Stage, dict[str, Any]]] = [
            (method, "deepen", {"method": method}) for method in METHODS
        ]
        operations.append(("a brand new prompt of the same domain", "broaden", {}))
        if self.complicate_input:
            operations.append(("structured data as input", "complicate", {}))
        random = Random(f"{self.run_seed}/{trial.draft.id}/{trial.number}/operation")
        return random.choice(operations)

    async def _equal(self, trial: "_Trial", before: str, evolved: str) -> bool:
        asked = await self.strong.ask(
            "equal",
            _read_equal,
            item=trial.draft.id,
            sample=f"/{trial.number}",
            first=before,
            second=evolved,
        )
        trial.calls.append(asked.call)
        return asked.value

    async def _answered(self, trial: "_Trial") -> Ending:
        evolved = trial.evolved
        asked = await respond(self.strong, trial.draft.id, evolved.instruction, number=trial.number)
        trial.calls.append(asked.call)
        trial.evolved = structs.replace(evolved, strong=asked.value)
        return self._judged(asked.value)

    def _judged(self, answer: Answer) -> Ending:
        if prompts.apologises(answer.text):
            return "filtered", "apology", "a short answer that says sorry"
        if prompts.says_nothing(answer.text):
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


def _read_evolved(reply: StoredReply) -> str:
    if reply.finish_reason == "length":
        raise ParseError("the evolved prompt was cut off at max_tokens")
    return prompts.read_evolved(reply.text)


def _read_equal(reply: StoredReply) -> bool:
    return prompts.read_equal(reply.text)
