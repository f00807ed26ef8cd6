"""Seeds that are not English, or that work on a text, from the seed file to the row."""

import json
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.prompts import InLanguage, Traits
from codeclm.prompts.encode import read_metadata
from codeclm.prompts.traits import credible, read_traits

from .commands import codeclm
from .servers import ReceivedRequest, Say, Server, chat, say

# Reading the two lines


@pytest.mark.parametrize(
    ("reply", "traits"),
    [
        ("Use case: a\nSkills: b\nLanguage: German\nGiven text: yes", Traits("German", True)),
        ("Use case: a\nSkills: b\nLanguage: german.\nGiven text: no", Traits("German", False)),
        ("**Use case:** a\n**Skills:** b\n**Language:** Chinese (Simplified)\n**Given text:** No.",
         Traits("Chinese", False)),
        ("- Use case: a\n- Skills: b\n- Language: Brazilian Portuguese\n- Given text: **Yes**",
         Traits("Brazilian Portuguese", True)),
        ("Use case: a\nSkills: b", Traits()),
        ("Use case: a\nSkills: b\nLanguage: N/A\nGiven text: unclear", Traits()),
        ("Use case: a\nSkills: b\nLanguage: 42\nGiven text:", Traits()),
        ("用例：校对\n技能：语法\n语言：中文\n给定文本：是", Traits("中文", True)),
        ("Anwendungsfall: a\nFähigkeiten: b\nSprache: Deutsch\nGegebener Text: nein",
         Traits("Deutsch", False)),
        ('{"use_case": "a", "skills": ["b"], "language": "Arabic", "given_text": true}',
         Traits("Arabic", True)),
        ('{"use_case": "a", "skills": ["b"], "language": null, "given_text": "no"}',
         Traits("", False)),
    ],
)  # fmt: skip
def test_language_and_given_text_are_read(reply: str, traits: Traits) -> None:
    assert read_traits(reply) == traits


@pytest.mark.parametrize(
    "reply",
    [
        "Use case: programming\nSkills: Python, language design\nLanguage: English\nGiven text: no",
        "Language: English\nGiven text: no\nUse case: programming\nSkills: Python, language design",
        "Use case: programming\nSkills:\n- Python\n- language design\nLanguage: English",
        "**Use case**\nprogramming\n\n**Skills**\nPython\nlanguage design\nLanguage: English",
    ],
)
def test_the_two_lines_are_no_skills(reply: str) -> None:
    assert read_metadata(reply) == ("programming", ("Python", "language design"))
    assert read_traits(reply).language == "English"


@given(st.text(max_size=200))
def test_a_language_is_a_name_or_unknown_since_it_stands_in_later_prompts(text: str) -> None:
    name = read_traits(f"Use case: a\nLanguage: {text}").language

    assert name.replace(" ", "").replace("-", "").isalpha() or not name
    assert len(name) <= 92
    assert "\n" not in str(InLanguage(name))


@pytest.mark.parametrize(
    ("instruction", "said", "believed"),
    [
        ("为什么天空是蓝色的？", Traits("English", True), Traits("", None)),
        ("اقترح ثلاثة أسماء لمقهى جديد.", Traits("German", True), Traits("", None)),
        ("为什么天空是蓝色的？", Traits("Chinese", False), Traits("Chinese", False)),
        ("解释 Python 的 list comprehension", Traits("Chinese", False), Traits("Chinese", False)),
        ("How do vaccines work?", Traits("Chinese", True), Traits("", None)),
        ("What does 你好 mean?", Traits("English", True), Traits("English", None)),
        ("Kürze: „Es ist so, dass es regnet.“", Traits("German", True), Traits("German", True)),
        ("Fix this.\nHe go home.", Traits("English", True), Traits("English", True)),
        ("", Traits("English", True), Traits("English", None)),
    ],
)
def test_what_the_seed_contradicts_is_not_believed(
    instruction: str, said: Traits, believed: Traits
) -> None:
    assert credible(said, instruction) == believed


# From the seed to the row

LETTER = "Ihr Paket liegt seit Montag bei uns. Holen Sie es ab, sonst geht es zurück."
NOTE = "他昨天来到了北京，今天又回去上海了，明天他将要回北京来。"
SEEDS = (
    {"id": "de", "instruction": f"Formuliere diese Nachricht freundlicher: „{LETTER}“"},
    {"id": "zh", "instruction": f"请把下面的句子改得更通顺：“{NOTE}”"},
)
GERMAN = {
    "instruction analyzer": "Use case: Umformulierung eines gegebenen Textes\n"
    "Skills: höflicher Ton, Kundenkommunikation\nLanguage: German\nGiven text: yes",
    "instruction writer": "1. Mache aus dieser Mahnung eine höfliche Erinnerung:\n\n"
    "   „Sie haben die Rechnung vom 3. März noch nicht bezahlt. Überweisen Sie sofort.“",
    "instruction judge": "1. Rubric: Anzahl der Adressaten, die zugleich angesprochen werden.\n"
    "2. Action: Lass den Text zwei Leser mit verschiedenen Anliegen ansprechen.",
    "instruction improver": "Mache aus dieser Mahnung eine höfliche Erinnerung, die sowohl die"
    " Buchhaltung als auch die Geschäftsführung des Kunden anspricht:\n\n"
    "„Sie haben die Rechnung vom 3. März noch nicht bezahlt. Überweisen Sie sofort.“",
    "": "Sehr geehrte Damen und Herren, vermutlich ist unsere Rechnung vom 3. März untergegangen.",
}
CHINESE = {
    "instruction analyzer": "Use case: 润色给定的句子\nSkills: 现代汉语语法, 简洁表达\n"
    "Language: Chinese\nGiven text: yes",
    "instruction writer": "1. 请把下面的通知改得简洁："
    "“因为下雨的原因，所以运动会将会被推迟到下周举行。”",
    "instruction judge": "1. Rubric: 同时要遵守的限制的数量。\n"
    "2. Action: 再加一条与字数有关的限制。",
    "instruction improver": "请把下面的通知改得简洁，不超过十五个字，并保留推迟的原因："
    "“因为下雨的原因，所以运动会将会被推迟到下周举行。”",
    "": "因雨，运动会推迟至下周举行。",
}


def answers(request: ReceivedRequest) -> Say:
    """Answer as a strong model does that was asked in German or Chinese, in the prompt's words."""
    text = request.json["messages"][-1]["content"]
    words = CHINESE if any(word in text for word in ("润色", "下雨", NOTE)) else GERMAN
    if "[Assistant 1 answer start]" in text:
        # The first instruction is too easy: both answers are as good.
        is_hard = "Geschäftsführung" in text or "十五个字" in text
        is_first = text.index("strong:") < text.index("target:")
        return say(chat(("9 4" if is_first else "4 9") if is_hard else "8 8"))
    part = next(name for name in words if name in text)
    return say(chat(words[part] or "") if part else chat(f"{request.json['model']}: {words['']}"))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_language_and_text_of_a_seed_reach_its_rows(server: Server, tmp_path: Path) -> None:
    server.always = answers

    def command(*argv: str) -> str:
        done = codeclm(*argv, cwd=tmp_path, OPENAI_API_KEY="k")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def work() -> tuple[str, str, list[Any]]:
        lines = "\n".join(json.dumps(seed, ensure_ascii=False) for seed in SEEDS)
        (tmp_path / "seeds.jsonl").write_text(lines, "utf-8")
        command(
            *("run", "--seeds", "seeds.jsonl", "--out", "run", "--no-preflight"),
            *("--strong", "openai/strong", "--target", "openai/target"),
            *("--base-url", f"{server.url}/v1", "--per-metadata", "1", "--max-iterations", "2"),
        )
        command("export", "run", "--to", "rows.jsonl", "--with-metadata")
        rows = (tmp_path / "rows.jsonl").read_text("utf-8").splitlines()
        shown = command("inspect", "run", "0.0")
        return shown, command("status", "run"), [json.loads(row) for row in rows]

    shown, status, rows = await anyio.to_thread.run_sync(work)

    prompts = [asked.json["messages"][-1]["content"] for asked in server.asked]
    for part in ("instruction writer", "instruction judge", "instruction improver"):
        sentences = ["Write in German." in text for text in prompts if part in text]
        assert sorted(sentences) == [False, True]
        assert sum("Write in Chinese." in text for text in prompts if part in text) == 1
    assert all("write it out below" in text for text in prompts if "instruction writer" in text)
    assert {row["metadata"]["language"] for row in rows} == {"German", "Chinese"}
    assert {row["instruction"] for row in rows} == {
        words["instruction improver"] for words in (GERMAN, CHINESE)
    }
    assert "language   German" in shown
    assert "given text yes" in shown
    assert "language" in status
    assert "2 of 2" in status
