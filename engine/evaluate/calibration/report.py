"""A calibration as text."""

from collections.abc import Iterable, Sequence

from ...data.judge import JudgeScores
from ...data.judges import PanelScores
from ...reporting.histogram import histogram_lines
from ...reporting.judge import panel_lines
from .calibrate import Calibration
from .yields import ThresholdYield

UNRELIABLE = (
    "no θ is recommended: with this judge, every θ selects mostly by chance.\n"
    "Name a stronger judge ([judge] model), score several times ([judge] temperature = 0.7 and\n"
    "[filter] samples = 4), or say in its prompt what makes an answer good (score.txt, which\n"
    "`codeclm init --prompts DIR` writes to edit); then run the pilot again."
)


UNRELIABLE_PROGRAM = (
    "no θ is recommended: with this judge, every θ selects mostly by chance.\n"
    "It is a program whose scores depend on chance: make it score an answer the same each time,\n"
    "or give it a parameter `sample` and take the mean of several scores ([filter] samples = 4);\n"
    "then run the pilot again."
)


def calibration_text(calibration: Calibration) -> str:
    """Write *calibration* in at most 100 columns, except for names of models and warnings."""
    lines = [
        (
            f"{calibration.run}: {calibration.instructions:,} instructions scored,"
            f" θ = {calibration.threshold:g}"
        ),
        f"  strong {calibration.strong}, target {calibration.target}",
        f"  judge{'s' if calibration.panel.judges else ''} {calibration.judge}",
        (
            f"  first gap: mean {calibration.mean:+.2f}, standard deviation"
            f" {calibration.deviation:.2f}; the target led in"
            f" {calibration.target_led:.1%} of rounds"
        ),
        "",
        *histogram_lines(calibration.histogram),
        "",
        *_judge_lines(calibration.judge_scores, calibration.panel),
        *_yield_lines(calibration.yields),
        *_notes(calibration.yields),
        "",
        _advice(calibration),
        *(f"warning: {warning}" for warning in calibration.warnings),
    ]
    return "\n".join(lines) + "\n"


def _judge_lines(judge: JudgeScores, panel: PanelScores) -> list[str]:
    lines = [
        (
            f"judge: mean score {judge.mean:.2f}, most often {judge.most_frequent:.3g}"
            f" ({judge.constancy:.0%}); ties {judge.tied:.0%}"
        ),
        f"reliability: {judge.describe()}",
        *panel_lines(panel),
    ]
    if judge.bias is not None:
        lines.append(f"position bias: {judge.bias.describe('rounds')}")
    return [*lines, ""]


def _yield_lines(yields: Sequence[ThresholdYield]) -> list[str]:
    rounds = sorted({number for row in yields for number in row.scored})
    priced = any(row.cost is not None and row.cost.money is not None for row in yields)
    columns = "".join(f"{f'round {number}':>10}" for number in rounds)
    money = "  money/pair" if priced else ""
    head = f"    θ{columns}     yield       (95 %)  at least  calls/pair{money}"
    return [head, *(_yield_line(row, rounds) for row in yields)]


def _notes(yields: Iterable[ThresholdYield]) -> list[str]:
    notes = ["(95 %): over seeds taken alike; another draw of the judge is not in it"]
    if not all(row.exact for row in yields):
        notes.append("~: estimated, since what the pilot selected went no further")
    return notes


def _yield_line(row: ThresholdYield, rounds: Sequence[int]) -> str:
    rates = "".join(
        f"{row.rates[number]:>10.1%}" if number in row.rates else f"{'':>10}" for number in rounds
    )
    sign = " " if row.exact else "~"
    line = (
        f"{row.threshold:>5g}{rates}  {sign}{row.expected_yield:>7.1%}"
        f" {_range(row):>12}  {row.observed_yield:>8.1%}"
    )
    if row.cost is None:
        return line
    line += f"  {row.cost.calls:>10,.1f}"
    return line if row.cost.money is None else f"{line}  {row.cost.money:>10.5f}"


def _range(row: ThresholdYield) -> str:
    return f"({100 * row.interval.low:.0f} to {100 * row.interval.high:.0f})"


def _advice(calibration: Calibration) -> str:
    unique = f" ({calibration.unique:.1%} of the selected instructions are no duplicates)"
    aim = f"a yield of {calibration.target_yield:.0%}{unique if calibration.unique < 1 else ''}"
    if not calibration.judge_scores.is_reliable:
        return UNRELIABLE_PROGRAM if calibration.is_program else UNRELIABLE
    if calibration.recommended is None:
        return f"no θ has {aim}"
    return f"the highest θ for {aim}: {calibration.recommended:g}"
