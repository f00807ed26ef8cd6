"""A few rounds of kills and resumptions; ``scripts/chaos`` plays as many as asked."""

from pathlib import Path

import pytest

from .chaos.rounds import play

pytestmark = pytest.mark.slow


def test_killed_runs_lose_nothing_and_pay_for_nothing_twice(tmp_path: Path) -> None:
    """Each kind of run, interrupted at random: same dataset, only what was in flight paid again."""
    rounds = play(3, seed=7, folder=tmp_path)

    assert [one.wrong for one in rounds] == [[], [], []]
    assert sum(one.kills for one in rounds) >= 2
    assert sum(one.again for one in rounds) <= sum(one.in_flight for one in rounds)
