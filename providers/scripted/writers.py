"""Writing scripted replies: one writer for each of the built-in prompts."""

from bisect import bisect
from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from itertools import accumulate
from typing import Any, Final, NamedTuple

from .. import json_codec
from ..base import Denied, Request
from . import words
from .dice import Dice
from .reading import (
    allowed_names,
    last_question,
    requested_number,
    requested_tasks,
    text_after,
    text_between,
)


class Question(NamedTuple):
    """One request, as the writers see it.

    Attributes:
        prompt: The last message that is not about a reply.
        is_structured: Whether the reply must be JSON.
    """

    request: Request
    prompt: str
    dice: Dice
    is_structured: bool


def write(request: Request, entropy: bytes) -> str:
    """Write the reply to *request*; the same *entropy* gives the same reply.

    Raises:
        Denied: there is no writer for its prompt, such as another distribution's.
    """
    writer = _WRITERS.get(request.purpose)
    if writer is None:
        raise Denied(
            f"scripted: no reply to the prompt {request.purpose!r}: set"
            f' options.replies.{request.purpose} = "…", or add a writer to'
            " providers/scripted/writers.py"
        )
    dice = Dice(int.from_bytes(entropy, "little"))
    is_structured = request.response_format != "text"
    return writer(Question(request, last_question(request.messages), dice, is_structured))


# Understanding the seeds and writing instructions.


def _encode(question: Question) -> str:
    request, prompt, dice, is_structured = question
    use_cases: tuple[str, ...] = words.USE_CASES
    skills: tuple[str, ...] = words.SKILLS
    if "Allowed " in prompt:
        use_cases = allowed_names(prompt, "Allowed use cases") or use_cases
        skills = allowed_names(prompt, "Allowed skills") or skills
    if request.schema:
        fields = request.schema.get("properties", {})
        use_cases = tuple(fields.get("use_case", {}).get("enum", ())) or use_cases
        skills = tuple(fields.get("skills", {}).get("items", {}).get("enum", ())) or skills
    use_case, names = dice.pick(use_cases), dice.sample(skills, 1 + dice.roll(3))
    if is_structured:
        return _json(use_case=use_case, skills=names)
    return f"Use case: {use_case}\nSkills: {', '.join(names)}"


def _decode(question: Question) -> str:
    request, prompt, dice, is_structured = question
    use_case = text_after(prompt, "Use case:") or dice.pick(words.USE_CASES)
    skills = (text_after(prompt, "Skills:") or dice.pick(words.SKILLS)).split(",")[dice.roll(2) :]
    skill = skills[0].strip() if skills else use_case
    number = requested_number(request, prompt, 10)
    instructions = [_instruction(dice, use_case, skill) for _ in range(number)]
    if is_structured:
        return _json(instructions=instructions)
    return "\n".join(f"{number}. {text}" for number, text in enumerate(instructions, 1))


def _instruction(dice: Dice, use_case: str, skill: str) -> str:
    form = dice.roll(4)
    thing, topic = dice.pick(words.THINGS), dice.pick(words.TOPICS)
    reader, limit, size = dice.pick(words.PEOPLE), dice.pick(words.LIMITS), 3 + dice.roll(60)
    if form == 0:
        verb = dice.pick(words.VERBS)
        return f"{verb} {thing} about {topic} for {reader}, {limit}, in {size} sentences."
    if form == 1:
        return (
            f"For {reader}, {dice.pick(words.VERBS).lower()} {thing} on {topic} that draws on"
            f" {skill}; spend {size} lines on it, {limit}."
        )
    if form == 2:
        return (
            f"I have {size} minutes and need {thing} about {topic}. Help me with this {use_case} "
            f"task, {limit}, so that {reader} can use it."
        )
    return (
        f"How would you approach {topic} if {reader} asked you for {thing}? "
        f"Answer with {skill} in mind, {limit}, and name {size} points."
    )


def _invent(question: Question) -> str:
    """Write new tasks: every fifth has an input, every twelfth breaks a rule of Self-Instruct."""
    request, prompt, dice, is_structured = question
    tasks = list[tuple[str, str]]()
    for _ in range(requested_tasks(request, prompt)):
        text = _instruction(dice, dice.pick(words.USE_CASES), dice.pick(words.SKILLS))
        if dice.roll(12) == 0:
            text = f"Draw a picture of {dice.pick(words.TOPICS)}."
        has_input = dice.roll(5) == 0
        tasks.append((text, f"{_point(dice)} {_point(dice)}" if has_input else ""))
    if is_structured:
        return _json(instructions=[f"{text}\n\n{input_}".strip() for text, input_ in tasks])
    return "\n".join(
        f"###\n{number}. Instruction: {text}\n{number}. Input: {input_ or '<noinput>'}"
        for number, (text, input_) in enumerate(tasks, 1)
    )


# Making instructions harder.


def _rubrics(question: Question) -> str:
    request, prompt, dice, is_structured = question
    number = requested_number(request, prompt, 4)
    use_case = text_after(prompt, "Use case:") or "this kind of task"
    rubrics = [
        f"How far the instruction demands {aspect} in {use_case}."
        for aspect in dice.sample(words.ASPECTS, number)
    ]
    actions = dice.sample(words.ACTIONS, number)
    if is_structured:
        return _json(rubrics=rubrics, actions=actions)
    lines = [f"{number}. Rubric: {text}" for number, text in enumerate(rubrics, 1)]
    lines += [f"{number}. Action: {text}" for number, text in enumerate(actions, 1)]
    return "\n".join(lines)


def _improve(question: Question) -> str:
    _, prompt, dice, is_structured = question
    start = prompt.find("nput instruction:")
    original = prompt[start + 17 :] if start >= 0 else prompt
    original = original.strip().removesuffix("Improved instruction:").strip()
    improved = f"{original} {_demand(dice)}"
    return _json(instruction=improved) if is_structured else improved


def _evolve(purpose: str, question: Question) -> str:
    """Write a longer instruction, or for ``broaden`` another one.

    Some replies copy the prompt's own words, as real models do.
    """
    _, prompt, dice, is_structured = question
    original = _original(prompt)
    if purpose == "broaden":
        text = _instruction(dice, dice.pick(words.USE_CASES), dice.pick(words.SKILLS))
    else:
        times = 4 if purpose == "grow" else 1
        text = " ".join([original, *(_demand(dice) for _ in range(times))])
    if purpose == "complicate":
        text += f'\n{{"topic": "{dice.pick(words.TOPICS)}", "minutes": {3 + dice.roll(60)}}}'
    if purpose != "grow" and dice.roll(100) < 4:
        text = f"Like the given prompt: {text}"
    return _json(instruction=text) if is_structured else text


def _original(prompt: str) -> str:
    """Return what is to be rewritten: the text below the last of the labels in the templates."""
    start, label = max(
        (prompt.rfind(label), label)
        for label in ("Old instruction:", "#Given Prompt#:", "Instruction:", "Prompt:")
    )
    text = prompt[start + len(label) :] if start >= 0 else prompt
    for ending in ("New instruction:", "#Rewritten Prompt#:", "#Created Prompt#:"):
        text = text.strip().removesuffix(ending)
    return text.strip()


def _demand(dice: Dice) -> str:
    demand = f"{dice.pick(words.HARDER)} {dice.pick(words.TOPICS)}"
    return f"{demand}, and {dice.pick(words.FURTHER)} {dice.pick(words.PEOPLE)}."


# Responding and judging.

# Thousandths of responses with 1, 2, … 10 points, as running totals. Together they let a threshold
# of 3 select about 60 % of instructions, and let the target win in 2 to 3 %.
_STRONG: Final = tuple(accumulate((5, 40, 50, 10, 5, 10, 70, 310, 390)))
_TARGET: Final = tuple(accumulate((50, 140, 190, 220, 140, 80, 90, 60, 25)))


def _write_prose(question: Question) -> str:
    dice = question.dice
    scale = _STRONG if _is_able(question.request.model, dice) else _TARGET
    number = bisect(scale, dice.roll(1000)) + 1
    lines = [f"{dice.pick(words.OPENINGS)} {dice.pick(words.TOPICS)}."]
    lines += [f"- {_point(dice)}" for _ in range(number)]
    lines.append(dice.pick(words.CLOSINGS))
    return "\n".join(lines)


def _is_able(model: str, dice: Dice) -> bool:
    name = model.rpartition("/")[2]
    if name in {"strong", "target"}:
        return name == "strong"
    return dice.roll(256) < blake2b(name.encode("utf-8", "surrogatepass")).digest()[0]


def _point(dice: Dice) -> str:
    return dice.pick(words.POINTS)


def _score(question: Question, *, explains: bool) -> str:
    _, prompt, dice, is_structured = question
    first = _quality(text_between(prompt, "[Assistant 1 answer start]", "[Assistant 1 answer end]"))
    second = _quality(
        text_between(prompt, "[Assistant 2 answer start]", "[Assistant 2 answer end]")
    )
    if dice.roll(100) < 5:
        first = min(10, first + 1)
    explanation = (
        f"Assistant {1 if first >= second else 2} {dice.pick(words.REASONS)}. "
        f"The other answer is weaker in its level of details."
    )
    if is_structured:
        scores: dict[str, Any] = {"assistant_1": first, "assistant_2": second}
        return _json(**scores, explanation=explanation) if explains else _json(**scores)
    return f"{first} {second}\n{explanation}" if explains else f"{first} {second}"


def _rate(question: Question) -> str:
    """Rate from 0 to 5 by the response's quality: about three in four able ones get 5."""
    _, prompt, dice, is_structured = question
    score = max(0, min(5, _quality(prompt) // 2 + dice.roll(2)))
    if is_structured:
        return _json(score=score)
    return f"{score}\nThe response {dice.pick(words.REASONS)}."


def _quality(response: str) -> int:
    """Rate from 1 to 10 by the text alone: bullet points, or length where there are none."""
    points = response.count("\n- ")
    return min(10, points) if points else min(10, 1 + len(response) // 150)


def _equal(question: Question) -> str:
    is_equal = question.dice.roll(100) < 8
    if question.is_structured:
        return _json(equal=is_equal)
    return "Equal" if is_equal else "Not Equal"


def _plausible(question: Question) -> str:
    is_plausible = question.dice.roll(100) < 85
    if question.is_structured:
        return _json(plausible=is_plausible)
    return "yes" if is_plausible else "no"


_WRITERS: Final[dict[str, Callable[[Question], str]]] = {
    "encode": _encode,
    "decode": _decode,
    "rubrics": _rubrics,
    "improve": _improve,
    "score": partial(_score, explains=False),
    "judge": partial(_score, explains=True),
    "invent": _invent,
    "rate": _rate,
    **{name: partial(_evolve, name) for name in ("grow", "deepen", "complicate", "broaden")},
    "equal": _equal,
    "plausible": _plausible,
    "respond": _write_prose,
    "": _write_prose,
}


def _json(**fields: Any) -> str:
    return json_codec.dumps(fields).decode()
