"""The refinement of one draft: its rounds, its calls and its fate."""

from collections.abc import Iterator
from random import Random

from ...config import FilterConfig
from ...data.errors import REFUSED, ItemError
from ...data.records import Call, Example, Fate, Iteration, Winner
from .draft import Draft
from .filter import Verdict, verdict

_UNSELECTED: tuple[Fate, str, str] = ("filtered", "gap", "")


class Refinement:
    """What has happened to one draft so far, and its outcome.

    Attributes:
        draft: The draft.
        instruction: Its text as last rewritten.
        action: What that rewrite did; None before the first.
        rounds: The rounds so far.
        calls: The calls so far, those that wrote the draft first.
    """

    def __init__(self, draft: Draft, settings: FilterConfig, run_seed: int) -> None:
        self.draft = draft
        self.instruction = draft.instruction
        self.action: str | None = None
        self.rounds: list[Iteration] = []
        self.calls: list[Call] = list(draft.calls)
        self._unselected = _UNSELECTED
        """How it ends if no round is selected: fate, reason in a word, and a sentence."""
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
        self._unselected = _UNSELECTED
        self.calls.append(call)
        self.action = action
        self.instruction = instruction

    def note_failed_rewrite(self, reason: str, error: ItemError) -> None:
        """Note that a rewrite failed; *reason* is for replies that cannot be used.

        What the server refused is the server's failure, and ends the draft as such.
        """
        self._note(reason, error.detail, is_refused=error.is_refused)

    def note_near_copy(self, call: Call) -> None:
        """Note that *call* returned nearly the instruction it was to rewrite."""
        self.calls.append(call)
        self._note("near_copy", "the rewrite is nearly its original", is_refused=False)

    def note_no_actions(self) -> None:
        """Note that nothing says how to rewrite the instruction."""
        rubrics = self.draft.rubrics
        self._note("no_actions", rubrics.reason, is_refused=rubrics.is_refused)

    def _note(self, reason: str, detail: str, *, is_refused: bool) -> None:
        if is_refused:
            self._unselected = ("failed", REFUSED, detail)
        else:
            self._unselected = ("filtered", reason, detail)

    def exceeds(self) -> bool:
        """Whether the gap of the last round is large enough."""
        return self._verdict() != "again"

    def is_confirmed(self, gap: float) -> bool:
        """Whether a second scoring, with this *gap*, comes to the verdict of the last round."""
        return self._verdict_of(gap) == self._verdict()

    def select(self) -> None:
        """End with the last round, whose gap is large enough."""
        winner = self._verdict()
        assert winner != "again"
        self.keep(winner, "selected")

    def _verdict(self) -> Verdict:
        gap = self.rounds[-1].gap
        assert gap is not None
        return self._verdict_of(gap)

    def _verdict_of(self, gap: float) -> Verdict:
        return verdict(gap, self._settings.threshold, self._settings.keep)

    def keep(self, winner: Winner, reason: str, detail: str = "") -> None:
        """End with the last round and *winner*'s answer, unless that was cut off and may not be."""
        self._winner = winner
        last = self.rounds[-1]
        answer = last.strong if winner == "strong" else last.target
        is_cut_off = answer is not None and answer.finish_reason == "length"
        if is_cut_off and not self._settings.keep_cut_off:
            self.end("filtered", "cut_off", f"the answer of {winner} ended at max_tokens")
        else:
            self.end("kept", reason, detail)

    def end_unselected(self) -> None:
        """End without a selected round: filtered or failed, or kept and marked as a leftover."""
        fate, reason, detail = self._unselected
        if (
            self._settings.leftover == "keep_strong"
            and self.rounds
            and self.rounds[-1].strong is not None
        ):
            self.keep("strong", f"leftover_{reason}", detail)
        else:
            self.end(fate, reason, detail)

    def end_unrewritten(self) -> None:
        """End because not one rewrite could be had."""
        self.end(*self._unselected)

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
