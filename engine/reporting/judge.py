"""How far the judge can be trusted, as text."""

from ..data.judge import MIN_CORRELATION, JudgeScores


def judge_lines(judge: JudgeScores | None) -> list[str]:
    """Say how reliable the judge's scores are; nothing if there are none."""
    if judge is None:
        return []
    lines = [
        f"judge: {judge.describe()};",
        (
            f"ties in {judge.tied:.0%} of scorings,"
            f" most frequent score {judge.most_frequent:g} ({judge.constancy:.0%} of scores)"
        ),
    ]
    if judge.instructions > 1 and not judge.is_reliable:
        lines.append(
            f"warning: below {MIN_CORRELATION:g}, what θ selects is mostly chance:"
            " see `codeclm calibrate`"
        )
    return lines
