"""A kind of task that a program can set, solve and check: letters, put into another order.

``reply`` is the strong model of `loop.toml`, stronger than the target at every task; ``score`` is
the judge.
"""

import re
from collections.abc import Callable, Sequence
from random import Random

ALPHABET = "abcdefghijklmnopqrstuvwxyz"
LONGEST = 8
"""Most letters of a task."""

Letters = Sequence[str]

TASKS: dict[str, tuple[str, Callable[[Letters], Letters]]] = {
    "sorting": ("Sort the letters {}", sorted),
    "reversing": ("Reverse the letters {}", lambda ab: ab[::-1]),
    "moving": ("Move the first letter of {} to the end", lambda ab: [*ab[1:], ab[0]]),
    "repeating": ("Repeat the last letter of {}", lambda ab: [*ab, ab[-1]]),
}
"""Each kind of task by name: its wording, and what it does with the letters."""

_KINDS = {
    kind: re.compile(wording.format("(?P<letters>[a-z](?: [a-z])+)"))
    for kind, (wording, _) in TASKS.items()
}


def write_task(kind: str, length: int, random: Random) -> str:
    """Write a task of this *kind* with *length* different letters."""
    return TASKS[kind][0].format(" ".join(random.sample(ALPHABET, length)))


def read_task(instruction: str) -> tuple[str, list[str]]:
    """Return the kind and the letters of a task.

    Raises:
        ValueError: it is none of ours.
    """
    for kind, pattern in _KINDS.items():
        if match := pattern.fullmatch(instruction.strip().rstrip(".")):
            return kind, match["letters"].split()
    raise ValueError(f"not a task of letters: {instruction!r}")


def solve(instruction: str) -> str:
    """Return the right answer."""
    kind, letters = read_task(instruction)
    return " ".join(TASKS[kind][1](letters))


def score(instruction: str, answer: str) -> bool:
    """Judge: whether *answer* is right."""
    return answer.split() == solve(instruction).split()


def reply(messages: list[dict[str, str]], *, sample: str = "") -> str | None:
    """Strong model: reply to a prompt of the folder ``prompts``, whose first line is its name."""
    prompt = messages[-1]["content"]
    name, *values = prompt.split("\n")
    return _REPLIES[name](values, Random(f"{sample}\n{prompt}"))


def _encode(values: list[str], _: Random) -> str:
    kind, letters = read_task(values[0])
    return f"Use case: {kind}\nSkills: {len(letters)} letters"


def _decode(values: list[str], random: Random) -> str:
    number, kind = int(values[0]), values[1]
    tasks = [write_task(kind, random.randint(3, 5), random) for _ in range(number)]
    return "\n".join(f"{count}. {task}" for count, task in enumerate(tasks, 1))


def _rubrics(_: list[str], __: Random) -> str:
    return (
        "1. Rubric: How many letters there are to keep in mind.\n1. Action: Use 1 more letter.\n"
        "2. Rubric: How far apart letters that change places are.\n2. Action: Use 2 more letters."
    )


def _improve(values: list[str], random: Random) -> str | None:
    """Write a new task of the kind, with as many more letters as the action says."""
    kind, letters = read_task(values[1])
    length = len(letters) + int(re.findall(r"\d", values[0])[0])
    return None if length > LONGEST else write_task(kind, length, random)


def _respond(values: list[str], _: Random) -> str:
    return solve(values[0])


_REPLIES: dict[str, Callable[[list[str], Random], str | None]] = {
    "encode": _encode,
    "decode": _decode,
    "rubrics": _rubrics,
    "improve": _improve,
    "respond": _respond,
}
