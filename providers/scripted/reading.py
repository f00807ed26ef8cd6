"""Read what scripted replies need from prompts and schemas."""

import re
from collections.abc import Sequence

from ..base import Message, Request

_DEMAND = "That reply cannot be used"
"""How codeclm begins to ask for another reply."""
_NUMBER = re.compile(r"\b[1-9][0-9]{0,2}\b")


def last_question(messages: Sequence[Message]) -> str:
    """Return the last message, or the one that its demand for another reply is about."""
    at = len(messages) - 1
    while at > 1 and messages[at].content.startswith(_DEMAND):
        at -= 2
    return messages[at].content if messages else ""


def requested_number(request: Request, prompt: str, default: int) -> int:
    """Return how many items to write: by the schema, or the first number in the prompt."""
    for field in (request.schema or {}).get("properties", {}).values():
        if "minItems" in field:
            return int(field["minItems"])
    number = _NUMBER.search(prompt)
    return int(number[0]) if number else default


def requested_tasks(request: Request, prompt: str) -> int:
    """Return how many tasks to invent: the last line says it, below the demonstrations."""
    array = (request.schema or {}).get("properties", {}).get("instructions", {})
    numbers = _NUMBER.findall(prompt.rstrip().rpartition("\n")[2])
    return int(array.get("maxItems") or (numbers[0] if numbers else 20))


def allowed_names(prompt: str, label: str) -> tuple[str, ...]:
    line = text_after(prompt, label).partition(":")[2]
    return tuple(name.strip() for name in line.split(";") if name.strip())


def text_after(text: str, label: str) -> str:
    """Return the rest of the last line that holds *label*."""
    start = text.rfind(label)
    if start < 0:
        return ""
    end = text.find("\n", start)
    return text[start + len(label) : end if end >= 0 else len(text)].strip()


def text_between(text: str, start: str, end: str) -> str:
    at = text.find(start)
    return text[at : text.find(end, at)] if at >= 0 else text
