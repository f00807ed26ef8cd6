"""How far the judge can be trusted, as text."""

from typing import Final, NamedTuple

from ..config import Config, is_program
from ..data.judge import MIN_CORRELATION, JudgeScores, JudgeTally
from ..data.judges import PanelScores, PanelTally

ONE_JUDGE: Final = PanelScores()
"""What is known of several judges where there is one."""


class Tallies(NamedTuple):
    """Of the judge, or of the means of several judges; and of each of these."""

    mean: JudgeTally
    panel: PanelTally


def judge_tallies(config: Config) -> Tallies:
    """Return what counts the scores of a run's judges."""
    programs = {
        name.removeprefix("judges."): is_program(role) for name, role in config.judge_roles.items()
    }
    mean = JudgeTally(is_program=all(programs.values()))
    return Tallies(mean, PanelTally(programs if config.judges else {}))


def judge_lines(judge: JudgeScores | None, panel: PanelScores = ONE_JUDGE) -> list[str]:
    """Say how reliable the judges' scores are; nothing if there are none."""
    if judge is None:
        return []
    lines = [
        f"judge{'s, their mean' if panel.judges else ''}: {judge.describe()};",
        (
            f"ties in {judge.tied:.0%} of scorings,"
            f" most frequent score {judge.most_frequent:.3g} ({judge.constancy:.0%} of scores)"
        ),
        *panel_lines(panel),
    ]
    if judge.instructions > 1 and not judge.is_reliable:
        lines.append(
            f"warning: below {MIN_CORRELATION:g}, what θ selects is mostly chance:"
            " see `codeclm calibrate`"
        )
    return lines


def panel_lines(panel: PanelScores) -> list[str]:
    """Say of several judges how reliable each is, and how far they agree."""
    lines = [f"  {name}: {scores.describe()}" for name, scores in panel.judges.items()]
    return lines + [f"  {agreement.describe()}" for agreement in panel.agreement]
