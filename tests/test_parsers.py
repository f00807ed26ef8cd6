"""What models write, and what the parsers make of it."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from codeclm.prompts import (
    BUILT_IN,
    Decode,
    Encode,
    Improve,
    ParseError,
    RubricsAndActions,
    Sizes,
    Vocabulary,
)
from codeclm.prompts.decode import read_instructions
from codeclm.prompts.encode import read_metadata
from codeclm.prompts.equal import read_equal
from codeclm.prompts.evolved import read_evolved
from codeclm.prompts.improve import read_improved
from codeclm.prompts.judge import read_verdict
from codeclm.prompts.plausible import read_yes
from codeclm.prompts.rate import read_rating
from codeclm.prompts.rubrics import read_rubrics
from codeclm.prompts.score import read_scores

from .steps import cpu_at_most

DATA = Path(__file__).parents[1] / "../shared/data"

NAMES = st.from_regex(r"[A-Za-zÀ-ž][\w' +/-]{0,20}[A-Za-zà-ž+]", fullmatch=True).filter(
    lambda name: (
        name.lower() not in {"none", "n/a", "na", "nil"}
        and not name.startswith(("and ", "AND "))
        and name == " ".join(name.split())
    )
)
PROSE = st.text(
    st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=200
).map(lambda text: f"Tell me{text} now" if not text.strip() else f"Explain {text.strip()} to me")
REPLY = st.sampled_from(["{}", "```\n{}\n```", "\n\n{}\n"])


def fill(frame: str, text: str) -> str:
    return frame.replace("{}", text)


# Metadata


@given(NAMES, st.lists(NAMES, max_size=3, unique_by=str.casefold), REPLY)
def test_metadata_in_two_lines_comes_back_as_written(
    use_case: str, skills: list[str], frame: str
) -> None:
    reply = f"Use case: {use_case}\nSkills: {', '.join(skills) or 'none'}"

    assert read_metadata(fill(frame, reply)) == (use_case, tuple(skills))


@given(NAMES, st.lists(NAMES, min_size=1, max_size=3, unique_by=str.casefold), REPLY)
def test_metadata_as_json_comes_back_as_written(
    use_case: str, skills: list[str], frame: str
) -> None:
    reply = json.dumps({"use_case": use_case, "skills": skills}, indent=1)

    assert read_metadata(fill(frame, reply)) == (use_case, tuple(skills))


@pytest.mark.parametrize(
    ("reply", "metadata"),
    [
        ("Task: code generation\nSkills: Python", ("code generation", ("Python",))),
        ("USE CASE: Code Generation\nSKILLS: Python.", ("Code Generation", ("Python",))),
        ("**Use case:** poetry\n**Skills:** rhyme, metre", ("poetry", ("rhyme", "metre"))),
        ("**Use case**: poetry\n**Skills**: rhyme", ("poetry", ("rhyme",))),
        ("- Use case: poetry\n- Skills: rhyme", ("poetry", ("rhyme",))),
        ("* **Task:** poetry\n* **Skills:** rhyme", ("poetry", ("rhyme",))),
        ("1. Use case: poetry\n2. Skills: rhyme", ("poetry", ("rhyme",))),
        ("### Use case\npoetry\n\n### Skills\n- rhyme\n- metre", ("poetry", ("rhyme", "metre"))),
        ("**Use case**\npoetry\n**Skills**\nrhyme, metre", ("poetry", ("rhyme", "metre"))),
        ("Use case: poetry\nSkills:\n\n1. rhyme\n2. metre\n\nHope it helps!",
         ("poetry", ("rhyme", "metre"))),
        ('Use case: poetry\nSkills:\n* **rhyme**\n* "metre".', ("poetry", ("rhyme", "metre"))),
        ("Use case: poetry\nSkills: 1. rhyme 2. metre", ("poetry", ("rhyme", "metre"))),
        ("Use case: poetry; Skills: rhyme; metre", ("poetry", ("rhyme", "metre"))),
        ("Use case: poetry, Skills: rhyme", ("poetry", ("rhyme",))),
        ("Use case: poetry. Skills: rhyme and metre.", ("poetry", ("rhyme and metre",))),
        ("Sure! Here it is.\n\nUse case: poetry\nSkills: rhyme\n\nAnything else?",
         ("poetry", ("rhyme",))),
        ("Skills: rhyme\nUse case: poetry", ("poetry", ("rhyme",))),
        ('Use case: "poetry"\nSkills: "rhyme", \'metre\'', ("poetry", ("rhyme", "metre"))),
        ("Use case: [poetry]\nSkills: [rhyme, metre]", ("[poetry]", ("rhyme", "metre"))),
        ("Use case: poetry\nSkills: a, b, c, d, e", ("poetry", ("a", "b", "c"))),
        ("Use case: poetry\nSkills: rhyme, Rhyme, RHYME, metre", ("poetry", ("rhyme", "metre"))),
        ("Use case: poetry\nSkills: rhyme, metre, and form",
         ("poetry", ("rhyme", "metre", "form"))),
        ("Use case: data analysis\nSkills: Python (pandas, numpy), SQL",
         ("data analysis", ("Python (pandas, numpy)", "SQL"))),
        ("Use case: coding\nSkills: C++, C#, .NET", ("coding", ("C++", "C#", ".NET"))),
        ("Use case: poetry\nSkills: none", ("poetry", ())),
        ("Use case: poetry\nSkills: None.", ("poetry", ())),
        ("Use case: poetry\r\nSkills: rhyme\r\n", ("poetry", ("rhyme",))),
        ("Use case: poetry\nSkills: rhyme\n\nUse case: more\nSkills: other",
         ("poetry", ("rhyme",))),
        ('{"Use Case": "poetry", "Skills": "rhyme, metre"}', ("poetry", ("rhyme", "metre"))),
        ('Here you go:\n```json\n{"task": "poetry", "skills": []}\n```\nBye', ("poetry", ())),
    ],
)  # fmt: skip
def test_metadata_is_read_however_it_is_marked_up(
    reply: str, metadata: tuple[str, tuple[str, ...]]
) -> None:
    assert read_metadata(reply) == metadata


@pytest.mark.parametrize(
    "reply",
    ["", "  \n ", "poetry", "Use case: poetry", "Skills: rhyme", "Use case:\nSkills: a",
     "Use case: poetry\nSkills:", "Use case: poetry\nSkills:\n\n", '{"use_case": "poetry"}',
     '{"use_case": "", "skills": []}', '{"use_case": 3, "skills": ["a"]}',
     f"Use case: {'long ' * 100}\nSkills: a", f"Use case: a\nSkills: {'long ' * 100}"],
)  # fmt: skip
def test_metadata_without_one_of_its_lines_is_refused(reply: str) -> None:
    with pytest.raises(ParseError):
        read_metadata(reply)


def test_a_vocabulary_is_matched_without_case_and_spelled_as_given() -> None:
    reply = "Use case: POETRY\nSkills: Rhyme, rhyme, METRE"

    read = read_metadata(reply, use_cases=["Poetry", "Prose"], skills=["rhyme", "Metre"])

    assert read == ("Poetry", ("rhyme", "Metre"))


@pytest.mark.parametrize("vocabulary", [{"use_cases": ["prose"]}, {"skills": ["metre"]}])
def test_what_is_outside_of_the_vocabulary_is_refused(vocabulary: dict[str, list[str]]) -> None:
    with pytest.raises(ParseError, match="not allowed"):
        read_metadata("Use case: poetry\nSkills: rhyme", **vocabulary)


# Instructions


@given(st.lists(PROSE, min_size=2, max_size=12), REPLY)
def test_a_numbered_list_comes_back_as_written(items: list[str], frame: str) -> None:
    distinct = [f"{item} {'again ' * at}".strip() for at, item in enumerate(items)]
    reply = "\n".join(f"{number}. {item}" for number, item in enumerate(distinct, 1))

    assert read_instructions(fill(frame, reply), number=20) == distinct


@given(st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=8))
def test_instructions_as_json_come_back_as_written(items: list[str]) -> None:
    written = [f"Explain {item} {'again' * at}!".strip() for at, item in enumerate(items, 1)]

    assert read_instructions(json.dumps({"instructions": written}), number=8) == written


CODE = "Explain this:\n```python\n1. x\n2. y\n```"


@pytest.mark.parametrize(
    ("reply", "instructions"),
    [
        ("1. A b\n2. C d\n3. E f", ["A b", "C d", "E f"]),
        ("1) A b\n2) C d", ["A b", "C d"]),
        ("(1) A b\n(2) C d", ["A b", "C d"]),
        ("1: A b\n2: C d", ["A b", "C d"]),
        (" 1. A b\n 2. C d", ["A b", "C d"]),
        ("1.\nA b\n2.\nC d", ["A b", "C d"]),
        ("Here are 2 instructions:\n\n1. A b\n\n2. C d", ["A b", "C d"]),
        ("# Instructions\n\n1. A b\n2. C d", ["A b", "C d"]),
        ("Instruction 1: A b\nInstruction 2: C d", ["A b", "C d"]),
        ("**Instruction 1:** A b\n\n**Instruction 2:** C d", ["A b", "C d"]),
        ("**Instruction 1**: A b\n\n**Instruction 2**: C d", ["A b", "C d"]),
        ("### Instruction 1\nA b\n\n### Instruction 2\nC d", ["A b", "C d"]),
        ("**Instruction 1**\nA b\n\n**Instruction 2**\nC d", ["A b", "C d"]),
        ("1. Instruction 1: A b\n2. Instruction 2: C d", ["A b", "C d"]),
        ("1. **Instruction:** A b\n2. **Instruction:** C d", ["A b", "C d"]),
        ("1. **Trip:** A b\n2. **Food:** C d", ["A b", "C d"]),
        ("1. **Trip**: A b\n2. **Food**: C d", ["A b", "C d"]),
        ("1. **Trip**\n   A b\n2. **Food**\n   C d", ["A b", "C d"]),
        ("**1. Trip:** A b\n**2. Food:** C d", ["A b", "C d"]),
        ("**1.** A b\n**2.** C d", ["A b", "C d"]),
        ("1. **Note:** A b\n2. C d", ["**Note:** A b", "C d"]),
        ("1. **A** b\n2. **C** d", ["**A** b", "**C** d"]),
        ('1. "A b"\n2. "C d"', ["A b", "C d"]),
        ('1. "A" or "b"\n2. C d', ['"A" or "b"', "C d"]),
        ("1. A\n   b\n2. C d", ["A\nb", "C d"]),
        ("1. A\n\n   b\n\n2. C d", ["A\n\nb", "C d"]),
        ("1. A:\n   - x\n   - y\n2. C d", ["A:\n- x\n- y", "C d"]),
        ("1. A:\n   1. x\n   2. y\n   3. z\n2. C d", ["A:\n1. x\n2. y\n3. z", "C d"]),
        ("1. A:\n1. x\n2. y\n2. C d\n3. E f", ["A:\n1. x\n2. y", "C d", "E f"]),
        ("1. A:\n1) x\n2) y\n2. C d", ["A:\n1) x\n2) y", "C d"]),
        ("1. A b\n2. C:\n1. x\n2. y\n3. z\n3. E f", ["A b", "C:\n1. x\n2. y\n3. z", "E f"]),
        ("1. Explain this:\n   ```python\n   1. x\n   2. y\n   ```\n2. C d", [CODE, "C d"]),
        ("1. Explain this:\n```python\n1. x\n2. y\n```\n2. C d", [CODE, "C d"]),
        ("1. Fix:\n```\na\n2. C d", ["Fix:\n```\na", "C d"]),
        ("1. A b\n   Answer: yes\n2. C d\n   **Answer:** no", ["A b", "C d"]),
        ("1. A b\nResponse: yes\nand more\n\n2. C d", ["A b", "C d"]),
        ("1. Continue.\nQuestion: why?\nAnswer:\n2. C d",
         ["Continue.\nQuestion: why?\nAnswer:", "C d"]),
        ("1. A b\n2. a B.\n3. C d", ["A b", "C d"]),
        ("1. A b\n2. C d\n\nLet me know if you need more!", ["A b", "C d"]),
        ("1. A b\r\n2. C d\r\n", ["A b", "C d"]),
        ("- A b\n- C d\n  more", ["A b", "C d\nmore"]),
        ("4. A b\n5. C d", ["A b", "C d"]),
        ("1. A b\n2024. is no counter\n2. C d", ["A b\n2024. is no counter", "C d"]),
        ('1. ABC\n2. {"a": {{x}}} <y> %s', ["ABC", '{"a": {{x}}} <y> %s']),
        ('["A b", "C d"]', ["A b", "C d"]),
        ('{"instructions": [{"instruction": "A b"}, {"instruction": "C d"}]}', ["A b", "C d"]),
        ('```json\n{"instructions": ["1. A b", "C d"]}\n```', ["A b", "C d"]),
        ('["1. A b", "2. C d\\n1. x"]', ["A b", "C d\n1. x"]),
        ('["1. x\\n2. y", "C d"]', ["1. x\n2. y", "C d"]),
    ],
)  # fmt: skip
def test_instructions_are_taken_out_of_their_list(reply: str, instructions: list[str]) -> None:
    assert read_instructions(reply, number=9) == instructions


def test_no_more_instructions_are_taken_than_were_asked_for() -> None:
    assert read_instructions("1. A\n2. B\n3. C", number=2) == ["A", "B"]


@pytest.mark.parametrize(
    ("reply", "instruction"),
    [
        ("Write a poem.", "Write a poem."),
        ("1. Write a poem.", "Write a poem."),
        ("Here is one:\n\n1. Write a poem.", "Write a poem."),
        ("Instruction: Write a poem.", "Write a poem."),
        ("**Instruction:** Write a poem.", "Write a poem."),
        ('"Write a poem."', "Write a poem."),
        ("Sort these:\n1. b\n2. a", "Sort these:\n1. b\n2. a"),
        ("Sort these:\n- b\n- a", "Sort these:\n- b\n- a"),
        ('{"instruction": "Write a poem."}', "Write a poem."),
    ],
)
def test_a_single_instruction_needs_no_number(reply: str, instruction: str) -> None:
    assert read_instructions(reply, number=1) == [instruction]


@pytest.mark.parametrize(
    ("reply", "instructions"),
    [
        ("1. A b\n2. C d\n3. E", ["A b", "C d"]),
        ('{"instructions": ["A \\"b\\"", "C d", "E', ['A "b"', "C d"]),
        ('```json\n{"instructions": ["A b", "C d"', ["A b", "C d"]),
        ('{"instructions": ["A b"]}', ["A b"]),
    ],
)
def test_the_last_instruction_of_a_cut_off_reply_is_left_out(
    reply: str, instructions: list[str]
) -> None:
    assert read_instructions(reply, number=9, truncated=True) == instructions


@pytest.mark.parametrize(
    ("reply", "number", "truncated"),
    [
        ("", 3, False),
        ("I have no idea.", 3, False),
        ("I'm sorry, but I cannot help with that request.", 1, False),
        ("1.\n2.\n3.", 3, False),
        ("1. A b", 3, True),
        ("Write a", 1, True),
        ('{"instructions": []}', 3, False),
        ('{"instructions": ["A', 3, True),
    ],
)
def test_a_reply_without_instructions_is_refused(
    reply: str, number: int, *, truncated: bool
) -> None:
    with pytest.raises(ParseError):
        read_instructions(reply, number=number, truncated=truncated)


# Rubrics

PAIRS = RubricsAndActions(("R one.", "R two."), ("A one.", "A two."))


@given(st.lists(st.tuples(PROSE, PROSE), min_size=1, max_size=6), st.booleans(), REPLY)
def test_labelled_rubrics_come_back_as_written(
    pairs: list[tuple[str, str]], interleaved: bool, frame: str
) -> None:
    pairs = [(f"R{one}".replace("ction", ""), f"A{two}") for one, two in pairs]
    rubrics = [f"{at}. Rubric: {one}" for at, (one, _) in enumerate(pairs, 1)]
    actions = [f"{at}. Action: {two}" for at, (_, two) in enumerate(pairs, 1)]
    lines = [line for both in zip(rubrics, actions, strict=True) for line in both]
    reply = "\n".join(lines if interleaved else rubrics + actions)

    read = read_rubrics(fill(frame, reply))

    assert read == (tuple(one for one, _ in pairs), tuple(two for _, two in pairs))


@pytest.mark.parametrize(
    "reply",
    [
        "1. Rubric: R one.\n2. Rubric: R two.\n1. Action: A one.\n2. Action: A two.",
        "1. Rubric: R one.\n2. Rubric: R two.\n\n3. Action: A one.\n4. Action: A two.",
        "Rubrics:\n1. R one.\n2. R two.\n\nActions:\n1. A one.\n2. A two.",
        "**Rubrics**\n1. R one.\n2. R two.\n\n**Actions**\n1. A one.\n2. A two.",
        "## Rubrics\n\n- R one.\n- R two.\n\n## Corresponding actions\n\n- A one.\n- A two.",
        (
            "Here are the rubrics:\n1. R one.\n2. R two.\nAnd the corresponding actions:\n"
            "1. A one.\n2. A two."
        ),
        (
            "Rubrics:\n1. Rubric: R one.\n2. Rubric: R two.\nActions:\n1. Action: A one.\n"
            "2. Action: A two."
        ),
        "1. R one.\n2. R two.\n\n1. A one.\n2. A two.",
        "1. Rubric: R one.\n   Action: A one.\n2. Rubric: R two.\n   Action: A two.",
        (
            "1. **Rubric:** R one.\n   **Action:** A one.\n\n2. **Rubric:** R two.\n   "
            "**Action:** A two."
        ),
        "Rubric 1: R one.\nAction 1: A one.\n\nRubric 2: R two.\nAction 2: A two.",
        "**Rubric 1:** R one.\n**Action 1:** A one.\n**Rubric 2:** R two.\n**Action 2:** A two.",
        "### Rubric 1\nR one.\n### Action 1\nA one.\n### Rubric 2\nR two.\n### Action 2\nA two.",
        "1. Rubric: R one. Action: A one.\n2. Rubric: R two. Action: A two.",
        "1. R one.\n   - Action: A one.\n2. R two.\n   - Action: A two.",
        "RUBRIC: R one.\nRUBRIC: R two.\nACTION: A one.\nACTION: A two.\n\nI hope this helps!",
        '{"rubrics": ["R one.", "R two."], "actions": ["A one.", "A two."]}',
        '[{"rubric": "R one.", "action": "A one."}, {"rubric": "R two.", "action": "A two."}]',
    ],
)
def test_rubrics_and_actions_are_told_apart(reply: str) -> None:
    assert read_rubrics(reply) == PAIRS


@pytest.mark.parametrize(
    ("reply", "read"),
    [
        ("Action: A one.", RubricsAndActions((), ("A one.",))),
        ("1. Rubric: R one.\n1. Action: A one.\n2. Action: A two.",
         RubricsAndActions(("R one.",), ("A one.", "A two."))),
        ("1. Rubric: R one,\n   and on.\n1. Action: A:\n   - x\n   - y",
         RubricsAndActions(("R one,\nand on.",), ("A:\n- x\n- y",))),
        ("1. Rubric: Keeps Its CASE\n1. Action: Too",
         RubricsAndActions(("Keeps Its CASE",), ("Too",))),
    ],
)  # fmt: skip
def test_actions_suffice_and_items_may_span_lines(reply: str, read: RubricsAndActions) -> None:
    assert read_rubrics(reply) == read


@pytest.mark.parametrize(
    "reply", ["", "nothing", "1. Rubric: R one.\n2. Rubric: R two.", '{"rubrics": ["R"]}']
)
def test_a_reply_without_actions_is_refused(reply: str) -> None:
    with pytest.raises(ParseError):
        read_rubrics(reply)


# The improver


@given(PROSE, REPLY)
def test_an_improved_instruction_comes_back_as_written(text: str, frame: str) -> None:
    improved = f"{text} Give three reasons."

    assert read_improved(fill(frame, improved), original=text) == improved


@given(st.text(min_size=1).map(lambda text: f"Explain {text}!"))
def test_an_improved_instruction_as_json_comes_back_as_written(text: str) -> None:
    assert read_improved(json.dumps({"instruction": text}), original="Be brief.") == text


@pytest.mark.parametrize(
    "reply",
    [
        "Write two poems.",
        "Improved instruction: Write two poems.",
        "**Improved Instruction:**\nWrite two poems.",
        "### Improved instruction\n\nWrite two poems.",
        "Sure! Here is the improved instruction:\n\nWrite two poems.",
        'Here\'s a more challenging version of the instruction:\n\n"Write two poems."',
        '"Write two poems."',
        "“Write two poems.”",
        "```\nWrite two poems.\n```",
        "Improved instruction:\n```text\nWrite two poems.\n```",
        '{"improved_instruction": "Write two poems."}',
    ],
)
def test_what_encloses_an_improved_instruction_is_stripped(reply: str) -> None:
    assert read_improved(reply, original="Write a poem.") == "Write two poems."


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "empty"),
        ('""', "empty"),
        ("Improved instruction:", "empty"),
        ("write  a POEM", "unchanged"),
        ('"Write a poem."', "unchanged"),
        ("Write two.\n\nImproved instruction: Write three.", "labels"),
        ("Write two.\nAction item: none", "labels"),
        ("I'm sorry, but I can't help with that.", "refusal"),
        ("I cannot rewrite this.", "refusal"),
        ("As an AI language model, I do not.", "refusal"),
        ("Here is a version:\nv2", "announcement"),
        ("I need the original instruction first.", "speaks of the instruction"),
        ("**Better instruction:**\nWrite an ode.\n\n**Skill focus:** metre", "section"),
        ("Write an ode.\n\nShould I keep the refrain?", "remark"),
    ],
)
def test_an_instruction_that_did_not_improve_is_refused(reply: str, reason: str) -> None:
    with pytest.raises(ParseError, match=reason):
        read_improved(reply, original="Write a poem.")


@pytest.mark.parametrize(
    "reply",
    [
        "Sure, but: why?",
        "New York: list it",
        "Proofread this text:\nHe go home.",
        "Shall I compare thee to a summer's day? Continue.\n\nKeep the metre.",
    ],
)
def test_an_improved_instruction_may_begin_like_a_remark(reply: str) -> None:
    assert read_improved(reply, original="Fix this.") == reply


def test_code_in_an_improved_instruction_stays() -> None:
    reply = "Fix this:\n```python\nprint(1\n```\nand this:\n```python\nprint(2\n```"

    assert read_improved(reply, original="Fix this.") == reply


# Scores

SCORES = st.floats(0, 10).map(lambda score: round(score, 2))


@given(SCORES, SCORES, st.sampled_from([" ", ", ", ",", "\t", "; ", " / ", "   "]), REPLY)
def test_scores_come_back_as_written(
    first: float, second: float, separator: str, frame: str
) -> None:
    """All but ``7 / 10``, which says one score out of ten."""
    assume("/" not in separator or second != 10)

    assert read_scores(fill(frame, f"{first}{separator}{second}")) == (first, second)


@pytest.mark.parametrize(
    ("reply", "scores"),
    [
        ("8 7", (8, 7)),
        ("8/7", (8, 7)),
        ("8.5,7.25", (8.5, 7.25)),
        ("0 10", (0, 10)),
        ("8/10 7/10", (8, 7)),
        ("8/10, 10/10", (8, 10)),
        ("8 out of 10, 7 out of 10", (8, 7)),
        ("Assistant 1: 8 Assistant 2: 7", (8, 7)),
        ("Assistant 1: 8/10\nAssistant 2: 7/10", (8, 7)),
        ("**Assistant 1:** 8\n\n**Assistant 2:** 7", (8, 7)),
        ("Assistant 2: 7\nAssistant 1: 8", (8, 7)),
        ("Assistant 1: 8 (clear and complete)\nAssistant 2: 7 (thin)", (8, 7)),
        ("8\n7", (8, 7)),
        ("[[8, 7]]", (8, 7)),
        ("(8, 7)", (8, 7)),
        ("**8 7**", (8, 7)),
        ("`8 7`", (8, 7)),
        ("8 - 7", (8, 7)),
        ("8-7", (8, 7)),
        ("Scores: 8 and 7", (8, 7)),
        ("8 7\nAssistant 1 gave 3 examples, Assistant 2 gave 2.", (8, 7)),
        ("I compared 2 answers with 4 criteria.\n8 7", (8, 7)),
        ("f(2) = 39\n3 = 3\nOutput: (1, 10)", (1, 10)),
        ('{"assistant_1": 8, "assistant_2": 7.5}', (8, 7.5)),
        ('{"Assistant 1": "8", "Assistant 2": "7"}', (8, 7)),
        ('```json\n{"scores": [8, 7]}\n```', (8, 7)),
        ("8 7\r\nbecause", (8, 7)),
        ("\u0668 \u0667", (8, 7)),
        ("Assistant 1 and Assistant 2: 8 and 7", (8, 7)),
        ("| Assistant 2 | Assistant 1 |\n| 7 | 8 |", (8, 7)),
    ],
)
def test_scores_are_read_in_every_form_judges_write(
    reply: str, scores: tuple[float, float]
) -> None:
    assert read_scores(reply) == scores
    assert read_verdict(reply) == scores


@pytest.mark.parametrize(
    "reply",
    ["", "8", "8/10", "8 7 6", "11 7", "8 -7", "-1 5", "NaN 8", "inf 8", "8e9 7", "eight seven",
     "1e1 2", "8,5 7,5 6,5", "Assistant 1 gave 3 examples and 2 reasons.",
     '{"assistant_1": 11, "assistant_2": 7}', '{"assistant_1": NaN, "assistant_2": 7}',
     '{"assistant_1": 1e999, "assistant_2": 7}', '{"assistant_1": true, "assistant_2": 7}',
     f'{{"assistant_1": 1{"0" * 400}, "assistant_2": 7}}', "100 100"],
)  # fmt: skip
def test_scores_that_are_unclear_or_out_of_range_are_refused(reply: str) -> None:
    with pytest.raises(ParseError):
        read_scores(reply)
    with pytest.raises(ParseError):
        read_verdict(reply)


@pytest.mark.parametrize(
    ("reply", "agrees"),
    [("yes", True), ("No.", False), ("**Yes**, they do.", True), ("Answer: no", False),
     ("NO\nThey do not.", False), ("<answer>Yes</answer>", True), ("Nein.", False),
     ("是的。", True), ("不可以", False), ("Sí", True), ("نعم", True),
     ('{"plausible": true}', True), ('{"answer": "no"}', False)],
)  # fmt: skip
def test_a_yes_or_no_is_the_first_word(reply: str, agrees: bool) -> None:
    assert read_yes(reply) is agrees


@pytest.mark.parametrize("reply", ["", "perhaps", "yesterday", "nothing", "It is not."])
def test_what_is_neither_yes_nor_no_is_refused(reply: str) -> None:
    with pytest.raises(ParseError):
        read_yes(reply)


# Real replies, hostile replies


@pytest.fixture
def reviews() -> list[dict[str, Any]]:
    file = DATA / "vicuna_judge_reviews.jsonl.gz"
    if not file.is_file():
        pytest.skip("the shared data folder is not beside this repository")
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.mark.parametrize("read", [read_scores, read_verdict])
def test_real_reviews_are_read_as_their_authors_read_them(
    reviews: list[dict[str, Any]], read: Callable[[str], tuple[float, float]]
) -> None:
    """All 1,001 that begin with two numbers agree; of the rest most, and two where the record says
    10 and 2 while the review says 10 and 4."""
    agreed, differing, refused = 0, 0, 0
    for review in reviews:
        try:
            scores = list(read(review["text"]))
        except ParseError:
            refused += 1
            continue
        agreed += scores == review["score"]
        differing += scores != review["score"]

    assert len(reviews) == 1040
    assert agreed >= 1001
    assert differing <= 2
    assert agreed + differing + refused == 1040


def test_a_real_trace_survives_being_written_and_read() -> None:
    file = DATA / "synth_example_trace.json"
    if not file.is_file():
        pytest.skip("the shared data folder is not beside this repository")
    [trace] = json.loads(file.read_text("utf-8"))
    rubrics = "\n".join(f"{at}. Rubric: {text}" for at, text in enumerate(trace["rubrics"], 1))
    actions = "\n".join(f"{at}. Action: {text}" for at, text in enumerate(trace["actions"], 1))
    simple = trace["simple_instructions"]
    step = trace["improved_instructions"][0]

    assert read_metadata(f"Task: {trace['task']}\nSkills: {trace['skills']}") == (
        "text editing",
        ("grammar", "punctuation"),
    )
    assert read_rubrics(f"{rubrics}\n{actions}") == (
        tuple(trace["rubrics"]),
        tuple(trace["actions"]),
    )
    assert (
        read_instructions(
            "\n".join(f"{at}. Instruction {at}: {text}" for at, text in enumerate(simple, 1)),
            number=4,
        )
        == simple
    )
    assert (
        read_improved(step["improved_instruction"], original=step["original_instruction"])
        == step["improved_instruction"]
    )


HOSTILE = [
    "a" * 10_000_000,
    " " * 999_999 + "x",
    "[" * 10_000,
    '{"a":' * 10_000,
    "-" * 999_999,
    "- " * 499_999,
    "#" * 999_999,
    "1." * 400_000,
    "1.\n" * 49_000,
    "1. x\n2. y\n" * 24_000,
    "*" * 999_999,
    "`" * 999_999,
    "~~~\n```\n" * 20_000,
    "\x1b[31m" * 100_000,
    "NaN " * 100_000,
    "Use case:" * 100_000,
    "Use case: a\n" + "skills" * 150_000,
    "Use case: a\nSkills: " + "(," * 400_000,
    "Rubric: " + " action" * 140_000,
    '{"instructions": ["' + '\\"' * 400_000,
    "improved instruction " * 47_000,
    "i'm sorry" + " " * 900_000,
    "8 " * 400_000,
    "assistant 1: 8\n" * 60_000,
    "\ud83d\u202e\0" * 300_000,
    "<task>" * 160_000,
    "<task></task>" * 76_000,
    "| a | b |\n" * 100_000,
    "Write two.\n\n" + "This version adds x.\n\n" * 45_000,
    "Write two.\n" + "(harder)\n" * 110_000,
    "Certainly! " * 90_000,
    "1、" * 490_000,
    "\\boxed{" * 140_000,
]


@pytest.mark.parametrize("reply", HOSTILE, ids=[repr(reply[:12]) for reply in HOSTILE])
def test_hostile_replies_are_read_or_refused_in_linear_time(reply: str) -> None:
    readers: list[Callable[[], object]] = [
        lambda: read_metadata(reply),
        lambda: read_instructions(reply, number=1),
        lambda: read_instructions(reply, number=10, truncated=True),
        lambda: read_rubrics(reply),
        lambda: read_improved(reply, original="x"),
        lambda: read_evolved(reply),
        lambda: read_equal(reply),
        lambda: read_rating(reply),
        lambda: read_scores(reply),
        lambda: read_verdict(reply),
        lambda: read_yes(reply),
    ]
    for reader in readers:
        complaint = "read"
        try:
            with cpu_at_most(5.0):
                reader()
        except ParseError as error:
            complaint = str(error)

        assert len(complaint.splitlines()) == 1
        assert len(complaint) < 300


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    readers: list[Callable[[], object]] = [
        lambda: read_metadata(f"use case: {text}\nskills: {text}"),
        lambda: read_instructions(f"1. {text}\n2. {text}", number=3),
        lambda: read_rubrics(f"rubric: {text}\naction: {text}"),
        lambda: read_improved(text, original="x"),
        lambda: read_evolved(text),
        lambda: read_equal(text),
        lambda: read_rating(text),
        lambda: read_scores(text),
        lambda: read_verdict(text),
        lambda: read_yes(text),
    ]
    for reader in readers:
        complaint = "read"
        try:
            assert reader() not in ("", [], [""])
        except ParseError as error:
            complaint = str(error)

        assert complaint.isprintable()
        assert complaint


# Schemas


def test_every_stage_but_the_free_answer_has_a_bounded_schema() -> None:
    sizes = Sizes(seed=30, answer=400, number=3)
    schemas = {prompt.name: prompt.typical(sizes).prompt.schema() for prompt in BUILT_IN}

    assert [stage for stage, schema in schemas.items() if schema is None] == ["respond"]
    for schema in filter(None, schemas.values()):
        assert schema["required"] == list(schema["properties"])
        for field in schema["properties"].values():
            kind = field["type"]
            assert kind == "boolean" or "enum" in field or "maxLength" in field or (
                "maxItems" in field and "maxLength" in field["items"]
            )  # fmt: skip


def test_the_schema_carries_the_number_and_the_vocabulary() -> None:
    decode = Decode(number=7, use_case="poetry", skills=("rhyme",)).schema()
    vocabulary = Vocabulary(("poetry",), ("rhyme", "metre"))
    encode = Encode(instruction="Hi.", vocabulary=vocabulary).schema()

    assert decode["properties"]["instructions"]["minItems"] == 7
    assert encode["properties"]["use_case"]["enum"] == ["poetry"]
    assert encode["properties"]["skills"]["items"]["enum"] == ["rhyme", "metre"]


@pytest.mark.parametrize(
    ("prompt", "field", "highest"), [("score", "assistant_1", 10), ("rate", "score", 5)]
)
def test_a_structured_score_may_be_a_half(prompt: str, field: str, highest: int) -> None:
    sizes = Sizes(seed=30, answer=400, number=3)
    [row] = [row for row in BUILT_IN if row.name == prompt]
    schema = row.typical(sizes).prompt.schema()

    assert schema is not None
    values = schema["properties"][field]["enum"]
    assert highest - 0.5 in values
    assert max(values) == highest


@pytest.mark.parametrize(("length", "bounded"), [(60, True), (1_800, False)])
def test_a_structured_rewrite_may_be_longer_than_its_original(length: int, bounded: bool) -> None:
    schema = Improve(instruction="x" * length, action="a").schema()
    text = schema["properties"]["instruction"]

    assert ("maxLength" in text) is bounded
    assert text.get("maxLength", length + 1) > length
