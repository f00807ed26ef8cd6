"""Self-Instruct's requests: the demonstrations in them, the tasks that come back, which will do.

The variant of Alpaca (spec §8.1): twenty tasks in one reply, in blocks of instruction and input.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from .reading import ParseError, is_list, is_object, json_reply, opened, quoted

_SEPARATOR = re.compile(r"^[ \t]*#{3,}[ \t]*$", re.MULTILINE)
_FIELD = re.compile(
    r"^[ \t]*(?:#{1,6}[ \t]+)?[*_]{0,2}(?:(?P<number>[0-9]{1,3})[.)][ \t]*)?[*_]{0,2}"
    r"(?P<name>instruction|input|output|task)[*_]{0,2}[ \t]*:[*_]{0,2}[ \t]*",
    re.IGNORECASE | re.MULTILINE,
)
_NO_INPUT = re.compile(r"[<(\[]?\s*no[ _-]?input\s*[>)\]]?\.?", re.IGNORECASE)
_BANNED = re.compile(
    r"\b(?:images?|graphs?|pictures?|files?|maps?|draw|plot|go to|videos?|audio|music|flowcharts?"
    r"|diagrams?)\b",
    re.IGNORECASE,
)
_SHORTEST: Final = 3
_LONGEST: Final = 150


class Task(NamedTuple):
    """An instruction and what it works on; the input is empty where there is none."""

    instruction: str
    input: str = ""

    @property
    def text(self) -> str:
        """Both as one instruction."""
        return f"{self.instruction}\n\n{self.input}" if self.input else self.instruction


def demonstrations(instructions: Sequence[str]) -> str:
    """Write *instructions* as the blocks that the request asks for."""
    return "\n".join(
        f"###\n{number}. Instruction: {text}\n{number}. Input: <noinput>"
        for number, text in enumerate(instructions, 1)
    )


def read_tasks(text: str, *, number: int, truncated: bool = False) -> list[Task]:
    """Read up to *number* tasks. *truncated*: the reply was cut off, so its last is left out.

    Raises:
        ParseError: there is none.
    """
    reply = opened(text)
    found = _from_json(reply)
    if found is None:
        found = _from_blocks(reply)
    if truncated:
        found = found[:-1]
    found = [task for task in found if task.instruction]
    if not found:
        raise ParseError(f"no tasks: {quoted(reply)}")
    return found[:number]


def unsuitable(task: Task) -> str:
    """Say in a word why *task* is not for a model of text; empty where it is.

    Self-Instruct's rules with Alpaca's words: length, what a text model can't see or make, programs
    to be written from nothing, and instructions that begin with no letter or figure of ASCII.
    """
    instruction = task.instruction
    words = len(instruction.split())
    if not _SHORTEST < words <= _LONGEST:
        return "length"
    if _BANNED.search(instruction):
        return "not_for_text"
    if instruction.lower().startswith("write a program"):
        return "write_a_program"
    if not (instruction[0].isascii() and instruction[0].isalnum()):
        return "odd_beginning"
    return ""


def _from_json(text: str) -> list[Task] | None:
    fields = json_reply(text)
    items = None if fields is None else fields.get("instructions", fields.get("tasks"))
    if items is None and fields is not None:
        items = fields.get("")
    if not is_list(items):
        return None
    found = list[Task]()
    for item in items:
        if is_object(item):
            found.append(_task(str(item.get("instruction") or ""), str(item.get("input") or "")))
        elif isinstance(item, str):
            found.append(_task(item, ""))
    return found


def _from_blocks(text: str) -> list[Task]:
    """Read fields in order: each instruction begins a task, its input follows it."""
    found = list[Task]()
    marks = list(_FIELD.finditer(_SEPARATOR.sub("\n", text)))
    for at, mark in enumerate(marks):
        end = marks[at + 1].start() if at + 1 < len(marks) else len(mark.string)
        value = mark.string[mark.end() : end].strip()
        name = mark["name"].lower()
        if name in {"instruction", "task"}:
            found.append(_task(value, ""))
        elif name == "input" and found and not found[-1].input:
            found[-1] = _task(found[-1].instruction, value)
    return found


def _task(instruction: str, given: str) -> Task:
    given = given.strip()
    return Task(instruction.strip(), "" if _NO_INPUT.fullmatch(given) else given)
