"""The scripted model: the same question, the same answer; and failures on request."""

import asyncio
import time
from typing import Any

import msgspec
import pytest

from codeclm.prompts import (
    METHODS,
    Prompts,
    Stage,
    demonstrations,
    read_equal,
    read_evolved,
    read_grown,
    read_improved,
    read_instructions,
    read_metadata,
    read_rating,
    read_rubrics,
    read_scores,
    read_tasks,
    read_verdict,
    read_yes,
    schema_for,
    vocabulary,
)
from codeclm.prompts import ParseError as Unread
from codeclm.providers.base import (
    Message,
    Provider,
    RateLimited,
    Reply,
    Request,
    ResponseFormat,
    Unavailable,
)
from codeclm.providers.scripted import Scripted, ScriptedOptions

PROMPTS = {source: Prompts.load(source) for source in ("default", "small")}
ITEM: dict[str, Any] = {"use_case": "poetry", "skills": ("rhyme", "metre")}


def request(
    stage: Stage,
    *,
    source: str = "default",
    model: str = "scripted/strong",
    sample: str = "",
    response_format: ResponseFormat = "text",
    **values: Any,
) -> Request:
    messages = PROMPTS[source].render(stage, **values)
    return Request(
        model=model,
        messages=tuple(Message(role, content) for role, content in messages),
        purpose=stage,
        sample=sample,
        response_format=response_format,
        schema=schema_for(stage, number=values.get("number", 4))
        if response_format == "json_schema"
        else None,
    )


def ask(provider: Provider, *requests: Request) -> list[Reply]:
    async def answers() -> list[Reply]:
        return [await provider.complete(one) for one in requests]

    return asyncio.run(answers())


def texts(*requests: Request, **settings: Any) -> list[str]:
    return [reply.text for reply in ask(Scripted(**settings), *requests)]


def test_the_same_question_gets_the_same_answer_from_every_instance() -> None:
    one = request("respond", instruction="Explain rain.")
    other = request("respond", instruction="Explain rain.", sample="2")
    elsewhere = request("respond", instruction="Explain snow.")

    assert texts(one, other, elsewhere) == texts(one, other, elsewhere)
    assert len(set(texts(one, other, elsewhere))) == 3


def test_another_seed_is_another_model_and_says_so() -> None:
    one = request("respond", instruction="Explain rain.")

    assert texts(one) != texts(one, model_seed="2")
    assert Scripted().identity == "scripted"
    assert Scripted(latency=1.0, error_rate=0.1).identity == "scripted"
    assert Scripted(model_seed="2").identity != Scripted(model_seed="3").identity


@pytest.mark.parametrize("source", ["default", "small"])
@pytest.mark.parametrize("response_format", ["text", "json_object", "json_schema"])
def test_every_stage_gets_an_answer_its_parser_reads(
    source: str, response_format: ResponseFormat
) -> None:
    settings: dict[str, Any] = {"source": source, "response_format": response_format}
    encoded, decoded, judged, improved, scored, verdict, plausible = texts(
        request("encode", instruction="Explain rain.", **settings),
        request("decode", number=6, **ITEM, **settings),
        request("rubrics", number=4, **ITEM, **settings),
        request("improve", instruction="Explain rain.", action="Add snow.", **settings),
        request("score", instruction="Explain.", first="A", second="B", **settings),
        request("judge", instruction="Explain.", first="A", second="B", **settings),
        request("plausible", **ITEM, **settings),
    )

    use_case, skills = read_metadata(encoded)
    assert use_case
    assert 1 <= len(skills) <= 3
    assert len(read_instructions(decoded, number=99)) == 6
    assert [len(part) for part in read_rubrics(judged)] == [4, 4]
    assert read_improved(improved, original="Explain rain.").startswith("Explain rain. ")
    assert read_scores(scored) == (1, 1)
    assert read_verdict(verdict) in {(1, 1), (2, 1)}
    assert read_yes(plausible) in {True, False}


@pytest.mark.parametrize("source", ["default", "small"])
@pytest.mark.parametrize("response_format", ["text", "json_object", "json_schema"])
def test_every_stage_of_the_baselines_gets_an_answer_its_parser_reads(
    source: str, response_format: ResponseFormat
) -> None:
    settings: dict[str, Any] = {"source": source, "response_format": response_format}
    shown = demonstrations(["Name 3 rivers.", "Explain hail."])
    old = "Explain rain."
    invented, rated, grown, equal, *evolved = texts(
        request("invent", number=6, demonstrations=shown, **settings),
        request("rate", instruction=old, answer="It\n- falls\n- is wet", **settings),
        request("grow", instruction=old, nodes=10, fewest=40, most=200, **settings),
        request("equal", first=old, second="Explain snow.", **settings),
        request("deepen", instruction=old, method=METHODS[0], **settings),
        request("complicate", instruction=old, **settings),
        request("broaden", instruction=old, **settings),
    )

    assert len(read_tasks(invented, number=99)) == 6
    assert 0 <= read_rating(rated) <= 5
    assert read_grown(grown, original=old).startswith(old)
    assert read_equal(equal) in {True, False}
    assert all(read_evolved(text) != old for text in evolved)
    assert old in read_evolved(evolved[0])


def test_the_encoder_keeps_to_a_vocabulary_in_the_prompt_or_in_the_schema() -> None:
    allowed: dict[str, Any] = {"use_cases": ["satire", "odes"], "skills": ["irony", "pathos"]}
    in_prompt = request("encode", instruction="Hi.", vocabulary=vocabulary(**allowed))
    in_schema = msgspec.structs.replace(
        request("encode", instruction="Hi.", response_format="json_schema"),
        schema=schema_for("encode", **allowed),
    )

    for text in texts(in_prompt, in_schema):
        read_metadata(text, **allowed)


def test_metadata_and_instructions_are_varied() -> None:
    encoded = texts(*[request("encode", instruction=f"Seed {n}") for n in range(400)])
    decoded = texts(*[request("decode", number=10, sample=str(n), **ITEM) for n in range(500)])
    instructions = [text for reply in decoded for text in read_instructions(reply, number=10)]

    assert len({read_metadata(text) for text in encoded}) > 350
    assert len(instructions) == 5000
    assert len(set(instructions)) > 4995


def test_contrastive_filtering_finds_the_papers_picture() -> None:
    """Of basic instructions more than half are selected at a threshold of 3; the target rarely
    wins."""
    replies = texts(*[request("decode", number=10, sample=str(n), **ITEM) for n in range(60)])
    instructions = [text for reply in replies for text in read_instructions(reply, number=10)]
    strong = texts(*[request("respond", instruction=text) for text in instructions])
    target = texts(
        *[request("respond", model="scripted/target", instruction=text) for text in instructions]
    )
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
    requests = [request("score", instruction=i, first=a, second=b) for i, a, b in triples]
    return [read_scores(text) for text in texts(*requests)]


def test_swapped_answers_get_swapped_scores_but_for_a_mild_bias() -> None:
    instructions = [f"Explain {number}." for number in range(300)]
    strong = texts(*[request("respond", instruction=text) for text in instructions])
    target = texts(*[request("respond", model="target", instruction=text) for text in instructions])
    there = both_scored(instructions, strong, target)
    back = both_scored(instructions, target, strong)

    same = sum(one == (two[1], two[0]) for one, two in zip(there, back, strict=True))
    assert 0.8 < same / 300 < 1


def test_a_first_attempt_fails_and_the_second_does_not() -> None:
    provider = Scripted(error_rate=0.2, rate_limit_rate=0.2, retry_after=7.0)
    requests = [request("respond", instruction=f"Explain {n}.") for n in range(500)]
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
    requests = [
        request("encode", instruction="Hi."),
        request("decode", number=1, **ITEM),
        request("rubrics", number=4, **ITEM),
        request("improve", instruction="Hi.", action="Add."),
        request("score", instruction="Hi.", first="A", second="B"),
        request("plausible", **ITEM),
    ]
    encoded, decoded, judged, improved, scored, plausible = texts(*requests, unreadable_rate=1.0)

    for read in (
        lambda: read_metadata(encoded),
        lambda: read_instructions(decoded, number=1),
        lambda: read_rubrics(judged),
        lambda: read_improved(improved, original="Hi."),
        lambda: read_scores(scored),
        lambda: read_yes(plausible),
    ):
        with pytest.raises(Unread):
            read()


def test_an_answer_longer_than_allowed_is_cut_and_says_so() -> None:
    one = msgspec.structs.replace(request("respond", instruction="Explain rain."), max_tokens=5)
    [reply] = ask(Scripted(), one)

    assert (len(reply.text), reply.finish_reason) == (20, "length")


def test_latency_is_waited_for_and_jitter_spreads_it() -> None:
    requests = [request("respond", instruction=f"Explain {n}.") for n in range(20)]

    async def run() -> None:
        provider = Scripted(ScriptedOptions(latency=0.05, jitter=0.05))
        await asyncio.gather(*map(provider.complete, requests))

    started = time.perf_counter()
    asyncio.run(run())

    assert 0.04 < time.perf_counter() - started < 1


def test_a_prompt_without_a_script_gets_prose_or_the_reply_of_the_options() -> None:
    shorten = Request(model="m", messages=(Message("user", "Shorten this."),), purpose="shorten")
    fixed = Scripted(replies={"shorten": "This."})

    [prose], [reply] = ask(Scripted(), shorten), ask(fixed, shorten)

    assert "\n- " in prose.text
    assert reply.text == "This."
    assert fixed.identity.startswith("scripted?replies=")


def test_strange_texts_and_purposes_are_answered() -> None:
    strange = Request(model="", messages=(Message("user", "\ud83d\0"),), sample="\ud83d")
    empty = Request(model="m", messages=(), purpose="score")

    assert all(texts(strange, empty))
