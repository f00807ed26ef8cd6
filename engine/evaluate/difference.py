"""The difference of two candidates on the same prompts, with a paired interval."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from msgspec import Struct

from ..config import ConfigError
from ..data.intervals import Interval
from ..data.records import Answer
from ..data.test_sets import Question
from .pairwise import Answers, PairwiseComparison
from .scoring import Scoring


class OtherCandidate(Struct, frozen=True):
    """Another candidate's results, and their origin, for messages."""

    name: str
    comparisons: Sequence[PairwiseComparison]


class Difference(Struct, frozen=True):
    """A candidate's CRR minus another's, in points, over the prompts that both answered."""

    other: str
    prompts: int
    points: Interval


def paired_difference(
    comparisons: Sequence[PairwiseComparison], other: OtherCandidate, scoring: Scoring
) -> Difference:
    """Compare a candidate with *other* on the prompts that both answered.

    Raises:
        ConfigError: no prompt is in both, or their references answered differently.
    """
    pairs = _pairs(comparisons, other)
    _check_references(((one.reference, two.reference) for one, two in pairs), other)
    values = [100.0 * (scoring.recovered(one) - scoring.recovered(two)) for one, two in pairs]
    return Difference(other.name, len(pairs), scoring.interval(values, "difference"))


def check_pairable(
    questions: Sequence[Question], other: OtherCandidate, references: Answers | None = None
) -> None:
    """Check before the first call whether `paired_difference` will find pairs.

    Args:
        questions: the test set, as the models get it.
        other: another candidate's results.
        references: the reference's answers, if they come from a file.

    Raises:
        ConfigError: no prompt is in both, or their references answered differently.
    """
    pairs = _pairs(questions, other)
    if references is not None:
        _check_references(((references[one.id], two.reference) for one, two in pairs), other)


Prompted = TypeVar("Prompted", Question, PairwiseComparison)


def _pairs(
    ours: Sequence[Prompted], other: OtherCandidate
) -> list[tuple[Prompted, PairwiseComparison]]:
    by_id = {comparison.id: comparison for comparison in other.comparisons}
    pairs = [(one, by_id[one.id]) for one in ours if one.id in by_id]
    pairs = [(one, two) for one, two in pairs if one.prompt == two.prompt]
    if not pairs:
        raise ConfigError(f"{other.name}: a different test set: no prompt is in both")
    return pairs


def _check_references(
    pairs: Iterable[tuple[Answer | None, Answer | None]], other: OtherCandidate
) -> None:
    """Refuse references that answered differently; a missing answer is no difference."""
    if any(one is not None and two is not None and one != two for one, two in pairs):
        raise ConfigError(
            f"{other.name}: its reference gave different answers: compare both candidates with the"
            " same reference"
        )
