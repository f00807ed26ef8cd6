"""Reasoning and answers told apart, by the marks that models really write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.prompts import split_reasoning

SKY = (
    "<|begin_of_thought|>\nHm.\n<|end_of_thought|>\n\n"
    "<|begin_of_solution|>\nParis.\n<|end_of_solution|>"
)
HARMONY = (
    "<|channel|>analysis<|message|>Hm.<|end|>"
    "<|start|>assistant<|channel|>final<|message|>Paris.<|return|>"
)
WORDS = st.text(alphabet="ab 1\n`<>/", max_size=40)


@pytest.mark.parametrize(
    "text",
    [
        "<think>\nHm.\n</think>\n\nParis.",
        "\n<think>Hm.</think>Paris.",
        "<THINK>Hm.</THINK>\nParis.",
        "<thinking>Hm.</thinking>\nParis.",
        "<thought>\nHm.\n</thought>\n\nParis.",
        "<reasoning>Hm.</reasoning> Paris.",
        "<seed:think>Hm.</seed:think>Paris.",
        "[THINK]Hm.[/THINK]Paris.",
        "◁think▷Hm.◁/think▷Paris.",
        SKY,
        "<|START_THINKING|>Hm.<|END_THINKING|><|START_RESPONSE|>Paris.<|END_RESPONSE|>",
        HARMONY,
        "Hm.\n</think>\n\nParis.",
        "Hm.</think>Paris.",
        "Hm.</think> Paris.",
        "Hm.\n◁/think▷Paris.",
    ],
)
def test_reasoning_at_the_start_is_no_part_of_the_answer(text: str) -> None:
    assert split_reasoning(text) == ("Paris.", "Hm.", True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>\n\n</think>\n\nParis.", ("Paris.", "", True)),
        ("<think>a</think>\n<think>b</think>\nParis.", ("Paris.", "a\n\nb", True)),
        (
            "<think>Is `</think>` the end? No.</think>Yes.",
            ("Yes.", "Is `</think>` the end? No.", 1),
        ),
        ("Is it `</think>` or not?\n</think>\n\nYes.", ("Yes.", "Is it `</think>` or not?", True)),
        ("<think>a\n```\nx\n```\n</think>Use ```x```.", ("Use ```x```.", "a\n```\nx\n```", True)),
        (
            "a\n```\nx\n```\n</think>\nThe <think> tag.",
            ("The <think> tag.", "a\n```\nx\n```", True),
        ),
        ("<think>\nHm, so", ("", "Hm, so", False)),
        ("[THINK]", ("", "", False)),
        ("<think>a</think>", ("", "a", True)),
        ("<think>a</think><think>b", ("", "a\n\nb", False)),
        ("a.\n</think>\n\n<think>b</think>\nParis.", ("Paris.", "a.\n\nb", True)),
        ("a.\n</think>\n\n<think>b", ("", "a.\n\nb", False)),
    ],
)
def test_reasoning_may_be_empty_repeated_or_without_an_end(
    text: str, expected: tuple[str, str, bool]
) -> None:
    assert split_reasoning(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Paris.",
        "",
        "<html><body>Hi.</body></html>",
        "[1, 2, 3]",
        "Models write <think>like this</think> before they answer.",
        "```xml\n<think>\nHm.\n</think>\n```",
        "```xml\n</think>\n```",
        "Write it so:\n\n```\nHm.\n</think>\nYes.\n```\n",
        "Close it with `</think>`.",
        "The </think> tag closes the block.",
        "It ends with </think>, then comes the answer.",
        'The string "</think>" is special.',
        "First comes <think>, then the thought.\n</think>\nNothing more.",
        "I think -> so. [/thinking]",
        "  Two blanks, and <thinking> in the middle </thinking>\n",
    ],
)
def test_marks_that_belong_to_an_answer_stay(text: str) -> None:
    assert split_reasoning(text) == (text, "", True)


@given(WORDS)
def test_a_reply_without_marks_is_its_own_answer(text: str) -> None:
    assert split_reasoning(text) == (text, "", True)


@given(thought=WORDS, answer=WORDS)
def test_whatever_is_thought_is_taken_off_whole(thought: str, answer: str) -> None:
    answer = answer.strip()

    split = split_reasoning(f"<think>\n{thought}\n</think>\n\n{answer}")

    assert split == (answer, thought.strip(), True)


@pytest.mark.parametrize(
    "text",
    [
        "<think>" * 100_000,
        "<think></think>" * 100_000,
        "a </think> b " * 100_000,
        "a\n</think>, " * 100_000,
        " " * 1_000_000 + "<",
        "<think>a</think>" + "\n" * 1_000_000,
    ],
)
@pytest.mark.timeout(20)
def test_hostile_replies_take_no_time(text: str) -> None:
    assert len(split_reasoning(text).answer) <= len(text)
