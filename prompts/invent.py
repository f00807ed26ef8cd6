"""Invent: ask for tasks like a few demonstrations (Self-Instruct, docs/algorithm.md §8.1).

This is Alpaca's variant: twenty tasks in one reply, in blocks of instruction and input.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from .prompt import JsonSchema, Priority, Prompt, RawReply, Sizes, Typical, filler
from .reading import (
    ParseError,
    excerpt,
    is_list,
    is_object,
    is_truncated,
    parse_json,
    reply_body,
)
from .schemas import LONGEST_INSTRUCTION, list_of, object_of, string

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
    """An instruction and the input it works on, which may be empty."""

    instruction: str
    input: str = ""

    @property
    def text(self) -> str:
        """The instruction and its input as one text."""
        return f"{self.instruction}\n\n{self.input}" if self.input else self.instruction


class Invent(Prompt[list[Task]], frozen=True, kw_only=True):
    """Ask for *number* tasks in the style of `demonstrations`."""

    name = "invent"
    priority = Priority.WRITE

    number: int
    demonstrations: str

    def read(self, reply: RawReply) -> list[Task]:
        return read_tasks(reply.text, number=self.number, truncated=is_truncated(reply))

    def schema(self) -> JsonSchema:
        return object_of(instructions=list_of(string(LONGEST_INSTRUCTION), 1, self.number))

    @classmethod
    def typical(cls, sizes: Sizes) -> Typical:
        prompt = cls(number=sizes.number, demonstrations=filler(3 * sizes.seed))
        return Typical(prompt, sizes.instruction * sizes.number)


def demonstrations(instructions: Sequence[str]) -> str:
    """Write *instructions* in the blocks that the template asks for."""
    return "\n".join(
        f"###\n{number}. Instruction: {text}\n{number}. Input: <noinput>"
        for number, text in enumerate(instructions, 1)
    )


def read_tasks(text: str, *, number: int, truncated: bool = False) -> list[Task]:
    """Read up to *number* tasks. If *truncated*, the reply was cut off: its last task is left out.

    Raises:
        ParseError: the reply holds no task.
    """
    reply = reply_body(text)
    tasks = _from_json(reply)
    if tasks is None:
        tasks = _from_blocks(reply)
    if truncated:
        tasks = tasks[:-1]
    tasks = [task for task in tasks if task.instruction]
    if not tasks:
        raise ParseError(f"no tasks: {excerpt(reply)}")
    return tasks[:number]


def unsuitable(task: Task) -> str:
    """Return a one-word reason why *task* does not suit a text model; empty if it does.

    These are Self-Instruct's rules with Alpaca's word list: length, things that a text model cannot
    see or make, programs to write from scratch, and instructions whose first character is not an
    ASCII letter or digit.
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
    fields = parse_json(text)
    items = None if fields is None else fields.get("instructions", fields.get("tasks"))
    if items is None and fields is not None:
        items = fields.get("")
    if not is_list(items):
        return None
    tasks = list[Task]()
    for item in items:
        if is_object(item):
            tasks.append(_task(str(item.get("instruction") or ""), str(item.get("input") or "")))
        elif isinstance(item, str):
            tasks.append(_task(item, ""))
    return tasks


def _from_blocks(text: str) -> list[Task]:
    """Read the fields in order: each instruction begins a task, and its input follows it."""
    tasks = list[Task]()
    marks = list(_FIELD.finditer(_SEPARATOR.sub("\n", text)))
    for at, mark in enumerate(marks):
        end = marks[at + 1].start() if at + 1 < len(marks) else len(mark.string)
        value = mark.string[mark.end() : end].strip()
        name = mark["name"].lower()
        if name in {"instruction", "task"}:
            tasks.append(_task(value, ""))
        elif name == "input" and tasks and not tasks[-1].input:
            tasks[-1] = _task(tasks[-1].instruction, value)
    return tasks


def _task(instruction: str, material: str) -> Task:
    material = material.strip()
    return Task(instruction.strip(), "" if _NO_INPUT.fullmatch(material) else material)
