"""Results of an evaluation: verdicts, CRR, bias, categories."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from ..data.intervals import Interval, Share
from .difference import Difference
from .pairwise import PairwiseComparison
from .scoring import Scoring
from .session import EvaluationSession
from .statistics import PositionBias, position_bias
from .verdicts import Rule, VerdictCounts, count_verdicts, pairwise_verdict


class EvaluationSetup(Struct, frozen=True):
    """The names of the test set and of the models."""

    test: str
    candidate: str
    reference: str
    judge: str


class Outcome(Struct, frozen=True, kw_only=True):
    """An evaluation's result, as in ``summary.json``.

    Attributes:
        ending: finished, stopped (on request), failed, or unfinished.
        reason: why it was stopped.
        setup: what was compared.
        rule: the rule behind ``counts``, ``crr``, ``interval`` and ``categories``.
        prompts: in the test set.
        counts: the verdicts on the prompts that were compared.
        crr: in per cent; None if too many verdicts are invalid, or nothing was compared.
        interval: of ``crr``, 95 %, in per cent, by Wilson's formula: right near 100, too.
        bootstrap: the same by the bootstrap, which has no width where all prompts agree.
        other_rule: the verdicts by the rule that was not chosen.
        invalid: invalid verdicts by reason.
        categories: the verdicts by category.
        position: the judge's position bias.
        scores: mean scores of candidate and reference over all rulings.
        cut_off: answers of candidate and reference that ended at ``max_tokens``.
        shortened: prompts that lost their middle.
        unanswered: errors of the prompts that failed with transient errors, by id.
        calls: of this session: paid, reused, unreadable.
        difference: to another candidate, if asked for.
        no_difference: why there is none although it was asked for.
        files: by name.
    """

    ending: str
    reason: str
    setup: EvaluationSetup
    rule: Rule
    prompts: int
    counts: VerdictCounts
    crr: float | None
    interval: Interval | None
    bootstrap: Interval | None
    other_rule: VerdictCounts
    invalid: dict[str, int]
    categories: dict[str, VerdictCounts]
    position: PositionBias
    scores: tuple[float, float] | None
    cut_off: tuple[int, int]
    shortened: int
    unanswered: dict[str, str]
    calls: dict[str, int]
    difference: Difference | None = None
    no_difference: str = ""
    files: dict[str, str] = {}

    @property
    def finished(self) -> bool:
        return self.ending == "finished"


def other_rule(rule: Rule) -> Rule:
    """Return the rule that was not chosen."""
    return "alpagasus" if rule == "both" else "both"


def summarise_evaluation(
    session: EvaluationSession,
    setup: EvaluationSetup,
    scoring: Scoring,
    *,
    shortened: int = 0,
    files: Mapping[str, str] | None = None,
) -> Outcome:
    """Summarise the results of *session*.

    Args:
        session: the session, which has ended.
        setup: the names of the test set and of the models.
        scoring: the rule and the bootstrap's settings.
        shortened: prompts that lost their middle.
        files: that hold the results, by name.
    """
    comparisons = session.in_order
    counts = _counts(comparisons, scoring.rule)
    recovered = [100.0 * scoring.recovered(comparison) for comparison in comparisons]
    total = session.counters.total()
    return Outcome(
        ending=_ending(session),
        reason=session.stopped_by,
        setup=setup,
        rule=scoring.rule,
        prompts=len(session.questions),
        counts=counts,
        crr=counts.crr if counts.usable else None,
        interval=_wilson(counts) if counts.usable else None,
        bootstrap=scoring.interval(recovered, "crr") if counts.usable else None,
        other_rule=_counts(comparisons, other_rule(scoring.rule)),
        invalid=_invalid_reasons(comparisons),
        categories=_categories(comparisons, scoring.rule),
        position=position_bias(comparison.rulings for comparison in comparisons),
        scores=_mean_scores(comparisons),
        cut_off=_cut_off(comparisons),
        shortened=shortened,
        unanswered=dict(session.unanswered),
        calls={"paid": total.paid, "reused": total.reused, "unreadable": total.unreadable},
        files=dict(files or {}),
    )


def _wilson(counts: VerdictCounts) -> Interval:
    """Return Wilson's interval of CRR, in per cent."""
    interval = Share(counts.total - counts.losses, counts.total).wilson()
    return Interval(100 * interval.mean, 100 * interval.low, 100 * interval.high)


def _ending(session: EvaluationSession) -> str:
    if len(session.in_order) == len(session.questions):
        return "finished"
    if session.requested:
        return "stopped"
    return "failed" if session.stopped_by else "unfinished"


def _counts(comparisons: Iterable[PairwiseComparison], rule: Rule) -> VerdictCounts:
    return count_verdicts(pairwise_verdict(comparison.rulings, rule) for comparison in comparisons)


def _invalid_reasons(comparisons: Iterable[PairwiseComparison]) -> dict[str, int]:
    return dict(Counter(c.reason for c in comparisons if pairwise_verdict(c.rulings) == "invalid"))


def _categories(comparisons: Sequence[PairwiseComparison], rule: Rule) -> dict[str, VerdictCounts]:
    members: dict[str, list[PairwiseComparison]] = {}
    for comparison in comparisons:
        if comparison.category:
            members.setdefault(comparison.category, []).append(comparison)
    return {category: _counts(same, rule) for category, same in members.items()}


def _mean_scores(comparisons: Iterable[PairwiseComparison]) -> tuple[float, float] | None:
    rulings = [ruling for c in comparisons for ruling in c.rulings if ruling is not None]
    if not rulings:
        return None
    candidate = sum(ruling.candidate for ruling in rulings) / len(rulings)
    return candidate, sum(ruling.reference for ruling in rulings) / len(rulings)


def _cut_off(comparisons: Iterable[PairwiseComparison]) -> tuple[int, int]:
    pairs = [(comparison.candidate, comparison.reference) for comparison in comparisons]
    ends = [[a is not None and a.finish_reason == "length" for a in pair] for pair in pairs]
    return sum(cut for cut, _ in ends), sum(cut for _, cut in ends)
