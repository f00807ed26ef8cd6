"""Recipes side by side: what each metric says, the paper's claims, and the command."""

from collections.abc import Mapping
from math import log2
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.compare.claims import METHODS, Claim, Table, claims
from codeclm.engine.compare.metrics import (
    Overlap,
    Spread,
    distinct,
    entropy,
    lengths,
    overlap,
    self_similarity,
    spread,
    words,
)

# -- metrics ----------------------------------------------------------------------------------

texts = st.lists(st.text(alphabet="ab c,Ä", max_size=30), max_size=12)


def test_words_are_letters_and_digits_whatever_their_case() -> None:
    assert words("Ask: 2 Bakers' ÖFEN?") == ["ask", "2", "bakers", "öfen"]


@pytest.mark.parametrize(("size", "share"), [(1, 4 / 7), (2, 4 / 5), (3, 1.0), (5, None)])
def test_distinct_counts_different_n_grams_within_texts(size: int, share: float | None) -> None:
    """Words a b c d of 7; pairs ab, ba, bc, cd of 5; triples aba, bab, bcd, none across texts."""
    assert distinct(["a b a b", "B, c d"], size) == (share and pytest.approx(share))


@given(texts, st.integers(1, 4))
def test_distinct_is_a_share_and_repeating_a_dataset_halves_it(said: list[str], size: int) -> None:
    once, twice = distinct(said, size), distinct(said + said, size)

    assert once is None or 0 < once <= 1
    assert twice == (once and pytest.approx(once / 2))


def test_self_similarity_is_the_mean_of_each_text_s_nearest() -> None:
    """F of "a b c d" and "a b x y" is 1/2, of either and "q" 0."""
    said = ["a b c d", "a b x y", "q"]

    assert self_similarity(said, Random(0)) == pytest.approx((0.5 + 0.5 + 0) / 3)
    assert self_similarity(["a b", "A, b!"], Random(0)) == pytest.approx(1)
    assert self_similarity(["alone"], Random(0)) is None


@given(st.lists(st.text(alphabet="ab c", max_size=12), min_size=2, max_size=8), st.integers())
def test_self_similarity_is_a_share_that_no_order_changes(said: list[str], seed: int) -> None:
    found = self_similarity(said, Random(0))
    shuffled = Random(seed).sample(said, len(said))

    assert found is not None
    assert 0 <= found <= 1
    assert self_similarity(shuffled, Random(0)) == pytest.approx(found)


def test_of_many_texts_a_sample_is_compared() -> None:
    """All but one are alike: a sample of two shows it or does not, by its seed alone."""
    said = [*("one and the same" for _ in range(30)), "something else"]

    assert self_similarity(said, Random("x"), most=2) == self_similarity(said, Random("x"), most=2)
    assert self_similarity(said, Random("x"), most=31) == pytest.approx(30 / 31)


def test_entropy_is_in_bits() -> None:
    assert entropy(["a", "b", "c", "d"]) == pytest.approx(2)
    assert entropy(["Trip  planning", "trip planning"]) == 0
    assert entropy(["a", "a", "b"]) == pytest.approx(log2(3) - 2 / 3)
    assert entropy([]) is None


@given(st.lists(st.sampled_from("abcde"), min_size=1))
def test_entropy_lies_between_one_name_and_all_equal(names: list[str]) -> None:
    found = entropy(names)

    assert found is not None
    assert -1e-9 <= found <= log2(len(set(names))) + 1e-9


def test_lengths_are_in_words() -> None:
    said = [" ".join("w" * n) for n in range(1, 12)]

    assert lengths(said) == Spread(2, 6, 10)
    assert lengths(["three little words"]) == Spread(3, 3, 3)
    assert lengths([]) is None


@given(st.lists(st.integers(0, 999), min_size=1))
def test_a_spread_lies_within_its_values(values: list[int]) -> None:
    found = spread(values)

    assert found is not None
    assert min(values) <= found.p10 <= found.median <= found.p90 <= max(values)


def test_thirteen_words_in_a_row_overlap_and_twelve_do_not() -> None:
    prompt = " ".join(f"w{n}" for n in range(20))
    thirteen = " ".join(f"W{n}," for n in range(5, 18))
    twelve = " ".join(f"w{n}" for n in range(5, 17))

    assert overlap([f"so {thirteen} it goes", f"so {twelve} it goes"], [prompt, "?"]) == (
        Overlap(rows=1, prompts=1)
    )


def test_a_short_prompt_overlaps_only_as_a_whole() -> None:
    rows = ["Tell me a joke!", "tell me a joke about tell me a joke", "Tell us a joke"]

    assert overlap(rows, ["Tell me a joke.", "tell me a JOKE"]) == Overlap(rows=1, prompts=2)


@given(texts)
def test_a_dataset_overlaps_wholly_with_itself(said: list[str]) -> None:
    spoken = [text for text in said if words(text)]

    assert overlap(spoken, spoken) == Overlap(len(spoken), len(spoken))
    assert overlap(spoken, []) == Overlap(0, 0)


# -- the paper's claims -----------------------------------------------------------------------


def table(columns: str, rows: str) -> Table:
    """Read a table of the paper: a recipe and its figures on each line."""
    lines = [line.split() for line in rows.strip().splitlines()]
    return {
        column: {name: float(figures[n]) for name, *figures in lines}
        for n, column in enumerate(columns.split())
    }


TABLE_1 = table(
    "7B-evol 7B-vicuna 7B-koala 7B-self 13B-evol 13B-vicuna 13B-koala 13B-self",
    """
    self-instruct 72.02 81.25 67.78 65.87 75.69 86.25 77.22 69.05
    alpagasus     75.23 81.25 71.11 70.24 79.82 87.50 77.78 71.03
    tree-instruct 75.23 81.25 72.78 68.65 82.57 87.50 80.56 79.37
    wizardlm      74.31 76.25 65.56 71.43 82.11 86.25 78.89 76.19
    wizardlm-plus 75.69 83.75 68.33 72.22 84.40 88.75 81.11 79.76
    codeclm       79.82 88.75 74.44 78.17 86.70 90.00 82.22 83.33
    """,
)
TABLE_3 = table(
    "7B-evol",
    """
    self-instruct    72.02
    codeclm-metadata 75.23
    codeclm-rubrics  77.52
    codeclm          79.82
    """,
)
TABLE_6 = {
    judge: table(
        "7B 13B",
        f"""
        alpagasus     {alpagasus}
        tree-instruct {tree}
        wizardlm      {wizard}
        wizardlm-plus {plus}
        codeclm       {codec}
        """,
    )
    for judge, alpagasus, tree, wizard, plus, codec in (
        ("ChatGPT", "3.21 4.13", "3.21 6.88", "2.29 6.42", "3.67 8.72", "7.80 11.01"),
        ("GPT-4", "1.38 1.83", "2.29 4.59", "0.46 3.21", "2.29 5.50", "8.26 8.72"),
    )
}


def told(found: tuple[Claim, ...]) -> dict[int, str]:
    return {claim.number: claim.told for claim in found}


def test_the_papers_tables_bear_out_its_claims() -> None:
    """Table 1 with Table 3's rows in their column; Table 6 for the judges; Figure 3's 70 %."""
    both = {**TABLE_1, "7B-evol": {**TABLE_1["7B-evol"], **TABLE_3["7B-evol"]}}

    assert told(claims({"ChatGPT": both}, {1: 71, 2: 15, 3: 9, 4: 5})) == {
        1: "holds",
        2: "holds",
        3: "holds",
        4: "not tested",
        5: "holds",
    }
    assert told(claims(TABLE_6, {}))[4] == "holds"


def test_the_numbers_stand_behind_each_claim() -> None:
    first, second, third, fourth, fifth = claims({"ChatGPT": TABLE_3}, {1: 3, 2: 1})

    assert first.evidence == (
        "7B-evol: codeclm-metadata 75.23 > self-instruct 72.02",
        "7B-evol: codeclm-rubrics 77.52 > codeclm-metadata 75.23",
        "7B-evol: codeclm 79.82 > codeclm-rubrics 77.52",
    )
    assert (second.told, second.evidence) == ("not tested", ())
    assert third.evidence == ("7B-evol: codeclm 79.82 > self-instruct 72.02, of 2 methods",)
    assert fourth.evidence == ()
    assert fifth.evidence == ("3 of 4 rows, 75.0%",)


def test_table_6_has_one_winner_and_two_orders() -> None:
    assert claims(TABLE_6, {})[3].evidence == (
        "7B: codeclm by ChatGPT, codeclm by GPT-4; the full order is another",
        "13B: codeclm by ChatGPT, codeclm by GPT-4; the full order is the same",
    )


@pytest.mark.parametrize(
    ("changed", "number"),
    [
        ({"codeclm-metadata": 72.02}, 1),
        ({"codeclm": 77.0}, 1),
        ({"wizardlm": 75.70}, 2),
        ({"alpagasus": 79.82}, 3),
    ],
)
def test_one_figure_the_other_way_round_and_a_claim_does_not_hold(
    changed: Mapping[str, float], number: int
) -> None:
    column = {**TABLE_1["7B-evol"], **TABLE_3["7B-evol"], **changed}

    assert told(claims({"judge": {"evol": column}}, {}))[number] == "does not hold"


def test_judges_that_name_other_winners_do_not_agree() -> None:
    judges = {"one": {"evol": {"a": 1.0, "b": 2.0}}, "two": {"evol": {"a": 2.0, "b": 2.0}}}

    (*_, fourth, _) = claims(judges, {})
    assert (fourth.told, fourth.evidence) == (
        "does not hold",
        ("evol: b by one, a = b by two; the full order is another",),
    )


@pytest.mark.parametrize(
    ("rounds", "verdict"), [({1: 2, 2: 2}, "does not hold"), ({}, "not tested")]
)
def test_half_is_not_most(rounds: Mapping[int, int], verdict: str) -> None:
    assert told(claims({}, rounds))[5] == verdict


def test_a_step_that_was_not_tested_is_named() -> None:
    (first, *_) = claims({"j": {"evol": {"codeclm-metadata": 2.0, "codeclm-rubrics": 3.0}}}, {})

    assert first.told == "not tested"
    assert first.evidence[-1] == "not tested: metadata, the filter"


@given(st.dictionaries(st.sampled_from(METHODS), st.floats(0, 100)))
def test_claim_three_holds_exactly_where_codeclm_is_first(column: dict[str, float]) -> None:
    others = [value for name, value in column.items() if name != "codeclm"]
    tested = "codeclm" in column and others
    expected = (
        "not tested"
        if not tested
        else "holds"
        if column["codeclm"] > max(others)
        else "does not hold"
    )

    assert told(claims({"j": {"evol": column}}, {}))[3] == expected
