"""What a user is told while an endpoint keeps everything waiting."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from codeclm.engine.calls.dispatcher import Dispatcher
from codeclm.engine.config import RetryPolicy
from codeclm.engine.disk.event_log import logging_to
from codeclm.engine.pipeline.waiting_log import log_waiting
from codeclm.engine.reporting.waiting import waiting_endpoints
from codeclm.providers.base import (
    Allowance,
    Message,
    Reply,
    Request,
    ResponseFormat,
    Unavailable,
)
from codeclm.providers.http.exchange import HttpSession
from codeclm.providers.http.rate_limits import LONGEST_WAIT
from codeclm.providers.openai import OpenAI

from .clock import OWNED_CLOCK
from .dispatching import Outcome, OutcomeCall, dispatching
from .servers import Server, chat, say


def ask(dispatcher: Dispatcher) -> asyncio.Future[Outcome]:
    outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    call = OutcomeCall(
        request=Request(model="m", messages=(Message("user", "Hi."),)),
        priority=0,
        tokens=0,
        dispatcher=dispatcher,
        answered=outcome.set_result,
    )
    dispatcher.submit(call)
    return outcome


@pytest.fixture
def events(tmp_path: Path) -> Iterator[Path]:
    """The file of what is logged."""
    path = tmp_path / "events.jsonl"
    with logging_to(path):
        yield path


def event_names(path: Path) -> list[str]:
    return [json.loads(line)["event"] for line in path.read_bytes().splitlines()]


class Down:
    """An endpoint that is down until a time."""

    kind: str = "down"
    identity: str = "http://there"
    structured: ResponseFormat = "text"

    def __init__(self, until: float) -> None:
        self._until = until

    async def complete(self, request: Request, /) -> Reply:
        await asyncio.sleep(0.01)
        if asyncio.get_running_loop().time() < self._until:
            raise Unavailable("POST http://there: cannot connect: Connection refused")
        return Reply(text="")

    async def aclose(self) -> None:
        return


@pytest.mark.blocking  # the log is read in the loop
@pytest.mark.parametrize("anyio_backend", [OWNED_CLOCK], ids=["owned clock"])
async def test_an_outage_is_said_while_it_is_waited_for(
    events: Path,
) -> None:
    policy = RetryPolicy(outage=1800)
    down = Down(asyncio.get_running_loop().time() + 150)
    async with dispatching(down, policy=policy) as dispatcher:
        logging = asyncio.ensure_future(log_waiting({"strong": dispatcher}))
        answers = [ask(dispatcher) for _ in range(3)]
        await asyncio.sleep(2)
        at_first = waiting_endpoints({"strong": dispatcher}, policy)
        await asyncio.sleep(93)
        during = waiting_endpoints({"strong": dispatcher}, policy)
        await asyncio.gather(*answers)
        after = waiting_endpoints({"strong": dispatcher}, policy)
        await asyncio.sleep(2)
        logging.cancel()

    assert (at_first, after) == ([], [])
    assert event_names(events) == ["endpoint.out", "endpoint.back"]
    [line] = during
    assert line == (
        "no answer for 1:34; the run ends after 30:00 (retry.outage);"
        " last error: POST http://there: cannot connect: Connection refused"
    )


async def test_an_absurd_reset_is_bounded_and_said(server: Server, session: HttpSession) -> None:
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "999999d"}
    server.will(say(chat(), headers=headers))
    policy = RetryPolicy()
    async with dispatching(OpenAI(session, base_url=server.url)) as dispatcher:
        reply = await ask(dispatcher)
        later = ask(dispatcher)
        [line] = waiting_endpoints({"strong": dispatcher}, policy)
        paused = dispatcher.statistics().paused

    assert isinstance(reply, Reply)
    assert isinstance(reply.allowance, Allowance)
    assert reply.allowance.requests_reset == LONGEST_WAIT
    assert 0 < paused <= LONGEST_WAIT
    assert line.startswith("strong: its rate limit lets the next call out in ")
    assert later.done()
