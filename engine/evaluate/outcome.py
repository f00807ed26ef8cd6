"""What an evaluation came to: verdicts, CRR, bias, categories; as a struct and as text."""

import re
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import TypeVar

from msgspec import Struct

from ..calls.counters import Counters
from ..config import ConfigError
from ..data.records import Answer
from ..data.test_sets import Question
from ..reporting.terminal import printable
from .contest import Answers, Comparison
from .verdicts import Counts, Interval, PositionBias, Rule, count, interval, position_bias, verdict


class Contestants(Struct, frozen=True):
    test: str
    candidate: str
    reference: str
    judge: str


class Difference(Struct, frozen=True):
    """This candidate's CRR less another's, in points, over the prompts both were given."""

    other: str
    prompts: int
    points: Interval


class Outcome(Struct, frozen=True, kw_only=True):
    """An evaluation's result, as it is written to ``summary.json``."""

    ending: str
    reason: str
    who: Contestants
    rule: Rule
    prompts: int
    """In the test set; those not compared are unfinished."""
    counts: Counts
    crr: float | None
    """In per cent; None where too many verdicts are invalid, or nothing was compared."""
    interval: Interval | None
    """95 %, in per cent."""
    other_rule: Counts
    invalid: dict[str, int]
    """Invalid verdicts by reason."""
    categories: dict[str, Counts]
    position: PositionBias
    scores: tuple[float, float] | None
    """Mean scores of candidate and reference over all rulings."""
    cut_off: tuple[int, int]
    """Answers of candidate and reference that ended at max_tokens."""
    shortened: int
    """Prompts that lost their middle."""
    unanswered: dict[str, str]
    calls: dict[str, int]
    difference: Difference | None = None
    no_difference: str = ""
    """Why there is none, where one was asked for."""
    files: dict[str, str] = {}

    @property
    def finished(self) -> bool:
        return self.ending == "finished"


def summarise(
    comparisons: Sequence[Comparison],
    who: Contestants,
    *,
    rule: Rule,
    prompts: int,
    seed: int = 0,
    resamples: int = 10_000,
    counters: Counters | None = None,
    reason: str = "",
    unanswered: Mapping[str, str] | None = None,
    shortened: int = 0,
    difference: Difference | None = None,
    no_difference: str = "",
    files: Mapping[str, str] | None = None,
) -> Outcome:
    counts = _counts(comparisons, rule)
    values = [100 * _recovered(each, rule) for each in comparisons]
    total = (counters or Counters()).total()
    return Outcome(
        ending="finished" if counts.total == prompts else "stopped" if reason else "unfinished",
        reason=reason,
        who=who,
        rule=rule,
        prompts=prompts,
        counts=counts,
        crr=counts.crr if counts.usable else None,
        interval=interval(values, Random(f"{seed}/crr"), resamples=resamples)
        if counts.usable
        else None,
        other_rule=_counts(comparisons, "alpagasus" if rule == "both" else "both"),
        invalid=_tally(each.reason for each in comparisons if verdict(each.rulings) == "invalid"),
        categories=_categories(comparisons, rule),
        position=position_bias(each.rulings for each in comparisons),
        scores=_scores(comparisons),
        cut_off=_cut_off(comparisons),
        shortened=shortened,
        unanswered=dict(unanswered or {}),
        calls={"paid": total.paid, "reused": total.reused, "unreadable": total.unreadable},
        difference=difference,
        no_difference=no_difference,
        files=dict(files or {}),
    )


def _counts(comparisons: Sequence[Comparison], rule: Rule) -> Counts:
    return count(verdict(each.rulings, rule) for each in comparisons)


def _recovered(comparison: Comparison, rule: Rule) -> int:
    return int(verdict(comparison.rulings, rule) != "loss")


def _tally(reasons: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for reason in reasons:
        found[reason] = found.get(reason, 0) + 1
    return found


def _categories(comparisons: Sequence[Comparison], rule: Rule) -> dict[str, Counts]:
    names = dict.fromkeys(each.category for each in comparisons if each.category)
    return {
        name: _counts([each for each in comparisons if each.category == name], rule)
        for name in names
    }


def _scores(comparisons: Sequence[Comparison]) -> tuple[float, float] | None:
    rulings = [ruling for each in comparisons for ruling in each.rulings if ruling is not None]
    if not rulings:
        return None
    candidate = sum(ruling.candidate for ruling in rulings) / len(rulings)
    return candidate, sum(ruling.reference for ruling in rulings) / len(rulings)


def _cut_off(comparisons: Sequence[Comparison]) -> tuple[int, int]:
    sides = [(each.candidate, each.reference) for each in comparisons]
    ends = [[a is not None and a.finish_reason == "length" for a in pair] for pair in sides]
    return sum(cut for cut, _ in ends), sum(cut for _, cut in ends)


def difference(
    ours: Sequence[Comparison],
    theirs: Sequence[Comparison],
    *,
    other: str,
    rule: Rule,
    seed: int = 0,
    resamples: int = 10_000,
) -> Difference:
    """Compare two candidates on the prompts both were given, by a paired bootstrap.

    Raises:
        ConfigError: there are no such prompts, or their references answered otherwise.
    """
    pairs = _pairs(ours, theirs, other)
    _check_references(((one.reference, two.reference) for one, two in pairs), other)
    values = [100.0 * (_recovered(one, rule) - _recovered(two, rule)) for one, two in pairs]
    random = Random(f"{seed}/difference")
    return Difference(other, len(pairs), interval(values, random, resamples=resamples))


def check_other(
    questions: Sequence[Question],
    theirs: Sequence[Comparison],
    *,
    other: str,
    references: Answers | None = None,
) -> None:
    """See before the first call whether `difference` will find pairs.

    Args:
        questions: the prompts to be compared, as the models get them.
        theirs: another candidate's results.
        other: the folder they are in.
        references: the reference's answers, where they come from a file.

    Raises:
        ConfigError: no prompt is in both, or their references answered otherwise.
    """
    pairs = _pairs(questions, theirs, other)
    if references is not None:
        _check_references(((references[one.id], two.reference) for one, two in pairs), other)


Asked = TypeVar("Asked", Question, Comparison)


def _pairs(
    ours: Sequence[Asked], theirs: Sequence[Comparison], other: str
) -> list[tuple[Asked, Comparison]]:
    by_id = {each.id: each for each in theirs}
    pairs = [(each, by_id[each.id]) for each in ours if each.id in by_id]
    pairs = [(one, two) for one, two in pairs if one.prompt == two.prompt]
    if not pairs:
        raise ConfigError(f"{other}: it was on another test set: no prompt is in both")
    return pairs


def _check_references(pairs: Iterable[tuple[Answer | None, Answer | None]], other: str) -> None:
    """Refuse different answers; one that never came is no other answer."""
    if any(one is not None and two is not None and one != two for one, two in pairs):
        raise ConfigError(f"{other}: it was against other answers: compare with the same reference")


# -- as text ----------------------------------------------------------------------------------


def outcome_text(outcome: Outcome) -> str:
    """Write it for people: at most 100 columns."""
    who = outcome.who
    lines = [
        f"{outcome.ending}: {outcome.counts.total:,} of {outcome.prompts:,} prompts compared"
        + (f"; {printable(outcome.reason)}" if outcome.reason else ""),
        "",
        f"test set   {who.test}",
        f"candidate  {who.candidate}",
        f"reference  {who.reference}",
        f"judge      {who.judge}",
        "",
        *_crr_lines(outcome),
        *_bias_lines(outcome),
        *_category_lines(outcome.categories),
        *_notes(outcome),
    ]
    if outcome.files:
        lines += ["", "files", *(f"  {name:<12} {at}" for name, at in outcome.files.items())]
    return "\n".join(lines) + "\n"


def _crr_lines(outcome: Outcome) -> list[str]:
    lines = ["rule         wins    ties  losses  invalid"]
    other: Rule = "alpagasus" if outcome.rule == "both" else "both"
    for rule, counts in ((outcome.rule, outcome.counts), (other, outcome.other_rule)):
        lines.append(f"{rule:<10} {_numbers(counts)}   {counts}")
    if outcome.interval is not None:
        within = outcome.interval
        lines.append(
            f"95 % interval of CRR, rule {outcome.rule}: {within.low:.2f} to {within.high:.2f}"
        )
    if outcome.difference is not None:
        gap = outcome.difference
        lines.append(
            f"{gap.points.mean:+.2f} points against {gap.other} over {gap.prompts:,} prompts"
            f" (paired 95 % interval {gap.points.low:+.2f} to {gap.points.high:+.2f})"
        )
    if outcome.no_difference:
        lines.append(f"no difference: {printable(outcome.no_difference)}")
    return lines


def _numbers(counts: Counts) -> str:
    return f"{counts.wins:>6,}  {counts.ties:>6,}  {counts.losses:>6,}   {counts.invalid:>6,}"


def _bias_lines(outcome: Outcome) -> list[str]:
    bias = outcome.position
    if outcome.scores is None or bias.flipped is None or bias.first_lead is None:
        return []
    return [
        f"mean scores: candidate {outcome.scores[0]:.2f}, reference {outcome.scores[1]:.2f}",
        f"position bias: the orders named different winners for {bias.flipped:.1%} of prompts;",
        (
            f"the answer shown first won {bias.first:,} rulings, the second {bias.second:,},"
            f" neither {bias.neither:,}; being first was worth {bias.first_lead:+.2f} points"
        ),
    ]


def _category_lines(categories: Mapping[str, Counts]) -> list[str]:
    if len(categories) < 2:
        return []
    wide = min(32, max(map(len, ("category", *categories))))
    lines = ["", f"{'category':<{wide}}   wins    ties  losses  invalid      CRR"]
    for name, counts in _in_order(categories):
        lines.append(f"{printable(name)[:wide]:<{wide}} {_numbers(counts)}  {counts.crr:>7.2f}")
    return lines


def _in_order(categories: Mapping[str, Counts]) -> list[tuple[str, Counts]]:
    """Best first; but numbers, such as levels of difficulty, are an order of their own."""
    if all(_NUMBER.fullmatch(name) for name in categories):
        return sorted(categories.items(), key=lambda pair: float(pair[0]))
    return sorted(categories.items(), key=lambda pair: -pair[1].crr)


_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def _notes(outcome: Outcome) -> list[str]:
    notes = list[str]()
    for reason, number in outcome.invalid.items():
        notes.append(f"invalid verdicts: {number:,} {reason.replace('_', ' ')}")
    if any(outcome.cut_off):
        one, two = outcome.cut_off
        notes.append(
            f"ended at max_tokens: {one:,} answers of the candidate, {two:,} of the reference"
        )
    if outcome.shortened:
        notes.append(f"{outcome.shortened:,} over-long prompts lost their middle, for both models")
    if outcome.unanswered:
        first, why = next(iter(outcome.unanswered.items()))
        notes.append(f"{len(outcome.unanswered):,} prompts failed for a passing reason, such as"
                     f" {first}: {printable(why[:200])}")  # fmt: skip
    calls = outcome.calls
    notes.append(
        f"calls: {calls['paid']:,} paid, {calls['reused']:,} reused,"
        f" {calls['unreadable']:,} unreadable replies"
    )
    return ["", *notes]
