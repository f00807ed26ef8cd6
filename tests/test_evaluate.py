"""Verdicts and CRR, test sets and answers, the line over real models' words, and the commands."""

import asyncio
import csv
import gzip
import json
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import anyio
import anyio.to_thread
import msgspec
import pytest
from blockbuster import BlockBuster
from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.data.answers import read_answers
from codeclm.engine.data.intervals import Interval
from codeclm.engine.data.records import (
    Answer,
    Example,
    InstructionRequest,
    Iteration,
    Judgement,
    Metadata,
    Seed,
)
from codeclm.engine.data.seeds import SeedError
from codeclm.engine.data.test_sets import TEST_SETS, Question, TestSource, read_questions, shorten
from codeclm.engine.evaluate.calibration.calibrate import Calibration, calibrate
from codeclm.engine.evaluate.calibration.pilot import read_pilot
from codeclm.engine.evaluate.calibration.yields import (
    ScoredInstruction,
    StageCosts,
    ThresholdYield,
    UnitCost,
    threshold_yield,
    yield_interval,
)
from codeclm.engine.evaluate.difference import OtherCandidate, paired_difference
from codeclm.engine.evaluate.outcome import EvaluationSetup, summarise_evaluation
from codeclm.engine.evaluate.pairwise import PairwiseComparison, PairwiseEvaluator
from codeclm.engine.evaluate.report import outcome_text
from codeclm.engine.evaluate.scoring import Scoring
from codeclm.engine.evaluate.session import EvaluationSession
from codeclm.engine.evaluate.statistics import (
    PositionBias,
    bootstrap_interval,
    position_bias,
)
from codeclm.engine.evaluate.verdicts import (
    PairwiseVerdict,
    Ruling,
    VerdictCounts,
    count_verdicts,
    pairwise_verdict,
)
from codeclm.engine.store.writer import LedgerWriter
from codeclm.prompts import ParseError
from codeclm.prompts.judge import read_verdict
from codeclm.providers.base import Rejected, Reply, Request

from .acting import Actor, may_read_the_cache, playing
from .commands import COMMAND, codeclm, environment, write_lines, write_seeds
from .servers import ReceivedRequest, Say, Server, answer, chat, say

DATA = Path(__file__).parents[1] / "../shared/data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the shared data files are not here")

WIN, DRAW, LOSS = Ruling(8, 3), Ruling(5, 5), Ruling(2, 9)

# -- verdicts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "two", "both", "alpagasus"),
    [
        (WIN, WIN, "win", "win"),
        (WIN, DRAW, "tie", "win"),
        (DRAW, WIN, "tie", "win"),
        (WIN, LOSS, "tie", "tie"),
        (LOSS, WIN, "tie", "tie"),
        (DRAW, DRAW, "tie", "tie"),
        (LOSS, DRAW, "tie", "loss"),
        (DRAW, LOSS, "tie", "loss"),
        (LOSS, LOSS, "loss", "loss"),
    ],
)
def test_two_orders_make_a_verdict(one: Ruling, two: Ruling, both: str, alpagasus: str) -> None:
    assert (pairwise_verdict((one, two)), pairwise_verdict((one, two), "alpagasus")) == (
        both,
        alpagasus,
    )


@pytest.mark.parametrize("rulings", [(None, WIN), (LOSS, None), (None, None), ()])
def test_an_unreadable_order_makes_the_verdict_invalid(
    rulings: Sequence[Ruling | None],
) -> None:
    assert (pairwise_verdict(rulings), pairwise_verdict(rulings, "alpagasus")) == (
        "invalid",
        "invalid",
    )


points = st.integers(0, 20).map(lambda half: half / 2)
scored = st.builds(Ruling, points, points)
rulings = st.lists(st.none() | scored, min_size=1, max_size=2)
OPPOSITE: dict[PairwiseVerdict, PairwiseVerdict] = {
    "win": "loss",
    "loss": "win",
    "tie": "tie",
    "invalid": "invalid",
}


@given(rulings)
def test_whoever_changes_sides_changes_the_verdict(orders: list[Ruling | None]) -> None:
    other = [r and Ruling(r.reference, r.candidate) for r in orders]

    assert pairwise_verdict(other) == OPPOSITE[pairwise_verdict(orders)]
    assert pairwise_verdict(other, "alpagasus") == OPPOSITE[pairwise_verdict(orders, "alpagasus")]


@given(rulings)
def test_the_strict_rule_only_turns_verdicts_into_ties(orders: list[Ruling | None]) -> None:
    assert pairwise_verdict(orders) in {pairwise_verdict(orders, "alpagasus"), "tie"}


# Wins, ties, losses of table 5, and the CRR that table 1 prints for them.
TABLE_5 = {
    "Self-Instruct 7B": (17, 140, 61, "72.02"),
    "Alpagasus 7B": (17, 147, 54, "75.23"),
    "Tree-Instruct 7B": (23, 141, 54, "75.23"),
    "WizardLM 7B": (19, 143, 56, "74.31"),
    "WizardLM+ 7B": (19, 146, 53, "75.69"),
    "CodecLM 7B": (29, 145, 44, "79.82"),
    "Self-Instruct 13B": (29, 136, 53, "75.69"),
    "Alpagasus 13B": (26, 148, 44, "79.82"),
    "Tree-Instruct 13B": (26, 154, 38, "82.57"),
    "WizardLM 13B": (30, 149, 39, "82.11"),
    "WizardLM+ 13B": (31, 153, 34, "84.40"),
    "CodecLM 13B": (35, 154, 29, "86.70"),
}


@pytest.mark.parametrize("row", TABLE_5.values(), ids=TABLE_5)
def test_the_counts_of_table_5_give_the_crr_of_table_1(row: tuple[int, int, int, str]) -> None:
    wins, ties, losses, crr = row
    counts = VerdictCounts(wins, ties, losses)

    assert str(counts) == f"CRR {crr} % (0 of 218 verdicts are invalid)"


def test_invalid_verdicts_count_as_ties_and_are_always_named() -> None:
    assert str(VerdictCounts(10, 30, 58, 2)) == "CRR 42.00 % (2 of 100 verdicts are invalid)"


def test_above_two_per_cent_of_invalid_verdicts_there_is_no_crr() -> None:
    counts = VerdictCounts(10, 30, 57, 3)

    assert str(counts) == "no CRR: 3 of 100 verdicts are invalid (limit: 2%)"


def test_nothing_compared_is_no_crr() -> None:
    assert (VerdictCounts().usable, VerdictCounts().crr) == (False, 0.0)


@given(st.lists(st.sampled_from(["win", "tie", "loss", "invalid"])))
def test_counts_add_up_to_the_prompts(verdicts: list[PairwiseVerdict]) -> None:
    counts = count_verdicts(verdicts)

    assert counts.total == len(verdicts)
    assert counts == count_verdicts(sorted(verdicts))


@given(st.lists(st.sampled_from([-100.0, 0.0, 100.0]), min_size=1, max_size=40), st.integers())
def test_an_interval_holds_its_mean_and_repeats_itself(values: list[float], seed: int) -> None:
    result = bootstrap_interval(values, Random(seed), resamples=200)

    assert min(values) <= result.low <= result.high <= max(values)
    assert result.mean == sum(values) / len(values)
    assert result == bootstrap_interval(values, Random(seed), resamples=200)


def test_an_interval_is_as_wide_as_the_normal_one_where_that_is_right() -> None:
    """1,000 prompts, half of them lost: 50 % ± 1.96 times 1.58 points."""
    result = bootstrap_interval([0.0, 100.0] * 500, Random(0), resamples=4000)

    assert result.mean == 50.0
    assert result.low == pytest.approx(46.9, abs=0.4)
    assert result.high == pytest.approx(53.1, abs=0.4)


def test_certainty_has_no_width() -> None:
    assert bootstrap_interval([100.0] * 80, Random(1), resamples=100) == Interval(
        100.0, 100.0, 100.0
    )


def test_a_judge_that_favours_the_first_answer_shows_in_the_figures() -> None:
    """Both orders say 8 to 3 for whoever is first: a tie, and five points for the place."""
    biased = (Ruling(8, 3), Ruling(3, 8))
    fair = (Ruling(7, 5), Ruling(7, 5))
    result = position_bias([biased, fair, (None, WIN)])

    assert [pairwise_verdict(biased), pairwise_verdict(fair)] == ["tie", "win"]
    assert result == PositionBias(2, 0.5, 2.5, first=3, second=1, neither=0)


@needs_data
def test_real_reviews_give_the_verdicts_of_their_files() -> None:
    """1,040 reviews by GPT-4, one order each: their text against the scores kept beside it.

    Three cannot be read, all of the mathematics prompt, which asks for a tuple at the end; ours is
    the general one.
    """
    read_off: list[PairwiseVerdict] = []
    kept: list[PairwiseVerdict] = []
    unread: list[int] = []
    with gzip.open(DATA / "vicuna_judge_reviews.jsonl.gz", "rt", encoding="utf-8") as file:
        for review in map(json.loads, file):
            kept.append(pairwise_verdict([Ruling(*review["score"])]))
            try:
                read_off.append(pairwise_verdict([Ruling(*read_verdict(review["text"]))]))
            except ParseError:
                read_off.append("invalid")
                unread.append(review["question_id"])

    assert [b if a == "invalid" else a for a, b in zip(read_off, kept, strict=True)] == kept
    assert (count_verdicts(read_off), count_verdicts(kept)) == (
        VerdictCounts(276, 100, 662, 2),
        VerdictCounts(277, 100, 663),
    )
    assert unread == [70, 70]


# -- test sets --------------------------------------------------------------------------------


@needs_data
@pytest.mark.parametrize(
    ("name", "prompts", "categories"),
    [("evol-instruct", 218, 29), ("vicuna", 80, 9), ("self-instruct", 252, 1), ("koala", 180, 1)],
)
def test_the_papers_test_sets_are_read_by_name(name: str, prompts: int, categories: int) -> None:
    result = read_questions(TestSource(name, DATA))

    assert (len(result), len({q.category for q in result})) == (prompts, categories)
    assert len({q.id for q in result}) == prompts


@needs_data
def test_a_task_and_its_input_are_one_prompt() -> None:
    first = read_questions(TestSource("self-instruct", DATA))[0]

    assert first.id == "user_oriented_task_0"
    assert "unnecessary words.\n\nIf you have any questions" in first.prompt


@needs_data
@pytest.mark.parametrize(("most", "cut"), [(1500, 6), (2048, 4), (0, 0)])
def test_over_long_prompts_of_koala_lose_their_middle(most: int, cut: int) -> None:
    prompts = [question.prompt for question in read_questions(TestSource("koala", DATA))]

    assert sum(shorten(prompt, most) != prompt for prompt in prompts) == cut


@given(st.text(max_size=2000), st.integers(20, 400))
def test_a_shortened_prompt_fits_and_keeps_its_head_and_tail(prompt: str, most: int) -> None:
    short = shorten(prompt, most)
    head, gap, tail = short.partition(" characters or more are left out here]\n\n")

    assert len(short) <= max(4 * most, 0)
    assert (short == prompt) == (len(prompt) <= 4 * most)
    if short != prompt:
        assert gap
        assert prompt.startswith(head.rsplit("\n\n[", 1)[0])
        assert prompt.endswith(tail)


def test_any_file_is_a_test_set(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(
            [["n", "prompt", "kind"], [7, "Sing.", "art"], [9, "Add.", "sum"]]
        )
    with_ids = read_questions(TestSource(str(path), id_field="n", category_field="kind"))

    assert with_ids == [Question("7", "Sing.", "art"), Question("9", "Add.", "sum")]
    assert read_questions(TestSource(str(path))) == [Question("1", "Sing."), Question("2", "Add.")]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([{"id": 1, "prompt": "A"}, {"id": 1, "prompt": "B"}], "two questions have the id '1'"),
        ([{"id": 1, "prompt": "A"}, {"id": 2}], "set.jsonl:2: none of the usual fields"),
    ],
)
def test_a_test_set_is_whole_or_refused(lines: list[Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(SeedError, match=message):
        read_questions(TestSource(str(write_lines(tmp_path / "set.jsonl", lines))))


def test_an_unknown_name_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(
        SeedError, match=f"no test set of this name; available: {', '.join(TEST_SETS)}"
    ):
        read_questions(TestSource("vicunna"))


def test_a_named_set_that_is_missing_asks_for_its_folder(tmp_path: Path) -> None:
    with pytest.raises(SeedError, match=r"no koala_test_set.jsonl in .*--tests DIR"):
        read_questions(TestSource("koala", tmp_path))


# -- answers ----------------------------------------------------------------------------------


@needs_data
@pytest.mark.parametrize("model", ["alpaca-13b", "llama-13b:v1", "vicuna-13b:20230322-clean-lang"])
def test_a_model_is_chosen_from_a_file_of_many(model: str) -> None:
    result = read_answers(DATA / "vicuna_bench_answers.jsonl.gz", model)

    assert sorted(result, key=int) == [str(number) for number in range(1, 81)]


@needs_data
@pytest.mark.parametrize(
    ("model", "names"),
    [("", "alpaca-13b:v1, bard"), ("vicuna-13b", "vicuna-13b:20230322-clean-lang, vicuna-13b:2")],
)
def test_a_name_that_could_be_several_models_is_refused(model: str, names: str) -> None:
    with pytest.raises(SeedError, match=f"answers of several models; name one: {names}"):
        read_answers(DATA / "vicuna_bench_answers.jsonl.gz", model)


def test_answers_are_found_under_the_names_tools_give_them(tmp_path: Path) -> None:
    lines = [
        {"id": "a", "text": "One."},
        {"question_id": 2, "output": "Two.", "generator": ""},
        {"idx": 3, "response": ""},
    ]
    result = read_answers(write_lines(tmp_path / "said.jsonl", lines))

    assert result == {"a": Answer("One."), "2": Answer("Two."), "3": Answer("")}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([{"id": 1, "text": "A"}, {"id": "1", "text": "B"}], "said.jsonl:2: a second answer"),
        ([{"text": "A"}], "said.jsonl:1: an answer needs a question's id"),
        ([{"id": 1}], "said.jsonl:1: an answer needs a question's id, and a text"),
        ([{"id": 1, "text": 5}], r"said.jsonl:1: Expected `str \| null`, got `int`"),
    ],
)
def test_an_answer_that_cannot_be_used_is_named(
    lines: list[Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(SeedError, match=message):
        read_answers(write_lines(tmp_path / "said.jsonl", lines))


# -- the line ---------------------------------------------------------------------------------

QUESTION = Question("q1", "Why is the sky {blue}?", "physics")


def by_place(first: str, second: str) -> Any:
    """A judge that says *first* if the candidate's answer comes first, else *second*."""

    def judge(request: Request) -> str:
        text = request.messages[0].content + request.messages[1].content
        return first if text.index("target") < text.index("strong") else second

    return judge


def says_its_name(request: Request) -> str:
    return f"I am {request.model}."


async def compared(actor: Actor, folder: Path, question: Question = QUESTION) -> PairwiseComparison:
    async with playing(actor, folder) as troupe:
        answerers: Any = {"candidate": troupe["target"], "reference": troupe["strong"]}
        [comparison] = await PairwiseEvaluator(answerers, troupe["judge"])(question)
    return comparison


async def test_both_orders_are_scored_and_kept_apart(
    tmp_path: Path, unblocked: BlockBuster | None
) -> None:
    may_read_the_cache(unblocked)
    actor = Actor(respond=says_its_name, judge=by_place("7 9\nClear.", "8.5, 6\nClear."))
    comparison = await compared(actor, tmp_path)

    assert comparison == PairwiseComparison(
        id="q1",
        category="physics",
        prompt=QUESTION.prompt,
        candidate=Answer("I am target."),
        reference=Answer("I am strong."),
        rulings=(Ruling(7, 9, "7 9\nClear."), Ruling(6, 8.5, "8.5, 6\nClear.")),
    )
    assert actor.counts() == {"judge": 2, "respond": 2}
    assert actor.prompts("respond") == [QUESTION.prompt] * 2


async def test_one_order_that_cannot_be_read_is_asked_three_times_and_the_other_kept(
    tmp_path: Path, unblocked: BlockBuster | None
) -> None:
    may_read_the_cache(unblocked)
    actor = Actor(respond=says_its_name, judge=by_place("9 3\nGood.", "Both are lovely."))
    comparison = await compared(actor, tmp_path)

    assert (comparison.rulings, comparison.reason) == (
        (Ruling(9, 3, "9 3\nGood."), None),
        "unreadable",
    )
    assert (pairwise_verdict(comparison.rulings), actor.counts()) == (
        "invalid",
        {"judge": 4, "respond": 2},
    )


async def test_an_empty_answer_is_a_bad_answer_for_the_judge_to_see(
    tmp_path: Path, unblocked: BlockBuster | None
) -> None:
    may_read_the_cache(unblocked)
    actor = Actor(respond="", judge="5 5\nNothing was said.")
    comparison = await compared(actor, tmp_path)

    assert (comparison.candidate, pairwise_verdict(comparison.rulings)) == (Answer(""), "tie")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Rejected("400: the prompt is too long"), "rejected"),
        (Reply(text="", finish_reason="content_filter"), "content_filter"),
    ],
)
async def test_a_prompt_nobody_answers_is_an_invalid_verdict(
    fault: Exception | Reply, reason: str, tmp_path: Path, unblocked: BlockBuster | None
) -> None:
    may_read_the_cache(unblocked)
    actor = Actor(
        respond=lambda request: fault if request.model == "target" else "An answer.", judge="5 5"
    )
    comparison = await compared(actor, tmp_path)

    assert (comparison.reason, pairwise_verdict(comparison.rulings), comparison.candidate) == (
        reason,
        "invalid",
        None,
    )


# -- two candidates ---------------------------------------------------------------------------


def comparison_of(name: str, *both: Ruling, reference: str = "R") -> PairwiseComparison:
    return PairwiseComparison(
        id=name, category="", prompt=name, reference=Answer(reference), rulings=(both[0], both[1])
    )


def test_two_candidates_differ_by_the_prompts_only_one_of_them_loses() -> None:
    ours = [comparison_of(f"{n}", *((LOSS, LOSS) if n < 10 else (WIN, WIN))) for n in range(100)]
    theirs = [comparison_of(f"{n}", *((LOSS, LOSS) if n < 30 else (DRAW, WIN))) for n in range(100)]
    result = paired_difference(ours, OtherCandidate("B", theirs), Scoring(resamples=2000))

    assert (result.other, result.prompts, result.points.mean) == ("B", 100, 20.0)
    assert result.points.low == pytest.approx(12.2, abs=2)
    assert result.points.high == pytest.approx(27.8, abs=2)


def test_the_same_results_do_not_differ() -> None:
    ours = [comparison_of(f"{n}", LOSS, WIN if n % 3 else LOSS) for n in range(30)]

    other = OtherCandidate("B", ours)

    assert paired_difference(ours, other, Scoring()).points == Interval(0, 0, 0)


# -- the command ------------------------------------------------------------------------------

MODELS = ("--candidate", "scripted/target", "--reference", "scripted/strong")
JUDGED = (*MODELS, "--judge", "scripted/strong")


def write_set(folder: Path, size: int = 12) -> Path:
    rows = ({"id": n, "prompt": f"What of {n}?", "kind": "ab"[n % 2]} for n in range(size))
    return write_lines(folder / "set.jsonl", rows)


def json_result(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.stdout.count("\n") == 1, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read


@needs_data
def test_a_second_evaluation_pays_for_nothing_and_has_the_same_result(tmp_path: Path) -> None:
    line = ("evaluate", "--test", "vicuna", "--tests", str(DATA), *JUDGED, "--out", "v", "--json")
    first = json_result(codeclm(*line, cwd=tmp_path))
    written = (tmp_path / "v" / "comparisons.jsonl").read_bytes()
    second = json_result(codeclm(*line, cwd=tmp_path))

    assert (first["calls"]["paid"], second["calls"]) == (
        320,
        {"paid": 0, "reused": 320, "unreadable": 0},
    )
    assert (tmp_path / "v" / "comparisons.jsonl").read_bytes() == written
    assert first["counts"] == second["counts"]
    assert sum(first["counts"].values()) == len(written.splitlines()) == 80
    assert len(first["categories"]) == 9


def test_the_file_of_an_evaluation_continues_it(tmp_path: Path) -> None:
    write_set(tmp_path)
    line = ("evaluate", "--test", "set.jsonl", *JUDGED, "--category-field", "kind", "--out", "e")
    first = codeclm(*line, cwd=tmp_path)
    again = codeclm("evaluate", "e/config.toml", cwd=tmp_path)

    assert (first.returncode, again.returncode) == (0, 0)
    assert "48 paid, 0 reused" in first.stdout
    assert "0 paid, 48 reused" in again.stdout
    assert first.stdout.split("calls:")[0] == again.stdout.split("calls:")[0]
    assert "0 invalid" not in first.stdout
    assert "(0 of 12 verdicts are invalid)" in first.stdout


def test_answers_come_from_files_and_two_candidates_are_compared(tmp_path: Path) -> None:
    write_set(tmp_path, 3)
    for name, text in (("long", "- a\n" * 9), ("short", "- a\n" * 3), ("middle", "- a\n" * 6)):
        write_lines(tmp_path / f"{name}.jsonl", ({"id": n, "text": f"\n{text}"} for n in range(3)))
    line = ("evaluate", "--test", "set.jsonl", "--judge", "scripted/x", "--reference-answers")
    short = codeclm(*line, "middle.jsonl", "--candidate-answers", "short.jsonl", "--out", "s",
                    "--json", cwd=tmp_path)  # fmt: skip
    against = ("--out", "l", "--against", "s", "--json")
    long = codeclm(*line, "middle.jsonl", "--candidate-answers", "long.jsonl", *against,
                   cwd=tmp_path)  # fmt: skip
    other = codeclm(*line, "short.jsonl", "--candidate-answers", "long.jsonl", "--against", "s",
                    "--out", "o", cwd=tmp_path)  # fmt: skip

    assert (json_result(short)["crr"], json_result(long)["crr"]) == (0.0, 100.0)
    assert json_result(long)["difference"] == {
        "other": "s",
        "prompts": 3,
        "points": {"mean": 100.0, "low": 100.0, "high": 100.0},
    }
    assert json_result(short)["calls"]["paid"] == 6
    assert (other.returncode, "with the same reference" in other.stderr) == (2, True)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (("--test", "none.jsonl", *JUDGED), "none.jsonl: no such file, and no test set"),
        ((*JUDGED,), "test: missing"),
        (("--test", "set.jsonl", *MODELS), "judge.model: missing"),
        (("--test", "set.jsonl", *MODELS, "--judge", "openai/x"), "set OPENAI_API_KEY"),
        (
            ("--test", "set.jsonl", *JUDGED, "--rule", "best"),
            "rule: must be one of alpagasus, both, got 'best'",
        ),
        (
            ("--test", "set.jsonl", *JUDGED, "--set", "judge.tmperature=1"),
            "did you mean temperature?",
        ),
        (("--test", "set.jsonl", *JUDGED, "--against", "x"), "x/comparisons.jsonl: No such file"),
        (
            ("--test", "set.jsonl", *JUDGED, "--candidate-answers", "few.jsonl"),
            "few.jsonl: no answer to 11 of 12 prompts, such as '1'",
        ),
    ],
)
def test_mistakes_are_reported_before_any_call(
    line: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    write_set(tmp_path)
    write_lines(tmp_path / "few.jsonl", [{"id": 0, "text": "Zero."}])
    done = codeclm("evaluate", *line, cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert not (tmp_path / "cache").exists()


def test_a_different_test_set_is_refused_before_any_call(tmp_path: Path) -> None:
    write_set(tmp_path)
    write_lines(tmp_path / "other.jsonl", ({"id": n, "prompt": f"Why {n}?"} for n in range(3)))
    codeclm("evaluate", "--test", "other.jsonl", *JUDGED, "--out", "other", cwd=tmp_path)
    line = ("evaluate", "--test", "set.jsonl", *JUDGED, "--out", "mine")
    done = codeclm(*line, "--against", "other", cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert "other: a different test set: no prompt is in both" in done.stderr
    assert not (tmp_path / "mine").exists()


def test_a_result_that_cannot_be_paired_is_still_printed_and_kept(tmp_path: Path) -> None:
    """Only when they are there can answers of a model be seen to be other ones."""
    write_set(tmp_path)
    write_lines(tmp_path / "said.jsonl", ({"id": n, "text": "No."} for n in range(12)))
    judged = ("--candidate", "scripted/target", "--judge", "scripted/strong")
    line = ("evaluate", "--test", "set.jsonl")
    codeclm(*line, *judged, "--reference-answers", "said.jsonl", "--out", "one", cwd=tmp_path)
    done = codeclm(*line, *JUDGED, "--out", "two", "--against", "one", cwd=tmp_path)
    kept = json.loads((tmp_path / "two" / "summary.json").read_bytes())

    assert done.returncode == 1
    assert "12 of 12 prompts compared" in done.stdout
    assert "no difference: one: its reference gave different answers" in done.stdout
    assert "one: its reference gave different answers" in done.stderr
    assert (kept["ending"], sum(kept["counts"].values())) == ("finished", 12)


@pytest.mark.parametrize(("names", "order"), [("10 9 -1", ["-1", "9", "10"]), ("b a", ["a", "b"])])
def test_categories_that_are_numbers_are_sorted_by_value(names: str, order: list[str]) -> None:
    """Others stand best first, under a head as wide as they are."""
    won = {"b": LOSS}
    comparisons = [
        msgspec.structs.replace(comparison_of(name, *[won.get(name, WIN)] * 2), category=name)
        for name in names.split()
    ]
    questions = [Question(c.id, c.prompt) for c in comparisons]
    session = EvaluationSession(questions, comparisons={c.id: c for c in comparisons})
    setup = EvaluationSetup("t", "c", "r", "j")
    lines = outcome_text(summarise_evaluation(session, setup, Scoring(resamples=9))).splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("category"))
    rows = lines[at + 1 : at + 1 + len(order)]

    assert [row.split()[0] for row in rows] == order
    assert {len(row) for row in rows} == {len(lines[at])}


def test_a_folder_holds_one_evaluation(tmp_path: Path) -> None:
    """How verdicts are summed up may change, what was asked may not."""
    write_set(tmp_path)
    line = ("evaluate", "--test", "set.jsonl", *JUDGED, "--out", "e")
    codeclm(*line, cwd=tmp_path)
    rule = codeclm(*line, "--rule", "alpagasus", "--seed", "5", cwd=tmp_path)
    other = codeclm(*line, "--max-tokens", "99", cwd=tmp_path)

    assert (rule.returncode, "0 paid" in rule.stdout) == (0, True)
    assert (other.returncode, other.stdout) == (2, "")
    assert "candidate.max_tokens: 2048 → 99" in other.stderr


# -- over HTTP --------------------------------------------------------------------------------

WAITING = "retry={attempts=2, first_wait=0.01}"
OVER_HTTP = (
    *("evaluate", "--test", "set.jsonl", "--candidate", "openai/small", "--reference"),
    *("openai/large", "--judge", "openai/judge", "--out", "e", "--json", "--set", WAITING),
    "--no-preflight",
)


def acting(asked: ReceivedRequest) -> Say:
    model = asked.json["model"]
    return say(chat("4 7\nThe second." if model == "judge" else f"I am {model}."))


async def over_http(server: Server, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    def run() -> subprocess.CompletedProcess[str]:
        write_set(folder)
        line = (*OVER_HTTP, "--base-url", f"{server.url}/v1", *more)
        return codeclm(*line, cwd=folder, OPENAI_API_KEY="k")

    return await anyio.to_thread.run_sync(run)


only_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])


@only_asyncio
async def test_all_models_are_greedy_and_a_biased_judge_shows_in_the_figures(
    server: Server, tmp_path: Path
) -> None:
    """It prefers whatever comes second: no verdict but ties."""
    server.always = acting
    done = await over_http(server, tmp_path)
    result = json_result(done)

    assert {asked.json["temperature"] for asked in server.asked} == {0.0}
    assert len(server.asked) == 12 * 4
    assert (done.returncode, result["crr"], result["counts"]["ties"]) == (0, 100.0, 12)
    assert result["position"] == {
        "prompts": 12,
        "flipped": 1.0,
        "first_lead": -3.0,
        "first": 0,
        "second": 24,
        "neither": 0,
    }


@only_asyncio
async def test_too_many_invalid_verdicts_fail_the_evaluation(
    server: Server, tmp_path: Path
) -> None:
    def rambling(asked: ReceivedRequest) -> Say:
        text = str(asked.json["messages"])
        if asked.json["model"] == "judge" and "What of 7?" in text:
            return say(chat("Both are good."))
        return acting(asked)

    server.always = rambling
    done = await over_http(server, tmp_path)
    result = json_result(done)

    assert (done.returncode, result["ending"], result["crr"]) == (1, "finished", None)
    assert (result["counts"]["invalid"], result["invalid"]) == (1, {"unreadable": 1})
    assert "no CRR: 1 of 12 verdicts are invalid (limit: 2%)" in done.stderr


@only_asyncio
async def test_the_same_command_retries_what_failed_with_transient_errors(
    server: Server, tmp_path: Path
) -> None:
    def half_away(asked: ReceivedRequest) -> Say:
        if "What of 7?" in asked.json["messages"][-1]["content"]:
            return answer(b"busy", status=503)
        return acting(asked)

    judged = asyncio.Event()

    async def others_first(asked: ReceivedRequest) -> None:
        """Both models have answered others before they fail: they are not away."""
        if asked.json["model"] == "judge":
            judged.set()
        elif "What of 7?" in asked.json["messages"][-1]["content"]:
            await judged.wait()

    server.always, server.before = half_away, others_first
    first = await over_http(server, tmp_path, "--max-concurrent", "12")
    server.always = acting
    before = len(server.asked)
    second = await over_http(server, tmp_path, "--max-concurrent", "12")

    assert (first.returncode, json_result(first)["ending"]) == (1, "unfinished")
    assert list(json_result(first)["unanswered"]) == ["7"]
    assert "to continue: the same command" in first.stderr
    assert (second.returncode, json_result(second)["ending"]) == (0, "finished")
    assert len(server.asked) - before == 4


@only_asyncio
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 5), (signal.SIGKILL, -9)])
async def test_stopped_anywhere_it_continues_without_paying_twice(
    number: signal.Signals, status: int, server: Server, tmp_path: Path
) -> None:
    """Killed, it may pay again for what was not on disk: three prompts' two calls at most."""
    await anyio.to_thread.run_sync(write_set, tmp_path)
    line = (*OVER_HTTP, "--base-url", f"{server.url}/v1", "--max-concurrent", "1")
    process = await anyio.open_process(
        [*COMMAND, *line], cwd=tmp_path, env=environment(tmp_path, OPENAI_API_KEY="k")
    )

    async def strike(asked: ReceivedRequest) -> None:
        del asked
        if len(server.asked) == 20:
            os.kill(process.pid, number)

    server.always, server.before = acting, strike
    async with process:
        await process.wait()
    server.before = None
    stopped = len(server.asked)
    done = await over_http(server, tmp_path, "--max-concurrent", "1")

    assert (process.returncode, done.returncode) == (status, 0)
    assert stopped < 48
    assert len(server.asked) <= 48 + (6 if number is signal.SIGKILL else 0)
    assert json_result(done)["counts"]["ties"] == 12


@only_asyncio
async def test_a_second_interrupt_stops_at_once(server: Server, tmp_path: Path) -> None:
    """The server never answers: the first interrupt would wait for it."""
    await anyio.to_thread.run_sync(write_set, tmp_path)
    asked = anyio.Event()

    async def hold(_: ReceivedRequest) -> None:
        asked.set()
        await anyio.sleep_forever()

    server.before = hold
    line = (*OVER_HTTP, "--base-url", f"{server.url}/v1")
    async with await anyio.open_process(
        [*COMMAND, *line], cwd=tmp_path, env=environment(tmp_path, OPENAI_API_KEY="k")
    ) as process:
        assert process.stderr is not None
        await asked.wait()
        process.send_signal(signal.SIGINT)
        async for message in process.stderr:
            if b"again to stop now" in message:
                break
        process.send_signal(signal.SIGINT)
        status = await process.wait()
    written = await anyio.Path(tmp_path / "e" / "comparisons.jsonl").read_bytes()

    assert (status, written) == (5, b"")


@only_asyncio
async def test_a_refused_key_stops_the_evaluation(server: Server, tmp_path: Path) -> None:
    server.always = say({"error": {"message": "no such key"}}, status=401)
    done = await over_http(server, tmp_path, "--max-concurrent", "1")
    result = json_result(done)

    assert (done.returncode, result["ending"], result["crr"]) == (1, "failed", None)
    assert "401" in result["reason"]
    assert len(server.asked) <= 2


# -- calibration ------------------------------------------------------------------------------

FREE = StageCosts(UnitCost(1.0), UnitCost(4.0), UnitCost(1.0))


def test_a_threshold_up_to_the_pilots_own_is_counted() -> None:
    instructions = [
        ScoredInstruction(1, (4.0,)),
        ScoredInstruction(1, (2.0, 5.0)),
        ScoredInstruction(1, (-2.5, 0.0, 1.5, 3.0)),
        ScoredInstruction(1, (0.0, 0.0)),
    ]
    result = threshold_yield(instructions, 2.0, exact_up_to=3.0, costs=FREE)

    assert result == ThresholdYield(
        2.0,
        exact=True,
        scored={1: 4, 2: 2},
        rates={1: 0.5, 2: 0.5},
        expected_yield=0.75,
        observed_yield=0.75,
        cost=UnitCost((1 + 4 + 0.5 * 5) / 0.75),
        interval=yield_interval(instructions, 2.0),
    )


def simulated_pilot(
    random: Random, items: int, threshold: float
) -> tuple[list[ScoredInstruction], list[ScoredInstruction]]:
    """Four instructions of each item, as a pilot at *threshold* sees them, and in full."""
    seen, full = list[ScoredInstruction](), list[ScoredInstruction]()
    for item in range(items):
        ease = random.gauss(2, 1)
        for _ in range(4):
            gaps = [abs(random.gauss(ease, 2)) for _ in range(4)]
            full.append(ScoredInstruction(1, tuple(gaps), item))
            count = next((n for n, gap in enumerate(gaps, 1) if gap > threshold), 4)
            seen.append(ScoredInstruction(1, tuple(gaps[:count]), item))
    return seen, full


def test_the_interval_of_an_estimate_holds_what_comes_in_nineteen_of_twenty() -> None:
    """Of 200 pilots at θ = 3, each of 40 items; asked about θ = 4, whose yield is known."""
    random = Random(5)
    _, population = simulated_pilot(random, 5000, 3.0)
    selected = sum(max(one.gaps) > 4 for one in population) / len(population)
    covered = 0
    for _ in range(200):
        seen, _ = simulated_pilot(random, 40, 3.0)
        result = threshold_yield(seen, 4.0, exact_up_to=3.0, costs=FREE)
        assert not result.exact
        covered += result.interval.low <= selected <= result.interval.high

    assert 0.85 <= covered / 200 <= 1


def test_above_the_pilots_own_threshold_the_yield_is_estimated_from_the_rest() -> None:
    """Of four, one has 6 points and two have 4, which the pilot kept; the last went on to 6."""
    instructions = [
        ScoredInstruction(1, (6.0,)),
        ScoredInstruction(1, (4.0,)),
        ScoredInstruction(1, (4.0,)),
        ScoredInstruction(1, (1.0, 6.0)),
    ]
    result = threshold_yield(instructions, 5.0, exact_up_to=3.0, costs=FREE)

    assert (result.exact, result.rates) == (False, {1: 0.25, 2: 1.0})
    assert (result.expected_yield, result.observed_yield) == (1.0, 0.5)


@given(
    st.lists(
        st.lists(st.integers(-18, 18).map(lambda half: half / 2), min_size=1, max_size=4),
        min_size=1,
        max_size=30,
    )
)
def test_a_higher_threshold_never_yields_more(gaps: list[list[float]]) -> None:
    """Where every round was seen, as in a pilot whose own θ nothing reaches."""
    instructions = [ScoredInstruction(1, tuple(rounds)) for rounds in gaps]
    shares = [
        threshold_yield(instructions, step / 2, exact_up_to=10.0, costs=FREE).expected_yield
        for step in range(19)
    ]

    assert shares == sorted(shares, reverse=True)
    assert shares[4] == pytest.approx(sum(max(map(abs, rounds)) > 2 for rounds in gaps) / len(gaps))


def calibrated(folder: Path, target_yield: float) -> Calibration:
    return calibrate(read_pilot(folder), target_yield)


@pytest.fixture(scope="module")
def pilot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pilot at θ = 10, which takes everything through all rounds."""
    folder = tmp_path_factory.mktemp("pilot")
    write_seeds(folder, 20)
    json_result(codeclm(*RUN, "--threshold", "10", "--out", "pilot", cwd=folder))
    return folder


RUN = ("run", "--seeds", "seeds.jsonl", "--strong", "scripted/strong", "--target",
       "scripted/target", "--per-metadata", "5", "--json", "--display", "none")  # fmt: skip


@pytest.mark.parametrize("theta", [1.0, 3.0, 6.0])
def test_a_run_at_a_threshold_has_the_yield_that_the_pilot_promised(
    theta: float, pilot: Path
) -> None:
    """Rounds, selections, yield and calls; and every answer is in the cache already."""
    promised = {row.threshold: row for row in calibrated(pilot / "pilot", target_yield=0.5).yields}
    done = codeclm(*RUN, "--threshold", str(theta), "--out", f"at-{theta}", cwd=pilot)
    came = json_result(done)
    gaps = came["gaps"]
    here = promised[theta]
    selected = sum(gaps["selected"].values())

    assert {str(number): seen for number, seen in here.scored.items()} == gaps["scored"]
    assert here.expected_yield == pytest.approx(selected / gaps["scored"]["1"])
    assert sum(stage["paid"] for stage in came["calls"].values()) == 0
    assert here.cost is not None
    assert here.cost.calls * selected == pytest.approx(came["predicted_calls"])


def test_calibrate_names_the_highest_threshold_for_a_yield(pilot: Path) -> None:
    result = {row.threshold: row for row in calibrated(pilot / "pilot", target_yield=0.5).yields}
    most = max(theta for theta, row in result.items() if row.expected_yield >= 0.9)
    done = codeclm("calibrate", "pilot", "--yield", "0.9", cwd=pilot)

    assert (done.returncode, done.stderr) == (0, "")
    assert f"the highest θ for a yield of 90%: {most:g}" in done.stdout
    assert "warning" not in done.stdout


def test_calibrate_prices_a_pair(pilot: Path) -> None:
    prices = [f"{role}.price_{way}=1000000" for role in ("strong", "target", "judge")
              for way in ("input", "output")]  # fmt: skip
    more = [word for price in prices for word in ("--set", price)]
    codeclm(*RUN, "--threshold", "10", "--out", "priced", *more, cwd=pilot)
    [result] = json.loads(codeclm("calibrate", "priced", "--json", cwd=pilot).stdout)
    cheapest, dearest = result["yields"][0]["cost"], result["yields"][12]["cost"]

    assert 0 < cheapest["money"] < dearest["money"]


@pytest.mark.parametrize(
    "once",
    [
        ("--set", "filter.max_iterations=1"),
        ("--set", "filter.max_iterations=2", "--set", "filter.filter_basic=false"),
        ("--recipe", "codeclm-filter"),
    ],
)
def test_a_pilot_of_one_round_knows_every_threshold(once: tuple[str, ...], pilot: Path) -> None:
    name = f"once-{len(once)}-{once[1]}"
    codeclm(*RUN, *once, "--threshold", "1", "--out", name, cwd=pilot)
    result = calibrated(pilot / name, target_yield=0.01)

    assert all(row.exact and row.expected_yield == row.observed_yield for row in result.yields)
    assert result.recommended is not None
    assert result.recommended > 1
    assert not any("is an estimate" in warning for warning in result.warnings)


def test_a_recipe_that_scores_nothing_has_no_threshold_to_choose(tmp_path: Path) -> None:
    write_seeds(tmp_path, 2)
    line = ("run", "--seeds", "seeds.jsonl", "--strong", "scripted/strong", "--out", "r")
    codeclm(*line, "--recipe", "codeclm-metadata", cwd=tmp_path)
    done = codeclm("calibrate", "r", cwd=tmp_path)

    assert done.returncode == 2
    assert "recipe codeclm-metadata scores no answers against each other" in done.stderr


Scores = tuple[tuple[float, float], tuple[float, float]]


def judged(folder: Path, *orders: Scores) -> list[str]:
    """The warnings of a pilot whose judge gave *whole*, once round after round of one round."""
    path = folder / "pilot"
    path.mkdir()
    (path / "config.toml").write_text(
        'seeds = "s"\nfilter.threshold = 10.0\n'
        '[strong]\nmodel = "scripted/a"\n[target]\nmodel = "scripted/b"\n'
    )
    ledger = LedgerWriter(path / "ledger.sqlite")
    for at, (one, two) in enumerate(orders):
        metadata = Metadata(position=at, id=f"m{at}", use_case="u", skills=(), origin="user")
        gap = (one[0] + two[0]) / 2 - (one[1] + two[1]) / 2
        last = Iteration(
            number=1,
            instruction=f"I {at}.",
            strong=Answer("S"),
            target=Answer("T"),
            judgements=(Judgement(*one, ""), Judgement(*two, "")),
            gap=gap,
        )
        ledger.seed_encoded(Seed(at, f"s{at}", f"?{at}"), metadata, item=at)
        ledger.example_finished(
            Example(id=f"{at:016x}", position=at, number=0, metadata=metadata,
                    basic_instruction=f"I {at}.", iterations=(last,),
                    fate="kept" if abs(gap) > 3 else "filtered", reason="gap")
        )  # fmt: skip
        ledger.request_done(InstructionRequest(metadata, 1), 1)
    ledger.close()
    return list(calibrated(path, target_yield=0.001).warnings)


@pytest.mark.parametrize(
    ("scores", "warning"),
    [
        (((8, 8), (8, 8)), "the same score: 8 in 98% of scores"),
        (((8, 8), (7, 7)), "gives both answers the same score in 98% of rulings"),
        (((9, 4), (4, 9)), "the judge's two orders named different winners in 98% of rounds"),
        (((9, 4), (4, 9)), "being shown first is worth 4.9 points"),
        (((4, 9), (9, 4)), "being shown second is worth 4.9 points"),
    ],
)
def test_a_judge_whose_scores_say_little_causes_a_warning(
    scores: Scores, warning: str, tmp_path: Path
) -> None:
    useful: Scores = ((9, 2), (9, 2))
    warnings = judged(tmp_path, *[scores] * 59, useful)

    assert any(warning in line for line in warnings), warnings


def test_a_useful_judge_causes_no_warning(tmp_path: Path) -> None:
    mixed: list[Scores] = [((9, 4), (8, 4)), ((7, 6), (6, 6)), ((3, 7), (4, 8))] * 20

    assert judged(tmp_path, *mixed) == []


def test_a_small_pilot_causes_a_warning(tmp_path: Path) -> None:
    assert judged(tmp_path, ((9, 4), (8, 3)), ((8, 5), (7, 6))) == [
        "only 2 instructions were scored: yields are rough",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (("calibrate", "nothing"), "nothing: not a run's folder"),
        (("calibrate", "empty"), "empty: nothing was scored in this run yet"),
    ],
)
def test_a_folder_without_gaps_is_refused(
    line: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.toml").write_text('seeds = "s"\n')
    LedgerWriter(tmp_path / "empty" / "ledger.sqlite").close()
    done = codeclm(*line, cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
