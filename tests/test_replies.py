"""What the parsers make of replies as models write them (tests/replies)."""

import gzip
import json
from collections import Counter as Tally
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from codeclm.prompts import ParseError
from codeclm.prompts.decode import read_instructions
from codeclm.prompts.evolved import read_evolved
from codeclm.prompts.improve import read_improved

from .replies import FOLDER, ORIGINAL, Counts, count, outcome, replies

DATA = Path(__file__).parents[1] / "../shared/data"
FOLDERS = (FOLDER, FOLDER / "held_out", *sorted(FOLDER.glob("unseen_*")))


def files(stage: str) -> list[Path]:
    """Return the files of replies to *stage*; not every batch has each stage."""
    return [file for folder in FOLDERS if (file := folder / f"{stage}.txt").is_file()]


COUNTS = {
    "encode": (
        Counts(47, 4, 0, 0),
        Counts(18, 2, 0, 0),
        Counts(42, 5, 0, 0),
        Counts(11, 0, 0, 0),
        Counts(5, 0, 0, 0),
    ),
    "decode": (
        Counts(81, 3, 0, 0),
        Counts(18, 2, 0, 0),
        Counts(57, 2, 0, 0),
        Counts(24, 0, 0, 1),
        Counts(12, 0, 0, 0),
        Counts(6, 0, 0, 0),
        Counts(5, 0, 0, 0),
    ),
    "rubrics": (
        Counts(44, 4, 0, 0),
        Counts(18, 2, 0, 0),
        Counts(38, 2, 0, 0),
        Counts(10, 0, 0, 0),
        Counts(4, 0, 0, 0),
    ),
    "improve": (
        Counts(159, 13, 2, 1),
        Counts(19, 3, 0, 0),
        Counts(116, 7, 0, 2),
        Counts(57, 4, 10, 0),
        Counts(57, 2, 5, 0),
        Counts(40, 2, 8, 0),
        Counts(54, 0, 1, 1),
        Counts(37, 0, 3, 0),
        Counts(20, 3, 14, 0),
    ),
    "evolved": (
        Counts(48, 2, 0, 0),
        Counts(18, 2, 0, 0),
        Counts(46, 4, 0, 0),
        Counts(20, 2, 0, 0),
        Counts(14, 0, 0, 0),
    ),
    "score": (Counts(91, 8, 0, 0), Counts(18, 2, 0, 0), Counts(37, 6, 1, 0), Counts(9, 1, 0, 0)),
    "judge": (Counts(42, 3, 0, 0), Counts(18, 2, 0, 0), Counts(26, 3, 1, 0), Counts(5, 0, 0, 0)),
    "equal": (Counts(50, 5, 0, 0), Counts(18, 2, 0, 0), Counts(20, 2, 0, 0), Counts(5, 0, 0, 0)),
}
"""Of the replies in each of the folders, as they are read now; see docs/replies.md."""


@pytest.mark.parametrize("stage", COUNTS)
def test_replies_are_read_right_or_refused(stage: str) -> None:
    counts = tuple(count(stage, file) for file in files(stage))
    print(f"{stage:8} {'  '.join(str(n) for n in counts)}")

    assert counts == COUNTS[stage]
    assert sum(sum(n) for n in counts) >= 60


def test_at_most_one_reply_in_a_hundred_is_read_wrong() -> None:
    counts = [n for sets in COUNTS.values() for n in sets]

    assert sum(n.wrong for n in counts) * 100 <= sum(sum(n) for n in counts)


@pytest.mark.parametrize("stage", COUNTS)
def test_replies_come_from_six_families_and_in_five_languages(stage: str) -> None:
    all_replies = [reply for file in files(stage) for reply in replies(file)]

    assert len({reply.family.replace("deepseek", "mistral") for reply in all_replies}) >= 6
    assert len({reply.language for reply in all_replies}) >= 5


@pytest.mark.parametrize("stage", COUNTS)
def test_line_ends_and_space_around_a_reply_change_nothing(stage: str) -> None:
    for reply in replies(FOLDER / f"{stage}.txt"):
        framed = reply._replace(text=f"\n\n{reply.text} \n")
        windows = reply._replace(text=reply.text.replace("\n", "\r\n"))

        assert outcome(stage, framed) == outcome(stage, reply)
        assert outcome(stage, windows) == outcome(stage, reply)


# A clean instruction passes unchanged

SENTENCES = st.sampled_from(
    [
        "Explain to a new colleague why this fails on Mondays.",
        "Write a limerick about a left-handed astronaut (no puns, please).",
        'Decide whether "bring" or "take" is right, and say why.',
        "請用兩句話解釋彩虹。",
        "Vergleiche beide Fassungen: welche ist höflicher?",
        "You are given 3 columns: id, name, price.",
        "Sort the words by length; break ties by the alphabet.",
        "What is 7 * 8, and what is *not* a prime?",
        "Please note that the deadline is on the 4th.",
        "Please provide the answer in a table.",
        "Feel free to use any library.",
        "The additional requirement: use no loops.",
        "By using more complex examples, show where the rule breaks.",
        "Let me know which one you would choose.",
        "Would you say that both are right?",
        "The explanation should mention why this matters.",
        "Use **bold** for names and _italics_ for titles.",
    ]
)
PARTS = st.sampled_from(
    [
        "```python\n1. x = [\n2. ]\n# Note: this\n```",
        "~~~\nImproved instruction: no\n~~~",
        "- apples\n- pears\n- three kinds of plums",
        "a) first\nb) second",
        "1) boil it\n2) mash it",
        "> To be, or not to be.",
        '"I never said she stole my money."',
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "## Background\nThe shop opens at nine.",
        'Input:\n{"a": [1, 2]}',
        "Dear Ms Ito,\n\nthank you for the pears. Let me know if you need more!\n\nBest,\nAda",
        "Note: answer in French.",
        "(Hint: count the vowels first.)",
        "Question: who is taller?\nAnswer:",
        "<div class='x'>\n  <p>Hi</p>\n</div>",
    ]
)


def joined(first: str, parts: list[str], last: list[str]) -> str:
    return "\n\n".join([first, *parts, *last])


CLEAN = st.builds(joined, SENTENCES, st.lists(PARTS, max_size=4), st.lists(SENTENCES, max_size=1))


@given(CLEAN)
@example("Explain this.\n\nNote: answer in French.\n\n~~~\nImproved instruction: no\n~~~")
def test_a_clean_instruction_is_read_unchanged(instruction: str) -> None:
    assert read_improved(instruction, original=ORIGINAL) == instruction
    assert read_evolved(instruction) == instruction


@given(CLEAN, st.sampled_from(["Certainly!\n\n{}", "**Improved instruction:**\n\n{}", "{}\n\n---",
       "Here is the improved instruction:\n\n{}\n\nThis version adds a constraint."]))  # fmt: skip
def test_what_stands_around_a_clean_instruction_comes_off(instruction: str, frame: str) -> None:
    assert read_improved(frame.replace("{}", instruction), original=ORIGINAL) == instruction


@given(st.lists(CLEAN, min_size=2, max_size=6, unique=True))
def test_clean_instructions_in_a_numbered_list_are_read_unchanged(texts: list[str]) -> None:
    """Indented below their counters, as Markdown wants it."""
    reply = "\n\n".join(
        f"{number}. " + text.replace("\n", "\n   ") for number, text in enumerate(texts, 1)
    )

    assert read_instructions(reply, number=len(texts)) == texts


def prompts_of(name: str) -> list[str]:
    """Return the prompts of a shared file, each with its input."""
    file = DATA / name
    if not file.is_file():
        pytest.skip("the shared data folder is not beside this repository")
    content = file.read_bytes()
    lines = (gzip.decompress(content) if name.endswith("gz") else content).splitlines()
    return [text_of(json.loads(line)).strip() for line in lines]


def text_of(row: dict[str, Any]) -> str:
    text: str = row.get("prompt") or row.get("Instruction") or (row.get("turns") or [""])[0]
    instances: list[dict[str, str]] = row.get("instances", [{"input": row.get("input", "")}])
    return text or f"{row['instruction']}\n\n{instances[0]['input']}"


PROMPTS = (
    *("evol_instruct_testset.jsonl", "vicuna_bench_question.jsonl", "koala_test_set.jsonl"),
    *("self_instruct_user_oriented.jsonl", "self_instruct_seed_tasks.jsonl"),
    *("alpaca_eval_instructions.jsonl", "alpaca_random_5k.jsonl.gz"),
)


@pytest.mark.parametrize(
    ("original", "most_refused"), [("Do this:\n\n{}", 1), (ORIGINAL, 6)], ids=["same text", "other"]
)
def test_prompts_that_people_wrote_are_read_unchanged(original: str, most_refused: int) -> None:
    """All 6,710, but for one that stands in quotes as a whole, in two of the sets, and one refused.

    A rewrite keeps the text that its original works on. Where the original had none, a few whose
    text might be a remark are refused.
    """
    prompts = [text for name in PROMPTS for text in prompts_of(name)]
    counts = Tally(outcome_of(text, original) for text in prompts)

    assert counts.total() == 6_710
    assert counts["changed"] == 0
    assert counts["refused"] <= most_refused


def outcome_of(text: str, original: str) -> str:
    material = text.rsplit("\n\n", 1)[-1]
    try:
        instruction = read_improved(text, original=original.replace("{}", material))
    except ParseError:
        return "refused"
    return "unchanged" if instruction == text or text[0] == text[-1] == '"' else "changed"


def test_prompts_that_people_wrote_are_read_unchanged_from_a_list() -> None:
    """Ten at a time, counted and indented as Markdown wants it; those of two sets."""
    texts = [text for name in PROMPTS[:2] for text in prompts_of(name) if "\r" not in text]
    wrong = 0
    for at in range(0, len(texts), 10):
        ten = texts[at : at + 10]
        reply = "\n\n".join(
            f"{number}. " + text.replace("\n", "\n    ") for number, text in enumerate(ten, 1)
        )
        read = read_instructions(reply, number=len(ten))
        wrong += sum(comparable(text) not in map(comparable, read) for text in ten)

    assert wrong * 100 <= len(texts)


def comparable(text: str) -> str:
    """Leave out what indentation changes."""
    return " ".join(text.split())
