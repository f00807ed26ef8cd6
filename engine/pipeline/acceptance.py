"""Quality rules for texts: length, language, contamination, near-duplicates."""

from collections.abc import Iterator

from msgspec import Struct, structs

from ..data.records import Example
from ..quality.checks import Check, Part, first_violation
from ..quality.contamination import PromptIndex
from ..quality.near_duplicates import NearDuplicateFilter
from ..store.schema import row_index
from ..store.writer import LedgerWriter


class Acceptance(Struct, frozen=True):
    """Apply the configuration's quality rules to one session's texts.

    Attributes:
        ledger: where overlaps and near-duplicates are recorded.
        checks: rules about one text.
        overlap: finds texts that occur in test sets.
        near_duplicates: compares rows with the seeds and with each other.
    """

    ledger: LedgerWriter
    checks: tuple[Check, ...] = ()
    overlap: PromptIndex | None = None
    near_duplicates: NearDuplicateFilter | None = None

    def objection(self, instruction: str) -> tuple[str, str] | None:
        """Return why *instruction* may not be used: a reason in one word, and a sentence."""
        return first_violation(self.checks, instruction, "instruction")

    def checked(self, example: Example) -> Example:
        """Return *example*, filtered if it was kept but a rule rejects it."""
        if example.fate != "kept":
            return example
        for text, part in _parts(example):
            objection = first_violation(self.checks, text, part)
            if objection is not None:
                reason, detail = objection
                return structs.replace(example, fate="filtered", reason=reason, detail=detail)
        return example

    def record_overlap(self, example: Example) -> None:
        """Record with which test sets *example* shares words."""
        if self.overlap is None or not (example.fate == "kept" or example.reason == "contaminated"):
            return
        hits = self.overlap.overlaps(*(text for text, _ in _parts(example)))
        for test in {hit.test_set for hit in hits}:
            self.ledger.overlap_found(
                example, test, (h.question for h in hits if h.test_set == test)
            )

    def offer(self, example: Example) -> None:
        """Hand a row to the near-duplicate filter, which decides once all before it are known."""
        if self.near_duplicates is not None:
            index = row_index(example.position, example.number)
            self.near_duplicates.offer(index, example.id, example.instruction)

    def admits(self, position: int, number: int) -> bool:
        """Whether this row is new among those before it, all of which are known."""
        return self.near_duplicates is None or self.near_duplicates.admits(
            row_index(position, number)
        )

    def load(self) -> None:
        """Read in the seeds and the rows of earlier sessions. Blocks: 50 µs a text."""
        if self.near_duplicates is not None:
            self.near_duplicates.load()

    def record_decisions(self) -> None:
        """Record what the near-duplicate filter has decided since the last call."""
        if self.near_duplicates is not None:
            self.ledger.near_duplicates_decided(self.near_duplicates.take_decisions())

    def decide_rest(self, last_position: int) -> None:
        """Decide provisionally on rows whose turn has not come when the session ends. Blocks."""
        if self.near_duplicates is not None:
            self.near_duplicates.decide_rest(row_index(last_position + 1, 0) - 1)


def _parts(example: Example) -> Iterator[tuple[str, Part]]:
    """Yield the texts of *example* that a model would be trained on."""
    yield example.instruction, "instruction"
    answer = example.response
    if answer is not None:
        yield answer.text, "response"
