import re
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from blockbuster import BlockBuster
from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.config import FilterConfig
from codeclm.engine.data.errors import ItemError
from codeclm.engine.data.records import (
    Answer,
    Example,
    InstructionRequest,
    Judgement,
    Metadata,
    Seed,
)
from codeclm.engine.data.text.fingerprint import fingerprint
from codeclm.engine.pipeline.stages.decode import Decoder
from codeclm.engine.pipeline.stages.draft import Draft, Rubrics
from codeclm.engine.pipeline.stages.encode import Encoder
from codeclm.engine.pipeline.stages.filter import quality_gap, verdict
from codeclm.engine.pipeline.stages.plausible import Plausibility
from codeclm.engine.pipeline.stages.refine import Refiner
from codeclm.engine.pipeline.stages.score import PairScorer
from codeclm.engine.reporting.transcript import transcript
from codeclm.prompts import Vocabulary
from codeclm.providers.base import Rejected, Reply, Request, Unavailable

from .acting import Actor, Line, Troupe, may_read_the_cache, playing

METADATA = Metadata(position=3, id="m3", use_case="letters", skills=("tact",), origin="user")
ACTIONS = ("Ask for a rhyme.", "Forbid the letter e.", "Set a deadline.", "Add a third reader.")


@pytest.fixture(autouse=True)
def reading(unblocked: BlockBuster | None) -> None:
    may_read_the_cache(unblocked)


scores = st.integers(0, 20).map(lambda half: half / 2)


# -- the rule ---------------------------------------------------------------------------------


@given(first=scores, second=scores)
def test_a_scorer_that_favours_a_position_sees_no_gap(first: float, second: float) -> None:
    judgements = Judgement(first, second, ""), Judgement(second, first, "")

    assert quality_gap(judgements) == 0


@given(one=scores, two=scores, three=scores, four=scores)
def test_the_gap_changes_its_sign_with_the_roles(
    one: float, two: float, three: float, four: float
) -> None:
    gap = quality_gap((Judgement(one, two, ""), Judgement(three, four, "")))

    assert gap == -quality_gap((Judgement(two, one, ""), Judgement(four, three, "")))
    assert -10 <= gap <= 10


@pytest.mark.parametrize(
    ("gap", "said"),
    [(3.5, "strong"), (3.0, "again"), (0.0, "again"), (-3.0, "again"), (-3.5, "target")],
)
def test_only_a_gap_strictly_above_the_threshold_selects(gap: float, said: str) -> None:
    assert verdict(gap, 3.0) == said


# -- the loop ---------------------------------------------------------------------------------


def draft(
    *,
    actions: tuple[str, ...] = ACTIONS,
    reason: str = "",
    instruction: str = "Write a letter.",
    is_refused: bool = False,
) -> Draft:
    rubrics = Rubrics((), actions, reason, is_refused)
    return Draft("d1", InstructionRequest(METADATA, 1), 0, instruction, rubrics)


MORE = " + and name three examples"


def judge(
    strong: float, target: float, *, first: float = 0, beginning: int = 1
) -> Callable[[Request], str]:
    """Score the strong and the target answer; *first* is added to what is shown first.

    Before the round *beginning* (an improvement adds a ``+``) both get 5.
    """

    def score(request: Request) -> str:
        text = request.messages[-1].content
        question = text.partition("[Assistant 1 answer start]")[0]
        shown = ["S", "T"] if text.index("STRONG") < text.index("TARGET") else ["T", "S"]
        ready = question.count("+") + 1 >= beginning
        points = {"S": strong if ready else 5.0, "T": target if ready else 5.0}
        return f"{points[shown[0]] + first:g} {points[shown[1]]:g}"

    return score


def respond(request: Request) -> str:
    return f"{request.model.upper()} on {request.messages[-1].content}"


def improve(request: Request) -> str:
    text = request.messages[-1].content
    return re.split("Input instruction:\n|\n\nImproved", text)[1] + MORE


def action_of(prompt: str) -> str:
    return prompt.partition("Action item: ")[2].partition("\n")[0]


@asynccontextmanager
async def refining(
    folder: Path,
    score: Any,
    settings: FilterConfig | None = None,
    *,
    run_seed: int = 0,
    **lines: Any,
) -> AsyncGenerator[tuple[Actor, Refiner, Troupe]]:
    actor = Actor(**{"respond": respond, "improve": improve, "score": score, **lines})
    async with playing(actor, folder) as troupe:
        settings = settings or FilterConfig()
        refiner = Refiner(
            troupe["strong"],
            troupe["target"],
            PairScorer((troupe["judge"],), settings.samples),
            settings,
            troupe.counters,
            run_seed,
        )
        yield actor, refiner, troupe


async def refined(
    folder: Path,
    score: Any,
    settings: FilterConfig | None = None,
    *,
    of: Draft | None = None,
    **lines: Any,
) -> tuple[Example, Actor]:
    async with refining(folder, score, settings, **lines) as (actor, refiner, _):
        (example,) = await refiner(of or draft())
    return example, actor


async def test_position_bias_cancels_out(tmp_path: Path) -> None:
    """A scorer that gives whoever is first four points more never selects."""
    example, _ = await refined(tmp_path, judge(5, 5, first=4))

    assert [round_.gap for round_ in example.iterations] == [0, 0, 0, 0]
    assert (example.fate, example.reason) == ("filtered", "gap")


async def test_an_instruction_that_is_never_selected_costs_what_the_paper_says(
    tmp_path: Path,
) -> None:
    """Two answers and two scorings in each of four rounds, and three rewrites: 4 + 5 + 5 + 5.

    See docs/algorithm.md §3.7.
    """
    _, actor = await refined(tmp_path, judge(5, 5))

    assert actor.counts() == {"improve": 3, "respond": 8, "score": 8}


async def test_a_gap_of_exactly_the_threshold_is_sent_back(tmp_path: Path) -> None:
    example, actor = await refined(tmp_path, judge(8, 5), FilterConfig(max_iterations=1))

    assert (example.gap, example.fate, example.reason) == (3.0, "filtered", "gap")
    assert "improve" not in actor.counts()


async def test_half_a_point_above_the_threshold_selects(tmp_path: Path) -> None:
    example, _ = await refined(tmp_path, judge(8.5, 5))

    assert (example.gap, example.fate, example.winner) == (3.5, "kept", "strong")


async def test_selection_in_the_first_round_asks_for_no_rewrite(tmp_path: Path) -> None:
    example, actor = await refined(tmp_path, judge(9, 2))

    assert actor.counts() == {"respond": 2, "score": 2}
    assert example.instruction == example.basic_instruction == "Write a letter."
    assert example.answer("strong") == Answer("STRONG on Write a letter.")


async def test_where_the_target_wins_its_own_answer_is_kept(tmp_path: Path) -> None:
    example, _ = await refined(tmp_path, judge(2, 9))

    assert (example.fate, example.winner, example.gap) == ("kept", "target", -7.0)
    assert example.answer("target") == Answer("TARGET on Write a letter.")


async def test_scores_are_filed_under_who_earned_them_in_both_orders(tmp_path: Path) -> None:
    example, _ = await refined(tmp_path, judge(7, 2, first=1))

    assert example.iterations[0].judgements == (
        Judgement(strong=8, target=2, text="8 2"),
        Judgement(strong=7, target=3, text="3 7"),
    )
    assert example.gap == 5.0


async def test_a_later_round_improves_the_one_before_it(tmp_path: Path) -> None:
    example, actor = await refined(tmp_path, judge(9, 2, beginning=3))

    assert [round_.instruction for round_ in example.iterations] == [
        "Write a letter.",
        f"Write a letter.{MORE}",
        f"Write a letter.{2 * MORE}",
    ]
    assert example.iterations[0].action is None
    assert [round_.action for round_ in example.iterations[1:]] == [
        action_of(prompt) for prompt in actor.prompts("improve")
    ]
    assert (example.fate, example.instruction) == ("kept", f"Write a letter.{2 * MORE}")


async def test_no_action_comes_twice_in_a_lineage(tmp_path: Path) -> None:
    for run_seed in range(5):
        _, actor = await refined(
            tmp_path / str(run_seed), judge(5, 5), FilterConfig(max_iterations=5), run_seed=run_seed
        )

        assert {action_of(prompt) for prompt in actor.prompts("improve")} == set(ACTIONS)


async def test_independent_actions_may_come_twice(tmp_path: Path) -> None:
    rules = FilterConfig(action_sampling="independent", max_iterations=20)
    _, actor = await refined(tmp_path, judge(5, 5), rules)
    drawn = [action_of(prompt) for prompt in actor.prompts("improve")]

    assert len(drawn) == 19
    assert any(drawn[n : n + 4].count(drawn[n]) > 1 for n in range(len(drawn)))


async def test_another_run_seed_draws_other_actions(tmp_path: Path) -> None:
    drawn = set[tuple[str, ...]]()
    for run_seed in range(6):
        _, actor = await refined(tmp_path / str(run_seed), judge(5, 5), run_seed=run_seed)
        drawn.add(tuple(action_of(prompt) for prompt in actor.prompts("improve")))

    assert len(drawn) > 1


@pytest.mark.parametrize(
    "useless", ["Write a letter.", "I'm sorry, I can't do that.", "Action item: Write more."]
)
async def test_a_rewrite_that_failed_is_tried_with_other_actions(
    useless: str, tmp_path: Path
) -> None:
    """Other actions in the same round, three at most; then nothing is left to try."""
    example, actor = await refined(tmp_path, judge(5, 5), improve=useless)

    assert actor.counts() == {"improve": 3, "respond": 2, "score": 2}
    assert len({action_of(prompt) for prompt in actor.prompts("improve")}) == 3
    assert (example.fate, example.reason) == ("filtered", "improve_failed")
    assert [round_.number for round_ in example.iterations] == [1]


@pytest.mark.parametrize("copied", ["Write the user's letter.", "Please write a letter!"])
async def test_a_rewrite_that_is_nearly_its_original_is_neither_answered_nor_judged(
    copied: str, tmp_path: Path
) -> None:
    """It counts as a failed rewrite, with a reason of its own, and its call as a cost."""
    example, actor = await refined(tmp_path, judge(5, 5), improve=copied)

    assert actor.counts() == {"improve": 3, "respond": 2, "score": 2}
    assert (example.fate, example.reason) == ("filtered", "near_copy")
    assert [call.stage for call in example.calls].count("improve") == 3


async def test_a_rewrite_that_worked_at_the_second_action_counts_as_one_round(
    tmp_path: Path,
) -> None:
    bad = list[str]()

    def second_time(request: Request) -> str:
        bad.append(action_of(request.messages[-1].content))
        return "Write a letter." if len(bad) == 1 else improve(request)

    example, actor = await refined(tmp_path, judge(9, 2, beginning=2), improve=second_time)

    assert actor.counts() == {"improve": 2, "respond": 4, "score": 4}
    assert [(r.number, r.action) for r in example.iterations] == [(1, None), (2, bad[1])]


async def test_a_rewrite_without_a_word_is_asked_for_again_with_the_same_action(
    tmp_path: Path,
) -> None:
    """A null is the server's, and must not change which action the instruction gets."""
    actions = list[str]()

    def second_time(request: Request) -> str:
        actions.append(action_of(request.messages[-1].content))
        return " \n" if len(actions) == 1 else improve(request)

    undisturbed, _ = await refined(tmp_path / "undisturbed", judge(9, 2, beginning=2))
    example, actor = await refined(
        tmp_path / "disturbed", judge(9, 2, beginning=2), improve=second_time
    )

    assert actor.counts() == {"improve": 2, "respond": 4, "score": 4}
    assert actions[0] == actions[1]
    assert example.iterations == undisturbed.iterations


async def test_rewrites_without_a_word_end_the_action_after_so_many_attempts(
    tmp_path: Path,
) -> None:
    example, actor = await refined(tmp_path, judge(5, 5), improve="")

    assert actor.counts() == {"improve": 9, "respond": 2, "score": 2}
    assert (example.fate, example.reason) == ("filtered", "improve_failed")


async def test_the_reason_is_that_of_the_end_and_not_of_a_rewrite_that_failed_on_the_way(
    tmp_path: Path,
) -> None:
    turns = list[str]()

    def second_time(request: Request) -> str:
        turns.append("")
        return "Write a letter." if len(turns) == 1 else improve(request)

    example, _ = await refined(tmp_path, judge(5, 5), improve=second_time)

    assert len(example.iterations) == 4
    assert (example.fate, example.reason) == ("filtered", "gap")


async def test_a_rewrite_that_the_server_refuses_fails_the_instruction(tmp_path: Path) -> None:
    example, actor = await refined(tmp_path, judge(5, 5), improve=Rejected("400 too long"))

    assert actor.counts() == {"improve": 3, "respond": 2, "score": 2}
    assert (example.fate, example.reason, example.detail) == ("failed", "rejected", "400 too long")


async def test_rubrics_that_the_server_refuses_fail_what_would_need_them(tmp_path: Path) -> None:
    """What is selected as it is needs none."""
    bare = draft(actions=(), reason="400 no", is_refused=True)
    selected, _ = await refined(tmp_path / "wide", judge(9, 2), of=bare)
    lost, _ = await refined(tmp_path / "narrow", judge(5, 5), of=bare)

    assert selected.fate == "kept"
    assert (lost.fate, lost.reason, lost.detail) == ("failed", "rejected", "400 no")


async def test_a_cut_off_rewrite_is_none(tmp_path: Path) -> None:
    cut = Reply(text="Write a letter, but", finish_reason="length")
    example, _ = await refined(tmp_path, judge(5, 5), improve=cut)

    assert (example.reason, len(example.iterations)) == ("improve_failed", 1)
    assert "cut off" in example.detail


async def test_figure_2_scores_nothing_before_the_first_rewrite(tmp_path: Path) -> None:
    example, actor = await refined(tmp_path, judge(9, 2), FilterConfig(filter_basic=False))

    assert actor.counts() == {"improve": 1, "respond": 2, "score": 2}
    assert [(r.number, r.gap) for r in example.iterations] == [(1, None), (2, 7.0)]
    assert example.instruction == f"Write a letter.{MORE}"


async def test_figure_2_rewrites_three_times_at_most_all_the_same(tmp_path: Path) -> None:
    _, actor = await refined(tmp_path, judge(5, 5), FilterConfig(filter_basic=False))

    assert actor.counts() == {"improve": 3, "respond": 6, "score": 6}


async def test_an_answer_of_the_targets_own_is_kept_unless_the_strong_models_are_wanted_alone(
    tmp_path: Path,
) -> None:
    both, _ = await refined(tmp_path / "both", judge(2, 9))
    strong, _ = await refined(tmp_path / "strong", judge(2, 9), FilterConfig(keep="strong"))
    led, _ = await refined(tmp_path / "led", judge(9, 2), FilterConfig(keep="strong"))

    assert (both.fate, both.winner, len(both.iterations)) == ("kept", "target", 1)
    assert (strong.fate, strong.reason, len(strong.iterations)) == ("filtered", "gap", 4)
    assert (led.fate, led.winner) == ("kept", "strong")


async def test_a_leftover_may_be_kept_and_is_marked(tmp_path: Path) -> None:
    """The last iterate with the strong answer, whatever the gap."""
    example, _ = await refined(tmp_path, judge(4, 5), FilterConfig(leftover="keep_strong"))

    assert (example.fate, example.winner, example.reason) == ("kept", "strong", "leftover_gap")
    assert example.instruction == f"Write a letter.{3 * MORE}"
    assert example.answer("strong") == Answer(f"STRONG on Write a letter.{3 * MORE}")


async def test_a_leftover_that_was_cut_off_is_not_kept(tmp_path: Path) -> None:
    settings = FilterConfig(leftover="keep_strong")
    example, _ = await refined(tmp_path, judge(4, 5), settings, respond=cut_off)

    assert (example.fate, example.reason) == ("filtered", "cut_off")


async def test_an_answers_reasoning_and_its_refusal_are_marked_in_the_transcript(
    tmp_path: Path,
) -> None:
    answer = Reply(text="<think>Is it safe?</think>I can't help with that.", reasoning="Hm.")
    settings = FilterConfig(leftover="keep_strong", max_iterations=1)
    example, _ = await refined(tmp_path, "9 2", settings, respond=answer)

    text = "I can't help with that."
    assert example.response == Answer(text, "stop", "Hm.\n\nIs it safe?", refuses=True)
    lines = transcript(example, {}).splitlines()
    at = lines.index("  strong thought")
    assert lines[at : at + 6] == [
        "  strong thought",
        "    │ Hm.",
        "    │ ",
        "    │ Is it safe?",
        "  strong answered (reads like a refusal)",
        f"    │ {text}",
    ]


async def test_a_leftover_that_nobody_answered_is_not_kept(tmp_path: Path) -> None:
    """Figure 2, and not one rewrite worked: there is no answer to keep."""
    rules = FilterConfig(leftover="keep_strong", filter_basic=False)
    example, actor = await refined(tmp_path, judge(9, 2), rules, improve="I'm sorry, I can't.")

    assert actor.counts() == {"improve": 3}
    assert (example.fate, example.winner, example.reason) == ("filtered", None, "improve_failed")


async def test_without_actions_the_first_round_still_counts(tmp_path: Path) -> None:
    bare = draft(actions=(), reason="rubrics: no actions")
    selected, _ = await refined(tmp_path / "wide", judge(9, 2), of=bare)
    dropped, actor = await refined(tmp_path / "narrow", judge(5, 5), of=bare)

    assert (selected.fate, selected.winner) == ("kept", "strong")
    assert (dropped.fate, dropped.reason, dropped.detail) == (
        "filtered",
        "no_actions",
        "rubrics: no actions",
    )
    assert actor.counts() == {"respond": 2, "score": 2}


async def test_one_unreadable_order_fails_the_instruction(tmp_path: Path) -> None:
    """Never the other order alone: it would carry the position's bias (docs/algorithm.md §3.5)."""

    def one_order(request: Request) -> str:
        text = request.messages[0].content
        strong_first = text.index("STRONG") < text.index("TARGET")
        return "9 2" if strong_first else "Both are lovely."

    example, actor = await refined(tmp_path, one_order, FilterConfig(leftover="keep_strong"))

    assert actor.counts() == {"respond": 2, "score": 4}
    assert (example.fate, example.reason, example.winner) == ("failed", "unreadable", None)
    assert example.iterations == ()
    assert "Both are lovely." in example.detail


async def test_a_score_that_is_read_at_the_third_try_counts(tmp_path: Path) -> None:
    said = iter(["hm", "2 9", "hm", "9 2"])
    seen = list[str]()

    def score(request: Request) -> str:
        text = request.messages[0].content
        strong_first = text.index("STRONG") < text.index("TARGET")
        seen.append(request.sample)
        if strong_first:
            return "9 2"
        return next(said) if len(seen) < 3 else "2 9"

    example, _ = await refined(tmp_path, score)

    assert (example.gap, example.calls[-1].attempts) == (7.0, 2)


@pytest.mark.parametrize("text", ["", "I can't help with that.", "The first half of an"])
@pytest.mark.parametrize("reason", ["content_filter", "refusal"])
async def test_a_withheld_answer_fails_the_instruction_and_is_not_asked_again(
    reason: Any, text: str, tmp_path: Path
) -> None:
    def withheld(request: Request) -> str | Reply:
        if request.model == "strong":
            return Reply(text=text, finish_reason=reason)
        return respond(request)

    example, actor = await refined(tmp_path, judge(9, 2), respond=withheld)

    assert actor.counts() == {"respond": 2}
    assert (example.fate, example.reason) == ("failed", reason)


async def test_an_empty_answer_is_asked_for_again_and_then_fails(tmp_path: Path) -> None:
    def silent(request: Request) -> str:
        return " \n" if request.model == "target" else respond(request)

    example, actor = await refined(tmp_path, judge(9, 2), respond=silent)

    assert actor.counts() == {"respond": 1 + 3}
    assert (example.fate, example.reason) == ("failed", "empty")


def cut_off(request: Request) -> Reply:
    return Reply(text=respond(request), finish_reason="length")


async def test_a_cut_off_answer_is_kept_with_its_mark(tmp_path: Path) -> None:
    settings = FilterConfig(keep_cut_off=True)
    example, _ = await refined(tmp_path, judge(9, 2), settings, respond=cut_off)

    assert example.answer("strong") == Answer("STRONG on Write a letter.", "length")
    assert example.fate == "kept"


async def test_a_cut_off_answer_is_dropped_where_only_whole_ones_are_wanted(tmp_path: Path) -> None:
    example, _ = await refined(tmp_path, judge(9, 2), respond=cut_off)

    assert (example.fate, example.reason) == ("filtered", "cut_off")


async def test_a_rejected_question_fails_the_instruction(tmp_path: Path) -> None:
    example, _ = await refined(tmp_path, judge(9, 2), respond=Rejected("400: too long"))

    assert (example.fate, example.reason, example.detail) == ("failed", "rejected", "400: too long")


async def test_a_passing_failure_leaves_the_instruction_for_another_time(tmp_path: Path) -> None:
    """The endpoint works for others: the item is not lost, `resume` takes it up again."""

    def target_is_away(request: Request) -> str | Exception:
        if request.model == "target" and "poem" in request.messages[-1].content:
            return Unavailable("503")
        return respond(request)

    caught: list[ItemError] = []
    async with refining(tmp_path, judge(9, 2), respond=target_is_away) as (_, refiner, _troupe):

        async def lost() -> None:
            try:
                await refiner(draft(instruction="Write a poem."))
            except ItemError as error:
                caught.append(error)

        fates = list[str]()
        async with anyio.create_task_group() as group:
            group.start_soon(lost)
            fates += [example.fate for example in await refiner(draft())]

    assert fates == ["kept"]
    assert [(error.reason, error.transient) for error in caught] == [("unavailable", True)]


async def test_every_call_of_an_example_is_on_record(tmp_path: Path) -> None:
    example, actor = await refined(tmp_path, judge(9, 2, beginning=2))

    assert [(call.stage, call.role) for call in example.calls] == [
        ("respond", "strong"),
        ("respond", "target"),
        ("score", "judge"),
        ("score", "judge"),
        ("improve", "strong"),
        ("respond", "strong"),
        ("respond", "target"),
        ("score", "judge"),
        ("score", "judge"),
    ]
    assert len({call.key for call in example.calls}) == len(actor.asked)


async def test_rounds_scored_and_selected_are_counted(tmp_path: Path) -> None:
    async with refining(tmp_path, judge(9, 2, beginning=3)) as (_, refiner, troupe):
        await refiner(draft())

    assert (troupe.counters.scored, troupe.counters.selected) == ({1: 1, 2: 1, 3: 1}, {3: 1})


# -- decode and rubrics -----------------------------------------------------------------------

RUBRICS = "1. Rubric: Length.\n2. Rubric: Tone.\n1. Action: Make it long.\n2. Action: Make it sad."


def numbered(texts: list[str]) -> str:
    return "\n".join(f"{n}. {text}" for n, text in enumerate(texts, 1))


def wanted(request: Request) -> int:
    found = re.search(r"write (\d+) instructions", request.messages[-1].content)
    assert found is not None
    return int(found[1])


def fresh() -> Callable[[Request], str]:
    """Write as many instructions as asked, never one twice."""
    names: Iterator[str] = (f"Describe town number {n}." for n in range(10_000))
    return lambda request: numbered([next(names) for _ in range(wanted(request))])


async def decoded(
    folder: Path,
    order: InstructionRequest,
    *,
    decode: Line,
    rubrics: Line = RUBRICS,
    **settings: Any,
) -> tuple[list[Draft], Actor]:
    actor = Actor(decode=decode, rubrics=rubrics)
    async with playing(actor, folder) as troupe:
        drafts = await Decoder(troupe["strong"], **settings)(order)
    return drafts, actor


def asked_for(actor: Actor) -> list[int]:
    return [wanted(request) for request in actor.asked if request.purpose == "decode"]


async def test_many_instructions_are_asked_for_in_chunks_of_ten(tmp_path: Path) -> None:
    drafts, actor = await decoded(tmp_path, InstructionRequest(METADATA, 25), decode=fresh())

    assert asked_for(actor) == [10, 10, 5]
    assert actor.counts() == {"decode": 3, "rubrics": 1}
    assert [d.number for d in drafts] == list(range(25))
    assert len({d.id for d in drafts}) == len({d.instruction for d in drafts}) == 25


async def test_rubrics_are_asked_for_once_and_every_draft_has_them(tmp_path: Path) -> None:
    drafts, _ = await decoded(tmp_path, InstructionRequest(METADATA, 3), decode=fresh())

    assert [d.rubrics for d in drafts] == [
        Rubrics(("Length.", "Tone."), ("Make it long.", "Make it sad."))
    ] * 3


async def test_duplicates_within_an_item_are_dropped_and_made_up_for(tmp_path: Path) -> None:
    """Case, space and final punctuation do not make a new instruction."""
    said = iter(
        [
            ["Name a river.", "name  a RIVER!", "Name a lake."],
            ["Name a river"],
            ["Name a hill."],
        ]
    )
    drafts, actor = await decoded(
        tmp_path, InstructionRequest(METADATA, 3), decode=lambda _: numbered(next(said))
    )

    assert asked_for(actor) == [3, 1, 1]
    assert [d.instruction for d in drafts] == ["Name a river.", "Name a lake.", "Name a hill."]


async def test_at_most_three_further_calls_make_up_for_duplicates(tmp_path: Path) -> None:
    drafts, actor = await decoded(
        tmp_path, InstructionRequest(METADATA, 5), decode="1. Name a river."
    )

    assert asked_for(actor) == [5, 4, 4, 4]
    assert [d.instruction for d in drafts] == ["Name a river."]


async def test_more_than_was_asked_for_is_cut_down_to_the_order(tmp_path: Path) -> None:
    said = numbered([f"Name river {n}." for n in range(9)])
    drafts, actor = await decoded(tmp_path, InstructionRequest(METADATA, 4), decode=said)

    assert asked_for(actor) == [4]
    assert [d.instruction for d in drafts] == [f"Name river {n}." for n in range(4)]


async def test_a_topup_leaves_out_what_the_item_has_made_before(tmp_path: Path) -> None:
    first, _ = await decoded(tmp_path, InstructionRequest(METADATA, 1), decode="1. Name a river.")
    order = InstructionRequest(METADATA, 1, 1, frozenset({fingerprint(first[0].instruction)}))
    said = iter(["1. Name a river.", "1. Name a lake."])
    drafts, _ = await decoded(tmp_path / "again", order, decode=lambda _: next(said))

    assert [(d.number, d.instruction) for d in drafts] == [(1, "Name a lake.")]


async def test_a_topup_is_another_sample_of_the_same_question(tmp_path: Path) -> None:
    """The same prompt, another sample: else the cache would give the first answer again."""
    actor = Actor(decode=fresh(), rubrics=RUBRICS)
    async with playing(actor, tmp_path) as troupe:
        decoder = Decoder(troupe["strong"])
        one = await decoder(InstructionRequest(METADATA, 2))
        two = await decoder(InstructionRequest(METADATA, 2, 2))
        again = await decoder(InstructionRequest(METADATA, 2))

    assert len({d.instruction for d in one + two}) == 4
    assert [d.instruction for d in again] == [d.instruction for d in one]
    assert actor.counts() == {"decode": 2, "rubrics": 1}


async def test_the_last_instruction_of_a_cut_off_list_is_dropped(tmp_path: Path) -> None:
    said = iter(
        [
            Reply(text="1. Name a river.\n2. Name a mountain that is hig", finish_reason="length"),
            Reply(text="1. Name a lake."),
        ]
    )
    drafts, _ = await decoded(
        tmp_path, InstructionRequest(METADATA, 2), decode=lambda _: next(said)
    )

    assert [d.instruction for d in drafts] == ["Name a river.", "Name a lake."]


async def test_an_unreadable_chunk_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    def half(request: Request) -> str:
        if wanted(request) == 10:
            return numbered([f"Name river {n}." for n in range(10)])
        return "I'm sorry, I can't help with that."

    drafts, _ = await decoded(
        tmp_path, InstructionRequest(METADATA, 12), decode=half, extra_calls=0
    )

    assert len(drafts) == 10


async def test_metadata_for_which_nothing_can_be_written_is_lost_with_its_reason(
    tmp_path: Path,
) -> None:
    async with playing(Actor(decode="", rubrics=RUBRICS), tmp_path) as troupe:
        with pytest.raises(ItemError) as caught:
            await Decoder(troupe["strong"], extra_calls=0)(InstructionRequest(METADATA, 2))

    assert (caught.value.reason, caught.value.transient) == ("empty", False)
    assert "decode: the reply is empty" in caught.value.detail


async def test_without_rubrics_the_instructions_go_on_as_they_are(tmp_path: Path) -> None:
    drafts, actor = await decoded(
        tmp_path, InstructionRequest(METADATA, 1), decode="1. Name a river.", rubrics="No."
    )

    assert actor.counts() == {"decode": 1, "rubrics": 3}
    assert [(d.instruction, d.rubrics.actions) for d in drafts] == [("Name a river.", ())]
    assert "no actions" in drafts[0].rubrics.reason


# -- encode and plausible ---------------------------------------------------------------------

SEED = Seed(7, "s7", "Write a toast for a wedding.")


async def encoded(folder: Path, said: Line, **settings: Any) -> tuple[Metadata, Actor]:
    actor = Actor(encode=said)
    async with playing(actor, folder) as troupe:
        metadata, _ = await Encoder(troupe["strong"], **settings)(SEED)
    return metadata, actor


async def test_a_seed_becomes_a_use_case_and_skills(tmp_path: Path) -> None:
    metadata, actor = await encoded(tmp_path, "Use case: speeches\nSkills: warmth, timing")

    assert (metadata.position, metadata.use_case, metadata.skills) == (
        7,
        "speeches",
        ("warmth", "timing"),
    )
    assert (metadata.origin, metadata.seed_ids) == ("seed", ("s7",))
    assert SEED.instruction in actor.prompts("encode")[0]


async def test_a_predefined_vocabulary_is_shown_and_kept_to(tmp_path: Path) -> None:
    said = iter(["Use case: toasts\nSkills: warmth", "Use case: SPEECHES\nSkills: warmth"])
    metadata, actor = await encoded(
        tmp_path, lambda _: next(said), vocabulary=Vocabulary(("Speeches", "Letters"), ("Warmth",))
    )

    assert (metadata.use_case, metadata.skills) == ("Speeches", ("Warmth",))
    assert all("Speeches; Letters" in prompt for prompt in actor.prompts("encode"))
    assert len(actor.asked) == 2


async def test_metadata_outside_of_the_vocabulary_loses_the_seed(tmp_path: Path) -> None:
    async with playing(Actor(encode="Use case: toasts\nSkills: warmth"), tmp_path) as troupe:
        with pytest.raises(ItemError) as caught:
            await Encoder(troupe["strong"], Vocabulary(("Letters",)))(SEED)

    assert (caught.value.reason, caught.value.transient) == ("unreadable", False)
    assert "asked 3 times" in caught.value.detail


async def test_a_pair_that_makes_no_sense_or_cannot_be_judged_is_left_out(tmp_path: Path) -> None:
    answers = {"letters": "Yes.", "poems": "no", "maps": "Perhaps?"}
    items = [
        Metadata(position=n, id=f"m{n}", use_case=name, skills=("tact",), origin="mixed")
        for n, name in enumerate(answers)
    ]

    def judged(request: Request) -> str:
        text = request.messages[-1].content
        return next(said for name, said in answers.items() if name in text)

    actor = Actor(plausible=judged)
    async with playing(actor, tmp_path) as troupe:
        sensible = await Plausibility(troupe["strong"]).select(items)

    assert sensible == items[:1]
    assert actor.counts() == {"plausible": 2 + 3}
