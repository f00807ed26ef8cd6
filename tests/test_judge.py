"""Judges of known quality: which of them are told apart, and for which θ is recommended."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.config import build_config
from codeclm.engine.data.judge import (
    MIN_CORRELATION,
    JudgeScores,
    JudgeTally,
    RoundScores,
    judge_warnings,
)
from codeclm.engine.evaluate.calibration.calibrate import Calibration, calibrate
from codeclm.engine.evaluate.calibration.pilot import Pilot
from codeclm.engine.evaluate.calibration.report import calibration_text
from codeclm.engine.evaluate.calibration.yields import ScoredInstruction, StageCosts, UnitCost
from codeclm.engine.reporting.judge import judge_lines

Judge = Callable[[Random, float, float], tuple[float, float]]
"""Scores the answer shown first and the one shown second, given their true quality."""


def _clipped(score: float) -> float:
    return float(min(10, max(1, round(score))))


def unbiased(_: Random, first: float, second: float) -> tuple[float, float]:
    return _clipped(first), _clipped(second)


def favours_the_first(_: Random, first: float, second: float) -> tuple[float, float]:
    return _clipped(first + 2.5), _clipped(second)


def noisy(random: Random, first: float, second: float) -> tuple[float, float]:
    return _clipped(random.gauss(first, 2)), _clipped(random.gauss(second, 2))


def throws_dice(random: Random, first: float, second: float) -> tuple[float, float]:
    del first, second
    return float(random.randint(1, 10)), float(random.randint(1, 10))


def compressed(_: Random, first: float, second: float) -> tuple[float, float]:
    """Says 6 to 8 whatever it sees, in halves."""
    return tuple(round(2 * (7 + (quality - 6.5) / 4)) / 2 for quality in (first, second))  # type: ignore[return-value]


def constant(_: Random, first: float, second: float) -> tuple[float, float]:
    del first, second
    return 8.0, 8.0


def position_only(_: Random, first: float, second: float) -> tuple[float, float]:
    del first, second
    return 9.0, 5.0


def _rounds(judge: Judge, random: Random, number: int) -> list[RoundScores]:
    """Score *number* rewrites of one instruction, in both orders."""
    rounds = list[RoundScores]()
    for _ in range(number):
        strong, target = random.gauss(7.5, 1), random.gauss(5.5, 1.3)
        one, two = judge(random, strong, target), judge(random, target, strong)
        rounds.append(RoundScores(one, (two[1], two[0])))
    return rounds


def pilot(judge: Judge, seed: int, instructions: int = 150) -> Pilot:
    """A pilot at θ = 10, as the documentation recommends: 30 seeds, 5 instructions each."""
    random, tally, scored = Random(seed), JudgeTally(), list[ScoredInstruction]()
    for number in range(instructions):
        rounds = _rounds(judge, random, 4)
        tally.add(rounds)
        gaps = tuple((one.leads[0] + one.leads[1]) / 2 for one in rounds)
        scored.append(ScoredInstruction(1, gaps, number // 5))
    config = build_config({"seeds": "x", "filter": {"threshold": 10.0}}, where="test")
    scores, cost = tally.scores(), UnitCost(1.0)
    assert scores is not None
    return Pilot("pilot", config, tuple(scored), scores, StageCosts(cost, cost, cost), 1.0)


def calibrated(judge: Judge, seed: int) -> Calibration:
    return calibrate(pilot(judge, seed), target_yield=0.5)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("judge", [unbiased, favours_the_first, compressed])
def test_a_judge_whose_orders_agree_gets_a_threshold(judge: Judge, seed: int) -> None:
    result = calibrated(judge, seed)

    assert result.judge_scores.is_reliable
    assert result.recommended is not None


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("judge", [noisy, throws_dice, constant, position_only])
def test_no_threshold_is_recommended_for_noise_dice_and_constants(judge: Judge, seed: int) -> None:
    result = calibrated(judge, seed)
    text = calibration_text(result)

    assert not result.judge_scores.is_reliable
    assert result.recommended is None
    assert "no θ is recommended" in text
    assert "the highest θ" not in text
    assert "[filter] samples = 4" in text
    assert any(line.startswith("warning:") for line in judge_lines(result.judge_scores))


def test_noise_is_not_taken_for_a_favour_of_position() -> None:
    [noise] = [text for text in calibrated(throws_dice, 0).warnings if "different winners" in text]
    favour = calibrated(position_only, 0).warnings

    assert "it favours no position, so its scores are noisy" in noise
    assert any("it follows position" in text for text in favour)


def test_what_each_judge_is_worth() -> None:
    """The figures that the documentation gives, over 1,000 instructions."""

    def correlation(judge: Judge) -> float:
        value = pilot(judge, 7, 1000).judge.correlation
        assert value is not None
        return value

    assert correlation(unbiased) == 1.0
    assert correlation(favours_the_first) > 0.8
    assert correlation(compressed) == 1.0
    assert 0.1 < correlation(noisy) < 0.4 < MIN_CORRELATION
    assert abs(correlation(throws_dice)) < 0.1


points = st.integers(1, 10).map(float)
rounds = st.lists(
    st.builds(RoundScores, st.tuples(points, points), st.tuples(points, points)),
    min_size=1,
    max_size=4,
)


@given(st.lists(rounds, min_size=1, max_size=30))
def test_figures_of_a_judge_are_shares_whatever_it_says(
    instructions: list[list[RoundScores]],
) -> None:
    tally = JudgeTally()
    for one in instructions:
        tally.add(one)
    scores = tally.scores()

    assert scores is not None
    assert scores.rulings == 2 * sum(map(len, instructions))
    assert 0 <= scores.tied <= 1
    assert 0 <= scores.flipped <= 1
    assert 0 < scores.constancy <= 1
    assert scores.correlation is None or -1 <= scores.correlation <= 1
    assert all(isinstance(text, str) for text in judge_warnings(scores))


def test_nothing_scored_is_no_judge() -> None:
    assert JudgeTally().scores() is None
    assert judge_lines(None) == []


def test_a_judge_that_cannot_be_compared_says_so() -> None:
    scores = JudgeScores(2, 8.0, 8.0, 1.0, 1.0, 0.0, 0.0, 1, None)

    assert "cannot be compared" in scores.describe()
    assert not scores.is_reliable
