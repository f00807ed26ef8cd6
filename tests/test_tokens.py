"""How many tokens are reserved for a call that has not been made yet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.calls.tokens import OutputLengths, PromptLengths


def test_a_stage_is_reserved_what_its_answers_need() -> None:
    """At first a fair part of what it may use, soon what nine in ten of its answers needed."""
    lengths = OutputLengths()
    first = lengths.reserve("judge", 16_000), lengths.reserve("judge", None)
    for used in range(1, 101):
        lengths.learn("judge", used)

    assert first == (4000, 1024)
    assert 90 <= lengths.reserve("judge", 16_000) <= 95
    assert lengths.reserve("encode", 300) == 300


@given(used=st.lists(st.integers(0, 10**6), max_size=200), bound=st.integers(1, 10**5))
def test_a_reservation_is_an_answer_heard_lately_and_within_bounds(
    used: list[int], bound: int
) -> None:
    lengths = OutputLengths()
    for length in used:
        lengths.learn("judge", length)
    reserved = lengths.reserve("judge", bound)

    assert 0 <= reserved <= bound
    if len(used) >= 8:
        assert reserved in {*used[-64:], bound}
        assert sum(length <= lengths.reserve("judge", 10**6) for length in used[-64:]) >= 0.9 * min(
            len(used), 64
        )


def test_prompts_are_estimated_as_the_server_counts() -> None:
    """Four characters a token until usage says otherwise; answers without usage say nothing."""
    prompts = PromptLengths()
    first = prompts.estimate(4001)
    prompts.learn(4000, 0)
    unmoved = prompts.estimate(4001)
    for _ in range(300):
        prompts.learn(1000, 800)

    assert (first, unmoved) == (1001, 1001)
    assert prompts.estimate(1000) == pytest.approx(800, rel=0.01)
