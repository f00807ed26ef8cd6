"""ROUGE-L against the definition."""

from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.rouge import rouge_l

words = st.lists(st.sampled_from("abcd"), max_size=10)


def by_definition(one: Sequence[str], other: Sequence[str]) -> int:
    @cache
    def common(n: int, m: int) -> int:
        if not n or not m:
            return 0
        if one[n - 1] == other[m - 1]:
            return common(n - 1, m - 1) + 1
        return max(common(n - 1, m), common(n, m - 1))

    return common(len(one), len(other))


@given(words, words)
def test_it_is_the_f1_of_the_longest_common_subsequence(one: list[str], other: list[str]) -> None:
    size = len(one) + len(other)
    expected = 2 * by_definition(one, other) / size if one and other else 0

    assert rouge_l(one, other) == rouge_l(other, one) == pytest.approx(expected)


def test_lins_own_example() -> None:
    """Lin 2004: "police kill the gunman" has three of four words of the reference in order."""
    reference = ["police", "killed", "the", "gunman"]

    assert rouge_l(["police", "kill", "the", "gunman"], reference) == pytest.approx(3 / 4)
    assert rouge_l(["the", "gunman", "kill", "police"], reference) == pytest.approx(2 / 4)
