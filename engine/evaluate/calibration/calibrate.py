"""Calibrate θ on a pilot run."""

from collections import Counter
from collections.abc import Iterator
from math import sqrt

from msgspec import Struct

from ...config import is_program
from ...data.judge import JudgeScores, judge_warnings
from ...data.judges import PanelScores
from ...reporting.histogram import gap_histogram
from .pilot import Pilot
from .yields import ThresholdYield, threshold_yield

CALIBRATED_THRESHOLDS = tuple(step / 2 for step in range(13))
"""θ = 0, 0.5, …, 6: integer scores averaged over two orders give gaps in steps of 0.5."""

MIN_INSTRUCTIONS = 50
"""Below this many scored instructions a warning appears."""


class Calibration(Struct, frozen=True, kw_only=True):
    """The result of a calibration of θ on a pilot run.

    Attributes:
        run: the pilot's folder.
        strong: the strong model.
        target: the target model.
        judge: the judge.
        is_program: whether no judge is a model.
        threshold: the pilot's own θ.
        instructions: number of scored instructions.
        mean: of the gap in the first scored round.
        deviation: standard deviation of the same.
        target_led: share of rounds with a negative gap.
        histogram: rounds by gap, in bins of one point named by their lower end.
        judge_scores: the distribution of the judge's scores; of several judges, of the means.
        panel: of several judges: each one's own scores, and how far they agree.
        yields: of each θ.
        unique: share of selected instructions that do not duplicate others or seeds.
        target_yield: pairs per instruction to get.
        recommended: the highest θ with the target yield after duplicates; None if there is none, or
            if the judge is not reliable: then every θ selects mostly by chance.
        warnings: why the figures may be misleading.
    """

    run: str
    strong: str
    target: str
    judge: str
    threshold: float
    instructions: int
    mean: float
    deviation: float
    target_led: float
    histogram: dict[str, int]
    judge_scores: JudgeScores
    yields: tuple[ThresholdYield, ...]
    unique: float
    target_yield: float
    recommended: float | None
    warnings: tuple[str, ...]
    panel: PanelScores = PanelScores()
    is_program: bool = False


def calibrate(pilot: Pilot, target_yield: float) -> Calibration:
    """Compute the yield of each θ, and find the highest θ with *target_yield*."""
    thresholds = sorted({*CALIBRATED_THRESHOLDS, pilot.threshold})
    yields = tuple(_yield_of(pilot, theta) for theta in thresholds)
    recommended = _recommended(pilot, yields, target_yield)
    first_gaps = [instruction.gaps[0] for instruction in pilot.instructions]
    mean = sum(first_gaps) / len(first_gaps)
    gaps = [gap for instruction in pilot.instructions for gap in instruction.gaps]
    return Calibration(
        run=pilot.folder,
        strong=pilot.config.strong.model,
        target=pilot.config.target.model,
        judge=", ".join(role.model for role in pilot.config.judge_roles.values()),
        threshold=pilot.threshold,
        instructions=len(pilot.instructions),
        mean=mean,
        deviation=sqrt(sum((gap - mean) ** 2 for gap in first_gaps) / len(first_gaps)),
        target_led=sum(gap < 0 for gap in gaps) / len(gaps),
        histogram=gap_histogram(Counter(gaps)),
        judge_scores=pilot.judge,
        panel=pilot.panel,
        is_program=all(map(is_program, pilot.config.judge_roles.values())),
        yields=yields,
        unique=pilot.unique,
        target_yield=target_yield,
        recommended=recommended,
        warnings=(
            *_size_warnings(pilot),
            *judge_warnings(pilot.judge),
            *_yield_warnings(pilot, yields, recommended),
        ),
    )


def _yield_of(pilot: Pilot, theta: float) -> ThresholdYield:
    return threshold_yield(
        pilot.selectable, theta, exact_up_to=pilot.exact_up_to, costs=pilot.costs
    )


def _recommended(
    pilot: Pilot, yields: tuple[ThresholdYield, ...], target_yield: float
) -> float | None:
    if not pilot.judge.is_reliable:
        return None
    return max(
        (row.threshold for row in yields if row.expected_yield * pilot.unique >= target_yield),
        default=None,
    )


def _size_warnings(pilot: Pilot) -> Iterator[str]:
    if len(pilot.instructions) < MIN_INSTRUCTIONS:
        yield f"only {len(pilot.instructions)} instructions were scored: yields are rough"
    if pilot.config.filter.confirm:
        yield (
            "filter.confirm drops some of what θ selects: yields are lower than shown, and pairs"
            " cost more"
        )


def _yield_warnings(
    pilot: Pilot, yields: tuple[ThresholdYield, ...], recommended: float | None
) -> Iterator[str]:
    if not pilot.judge.is_reliable:
        return
    if recommended is None:
        highest = max(row.expected_yield for row in yields)
        yield f"no θ reaches the target yield; the highest yield is {highest:.1%}"
    elif recommended > pilot.exact_up_to:
        yield (
            f"the yield at θ = {recommended:g} is an estimate: what the pilot selected at its own θ"
            f" of {pilot.threshold:g} went no further; a pilot with --threshold {recommended:g} is"
            " exact"
        )
