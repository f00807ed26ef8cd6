"""Rules of quality: what is alike, what a text must be, what is in a test set."""

import csv
import json
import sqlite3
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.data.text.ngrams import shingles
from codeclm.engine.data.text.rouge import RougeIndex
from codeclm.engine.quality.absent_text import AbsentTextCheck
from codeclm.engine.quality.checks import (
    Check,
    LanguageCheck,
    LengthCheck,
    Violation,
    first_violation,
)
from codeclm.engine.quality.contamination import ContaminationCheck, Overlap, PromptIndex
from codeclm.engine.quality.copied_examples import CopiedExampleCheck
from codeclm.engine.quality.similarity import MinHashIndex
from codeclm.prompts import BUILT_IN, SETS, PromptSet

from .commands import codeclm, write_lines, write_seeds

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

texts = st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f"]), max_size=12).map(" ".join)


# -- copies of the prompts' examples ------------------------------------------------------------


@pytest.mark.parametrize("name", SETS)
def test_an_instruction_that_copies_an_example_of_the_prompts_is_dropped(name: str) -> None:
    """As SmolLM2 copied one, in words of its own before it."""
    check = CopiedExampleCheck(PromptSet.load(name, BUILT_IN).examples)
    copy = "To the German language, write a letter that asks a customer to pay a late bill."

    violation = check(copy, "instruction")

    assert (violation is not None and violation.reason == "copied_example") == (name == "small")
    assert check(copy, "response") is None
    assert check("Write a letter that asks a neighbour for quiet.", "instruction") is None


def test_no_instruction_of_the_test_sets_copies_an_example() -> None:
    if not DATA.is_dir():
        pytest.skip("the shared test sets are not here")
    check = CopiedExampleCheck(
        text for name in SETS for text in PromptSet.load(name, BUILT_IN).examples
    )
    lines = (DATA / "evol_instruct_testset.jsonl").read_text("utf-8").splitlines()
    lines += (DATA / "koala_test_set.jsonl").read_text("utf-8").splitlines()

    assert [line for line in lines if check(line, "instruction")] == []


# -- alike ------------------------------------------------------------------------------------


def test_minhash_estimates_jaccard_and_finds_what_is_above_the_threshold() -> None:
    random = Random(0)
    missed = wrong = 0
    for trial in range(300):
        base = [f"w{trial}_{n}" for n in range(40)]
        near = list(base)
        for n in random.sample(range(40), random.randint(0, 12)):
            near[n] = f"x{n}"
        one, other = set(shingles(base, 2)), set(shingles(near, 2))
        true = len(one & other) / len(one | other)
        measure = MinHashIndex(0.7)
        measure.add(" ".join(base))
        found = bool(measure.similar(" ".join(near)))
        missed += true > 0.82 and not found
        wrong += true < 0.55 and found

    assert (missed, wrong) == (0, 0)


def test_what_has_no_words_is_like_nothing() -> None:
    for measure in (MinHashIndex(0.7), RougeIndex(0.7)):
        measure.add("?!")
        measure.add("Write a poem.")

        assert measure.similar("…") == []
        assert [number for _, number in measure.similar("write a POEM")] == [1]


@given(held=st.lists(texts, max_size=8), text=texts, order=st.randoms(use_true_random=False))
def test_the_order_in_which_texts_were_added_does_not_change_what_is_alike(
    held: list[str], text: str, order: Random
) -> None:
    numbers = list(range(len(held)))
    order.shuffle(numbers)
    for kind in (MinHashIndex, RougeIndex):
        one, other = kind(0.6), kind(0.6)
        for each in held:
            one.add(each)
        for number in numbers:
            other.add(held[number])

        here = sorted((how, number) for how, number in one.similar(text))
        assert here == sorted((how, numbers[number]) for how, number in other.similar(text))


# -- one text alone ---------------------------------------------------------------------------


def test_length_is_bounded_on_both_sides_inclusively_and_for_its_part_only() -> None:
    check = LengthCheck("instruction", 2, 3)

    assert check("one", "instruction") == Violation("too_short", "instruction: 1 words")
    assert check("one two", "instruction") is None
    assert check("one two three", "instruction") is None
    assert check("1 2 3 4", "instruction") == Violation("too_long", "instruction: 4 words")
    assert check("one", "response") is None


@pytest.mark.parametrize(
    "text",
    [
        "Proofread the following text.",
        "Summarise the passage below in two sentences.",
        "Translate the given sentence into Dutch.",
        "Find the bug in the code provided below and fix it.",
        "Multiply the given numbers.",
        "Create a program that prints the following pattern:",
        "Korrigiere den folgenden Text.",
        "请修改以下文章中的错误。",
        "صحّح النص التالي.",
        "Corrige el siguiente texto.",
        "Résume le texte suivant.",
        "Переведи следующий текст на английский.",
        "次の文章を要約してください。",
        "Resuma o texto a seguir.",
        "Riassumi il seguente testo.",
        "Vertaal de volgende tekst.",
        "다음 문장을 고치세요.",
    ],
)
def test_an_instruction_without_the_text_that_it_works_on_is_refused(text: str) -> None:
    violation = AbsentTextCheck()(text, "instruction")

    assert violation is not None
    assert violation.reason == "absent_text"
    assert AbsentTextCheck()(text, "response") is None


@pytest.mark.parametrize(
    "text",
    [
        "Proofread the following text: Their going home.",
        "Proofread the following text.\n\nTheir going home.",
        'Translate the given sentence, "The cat sat on the mat", into Dutch.',
        "Is the following sentence true or false? Penguins can fly.",
        "Write a function that sorts a list of numbers.",
        "Given a list of numbers, write a function that returns the largest.",
        "Complete my review of the film: the best scene is this:",
        "Write a text about the following day of a hangover.",
        "请修改以下句子：他昨天去了学校。",
        "次の文を直してください：「それ取って」",
        "Переведи следующий текст: «Ночь, улица, фонарь».",
    ],
)
def test_an_instruction_that_brings_its_text_along_or_needs_none_passes(text: str) -> None:
    assert AbsentTextCheck()(text, "instruction") is None


def test_the_first_rule_against_a_text_gives_the_reason() -> None:
    checks: list[Check] = [LengthCheck("response", None, 3), LengthCheck("response", None, 2)]

    assert first_violation(checks, "1 2 3 4", "response") == Violation(
        "too_long", "response: 4 words"
    )
    assert first_violation((), "1 2 3 4", "response") is None


def test_a_text_in_another_language_is_refused_and_an_unclear_one_passes() -> None:
    check = LanguageCheck(["en", "de"])

    german = "Schreibe bitte ein kurzes Gedicht über den Herbst."
    french = "Écris un poème sur la mer et le vent, en trois strophes."
    assert check(german, "instruction") is None
    found = check(french, "response")
    assert found is not None
    assert (found.reason, found.detail[:12]) == ("language", "response: fr")
    assert check("f(x) = 6x^2", "instruction") is None
    assert check("\ud83d", "instruction") is None


# -- test sets --------------------------------------------------------------------------------


def test_thirteen_words_in_a_row_are_an_overlap_and_twelve_are_not() -> None:
    prompt = " ".join(f"w{n}" for n in range(20))
    overlap = PromptIndex([("t", "7", prompt)], 13)
    said = prompt.split()

    assert overlap.overlaps("So: " + " ".join(said[3:16]).upper() + "!") == [Overlap("t", "7")]
    assert overlap.overlaps("So: " + " ".join(said[3:15]) + " and on") == []


def test_a_short_prompt_counts_only_as_a_whole() -> None:
    overlap = PromptIndex([("t", "1", "Write a poem.")], 13)

    assert overlap.overlaps("write a  poem") == [Overlap("t", "1")]
    assert overlap.overlaps("Write a poem about the sea, and then explain it to a child.") == []


def test_a_contaminated_text_says_with_what() -> None:
    check = ContaminationCheck(
        PromptIndex([("vicuna", "3", "Tell me."), ("koala", "k", "Tell me.")], 13)
    )

    assert check("tell me", "response") == Violation("contaminated", "response: koala k, vicuna 3")
    assert check("tell him", "response") is None


@pytest.mark.skipif(not DATA.exists(), reason="the published test sets are not here")
def test_the_two_prompts_that_two_published_test_sets_share_are_found(tmp_path: Path) -> None:
    evol = DATA / "evol_instruct_testset.jsonl"
    found = codeclm(
        "contamination", str(evol), "--against", "vicuna", "--tests", str(DATA), cwd=tmp_path
    )

    assert "vicuna                      2 (0.92%)" in found.stdout
    assert f"{evol}:110: vicuna" in found.stdout
    assert f"{evol}:135: vicuna" in found.stdout


@pytest.mark.parametrize("to", ["x.jsonl", "x.json", "x.jsonl.gz", "x.parquet", "x.csv", "run"])
def test_any_dataset_can_be_looked_into(to: str, tmp_path: Path) -> None:
    """A run's exports in every form, a table of a spreadsheet, and the run itself."""
    if to == "x.parquet":
        pytest.importorskip("pyarrow")
    write_seeds(tmp_path, 3)
    run(tmp_path)
    [first, *others] = [
        json.loads(line) for line in (tmp_path / "run" / "alpaca.jsonl").read_text().splitlines()
    ]
    write_lines(tmp_path / "one.jsonl", [{"instruction": first["instruction"]}])
    write_lines(tmp_path / "none.jsonl", [{"instruction": "Quite another thing."}])
    if to == "x.csv":
        with (tmp_path / to).open("w", encoding="utf-8", newline="") as file:
            table = [("question", "said"), (first["instruction"], first["output"])]
            csv.writer(file, delimiter=";").writerows(table)
    elif to != "run":
        layout = "messages" if to == "x.parquet" else "alpaca"
        codeclm("export", "run", "--format", layout, "--to", to, cwd=tmp_path)
    against = ("--against", "one.jsonl", "--against", "none.jsonl")
    found = codeclm("contamination", to, *against, cwd=tmp_path)

    assert found.returncode == 0, found.stderr
    rows = 1 if to == "x.csv" else 1 + len(others)
    assert f"{rows:,} rows" in found.stdout
    counted = {line.split()[0]: line.split()[1] for line in found.stdout.splitlines()[1:3]}
    assert counted["none.jsonl"] == "0"
    assert int(counted["one.jsonl"]) >= 1


def test_a_dataset_that_the_test_sets_swallowed_is_asked_for(tmp_path: Path) -> None:
    write_lines(tmp_path / "x.jsonl", [{"instruction": "I."}])
    done = codeclm("contamination", "--against", "vicuna", "x.jsonl", cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert "(--against took vicuna x.jsonl): put it first" in done.stderr


# -- in a run ---------------------------------------------------------------------------------


def run(folder: Path, *more: str) -> Any:
    roles = ("--strong", "scripted/strong", "--target", "scripted/target")
    usual = ("--out", "run", "--threshold", "1", "--per-metadata", "5")
    return codeclm("run", "--seeds", "seeds.jsonl", *roles, *usual, *more, cwd=folder)


def reasons(folder: Path, where: str) -> dict[str, int]:
    with sqlite3.connect(folder / "run" / "ledger.sqlite") as ledger:
        query = f"SELECT reason, count(*) FROM examples WHERE {where} GROUP BY 1"
        return dict(ledger.execute(query))


def test_basic_instructions_that_a_rule_refuses_cost_no_further_call(tmp_path: Path) -> None:
    write_seeds(tmp_path, 3)
    done = run(tmp_path, "--set", "quality.max_instruction_words=1", "--json")

    assert done.returncode == 3
    assert '"too_long":15' in done.stdout
    assert '"respond"' not in done.stdout
    assert reasons(tmp_path, "iteration = 0") == {"too_long": 15}


def test_rows_that_are_in_a_test_set_are_named_and_dropped_on_request(tmp_path: Path) -> None:
    write_seeds(tmp_path, 3)
    first = run(tmp_path)
    rows = (tmp_path / "run" / "alpaca.jsonl").read_text("utf-8").splitlines()
    write_lines(tmp_path / "test.jsonl", [json.loads(row) for row in rows[:2]])
    tested = ("--set", 'quality.decontaminate=["test.jsonl"]', "--allow-change")
    reported = run(tmp_path, *tested)
    dropped = run(tmp_path, *tested, "--set", "quality.on_overlap=drop")

    assert "overlap with test sets" not in first.stdout
    assert "test.jsonl                  2         0" in reported.stdout
    assert "test.jsonl                  0         2" in dropped.stdout
    assert "2 filtered (contaminated)" in dropped.stdout


def test_near_duplicates_say_what_they_repeat_and_are_made_up_for(tmp_path: Path) -> None:
    write_seeds(tmp_path, 30)
    sifted = ("quality.near_duplicates=rouge", "quality.near_threshold=0.4")
    done = run(tmp_path, "-n", "20", *(w for s in sifted for w in ("--set", s)))

    assert done.returncode == 0, done.stderr
    assert "finished: 20 of 20 rows" in done.stdout
    rows = (tmp_path / "run" / "alpaca.jsonl").read_text("utf-8").splitlines()
    measure = RougeIndex(0.4)
    for row in map(json.loads, rows):
        assert measure.similar(row["instruction"]) == []
        measure.add(row["instruction"])
    with sqlite3.connect(tmp_path / "run" / "ledger.sqlite") as ledger:
        dropped = list(
            ledger.execute(
                "SELECT id, n.detail FROM near_duplicates n JOIN examples USING (row_index)"
                " WHERE n.reason = 'near_duplicate'"
            )
        )
        known = {name for (name,) in ledger.execute("SELECT id FROM examples")}
    assert dropped
    assert all(detail.split()[0] in known for _, detail in dropped)
    shown = codeclm("inspect", "run", dropped[0][0], cwd=tmp_path)
    assert f"filtered: near_duplicate: {dropped[0][1]}" in shown.stdout


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("quality.languages=['xx']", "quality.languages: no language 'xx'"),
        ("quality.decontaminate=['nosuch']", "nosuch: no such file, and no test set"),
        ("quality.on_overlap=drop", "drop needs test sets"),
        ("quality.near_duplicate=rouge", "did you mean near_duplicates?"),
    ],
)
def test_a_rule_that_cannot_work_is_said_before_any_call(
    tmp_path: Path, setting: str, said: str
) -> None:
    write_seeds(tmp_path, 3)
    done = run(tmp_path, "--set", setting)

    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "cache").exists()
