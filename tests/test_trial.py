"""A stage's first calls over real HTTP: few, until one of them brings something."""

import asyncio
from typing import Any

import pytest
from blockbuster import BlockBuster

from codeclm.engine.calls.trial import MOST
from codeclm.engine.data.errors import ItemError, RunStopped, Stopping
from codeclm.prompts import Respond, Score

from .acting import may_read_the_cache
from .servers import ReceivedRequest, Say, Server, answer, chat, say
from .test_model import Desk, Held, Open, at_desk

__all__ = ["at_desk"]  # a fixture

THOUGHTS = say(
    chat(
        choices=[{"message": {"content": "", "reasoning": "Hm"}, "finish_reason": "length"}],
        usage={"completion_tokens": 64, "completion_tokens_details": {"reasoning_tokens": 64}},
    )
)


@pytest.fixture(autouse=True)
def reading(unblocked: BlockBuster | None) -> None:
    may_read_the_cache(unblocked)


async def asked_of(desk: Desk, count: int, **sampling: Any) -> list[Any]:
    """The outcome of *count* questions at once: the answer, or the error."""
    role = desk.role(temperature=0.7, parse_attempts=1, **sampling)
    questions = [role.ask(Respond(instruction=f"Q{n}"), item=f"i{n}") for n in range(count)]
    return await asyncio.gather(*questions, return_exceptions=True)


async def settled(desk: Desk) -> None:
    """Wait until the loop has nothing to do but to wait for the server."""
    before = -1
    while before != desk.dispatcher.statistics().in_flight:
        before = desk.dispatcher.statistics().in_flight
        for _ in range(20):
            await asyncio.sleep(0)


def counted(outcomes: list[Any]) -> dict[str, int]:
    names = [outcome.__class__.__name__ for outcome in outcomes]
    return {name: names.count(name) for name in sorted(set(names))}


@pytest.mark.timeout(60)
async def test_a_model_that_only_thinks_is_stopped_after_sixteen_calls(
    server: Server, at_desk: Open
) -> None:
    server.always = THOUGHTS
    async with at_desk() as desk:
        outcomes = await asked_of(desk, 100, max_tokens=64)

    assert len(server.asked) == MOST
    assert counted(outcomes) == {"ItemError": MOST - 1, "RunStopped": 100 - MOST + 1}
    [message] = {str(outcome) for outcome in outcomes if isinstance(outcome, RunStopped)}
    assert message == (
        "strong: not one of the first 16 replies to 'respond' can be used: 16 only thinking; the"
        " first: 64 tokens of thinking and no answer, finish reason length, max_tokens 64; raise"
        " strong.max_tokens (now 64), or let it think less, such as strong.extra ="
        ' { reasoning_effort = "low" }, then run the same command again'
    )


async def test_a_question_asked_after_that_is_stopped_too(server: Server, at_desk: Open) -> None:
    server.always = THOUGHTS
    async with at_desk() as desk:
        role = desk.role(temperature=0.7, parse_attempts=1)
        for n in range(MOST - 1):
            with pytest.raises(ItemError):
                await role.ask(Respond(instruction="Q"), item=f"{n}")
        for n in range(2):
            with pytest.raises(RunStopped):
                await role.ask(Respond(instruction="Q"), item=f"{MOST + n}")

    assert len(server.asked) == MOST


@pytest.mark.timeout(60)
async def test_a_stage_that_begins_after_a_gentle_stop_holds_nobody_up(
    server: Server, at_desk: Open
) -> None:
    """The stop was said before there was a trial to hear it."""
    async with at_desk() as desk:
        desk.dispatcher.stop(Stopping())
        outcomes = await asked_of(desk, MOST + 4)

    assert counted(outcomes) == {"Stopping": MOST + 4}
    assert server.asked == []


async def test_until_then_no_more_are_in_flight_and_one_answer_lets_all_go(
    server: Server, at_desk: Open
) -> None:
    held = Held(server)
    async with at_desk(max_concurrent=64) as desk:
        asking = asyncio.ensure_future(asked_of(desk, 40))
        await held.heard.wait()
        await settled(desk)
        first = desk.dispatcher.statistics()
        held.speak.set()
        outcomes = await asking

    assert (first.in_flight, first.queued) == (MOST, 0)
    assert counted(outcomes) == {"ParsedReply": 40}


@pytest.mark.parametrize("good_at", [1, MOST])
async def test_one_answer_among_the_first_sixteen_is_enough(
    server: Server, at_desk: Open, good_at: int
) -> None:
    server.always = lambda _: say(chat()) if len(server.asked) == good_at else THOUGHTS
    async with at_desk() as desk:
        outcomes = await asked_of(desk, 50)

    assert counted(outcomes) == {"ItemError": 49, "ParsedReply": 1}


async def test_an_answer_from_the_cache_is_enough(server: Server, at_desk: Open) -> None:
    async with at_desk() as desk:
        await asked_of(desk, 1)
    server.always = THOUGHTS
    async with at_desk() as desk:
        outcomes = await asked_of(desk, 50)

    assert counted(outcomes) == {"ItemError": 49, "ParsedReply": 1}


async def test_stages_are_tried_one_by_one(server: Server, at_desk: Open) -> None:
    """A judge that is never readable stops the run, though its server answers all others."""
    server.always = say(chat("Both are lovely."))
    async with at_desk() as desk:
        await asked_of(desk, 20)
        judge = desk.role("judge", temperature=0.0, parse_attempts=3)
        scores = [
            judge.ask(Score(instruction=f"Q{n}", first="A", second="B"), item=f"{n}")
            for n in range(100)
        ]
        outcomes = await asyncio.gather(*scores, return_exceptions=True)

    assert len(server.asked) == 20 + MOST
    assert counted(outcomes) == {"RunStopped": 100}
    assert 'set judge.structured_output = "json_schema"' in str(outcomes[0])


def refusing(message: str) -> Say:
    return say({"error": {"message": message, "type": "invalid_request_error"}}, status=400)


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ("'temperature' does not support 0.7", 'set strong.temperature = "default",'),
        ("Unsupported: 'max_tokens'", 'set strong.max_tokens = "default",'),
        ("Invalid schema for response_format", 'set strong.structured_output = "text",'),
        (
            (
                "This model's maximum context length is 2048 tokens. However, you requested 2148"
                " tokens (100 in the messages, 2048 in the completion)."
            ),
            "set a lower strong.max_tokens,",
        ),
        ("Something else", "fix the settings of strong,"),
    ],
)
async def test_a_refused_setting_is_named_with_what_to_write_instead(
    server: Server, at_desk: Open, message: str, remedy: str
) -> None:
    server.always = refusing(message)
    async with at_desk() as desk:
        outcomes = await asked_of(desk, 50)

    assert len(server.asked) == MOST
    stopped = next(str(outcome) for outcome in outcomes if isinstance(outcome, RunStopped))
    assert "16 rejected; the first:" in stopped
    assert remedy in stopped


async def test_a_prompt_that_a_filter_refuses_is_told_from_a_refused_setting(
    server: Server, at_desk: Open
) -> None:
    """As Azure words it: the whole call is a 400."""
    error = {"message": "The prompt was filtered", "code": "content_filter", "status": 400}
    server.always = say({"error": error}, status=400)
    async with at_desk() as desk:
        [outcome] = await asked_of(desk, 1)

    assert (outcome.reason, outcome.transient) == ("content_filter", False)


async def test_a_server_that_fails_says_nothing_of_the_settings(
    server: Server, at_desk: Open
) -> None:
    def busy(heard: ReceivedRequest) -> Say:
        return answer(b"busy", status=503) if len(server.asked) % 2 else say(chat())

    server.always = busy
    async with at_desk() as desk:
        outcomes = await asked_of(desk, 40)

    assert all("can be used" not in str(outcome) for outcome in outcomes)


@pytest.mark.timeout(60)
async def test_a_stop_reaches_those_that_wait_for_their_trial(
    server: Server, at_desk: Open
) -> None:
    held = Held(server)
    async with at_desk(max_concurrent=64) as desk:
        asking = asyncio.ensure_future(asked_of(desk, 40))
        await held.heard.wait()
        desk.dispatcher.stop(Stopping())
        held.speak.set()
        outcomes = await asking

    assert counted(outcomes) == {
        "ParsedReply": len(server.asked),
        "Stopping": 40 - len(server.asked),
    }
    assert len(server.asked) <= MOST
