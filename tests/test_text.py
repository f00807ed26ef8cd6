"""Words, n-grams, ROUGE-L and fingerprints: what every comparison of texts rests on."""

import math
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.data.text.fingerprint import fingerprint, normalised
from codeclm.engine.data.text.ngrams import NgramIndex, ngrams, shingles
from codeclm.engine.data.text.rouge import RougeIndex, rouge_l
from codeclm.engine.data.text.words import words

TOKENS = st.lists(st.sampled_from("abcd"), max_size=8)
TEXTS = st.lists(st.sampled_from("abcdef"), max_size=12).map(" ".join)


# -- words ------------------------------------------------------------------------------------


def test_words_are_letters_and_digits_and_each_character_of_a_script_without_spaces() -> None:
    assert words("Don't   STOP, é_1!") == ["don", "t", "stop", "é_1"]
    assert words("Schreib über 3 Äpfel…") == ["schreib", "über", "3", "äpfel"]
    assert words("写一首诗 now") == ["写", "一", "首", "诗", "now"]
    assert words("?! …") == []


@given(st.lists(st.text("abÄß1_ 写ひ,.!'\n", max_size=8), max_size=5))
def test_neither_case_nor_what_stands_between_words_changes_them(parts: list[str]) -> None:
    """Words of the whole are the words of its parts, and cutting them again changes nothing."""
    text = " … ".join(parts)
    tokens = words(text)

    assert tokens == [word for part in parts for word in words(part)]
    assert tokens == words(text.upper().lower()) == words(" ".join(tokens))
    assert all(word and " " not in word for word in tokens)


# -- n-grams ----------------------------------------------------------------------------------


@given(tokens=st.lists(st.sampled_from("abc"), max_size=20), size=st.integers(1, 15))
def test_every_word_is_in_some_shingle(tokens: list[str], size: int) -> None:
    actual = shingles(tokens, size)

    assert len(actual) == max(len(tokens) - size + 1, int(bool(tokens)))
    assert {word for shingle in actual for word in shingle.split()} == set(tokens)
    assert ngrams(tokens, size) == (actual if len(tokens) >= size else [])


def test_an_index_of_ngrams_names_each_text_that_shares_one() -> None:
    index = NgramIndex([("trip", "Plan a trip to Rome!"), ("joke", "Tell a joke.")], 3)

    assert index.matches("Please plan a trip, then tell a joke") == {"trip", "joke"}
    assert index.matches("plan a tour to Rome") == set()


def test_a_text_shorter_than_an_ngram_matches_only_as_a_whole() -> None:
    index = NgramIndex([(1, "A poem."), (2, "Write a poem now")], 3)

    assert index.matches("a POEM") == {1}
    assert index.matches("write a poem") == {2}
    assert index.matches("?!") == set()


# -- ROUGE-L ----------------------------------------------------------------------------------


def longest(a: list[str], b: list[str]) -> int:
    @cache
    def at(i: int, j: int) -> int:
        if i == len(a) or j == len(b):
            return 0
        if a[i] == b[j]:
            return 1 + at(i + 1, j + 1)
        return max(at(i + 1, j), at(i, j + 1))

    return at(0, 0)


@given(TOKENS, TOKENS)
def test_it_is_the_f_measure_of_the_longest_common_subsequence(a: list[str], b: list[str]) -> None:
    common = longest(a, b)
    expected = 0.0
    if common:
        precision, recall = common / len(a), common / len(b)
        expected = 2 * precision * recall / (precision + recall)

    assert rouge_l(a, b) == pytest.approx(expected)
    assert rouge_l(a, b) == rouge_l(b, a)


@given(st.lists(TEXTS, max_size=8), TEXTS, st.sampled_from([0.0, 0.5, 0.7, 1.0]))
def test_an_index_finds_what_comparing_each_text_finds(
    texts: list[str], text: str, threshold: float
) -> None:
    index = RougeIndex(threshold)
    for other in texts:
        index.add(other)
    similarities = [rouge_l(words(text), words(other)) for other in texts]

    actual = {number: similarity for similarity, number in index.similar(text)}
    assert actual == {n: value for n, value in enumerate(similarities) if value > threshold}


def test_exactly_the_threshold_is_not_similar() -> None:
    index = RougeIndex(0.7)
    index.add("a b c d e f g x y z")

    assert index.similar("a b c d e f g p q r") == []
    assert [number for _, number in index.similar("a b c d e f g x q r")] == [0]


def test_words_that_no_indexed_text_holds_match_nothing() -> None:
    index = RougeIndex(0.5)
    index.add("一 二 三")

    assert index.similar("四 五 六") == []
    assert math.isclose(index.similar("一 二 四")[0].similarity, 2 / 3)


# -- the same text ----------------------------------------------------------------------------


def test_case_space_and_the_punctuation_around_a_text_make_no_difference() -> None:
    assert fingerprint(' "Write  a\nPOEM." ') == fingerprint("write a poem")
    assert fingerprint("3 + 4") != fingerprint("3 * 4")
    assert normalised(" Trip\n planning ") == "trip planning"


@given(st.text())
def test_a_fingerprint_is_a_signed_integer_of_64_bits_for_any_text(text: str) -> None:
    assert -(1 << 63) <= fingerprint(text) < 1 << 63
    assert fingerprint(text) == fingerprint(normalised(text))
