"""An evaluation's outcome as text."""

import re
from collections.abc import Mapping

from ..data.intervals import Interval
from ..reporting.terminal import printable
from .outcome import Outcome, other_rule
from .verdicts import VerdictCounts


def outcome_text(outcome: Outcome) -> str:
    """Write *outcome* in at most 100 columns, except for names and reasons."""
    setup = outcome.setup
    reason = f"; {printable(outcome.reason)}" if outcome.reason else ""
    compared = f"{outcome.counts.total:,} of {outcome.prompts:,} prompts compared"
    lines = [
        f"{outcome.ending}: {compared}{reason}",
        "",
        f"test set   {setup.test}",
        f"candidate  {setup.candidate}",
        f"reference  {setup.reference}",
        f"judge      {setup.judge}",
        "",
        *_crr_lines(outcome),
        *_bias_lines(outcome),
        *_category_lines(outcome.categories),
        *_notes(outcome),
    ]
    if outcome.files:
        lines += ["", "files", *(f"  {name:<12} {path}" for name, path in outcome.files.items())]
    return "\n".join(lines) + "\n"


def _crr_lines(outcome: Outcome) -> list[str]:
    lines = ["rule         wins    ties  losses  invalid"]
    rules = ((outcome.rule, outcome.counts), (other_rule(outcome.rule), outcome.other_rule))
    for rule, counts in rules:
        lines.append(f"{rule:<10} {_columns(counts)}   {counts}")
    if outcome.interval is not None:
        interval = outcome.interval
        lines += [
            (
                f"95 % interval of CRR, rule {outcome.rule}: {interval.low:.2f} to"
                f" {interval.high:.2f} (Wilson); {_bootstrap(outcome)}"
            ),
            (
                "over prompts taken alike: other draws of the judge and other training runs are not"
                " in it"
            ),
        ]
    if outcome.difference is not None:
        difference, points = outcome.difference, outcome.difference.points
        lines.append(
            f"{points.mean:+.2f} points against {difference.other} over {difference.prompts:,}"
            f" prompts ({_paired(points)})"
        )
    if outcome.no_difference:
        lines.append(f"no difference: {printable(outcome.no_difference)}")
    return lines


def _bootstrap(outcome: Outcome) -> str:
    interval = outcome.bootstrap
    if interval is None or interval.low == interval.high:
        return "bootstrap: no width, all prompts agree"
    return f"bootstrap {interval.low:.2f} to {interval.high:.2f}"


def _paired(points: Interval) -> str:
    if points.low == points.high:
        return "no interval: the difference is the same for all prompts"
    return f"paired 95 % interval {points.low:+.2f} to {points.high:+.2f}"


def _columns(counts: VerdictCounts) -> str:
    return f"{counts.wins:>6,}  {counts.ties:>6,}  {counts.losses:>6,}   {counts.invalid:>6,}"


def _bias_lines(outcome: Outcome) -> list[str]:
    bias = outcome.position
    if outcome.scores is None or bias.mean is None:
        return []
    return [
        f"mean scores: candidate {outcome.scores[0]:.2f}, reference {outcome.scores[1]:.2f}",
        f"position bias: {bias.mean.describe('prompts')};",
        (
            f"the answer shown first won {bias.first:,} rulings, the second {bias.second:,},"
            f" neither {bias.neither:,}"
        ),
    ]


def _category_lines(categories: Mapping[str, VerdictCounts]) -> list[str]:
    if len(categories) < 2:
        return []
    width = min(32, max(map(len, ("category", *categories))))
    lines = ["", f"{'category':<{width}}   wins    ties  losses  invalid      CRR"]
    for name, counts in _sorted(categories):
        lines.append(f"{printable(name)[:width]:<{width}} {_columns(counts)}  {counts.crr:>7.2f}")
    return lines


def _sorted(categories: Mapping[str, VerdictCounts]) -> list[tuple[str, VerdictCounts]]:
    """Sort from best to worst; numbers, such as levels of difficulty, by value."""
    if all(_NUMBER.fullmatch(name) for name in categories):
        return sorted(categories.items(), key=lambda pair: float(pair[0]))
    return sorted(categories.items(), key=lambda pair: -pair[1].crr)


_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def _notes(outcome: Outcome) -> list[str]:
    notes = [
        f"invalid verdicts: {count:,} {reason.replace('_', ' ')}"
        for reason, count in outcome.invalid.items()
    ]
    candidate, reference = outcome.cut_off
    if candidate or reference:
        notes.append(
            f"cut off at max_tokens: {candidate:,} answers of the candidate,"
            f" {reference:,} of the reference"
        )
    if outcome.shortened:
        notes.append(f"{outcome.shortened:,} over-long prompts lost their middle, for both models")
    if outcome.unanswered:
        first, error = next(iter(outcome.unanswered.items()))
        notes.append(
            f"{len(outcome.unanswered):,} prompts failed with transient errors, such as"
            f" {first}: {printable(error[:200])}"
        )
    calls = outcome.calls
    notes.append(
        f"calls: {calls['paid']:,} paid, {calls['reused']:,} reused,"
        f" {calls['unreadable']:,} unreadable replies"
    )
    return ["", *notes]
