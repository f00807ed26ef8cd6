from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from codeclm.engine.calls.counters import Counters
from codeclm.engine.calls.spending import Usage
from codeclm.engine.config import Config, build_config
from codeclm.engine.data.records import (
    Answer,
    Example,
    InstructionRequest,
    Iteration,
    Judgement,
    Metadata,
    Seed,
)
from codeclm.engine.reporting.costs import stage_costs
from codeclm.engine.reporting.summary import Summary, summarise, summary_text
from codeclm.engine.store.reader import LedgerReader
from codeclm.engine.store.writer import LedgerWriter

from .examples import examples

Scores = tuple[tuple[float, float], tuple[float, float]]
"""Strong and target, in the order strong-first, then in the other."""

CLEAR: Scores = ((9, 2), (9, 2))
EVEN: Scores = ((7, 4), (4, 7))


def settings(**more: Any) -> Config:
    roles: dict[str, Any] = {
        "strong": {"model": "scripted/strong"},
        "target": {"model": "scripted/target"},
    }
    return build_config({"seeds": "s.jsonl", **roles, **more}, where="test")


def iteration(number: int, scores: Scores) -> Iteration:
    one, two = Judgement(*scores[0], ""), Judgement(*scores[1], "")
    return Iteration(
        number=number,
        instruction=f"Round {number}.",
        strong=Answer("S"),
        target=Answer("T"),
        judgements=(one, two),
        gap=(one.strong + two.strong) / 2 - (one.target + two.target) / 2,
    )


def example(position: int, *rounds: Scores, unscored: bool = False) -> Example:
    metadata = Metadata(
        position=position, id=f"m{position}", use_case="u", skills=(), origin="user"
    )
    start = 2 if unscored else 1
    iterations = [iteration(n, scores) for n, scores in enumerate(rounds, start)]
    if unscored:
        iterations.insert(0, Iteration(number=1, instruction="Basic."))
    gap = iterations[-1].gap or 0.0
    return Example(
        id=f"{position:016x}",
        position=position,
        number=0,
        metadata=metadata,
        basic_instruction=f"Basic {position}.",
        iterations=(*iterations[:-1], _named(iterations[-1], position)),
        fate="kept" if abs(gap) > 3 else "filtered",
        winner="strong" if gap > 3 else "target" if gap < -3 else None,
        reason="selected" if abs(gap) > 3 else "gap",
    )


def _named(last: Iteration, position: int) -> Iteration:
    return Iteration(
        number=last.number,
        instruction=f"Last of {position}.",
        strong=last.strong,
        target=last.target,
        judgements=last.judgements,
        gap=last.gap,
    )


def summed(
    folder: Path, examples: list[Example], *, config: Config | None = None, counters: Any = None
) -> Summary:
    with LedgerWriter(folder / "ledger.sqlite") as writer:
        for made in examples:
            position = made.position
            writer.seed_encoded(
                Seed(position, f"s{position}", f"?{position}"), made.metadata, item=position
            )
            writer.example_finished(made)
            writer.request_done(InstructionRequest(made.metadata, 1), 1)
    with LedgerReader(folder / "ledger.sqlite") as ledger:
        return summarise(
            config or settings(), ledger, counters or Counters(), ending="finished", reason=""
        )


def test_gaps_are_counted_by_round_and_by_threshold(tmp_path: Path) -> None:
    examples = [
        example(0, CLEAR),
        example(1, EVEN, ((8, 5), (8, 5)), ((9, 5), (9, 4))),
        example(2, ((2, 9), (3, 9))),
        example(3, EVEN, EVEN, EVEN, EVEN),
    ]
    gaps = summed(tmp_path, examples).gaps

    assert gaps.histogram == {"-7": 1, "0": 5, "3": 1, "4": 1, "7": 1}
    assert (gaps.scored_rounds, gaps.scored) == (9, {1: 4, 2: 2, 3: 2, 4: 1})
    assert gaps.selected == {1: 2, 3: 1}
    assert gaps.pairs_at == {f"{step / 2:g}": 3 if step < 9 else 2 for step in range(1, 11)}


def test_leads_of_the_target_do_not_count_where_its_answers_are_not_kept(tmp_path: Path) -> None:
    examples = [example(0, CLEAR), example(1, ((2, 9), (3, 9)))]
    config = settings()
    strong = structs.replace(config, filter=structs.replace(config.filter, keep="strong"))
    gaps = summed(tmp_path, examples, config=strong).gaps

    assert gaps.selected == {1: 1}
    assert gaps.pairs_at["3"] == 1
    assert (gaps.selection.selected, gaps.selection.scored) == (1, 2)


def test_a_gap_that_a_second_scoring_did_not_confirm_selects_nothing(tmp_path: Path) -> None:
    unconfirmed = structs.replace(example(1, CLEAR), winner=None, fate="filtered", reason="gap")
    config = settings()
    twice = structs.replace(config, filter=structs.replace(config.filter, confirm=True))
    gaps = summed(tmp_path, [example(0, CLEAR), unconfirmed], config=twice).gaps

    assert (gaps.scored, gaps.selected) == ({1: 2}, {1: 1})
    assert gaps.selection.selected == 1


def test_a_scorer_that_favours_the_first_answer_is_seen(tmp_path: Path) -> None:
    """EVEN gives whoever is first three points more, and both orders disagree."""
    gaps = summed(tmp_path, [example(0, EVEN, EVEN), example(1, CLEAR, CLEAR)]).gaps

    assert gaps.judge is not None
    assert (gaps.judge.flipped, gaps.judge.first_lead) == (0.5, 1.5)


def test_rows_are_told_by_winner_and_by_round(tmp_path: Path) -> None:
    examples = [example(0, CLEAR), example(1, EVEN, CLEAR), example(2, ((1, 9), (1, 9)))]
    told = summed(tmp_path, examples)

    assert (told.rows, told.winners, told.by_iteration) == (
        3,
        {"strong": 2, "target": 1},
        {1: 2, 2: 1},
    )


def test_figure_2_counts_its_rounds_from_the_second(tmp_path: Path) -> None:
    """The first round is not scored there: what is selected after one rewrite is round 2's."""
    told = summed(tmp_path, [example(0, CLEAR, unscored=True)])

    assert told.by_iteration == {2: 1}
    assert (told.gaps.scored, told.gaps.selected) == ({2: 1}, {2: 1})


def test_without_any_score_there_is_nothing_to_say_of_gaps(tmp_path: Path) -> None:
    told = summed(tmp_path, [])

    assert (told.gaps.judge, told.gaps.bias, told.gaps.histogram) == (None, None, {})
    assert summary_text(told).startswith("finished: 0 rows\n")


def test_money_is_what_the_tokens_cost(tmp_path: Path) -> None:
    """A million prompt tokens at 2, of which 400,000 cached at 0.5, and 100,000 answered at 8."""
    prices = {"price_input": 2.0, "price_cached": 0.5, "price_output": 8.0}
    config = settings(strong={"model": "scripted/strong", **prices})
    counters = Counters()
    usage = Usage(1, 1_000_000, cached_tokens=400_000, completion_tokens=100_000)
    counters.count_paid("strong", "encode", usage, "stop")
    counters.count_paid("target", "respond", usage, "stop")
    told = summed(tmp_path, [], config=config, counters=counters)

    assert told.money == pytest.approx(0.6 * 2 + 0.4 * 0.5 + 0.1 * 8)


def test_without_prices_nothing_is_said_of_money(tmp_path: Path) -> None:
    counters = Counters()
    counters.count_paid("strong", "encode", Usage(1, 5), "stop")
    told = summed(tmp_path, [], counters=counters)

    assert told.money is None
    assert "cost" not in summary_text(told)


def test_rows_that_refuse_and_replies_that_are_no_answer_are_counted(tmp_path: Path) -> None:
    counters = Counters()
    counters.count_paid("strong", "respond", Usage(1, reasoning_tokens=2048), "stop")
    for reason in ("refusal", "only_thinking", "only_thinking"):
        counters.count_unusable("respond", reason)
    plain, refusing = example(0, CLEAR), example(1, CLEAR)
    last = refusing.iterations[-1]
    answer = Answer("I can't help with that.", refuses=True)
    refusing = structs.replace(refusing, iterations=(structs.replace(last, strong=answer),))
    summary = summed(tmp_path, [plain, refusing], counters=counters)
    text = summary_text(summary)

    assert summary.refusals == 1
    assert "rows whose answer reads like a refusal: 1\n" in text
    assert "replies that were no answer: 2 only thinking, 1 refusal\n" in text
    assert "answer tokens spent on reasoning: 2,048\n" in text


scores = st.integers(0, 10).map(float)
pairs = st.tuples(st.tuples(scores, scores), st.tuples(scores, scores))


@examples(25)
@given(rounds=st.lists(st.lists(pairs, min_size=1, max_size=4), max_size=6))
def test_the_histogram_holds_every_round_and_pairs_fall_with_the_threshold(
    rounds: list[list[Scores]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    examples = [example(n, *said) for n, said in enumerate(rounds)]
    gaps = summed(tmp_path_factory.mktemp("run"), examples).gaps
    falling = list(gaps.pairs_at.values())

    assert sum(gaps.histogram.values()) == gaps.scored_rounds == sum(map(len, rounds))
    assert falling == sorted(falling, reverse=True)
    assert sum(gaps.scored.values()) == gaps.scored_rounds


def test_the_summary_fits_80_columns_and_says_what_is_missing(tmp_path: Path) -> None:
    counters = Counters()
    for stage in ("encode", "decode", "rubrics", "respond", "score", "improve"):
        usage = Usage(1, 123_456_789, completion_tokens=98_765_432)
        counters.count_paid("strong", stage, usage, "stop")
        counters.count_reused(stage)
    examples = [example(n, EVEN, CLEAR) for n in range(5)]
    examples += [example(n, EVEN, EVEN) for n in range(5, 9)]
    told = summary_text(
        summed(tmp_path, examples, config=settings(target_rows=2000), counters=counters)
    )

    assert told.startswith("finished: 5 of 2,000 rows, 1,995 missing\n")
    assert "instructions          9 in\n" in told
    assert [line for line in told.splitlines() if len(line) > 80] == []


def test_costs_come_in_the_order_of_a_run_and_a_role_that_no_run_has_is_last() -> None:
    one = Usage(1, prompt_tokens=5)
    usage = {"nobody": {"score": one}, "judge": {"score": one}, "strong": {"x": one, "encode": one}}

    costs = [(cost.role, cost.stage) for cost in stage_costs({}, usage)]

    assert costs == [
        ("strong", "x"),
        ("strong", "encode"),
        ("judge", "score"),
        ("nobody", "score"),
    ]
