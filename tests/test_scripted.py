"""The scripted model: the same question, the same answer; and failures on request."""

import asyncio
from typing import Any, TypeVar

import msgspec
import pytest

from codeclm.prompts import (
    BUILT_IN,
    METHODS,
    Broaden,
    Complicate,
    Decode,
    Deepen,
    Encode,
    Equal,
    Grow,
    Improve,
    Invent,
    Judge,
    Plausible,
    Prompt,
    PromptSet,
    Rate,
    Respond,
    Score,
    Vocabulary,
    WriteRubrics,
    demonstrations,
)
from codeclm.prompts import ParseError as Unread
from codeclm.providers.base import (
    Denied,
    Message,
    Provider,
    RateLimited,
    Reply,
    Request,
    ResponseFormat,
    Unavailable,
)
from codeclm.providers.scripted.options import ScriptedOptions
from codeclm.providers.scripted.provider import Scripted

from .clock import OwnedClockLoop

PROMPTS = {source: PromptSet.load(source, BUILT_IN) for source in ("default", "small")}
ITEM: dict[str, Any] = {"use_case": "poetry", "skills": ("rhyme", "metre")}
T = TypeVar("T")


def request(
    prompt: Prompt[Any],
    *,
    source: str = "default",
    model: str = "scripted/strong",
    sample: str = "",
    response_format: ResponseFormat = "text",
) -> Request:
    messages = PROMPTS[source].render(prompt)
    return Request(
        model=model,
        messages=tuple(Message(role, content) for role, content in messages),
        purpose=prompt.name,
        sample=sample,
        response_format=response_format,
        schema=prompt.schema() if response_format == "json_schema" else None,
    )


def respond(instruction: str, **settings: Any) -> Request:
    return request(Respond(instruction=instruction), **settings)


def answered(prompt: Prompt[T], **settings: Any) -> T:
    """What *prompt*'s parser reads in the scripted model's reply."""
    [reply] = ask(Scripted(), request(prompt, **settings))
    return prompt.read(reply)


def ask(provider: Provider, *requests: Request) -> list[Reply]:
    async def answers() -> list[Reply]:
        return [await provider.complete(one) for one in requests]

    return asyncio.run(answers())


def texts(*requests: Request, **settings: Any) -> list[str]:
    return [reply.text for reply in ask(Scripted(**settings), *requests)]


def test_the_same_question_gets_the_same_answer_from_every_instance() -> None:
    one = respond("Explain rain.")
    other = respond("Explain rain.", sample="2")
    elsewhere = respond("Explain snow.")

    assert texts(one, other, elsewhere) == texts(one, other, elsewhere)
    assert len(set(texts(one, other, elsewhere))) == 3


def test_another_seed_is_another_model() -> None:
    one = respond("Explain rain.")

    assert texts(one) != texts(one, model_seed="2")


@pytest.mark.parametrize("source", ["default", "small"])
@pytest.mark.parametrize("response_format", ["text", "json_object", "json_schema"])
def test_every_stage_gets_an_answer_its_parser_reads(
    source: str, response_format: ResponseFormat
) -> None:
    settings: dict[str, Any] = {"source": source, "response_format": response_format}
    old = "Explain rain."

    description = answered(Encode(instruction=old), **settings)
    assert description.use_case
    assert 1 <= len(description.skills) <= 3
    assert len(answered(Decode(number=6, **ITEM), **settings)) == 6
    pairs = answered(WriteRubrics(number=4, **ITEM), **settings)
    assert [len(part) for part in pairs] == [4, 4]
    improved = answered(Improve(instruction=old, action="Add snow."), **settings)
    assert improved.startswith("Explain rain. ")
    one = {"instruction": "Explain.", "first": "A", "second": "B"}
    assert answered(Score(**one), **settings) == (1, 1)
    assert answered(Judge(**one), **settings) in {(1, 1), (2, 1)}
    assert answered(Plausible(**ITEM), **settings) in {True, False}


@pytest.mark.parametrize("source", ["default", "small"])
@pytest.mark.parametrize("response_format", ["text", "json_object", "json_schema"])
def test_every_stage_of_the_baselines_gets_an_answer_its_parser_reads(
    source: str, response_format: ResponseFormat
) -> None:
    settings: dict[str, Any] = {"source": source, "response_format": response_format}
    examples = demonstrations(["Name 3 rivers.", "Explain hail."])
    old = "Explain rain."

    assert len(answered(Invent(number=6, demonstrations=examples), **settings)) == 6
    assert 0 <= answered(Rate(instruction=old, answer="It\n- falls\n- is wet"), **settings) <= 5
    grown = answered(Grow(instruction=old, nodes=10, fewest=40, most=200), **settings)
    assert grown.startswith(old)
    assert answered(Equal(first=old, second="Explain snow."), **settings) in {True, False}
    assert old in answered(Deepen(instruction=old, method=METHODS[0]), **settings)
    assert answered(Complicate(instruction=old), **settings) != old
    assert answered(Broaden(instruction=old), **settings) != old


@pytest.mark.parametrize("response_format", ["text", "json_object", "json_schema"])
def test_the_encoder_keeps_to_a_vocabulary(response_format: ResponseFormat) -> None:
    allowed = Vocabulary(("satire", "odes"), ("irony", "pathos"))
    shown = Encode(instruction="Hi.", vocabulary=allowed)
    unshown = request(Encode(instruction="Hi."), response_format=response_format)
    in_schema = msgspec.structs.replace(unshown, schema=shown.schema())

    answered(shown, response_format=response_format)
    if response_format == "json_schema":
        shown.read(ask(Scripted(), in_schema)[0])


def test_metadata_and_instructions_are_varied() -> None:
    encoded = {answered(Encode(instruction=f"Seed {n}")) for n in range(400)}
    decode = Decode(number=10, **ITEM)
    instructions = [text for n in range(500) for text in answered(decode, sample=str(n))]

    assert len(encoded) > 350
    assert len(instructions) == 5000
    assert len(set(instructions)) > 4995


def test_contrastive_filtering_finds_the_papers_picture() -> None:
    """Of basic instructions more than half are selected at a threshold of 3; the target rarely
    wins."""
    decode = Decode(number=10, **ITEM)
    instructions = [text for n in range(60) for text in answered(decode, sample=str(n))]
    strong = texts(*[respond(text) for text in instructions])
    target = texts(*[respond(text, model="scripted/target") for text in instructions])
    gaps = [
        (there[0] + back[1] - there[1] - back[0]) / 2
        for there, back in zip(
            both_scored(instructions, strong, target),
            both_scored(instructions, target, strong),
            strict=True,
        )
    ]

    assert 0.5 < sum(abs(gap) > 3 for gap in gaps) / len(gaps) < 0.75
    assert 0.005 < sum(gap < -3 for gap in gaps) / len(gaps) < 0.06


def both_scored(
    instructions: list[str], first: list[str], second: list[str]
) -> list[tuple[float, float]]:
    triples = zip(instructions, first, second, strict=True)
    prompts = [Score(instruction=i, first=a, second=b) for i, a, b in triples]
    replies = ask(Scripted(), *map(request, prompts))
    return [prompt.read(reply) for prompt, reply in zip(prompts, replies, strict=True)]


def test_swapped_answers_get_swapped_scores_but_for_a_mild_bias() -> None:
    instructions = [f"Explain {number}." for number in range(300)]
    strong = texts(*[respond(text) for text in instructions])
    target = texts(*[respond(text, model="target") for text in instructions])
    there = both_scored(instructions, strong, target)
    back = both_scored(instructions, target, strong)

    same = sum(one == (two[1], two[0]) for one, two in zip(there, back, strict=True))
    assert 0.8 < same / 300 < 1


def test_a_first_attempt_fails_and_the_second_does_not() -> None:
    provider = Scripted(error_rate=0.2, rate_limit_rate=0.2, retry_after=7.0)
    requests = [respond(f"Explain {n}.") for n in range(500)]
    failures: list[Unavailable | RateLimited] = []

    async def run() -> list[Reply]:
        for one in requests:
            try:
                await provider.complete(one)
            except (Unavailable, RateLimited) as error:
                failures.append(error)
                await provider.complete(one)
        return [await Scripted().complete(one) for one in requests]

    asyncio.run(run())

    limited = [error for error in failures if isinstance(error, RateLimited)]
    assert 60 < len(limited) < 140
    assert 60 < len(failures) - len(limited) < 140
    assert {error.retry_after for error in limited} == {7.0}


def test_unreadable_answers_are_unreadable_to_every_parser() -> None:
    prompts: list[Prompt[Any]] = [
        Encode(instruction="Hi."),
        Decode(number=1, **ITEM),
        WriteRubrics(number=4, **ITEM),
        Improve(instruction="Hi.", action="Add."),
        Score(instruction="Hi.", first="A", second="B"),
        Plausible(**ITEM),
    ]
    replies = ask(Scripted(unreadable_rate=1.0), *map(request, prompts))

    for prompt, reply in zip(prompts, replies, strict=True):
        with pytest.raises(Unread):
            prompt.read(reply)


def test_an_answer_longer_than_allowed_is_cut_and_says_so() -> None:
    one = msgspec.structs.replace(respond("Explain rain."), max_tokens=5)
    [reply] = ask(Scripted(), one)

    assert (len(reply.text), reply.finish_reason) == (20, "length")


def test_latency_is_waited_for_and_jitter_spreads_it() -> None:
    requests = [respond(f"Explain {n}.") for n in range(20)]

    async def timed(one: Request) -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await provider.complete(one)
        return loop.time() - began

    async def run() -> list[float]:
        return await asyncio.gather(*map(timed, requests))

    provider = Scripted(ScriptedOptions(latency=0.05, jitter=0.05))
    with asyncio.Runner(loop_factory=OwnedClockLoop) as runner:
        seconds = runner.run(run())

    assert 0 < min(seconds) < 0.03
    assert 0.07 < max(seconds) <= 0.1


def test_a_prompt_without_a_script_is_denied_unless_the_options_hold_a_reply() -> None:
    shorten = Request(model="m", messages=(Message("user", "Shorten this."),), purpose="shorten")
    fixed = Scripted(replies={"shorten": "This."})

    [reply] = ask(fixed, shorten)

    assert reply.text == "This."
    with pytest.raises(Denied, match=r"no reply to the prompt 'shorten': set options\.replies"):
        ask(Scripted(), shorten)


def test_strange_texts_are_answered() -> None:
    strange = Request(model="", messages=(Message("user", "\ud83d\0"),), sample="\ud83d")
    empty = Request(model="m", messages=(), purpose="score")

    assert all(texts(strange, empty))
