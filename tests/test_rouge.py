"""ROUGE-L is what its definition says, and the shortcut in front of it changes nothing."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.data.text.rouge import resembles, rouge_l, words

TEXTS = st.lists(st.sampled_from("abcd"), max_size=8)


def longest(a: list[str], b: list[str]) -> int:
    @cache
    def at(i: int, j: int) -> int:
        if i == len(a) or j == len(b):
            return 0
        if a[i] == b[j]:
            return 1 + at(i + 1, j + 1)
        return max(at(i + 1, j), at(i, j + 1))

    return at(0, 0)


@given(TEXTS, TEXTS)
def test_it_is_the_f_measure_of_the_longest_common_subsequence(a: list[str], b: list[str]) -> None:
    common = longest(a, b)
    expected = 0.0
    if common:
        precision, recall = common / len(a), common / len(b)
        expected = 2 * precision * recall / (precision + recall)

    assert rouge_l(a, b) == pytest.approx(expected)
    assert rouge_l(a, b) == rouge_l(b, a)


@given(TEXTS, st.lists(TEXTS, max_size=4), st.sampled_from([0.0, 0.5, 0.7, 1.0]))
def test_the_shortcut_finds_what_comparing_all_finds(
    a: list[str], others: list[list[str]], above: float
) -> None:
    assert resembles(a, others, above=above) == any(rouge_l(a, b) > above for b in others)


def test_case_and_punctuation_make_no_difference() -> None:
    assert words("Write a POEM, please!") == ["write", "a", "poem", "please"]
    assert words("Schreib über 3 Äpfel…") == ["schreib", "über", "3", "äpfel"]
