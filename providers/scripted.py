"""A model that is not there: answers that look like a model's, made from a hash of the question.

For trying the line out without a key, for tests, and for measuring what the engine costs. The same
question gets the same answer, on every machine. How good an answer is shows in its number of bullet
points, which is what the scripted scorer counts: models named ``strong`` are able, models named
``target`` weaker, any other model's ability comes from its name.
"""

import asyncio
import re
from bisect import bisect
from hashlib import blake2b
from itertools import accumulate
from math import gcd
from typing import Any, Final

from msgspec import Struct

from .base import Denied, FinishReason, RateLimited, Reply, Request, ResponseFormat, Unavailable
from .json_codec import dumps


class ScriptedOptions(Struct, frozen=True, kw_only=True):
    """How the scripted model behaves. Rates run from 0 to 1, times are in seconds."""

    model_seed: str = ""
    """Another seed is another model: other answers to all questions."""
    latency: float = 0.0
    jitter: float = 0.0
    """The most that a call takes longer or shorter than ``latency``."""
    error_rate: float = 0.0
    """Share of requests whose first attempt fails with `Unavailable`."""
    rate_limit_rate: float = 0.0
    """Share of requests whose first attempt fails with `RateLimited`."""
    retry_after: float | None = None
    unreadable_rate: float = 0.0
    """Share of requests that get an answer no parser can read."""
    replies: dict[str, str] = {}
    """One reply each for prompts that this module has no script for, by their names."""


class Scripted:
    """Answer from a script; see the module. Settings are the fields of `ScriptedOptions`."""

    kind: str = "scripted"
    identity: str
    structured: ResponseFormat = "text"

    def __init__(self, options: ScriptedOptions | None = None, **settings: Any) -> None:
        self.options = options or ScriptedOptions(**settings)
        seed, unreadable = self.options.model_seed, self.options.unreadable_rate
        self.identity = "scripted"
        if seed or unreadable:
            self.identity += f"?model_seed={seed}&unreadable_rate={unreadable:g}"
        for name, reply in sorted(self.options.replies.items()):
            self.identity += f"&{name}={blake2b(reply.encode(), digest_size=8).hexdigest()}"
        self._start = blake2b(seed.encode("utf-8", "surrogatepass"), digest_size=32)
        self._failed: set[bytes] = set()

    async def complete(self, request: Request, /) -> Reply:
        options = self.options
        digest = self._digest(request)
        if options.latency or options.jitter:
            share = int.from_bytes(digest[0:4], "little") / 2**31 - 1
            wait = options.latency + options.jitter * share
            if wait > 0:
                await asyncio.sleep(wait)
        if options.error_rate or options.rate_limit_rate:
            self._fail_once(digest)

        text = self._text(request, digest)
        finish: FinishReason = "stop"
        if request.max_tokens is not None and len(text) > 4 * request.max_tokens:
            text, finish = text[: 4 * request.max_tokens], "length"
        return Reply(
            text=text,
            finish_reason=finish,
            prompt_tokens=sum(len(message.content) for message in request.messages) // 4 + 1,
            completion_tokens=len(text) // 4 + 1,
            model=request.model,
        )

    async def aclose(self) -> None:
        return

    def _digest(self, request: Request) -> bytes:
        parts = [request.model, request.sample]
        for message in request.messages:
            parts += (message.role, message.content)
        digest = self._start.copy()
        digest.update("\0".join(parts).encode("utf-8", "surrogatepass"))
        return digest.digest()

    def _fail_once(self, digest: bytes) -> None:
        """Fail the first attempt of the requests whose turn it is; later attempts pass.

        Raises:
            Unavailable: this is one of ``error_rate``.
            RateLimited: this is one of ``rate_limit_rate``.
        """
        options = self.options
        share = int.from_bytes(digest[4:8], "little") / 2**32
        if share >= options.error_rate + options.rate_limit_rate:
            return
        if digest in self._failed:
            self._failed.discard(digest)
            return
        if len(self._failed) >= _MOST_FAILED:
            self._failed.clear()
        self._failed.add(digest)
        if share < options.error_rate:
            raise Unavailable("scripted: a failure made up for this request")
        raise RateLimited(
            "scripted: a rate limit made up for this request", retry_after=options.retry_after
        )

    def _text(self, request: Request, digest: bytes) -> str:
        share = int.from_bytes(digest[8:12], "little") / 2**32
        if share < self.options.unreadable_rate:
            return "I'm sorry, but I cannot help with that request."
        dice = _Dice(int.from_bytes(digest[16:32], "little"))
        prompt = request.messages[-1].content if request.messages else ""
        structured = request.response_format != "text"
        match request.purpose:
            case "encode":
                return _encode(dice, request, prompt, structured=structured)
            case "decode":
                return _decode(dice, request, prompt, structured=structured)
            case "rubrics":
                return _rubrics(dice, request, prompt, structured=structured)
            case "improve":
                return _improve(dice, prompt, structured=structured)
            case "score" | "judge":
                explain = request.purpose == "judge"
                return _score(dice, prompt, explain=explain, structured=structured)
            case "invent":
                return _invent(dice, request, prompt, structured=structured)
            case "rate":
                return _rate(dice, prompt, structured=structured)
            case "grow" | "deepen" | "complicate" | "broaden":
                return _evolve(dice, request.purpose, prompt, structured=structured)
            case "equal":
                equal = dice.roll(100) < 8
                return _json(equal=equal) if structured else "Equal" if equal else "Not Equal"
            case "plausible":
                likely = dice.roll(100) < 85
                return _json(plausible=likely) if structured else "yes" if likely else "no"
            case "respond" | "":
                return _respond(dice, request.model)
            case other:
                return self._option_reply(other)

    def _option_reply(self, name: str) -> str:
        """Return the reply of the options to a prompt that this module does not know.

        Raises:
            Denied: they hold none.
        """
        reply = self.options.replies.get(name)
        if reply is None:
            raise Denied(
                f"scripted: no reply to the prompt {name!r}: give one, such as"
                f' options.replies.{name} = "…", or write one in providers/scripted.py'
            )
        return reply


_MOST_FAILED: Final = 100_000
_MASK: Final = 2**128 - 1


class _Dice:
    """Numbers from one hash, good enough for prose and far cheaper than `random.Random`."""

    __slots__ = ("_state",)

    def __init__(self, state: int) -> None:
        self._state = state | 1

    def roll(self, sides: int) -> int:
        self._state = state = self._state * 0x2360ED051FC65DA44385DF649FCCF645 + 99 & _MASK
        return (state >> 88) % sides

    def pick(self, words: tuple[str, ...]) -> str:
        return words[self.roll(len(words))]

    def some(self, words: tuple[str, ...], number: int) -> list[str]:
        """Draw *number* different words, or all where there are fewer."""
        size = len(words)
        start, step = self.roll(size), 1 + self.roll(7)
        if gcd(step, size) > 1:
            step = 1
        return [words[(start + step * place) % size] for place in range(min(number, size))]


def _encode(dice: _Dice, request: Request, prompt: str, *, structured: bool) -> str:
    use_cases: tuple[str, ...] = _USE_CASES
    skills: tuple[str, ...] = _SKILLS
    if "Allowed " in prompt:
        use_cases = _allowed(prompt, "Allowed use cases") or use_cases
        skills = _allowed(prompt, "Allowed skills") or skills
    if request.schema:
        fields = request.schema.get("properties", {})
        use_cases = tuple(fields.get("use_case", {}).get("enum", ())) or use_cases
        skills = tuple(fields.get("skills", {}).get("items", {}).get("enum", ())) or skills
    use_case, names = dice.pick(use_cases), dice.some(skills, 1 + dice.roll(3))
    if structured:
        return _json(use_case=use_case, skills=names)
    return f"Use case: {use_case}\nSkills: {', '.join(names)}"


def _decode(dice: _Dice, request: Request, prompt: str, *, structured: bool) -> str:
    use_case = _after(prompt, "Use case:") or dice.pick(_USE_CASES)
    skill = (_after(prompt, "Skills:") or dice.pick(_SKILLS)).split(",")[dice.roll(2) :]
    about = skill[0].strip() if skill else use_case
    items = [_instruction(dice, use_case, about) for _ in range(_count(request, prompt, 10))]
    if structured:
        return _json(instructions=items)
    return "\n".join(f"{number}. {item}" for number, item in enumerate(items, 1))


def _instruction(dice: _Dice, use_case: str, skill: str) -> str:
    form = dice.roll(4)
    what, topic, who = dice.pick(_THINGS), dice.pick(_TOPICS), dice.pick(_PEOPLE)
    limit, size = dice.pick(_LIMITS), 3 + dice.roll(60)
    if form == 0:
        return f"{dice.pick(_VERBS)} {what} about {topic} for {who}, {limit}, in {size} sentences."
    if form == 1:
        return (
            f"For {who}, {dice.pick(_VERBS).lower()} {what} on {topic} that draws on {skill}; "
            f"spend {size} lines on it, {limit}."
        )
    if form == 2:
        return (
            f"I have {size} minutes and need {what} about {topic}. Help me with this {use_case} "
            f"task, {limit}, so that {who} can use it."
        )
    return (
        f"How would you approach {topic} if {who} asked you for {what}? "
        f"Answer with {skill} in mind, {limit}, and name {size} points."
    )


def _rubrics(dice: _Dice, request: Request, prompt: str, *, structured: bool) -> str:
    number = _count(request, prompt, 4)
    use_case = _after(prompt, "Use case:") or "this kind of task"
    rubrics = [
        f"How far the instruction demands {aspect} in {use_case}."
        for aspect in dice.some(_ASPECTS, number)
    ]
    actions = dice.some(_ACTIONS, number)
    if structured:
        return _json(rubrics=rubrics, actions=actions)
    lines = [f"{at}. Rubric: {text}" for at, text in enumerate(rubrics, 1)]
    lines += [f"{at}. Action: {text}" for at, text in enumerate(actions, 1)]
    return "\n".join(lines)


def _improve(dice: _Dice, prompt: str, *, structured: bool) -> str:
    start = prompt.find("nput instruction:")
    original = prompt[start + 17 :] if start >= 0 else prompt
    original = original.strip().removesuffix("Improved instruction:").strip()
    harder = (
        f"{original} {dice.pick(_HARDER)} {dice.pick(_TOPICS)}, "
        f"and {dice.pick(_FURTHER)} {dice.pick(_PEOPLE)}."
    )
    return _json(instruction=harder) if structured else harder


def _invent(dice: _Dice, request: Request, prompt: str, *, structured: bool) -> str:
    """New tasks: every fifth works on an input, every twelfth breaks a rule of Self-Instruct."""
    items = list[tuple[str, str]]()
    for _ in range(_invented(request, prompt)):
        instruction = _instruction(dice, dice.pick(_USE_CASES), dice.pick(_SKILLS))
        if dice.roll(12) == 0:
            instruction = f"Draw a picture of {dice.pick(_TOPICS)}."
        given = f"{dice.pick(_POINTS)} {dice.pick(_POINTS)}" if dice.roll(5) == 0 else ""
        items.append((instruction, given))
    if structured:
        return _json(instructions=[f"{text}\n\n{given}".strip() for text, given in items])
    return "\n".join(
        f"###\n{at}. Instruction: {text}\n{at}. Input: {given or '<noinput>'}"
        for at, (text, given) in enumerate(items, 1)
    )


def _invented(request: Request, prompt: str) -> int:
    """How many tasks are asked for: the last line says it, below the demonstrations."""
    array = (request.schema or {}).get("properties", {}).get("instructions", {})
    numbers = _NUMBER.findall(prompt.rstrip().rpartition("\n")[2])
    return int(array.get("maxItems") or (numbers[0] if numbers else 20))


def _rate(dice: _Dice, prompt: str, *, structured: bool) -> str:
    """From 0 to 5, by the answer's quality: some three of four able answers get 5."""
    score = max(0, min(5, _quality(prompt) // 2 + dice.roll(2)))
    return _json(score=score) if structured else f"{score}\nThe response {dice.pick(_REASONS)}."


def _evolve(dice: _Dice, purpose: str, prompt: str, *, structured: bool) -> str:
    """A longer prompt; for ``broaden`` another one. Some copy the frame's words, as models do."""
    original = _given(prompt)
    if purpose == "broaden":
        text = _instruction(dice, dice.pick(_USE_CASES), dice.pick(_SKILLS))
    else:
        times = 4 if purpose == "grow" else 1
        text = " ".join([original, *(_further(dice) for _ in range(times))])
    if purpose == "complicate":
        text += f'\n{{"topic": "{dice.pick(_TOPICS)}", "minutes": {3 + dice.roll(60)}}}'
    if purpose != "grow" and dice.roll(100) < 4:
        text = f"Like the given prompt: {text}"
    return _json(instruction=text) if structured else text


def _given(prompt: str) -> str:
    """What is to be rewritten: the text below the last of the labels that templates use."""
    at, label = max(
        (prompt.rfind(label), label)
        for label in ("Old instruction:", "#Given Prompt#:", "Instruction:", "Prompt:")
    )
    given = prompt[at + len(label) :] if at >= 0 else prompt
    for end in ("New instruction:", "#Rewritten Prompt#:", "#Created Prompt#:"):
        given = given.strip().removesuffix(end)
    return given.strip()


def _further(dice: _Dice) -> str:
    harder = f"{dice.pick(_HARDER)} {dice.pick(_TOPICS)}"
    return f"{harder}, and {dice.pick(_FURTHER)} {dice.pick(_PEOPLE)}."


def _respond(dice: _Dice, model: str) -> str:
    name = model.rpartition("/")[2]
    if name == "strong":
        able = True
    elif name == "target":
        able = False
    else:
        able = dice.roll(256) < blake2b(name.encode("utf-8", "surrogatepass")).digest()[0]
    points = bisect(_STRONG if able else _TARGET, dice.roll(1000)) + 1
    lines = [f"{dice.pick(_OPENINGS)} {dice.pick(_TOPICS)}."]
    lines += [f"- {dice.pick(_POINTS)}" for _ in range(points)]
    lines.append(dice.pick(_CLOSINGS))
    return "\n".join(lines)


def _score(dice: _Dice, prompt: str, *, explain: bool, structured: bool) -> str:
    first = _quality(_between(prompt, "[Assistant 1 answer start]", "[Assistant 1 answer end]"))
    second = _quality(_between(prompt, "[Assistant 2 answer start]", "[Assistant 2 answer end]"))
    if dice.roll(100) < 5:
        first = min(10, first + 1)
    why = (
        f"Assistant {1 if first >= second else 2} {dice.pick(_REASONS)}. "
        f"The other answer is weaker in its level of details."
    )
    if structured:
        scores: dict[str, Any] = {"assistant_1": first, "assistant_2": second}
        return _json(**scores, explanation=why) if explain else _json(**scores)
    return f"{first} {second}\n{why}" if explain else f"{first} {second}"


def _quality(answer: str) -> int:
    """From 1 to 10, from the text alone: bullet points, and length where there are none."""
    points = answer.count("\n- ")
    return min(10, points) if points else min(10, 1 + len(answer) // 150)


def _between(text: str, start: str, end: str) -> str:
    at = text.find(start)
    return text[at : text.find(end, at)] if at >= 0 else text


def _after(text: str, label: str) -> str:
    at = text.rfind(label)
    if at < 0:
        return ""
    end = text.find("\n", at)
    return text[at + len(label) : end if end >= 0 else len(text)].strip()


def _allowed(prompt: str, label: str) -> tuple[str, ...]:
    line = _after(prompt, label).partition(":")[2]
    return tuple(name.strip() for name in line.split(";") if name.strip())


def _count(request: Request, prompt: str, otherwise: int) -> int:
    """How many are asked for: the schema says, or the first number in the prompt's prose."""
    for field in (request.schema or {}).get("properties", {}).values():
        if "minItems" in field:
            return int(field["minItems"])
    number = _NUMBER.search(prompt)
    return int(number[0]) if number else otherwise


def _json(**fields: Any) -> str:
    return dumps(fields).decode()


_NUMBER = re.compile(r"\b[1-9][0-9]{0,2}\b")

# Thousandths of answers with 1, 2, … 10 points, as running totals. Together they let a threshold of
# 3 select about 60 % of instructions, and let the target win in 2 to 3 %.
_STRONG: Final = tuple(accumulate((5, 40, 50, 10, 5, 10, 70, 310, 390)))
_TARGET: Final = tuple(accumulate((50, 140, 190, 220, 140, 80, 90, 60, 25)))

_USE_CASES: Final = (
    "creative writing", "code generation", "code debugging", "trip planning", "recipe development",
    "science explanation", "history tutoring", "legal drafting", "business plan development",
    "marketing copywriting", "data analysis", "text editing", "translation", "product comparison",
    "interview preparation", "email writing", "lesson planning", "mathematical reasoning",
    "game design", "speech writing", "poetry", "technical documentation", "customer support",
    "medical information", "fitness coaching", "financial planning", "news summarization",
    "character dialogue", "logic puzzles", "survey design", "event organization", "grant writing",
    "resume review", "language practice", "gardening advice", "home repair", "music theory",
    "film criticism", "database design", "scientific writing", "debate preparation",
    "project management", "user research", "ethical reasoning", "negotiation advice",
    "text classification", "story outlining", "job description writing", "test design", "role-play",
)  # fmt: skip
_SKILLS: Final = (
    "story-telling", "role-play", "Python", "SQL databases", "world history", "organic chemistry",
    "market research", "statistics", "plain language", "persuasive writing", "contract law",
    "nutrition", "Spanish grammar", "music harmony", "linear algebra", "probability", "ethics",
    "botany", "astronomy", "public speaking", "budgeting", "graphic design", "critical thinking",
    "machine learning", "anatomy", "geography", "empathy", "time management", "data visualization",
    "journalism", "macroeconomics", "climate science", "sports", "film history", "woodworking",
    "electrical safety", "child psychology", "web development", "logic", "academic writing",
    "negotiation", "brand strategy", "algorithms", "poetic form", "fact checking", "cooking",
    "travel logistics", "risk assessment", "game mechanics", "architecture", "philosophy",
    "summarization", "humor", "genetics", "tax rules", "Japanese culture", "computer networks",
    "cryptography", "epidemiology", "typography", "urban planning",
)  # fmt: skip
_VERBS: Final = (
    "Write", "Draft", "Outline", "Compose", "Prepare", "Design", "Sketch", "Put together", "Revise",
    "Suggest", "Work out", "Plan", "Summarize", "Develop", "Describe", "Lay out", "Phrase",
)  # fmt: skip
_THINGS: Final = (
    "a short guide", "a dialogue", "a checklist", "an opening paragraph", "a comparison table",
    "a letter", "a quiz", "a step-by-step plan", "a summary", "an argument", "a story", "a poster",
    "a set of questions", "a script", "a memo", "a proposal", "a worked example", "a schedule",
    "a list of mistakes", "an interview", "a review", "a thought experiment", "a glossary",
    "a decision tree", "a press note", "a diary entry", "a lesson", "a pitch", "a rebuttal",
    "a case study", "an explanation", "a set of rules", "a toast", "an estimate", "a critique",
)  # fmt: skip
_TOPICS: Final = (
    "night trains", "a leaking roof", "urban bees", "a lost passport", "solar panels", "sourdough",
    "a failing backup", "medieval guilds", "tidal power", "a shared kitchen", "first-time voters",
    "a slow website", "rare orchids", "school lunches", "a chess club", "library fines", "coral",
    "remote teams", "a broken budget", "street music", "a mountain rescue", "old photographs",
    "electric buses", "a rainy festival", "language apps", "whale songs", "a small museum",
    "insomnia", "a bakery's opening week", "desert farming", "the printing press", "video calls",
    "a neighbourhood garden", "lost luggage", "public fountains", "a marathon", "glass making",
    "a power cut", "spreadsheet errors", "migrating birds", "a hasty wedding", "volcanoes",
    "a noisy office", "recycled clothing", "space debris", "a family archive", "river floods",
    "board games", "allergy labels", "a theatre rehearsal", "password habits", "ancient roads",
    "a second-hand bicycle", "fermented tea", "ice cores", "a city without cars", "lighthouses",
    "a delayed parcel", "ballroom dancing", "the night sky", "a coding retreat", "wild mushrooms",
    "school exchange", "a flooded cellar", "honest advertising", "wind instruments", "archaeology",
)  # fmt: skip
_PEOPLE: Final = (
    "a busy nurse", "a group of teenagers", "a new manager", "retired engineers", "a curious child",
    "a small charity", "first-year students", "a sceptical client", "night workers", "tourists",
    "a local council", "an amateur choir", "young parents", "a start-up founder", "a book club",
    "a farmer", "volunteers", "a visually impaired reader", "a sports team", "an exchange student",
    "a village school", "a touring band", "shop owners", "a panel of judges", "a support team",
    "beginners", "an impatient boss", "two rival experts", "a pen friend", "commuters",
)  # fmt: skip
_LIMITS: Final = (
    "without any jargon", "with one surprising example", "in a friendly tone", "citing two causes",
    "ending with a question", "as a numbered list", "with a cost estimate", "in the present tense",
    "with a counterargument", "avoiding clichés", "using an analogy", "for reading aloud",
    "with exact quantities", "mentioning a common mistake", "in formal language", "with a timeline",
    "from two points of view", "with a short title", "as if it were 1920", "without adjectives",
    "naming the trade-offs", "with a fallback plan", "in plain words", "with a touch of humour",
)  # fmt: skip
_ASPECTS: Final = (
    "several steps of reasoning", "knowledge of special cases", "a balance between opposing goals",
    "precise quantities", "an understanding of the audience", "knowledge from a second field",
    "consistency over a long answer", "awareness of what is not said", "a fixed form",
    "comparison of alternatives", "judgement of evidence", "originality under constraints",
)  # fmt: skip
_ACTIONS: Final = (
    "Add a second goal that conflicts with the first",
    "Require a comparison of at least two alternatives with their trade-offs",
    "Introduce a constraint on form, such as a strict length or structure",
    "Ask for the reasoning behind every choice",
    "Bring in a rare special case that needs separate treatment",
    "Demand figures and an estimate of their uncertainty",
    "Combine the task with knowledge from a neighbouring field",
    "Address two audiences with different prior knowledge at once",
    "Ask for a critique of the answer and a revised version",
    "Set the task in a particular place and time with consequences for the answer",
    "Require that common misconceptions are named and corrected",
    "Add a dependency between the parts of the answer",
)  # fmt: skip
_HARDER: Final = (
    "Weigh at least two options against each other, also in the light of",
    "Show how each choice would change in the case of",
    "Keep every part consistent with an example taken from",
    "Give numbers for each claim and relate them to",
    "Treat separately the exception that arises from",
    "Before concluding, test the result against a scenario involving",
    "Do this in exactly three parts, the second of which deals with",
    "Name a widespread error and correct it with evidence from",
)  # fmt: skip
_FURTHER: Final = (
    "justify the result to", "add a version suited to", "answer one objection raised by",
    "adapt the wording for", "rank the outcomes by their use to", "point out what would mislead",
)  # fmt: skip
_OPENINGS: Final = (
    "There are several things to consider here, beginning with",
    "A good way to approach this is to start from what is known about",
    "The short answer depends on the situation; a helpful comparison is",
    "Let us take this step by step, keeping in mind",
    "The essential point is easily illustrated by",
)  # fmt: skip
_CLOSINGS: Final = (
    "Taken together, these points should settle the matter.",
    "Adjust the details to your own situation.",
    "If one thing has to be left out, keep the first point.",
    "This covers what was asked.",
)  # fmt: skip
_POINTS: Final = tuple(
    f"{start} {topic}, {reason}."
    for start in ("Begin with", "Take into account", "Leave time for", "Compare this with")
    for topic in _TOPICS
    for reason in (
        "because the first step decides what is possible later",
        "which keeps the result accurate and easy to check",
        "since the details differ from one case to the next",
    )
)
_REASONS: Final = (
    "is more helpful and goes into more detail", "is more accurate and stays relevant",
    "covers the question more completely", "explains its points more clearly",
)  # fmt: skip
