"""Replies to the baselines' prompts: read as their methods read them, whatever a model writes."""

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.prompts import (
    ParseError,
    Task,
    apologises,
    copies_frame,
    demonstrations,
    says_nothing,
    unsuitable,
)
from codeclm.prompts.equal import read_equal
from codeclm.prompts.evolved import read_evolved
from codeclm.prompts.grow import read_grown
from codeclm.prompts.invent import read_tasks
from codeclm.prompts.rate import read_rating

LINES = st.text(st.characters(categories=("L", "N", "Zs")), min_size=1).map(str.strip).filter(bool)


@pytest.mark.parametrize(
    ("reply", "equal"),
    [
        ("Equal", True),
        ("Not Equal", False),
        ("**Not equal.** They share the subject and are equal in length.", False),
        ("They are not\nEqual", False),
        ("unequal", False),
        ("They aren't equal", False),
        ('{"equal": false}', False),
        ('{"judgement": "Not Equal"}', False),
        ("The two are equal.", True),
    ],
)
def test_not_equal_is_tried_before_equal(reply: str, equal: bool) -> None:
    """One public implementation looks for "equal" alone and rejects everything (§8.4)."""
    assert read_equal(reply) is equal


def test_neither_is_a_reply_that_cannot_be_read() -> None:
    with pytest.raises(ParseError, match="neither equal"):
        read_equal("I cannot tell.")


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("4.5\nBecause it is right.", 4.5),
        ("5", 5.0),
        ("**5**\nGood.", 5.0),
        ("3/5\nSo so.", 3.0),
        ("Here is my view.\nScore: 2", 2.0),
        ("**Score:** 4.5 of 5 points", 4.5),
        ('{"score": 4}', 4.0),
        ("<score>4.5</score>", 4.5),
        ("\\boxed{4}", 4.0),
        ("The score is 4 out of 5.", 4.0),
        ("评分：4", 4.0),
        ("4分？不。\n评分：3", 3.0),
    ],
)
def test_a_rating_is_the_first_line_or_what_is_called_score(reply: str, score: float) -> None:
    assert read_rating(reply) == score


@pytest.mark.parametrize("reply", ["Very good.", "6", "-1", "score: 17", "", '{"score": true}'])
def test_what_is_no_rating_is_refused(reply: str) -> None:
    with pytest.raises(ParseError):
        read_rating(reply)


@given(st.lists(st.tuples(LINES, LINES | st.just("")), min_size=1, max_size=25))
def test_tasks_are_read_as_they_were_asked_for(tasks: list[tuple[str, str]]) -> None:
    reply = "\n".join(
        f"###\n{n}. Instruction: {text}\n{n}. Input: {given or '<noinput>'}"
        for n, (text, given) in enumerate(tasks, 1)
    )

    assert read_tasks(reply, number=99) == [
        Task(text, "" if given.casefold() == "noinput" else given) for text, given in tasks
    ]
    assert len(read_tasks(reply, number=3)) == min(3, len(tasks))


FORMS = [
    """1. Instruction: Name a river.
1. Input:
<noinput>
###
2. Instruction: Add.
2. Input:
1, 2
3""",
    """###\x20
**1. Instruction:** Name a river.
**1. Input:** <No input>

###

**2. Instruction:** Add.
**2. Input:** 1, 2
3
2. Output: 6""",
    "Instruction: Name a river.\nInput: noinput\nInstruction: Add.\nInput: 1, 2\n3",
    """[{"instruction": "Name a river.", "input": ""},
{"instruction": "Add.", "input": "1, 2\\n3"}]""",
]


@pytest.mark.parametrize("reply", FORMS)
def test_tasks_are_read_in_the_forms_that_models_use(reply: str) -> None:
    assert read_tasks(reply, number=20) == [Task("Name a river."), Task("Add.", "1, 2\n3")]


def test_a_reply_that_was_cut_off_loses_its_last_task() -> None:
    reply = "###\n1. Instruction: Name a river.\n1. Input: <noinput>\n###\n2. Instruction: Na"

    assert read_tasks(reply, number=20, truncated=True) == [Task("Name a river.")]


def test_demonstrations_have_the_form_that_is_asked_for() -> None:
    shown = demonstrations(["Name a river.", "Add\n1 and 2."])

    assert read_tasks(shown, number=9) == [Task("Name a river."), Task("Add\n1 and 2.")]


@pytest.mark.parametrize(
    ("instruction", "reason"),
    [
        ("Name three rivers of Asia.", ""),
        ("Name three rivers", "length"),
        ("word " * 151, "length"),
        ("Describe the picture for a child.", "not_for_text"),
        ("Plot the growth of bees.", "not_for_text"),
        ("Explain how a profile is drawn up.", ""),
        ("Write a program that sorts names.", "write_a_program"),
        ("- Name three rivers of Asia.", "odd_beginning"),
        ("Über welche Flüsse spricht man?", "odd_beginning"),
    ],
)
def test_what_self_instruct_leaves_out(instruction: str, reason: str) -> None:
    assert unsuitable(Task(instruction)) == reason


@given(st.text())
def test_anything_is_read_or_refused_with_one_line(text: str) -> None:
    readers: list[Callable[[str], object]] = [
        read_equal,
        read_rating,
        read_evolved,
        partial(read_tasks, number=20),
        partial(read_grown, original="x"),
    ]
    for read in readers:
        complaint = "read"
        try:
            read(text)
        except ParseError as error:
            complaint = str(error)

        assert complaint.isprintable()
    assert says_nothing(text) in {True, False}


@pytest.mark.parametrize(
    "reply",
    [
        "Name 3 rivers.",
        '"Name 3 rivers."',
        "#Rewritten Prompt#:\nName 3 rivers.",
        "**Created Prompt:** Name 3 rivers.",
        "New instruction: Name 3 rivers.",
        '{"instruction": "Name 3 rivers."}',
        "```\nName 3 rivers.\n```",
    ],
)
def test_an_evolved_prompt_is_freed_of_what_stands_around_it(reply: str) -> None:
    assert read_evolved(reply) == read_grown(reply, original="x") == "Name 3 rivers."


@pytest.mark.parametrize("reply", ["NONE", "None.", "By semantic parsing, name 3 rivers.", "Old."])
def test_a_tree_that_did_not_grow_is_refused(reply: str) -> None:
    with pytest.raises(ParseError):
        read_grown(reply, original="old")


def test_words_of_the_frame_are_found_unless_they_were_there_before() -> None:
    assert copies_frame("Do as the Given Prompt says.", original="Do.")
    assert copies_frame("#Rewritten Prompt# Do.", original="Do.")
    assert not copies_frame("What is a given prompt?", original="Explain a given prompt.")


def test_an_answer_that_is_none() -> None:
    assert apologises("I am sorry, I can't do this.")
    assert not apologises(f"Sorry is a word. {'It is long. ' * 40}")
    assert says_nothing("… and so, it is.")
    assert not says_nothing("It is 4.")
