"""The refinement of one draft: its rounds, its calls and its fate."""

from collections.abc import Iterator
from random import Random

from ...config import FilterConfig
from ...data.records import Call, Example, Fate, Iteration, Winner
from .draft import Draft
from .filter import verdict


class Refinement:
    """What has happened to one draft so far, and its outcome.

    Attributes:
        draft: The draft.
        instruction: Its text as last rewritten.
        action: What that rewrite did; None before the first.
        rounds: The rounds so far.
        calls: The calls so far, those that wrote the draft first.
        failure: Why the last rewrite failed: the reason in a word, and a sentence.
    """

    def __init__(self, draft: Draft, settings: FilterConfig, run_seed: int) -> None:
        self.draft = draft
        self.instruction = draft.instruction
        self.action: str | None = None
        self.rounds: list[Iteration] = []
        self.calls: list[Call] = list(draft.calls)
        self.failure: tuple[str, str] = ("gap", "")
        self._settings = settings
        self._fate: Fate = "filtered"
        self._winner: Winner | None = None
        self._reason = ""
        self._detail = ""
        self._actions = _shuffled(
            draft.rubrics.actions,
            f"{run_seed}/{draft.id}/actions",
            independent=settings.action_sampling == "independent",
        )

    def next_action(self) -> str:
        """Draw one of the metadata's actions; there must be some."""
        return next(self._actions)

    def rewrite(self, instruction: str, *, action: str, call: Call) -> None:
        """Continue with *instruction*, which *call* wrote by applying *action*."""
        self.calls.append(call)
        self.action = action
        self.instruction = instruction

    def select(self) -> bool:
        """End with the last round if its gap is large enough; return whether it is."""
        last = self.rounds[-1]
        assert last.gap is not None
        choice = verdict(last.gap, self._settings.threshold)
        if choice == "again":
            return False
        self.keep(choice, "selected")
        return True

    def keep(self, winner: Winner, reason: str) -> None:
        """End with the last round and *winner*'s answer, unless that was cut off and may not be."""
        self._winner = winner
        last = self.rounds[-1]
        answer = last.strong if winner == "strong" else last.target
        is_cut_off = answer is not None and answer.finish_reason == "length"
        if is_cut_off and not self._settings.keep_cut_off:
            self.end("filtered", "cut_off", f"the answer of {winner} ended at max_tokens")
        else:
            self.end("kept", reason)

    def end_unselected(self) -> None:
        """End without a selected round: filtered, or kept and marked as a leftover."""
        reason, detail = self.failure
        if (
            self._settings.leftover == "keep_strong"
            and self.rounds
            and self.rounds[-1].strong is not None
        ):
            self._winner = "strong"
            self.end("kept", f"leftover_{reason}", detail)
        else:
            self.end("filtered", reason, detail)

    def end(self, fate: Fate, reason: str, detail: str = "") -> None:
        self._fate, self._reason, self._detail = fate, reason, detail

    def example(self) -> Example:
        return self.draft.example(
            self._fate,
            self._reason,
            self._detail,
            iterations=self.rounds,
            winner=self._winner,
            calls=self.calls,
        )


def _shuffled(actions: tuple[str, ...], seed: str, *, independent: bool) -> Iterator[str]:
    """Draw actions at random: each once before any comes twice, or *independent* of each other."""
    random = Random(seed)  # seeded with the first draw: most instructions never need one
    while True:
        if independent:
            yield random.choice(actions)
        else:
            yield from random.sample(actions, len(actions))
