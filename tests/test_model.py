"""A role over real HTTP and a real cache: asked once, kept, shared, asked again where needed."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec
import pytest
from blockbuster import BlockBuster

from codeclm.engine.calls.cache import Cache, open_cache
from codeclm.engine.calls.counters import CallCounts, Counters
from codeclm.engine.calls.dispatcher import Dispatcher, open_dispatcher
from codeclm.engine.calls.model import Model, ParsedReply
from codeclm.engine.calls.outgoing import InFlightCalls, RoleCalls
from codeclm.engine.calls.pacing import Limits
from codeclm.engine.calls.replies import StoredReply, decode_reply
from codeclm.engine.calls.sampling import Sampling
from codeclm.engine.config import RetryPolicy
from codeclm.engine.data.errors import ItemError, RunStopped, Stopping
from codeclm.engine.disk.sqlite import StorageError
from codeclm.prompts import (
    Encode,
    ParseError,
    PromptSet,
    RawReply,
    Respond,
    Score,
    Vocabulary,
)
from codeclm.providers.http.exchange import HttpSession
from codeclm.providers.openai import OpenAI

from .acting import may_read_the_cache, unlimited
from .servers import ReceivedRequest as Heard
from .servers import Say, Server, answer, chat, say

PROMPTS = PromptSet.load("default", (Encode, Respond, Score))
SECRET = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def reading(unblocked: BlockBuster | None) -> None:
    may_read_the_cache(unblocked)


class Desk:
    """Roles of one endpoint around one cache, as `run` joins them."""

    def __init__(self, cache: Cache, dispatcher: Dispatcher) -> None:
        self.cache = cache
        self.counters = Counters()
        self.dispatcher = dispatcher
        self._in_flight = InFlightCalls()

    def role(self, name: str = "strong", **sampling: Any) -> Model:
        settings: dict[str, Any] = {"temperature": 0.0, **sampling}
        calls = RoleCalls(
            name,
            self.dispatcher,
            self.cache,
            self._in_flight,
            self.counters,
            unlimited(self.dispatcher),
        )
        return Model(Sampling("m", **settings), PROMPTS, calls)

    @property
    def responses(self) -> CallCounts:
        return self.counters.calls.get("respond", CallCounts())


Open = Callable[..., Any]


@pytest.fixture
def at_desk(server: Server, session: HttpSession, tmp_path: Path) -> Open:
    """Open the cache, work at the desk, finish what is in flight, close: a session of a run."""

    @asynccontextmanager
    async def opened(key: str = SECRET, **limits: Any) -> AsyncGenerator[Desk]:
        provider = OpenAI(session, base_url=server.url, api_key=key)
        policy = RetryPolicy(attempts=2, first_wait=0, longest_wait=0)
        async with (
            open_cache(tmp_path / "cache") as cache,
            open_dispatcher(provider, Limits(**limits), policy) as dispatcher,
        ):
            yield Desk(cache, dispatcher)
            await dispatcher.drained()

    return opened


class AnyAnswer(Respond, frozen=True, kw_only=True):
    def read(self, reply: RawReply) -> str:
        return reply.text


class NoSorry(Respond, frozen=True, kw_only=True):
    def read(self, reply: RawReply) -> str:
        if "sorry" in reply.text:
            raise ParseError("a refusal")
        return reply.text


class AnyScore(Score, frozen=True, kw_only=True):
    def read(self, reply: RawReply) -> tuple[float, float]:
        return len(reply.text), 0


async def respond(model: Model, instruction: str = "Hi.", *, item: str = "i", **how: Any) -> str:
    asked: ParsedReply[str] = await model.ask(NoSorry(instruction=instruction), item=item, **how)
    return asked.value


class Held:
    """Keeps the server's tongue until told."""

    def __init__(self, server: Server) -> None:
        self.speak = asyncio.Event()
        self.heard = asyncio.Event()
        server.before = self._wait

    async def _wait(self, _: Heard) -> None:
        self.heard.set()
        await self.speak.wait()


def numbered(server: Server) -> None:
    """Let every answer be another."""
    server.always = lambda _: say(chat(f"answer {len(server.asked)}"))


def stored(folder: Path) -> list[StoredReply]:
    with closing(sqlite3.connect(folder / "cache" / "cache.db")) as connection:
        values = connection.execute("SELECT value FROM Cache ORDER BY rowid").fetchall()
    return [decode_reply(value) for (value,) in values]


# -- asked once ---------------------------------------------------------------------------------


async def test_the_same_question_in_flight_is_asked_once_whatever_role_asks(
    server: Server, at_desk: Open
) -> None:
    numbered(server)
    held = Held(server)
    async with at_desk() as desk:
        roles = [desk.role("strong"), desk.role("judge"), desk.role("strong")]
        asking = [asyncio.ensure_future(respond(role, item=role.role)) for role in roles]
        await held.heard.wait()
        held.speak.set()
        answers = await asyncio.gather(*asking)

    assert answers == ["answer 1"] * 3
    assert len(server.asked) == 1
    assert (desk.responses.paid, desk.responses.reused) == (1, 2)


async def test_cancelling_one_who_waits_does_not_hurt_the_others_of_its_flight(
    server: Server, at_desk: Open
) -> None:
    numbered(server)
    held = Held(server)
    async with at_desk() as desk:
        model = desk.role()
        first, second, third = (asyncio.ensure_future(respond(model)) for _ in range(3))
        await held.heard.wait()
        first.cancel()
        third.cancel()
        await asyncio.wait([first, third])
        held.speak.set()
        answer = await second

    assert answer == "answer 1"
    assert first.cancelled()
    assert third.cancelled()
    assert len(server.asked) == 1


async def test_at_temperature_0_an_answer_is_shared_and_above_it_each_item_has_its_own(
    server: Server, at_desk: Open
) -> None:
    numbered(server)
    said: dict[str, list[str]] = {}
    paid: list[tuple[int, int]] = []
    for _ in range(2):
        async with at_desk() as desk:
            for name, temperature in (("zero", 0.0), ("warm", 0.7), ("unsaid", None)):
                role = desk.role(temperature=temperature)
                said[name] = [await respond(role, item=item) for item in ("a", "b", "a")]
            paid.append((desk.responses.paid, desk.responses.reused))

    assert said == {
        "zero": ["answer 1"] * 3,
        "warm": ["answer 2", "answer 3", "answer 2"],
        "unsaid": ["answer 4", "answer 5", "answer 4"],
    }
    assert len(server.asked) == 5
    assert paid == [(5, 4), (0, 9)]


async def test_a_sample_of_one_item_is_another_sample_also_at_temperature_0(
    server: Server, at_desk: Open
) -> None:
    numbered(server)
    async with at_desk() as desk:
        model = desk.role()
        said = [await respond(model, item=item, sample=s) for item in "ab" for s in ("", "/1")]

    assert said == ["answer 1", "answer 2", "answer 1", "answer 2"]


async def test_a_call_says_what_it_was_and_whether_it_was_paid(
    server: Server, at_desk: Open
) -> None:
    async with at_desk() as desk:
        model = desk.role("judge")
        fresh = await model.ask(AnyAnswer(instruction="Hi."), item="i")
        again = await model.ask(AnyAnswer(instruction="Hi."), item="j")

    call = fresh.call
    assert (call.stage, call.role, call.cached, call.attempts) == ("respond", "judge", False, 1)
    assert (call.prompt_tokens, call.completion_tokens) == (5, 3)
    assert again.call == msgspec.structs.replace(call, cached=True)
    assert msgspec.structs.asdict(fresh.reply).keys() == msgspec.structs.asdict(again.reply).keys()
    assert (fresh.reply.text, fresh.reply.model) == (again.reply.text, "small-2026")


# -- unreadable replies -------------------------------------------------------------------------


async def test_an_unreadable_reply_is_asked_again_as_another_sample_and_each_is_kept(
    server: Server, at_desk: Open, tmp_path: Path
) -> None:
    sorry = say(chat("I'm sorry."))
    server.will(sorry, sorry, say(chat("Fine.")))
    outcomes: list[tuple[str, int, bool]] = []
    for _ in range(2):
        async with at_desk() as desk:
            asked = await desk.role(seed=7).ask(NoSorry(instruction="Hi."), item="i")
            outcomes.append((asked.value, asked.call.attempts, asked.call.cached))
    kept = await anyio.to_thread.run_sync(stored, tmp_path)

    assert outcomes == [("Fine.", 3, False), ("Fine.", 3, True)]
    assert [heard.json["seed"] for heard in server.asked] == [7, 8, 9]
    assert [(one.sample, one.text) for one in kept] == [
        ("", "I'm sorry."),
        ("#1", "I'm sorry."),
        ("#2", "Fine."),
    ]


async def test_a_question_nobody_answers_readably_loses_its_item_and_is_not_paid_again(
    server: Server, at_desk: Open
) -> None:
    server.always = say(chat("I'm so sorry."))
    errors = set[tuple[str, str, bool]]()
    for _ in range(2):
        async with at_desk() as desk:
            with pytest.raises(ItemError) as caught:
                await respond(desk.role(parse_attempts=2))
            errors.add((caught.value.reason, caught.value.detail, caught.value.transient))

    detail = 'respond: a refusal; the reply began "I\'m so sorry." (asked 2 times)'
    assert errors == {("unreadable", detail, False)}
    assert len(server.asked) == 2


async def test_an_answer_that_was_cut_off_is_kept_as_what_it_is(
    server: Server, at_desk: Open
) -> None:
    server.will(said("Once", finish_reason="length"))
    for _ in range(2):
        async with at_desk() as desk:
            parsed = await desk.role().ask(AnyAnswer(instruction="Hi."), item="i")
            assert (parsed.value, parsed.reply.finish_reason) == ("Once", "length")

    assert len(server.asked) == 1


# -- what is no answer ------------------------------------------------------------------------


def said(content: str | None, *, finish_reason: str = "stop", **message: Any) -> Say:
    choice = {"message": {"content": content, **message}, "finish_reason": finish_reason}
    usage = {"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 8}}
    return say(chat(choices=[choice], usage=usage))


NO_ANSWERS: list[tuple[Say, str, str]] = [
    (said("Once", finish_reason="content_filter"), "content_filter", "a filter withheld"),
    (said("No.", refusal="I can't."), "refusal", 'the model refused: "I can\'t."'),
    (said("Once", finish_reason="repetition"), "interrupted", "before it was complete (repet"),
    (said("<think>Hm", finish_reason="length"), "unclosed_thinking", "max_tokens 64"),
    (said("<think>Hm"), "unclosed_thinking", "8 tokens of thinking and no answer"),
    (said("<think>Hm</think>\n"), "only_thinking", "finish reason stop"),
    (said(None, reasoning_content="Hm", finish_reason="length"), "only_thinking", "max_tokens 64"),
    (said("", finish_reason="length"), "only_thinking", "finish reason length, max_tokens 64"),
]


@pytest.mark.parametrize(("reply", "reason", "detail"), NO_ANSWERS)
@pytest.mark.parametrize("temperature", [0.0, 0.7])
async def test_what_is_no_answer_is_lost_with_its_reason_and_counted(
    server: Server, at_desk: Open, temperature: float, reply: Say, reason: str, detail: str
) -> None:
    server.always = reply
    async with at_desk() as desk:
        role = desk.role(temperature=temperature, max_tokens=64)
        with pytest.raises(ItemError) as caught:
            await role.ask(AnyAnswer(instruction="Hi."), item="i")

    assert (caught.value.reason, caught.value.transient) == (reason, False)
    assert detail in caught.value.detail
    assert desk.counters.no_answers == {reason: len(server.asked)}
    assert desk.responses.no_answer == len(server.asked)


@pytest.mark.parametrize(
    ("temperature", "reply", "times"),
    [
        (0.7, said("", refusal="No."), 1),  # asking again would bring the same
        (0.0, said("<think>Hm", finish_reason="length"), 1),  # it would think as long again
        (0.7, said("<think>Hm", finish_reason="length"), 3),
        (0.0, said("<think>Hm"), 3),
    ],
)
async def test_it_is_asked_for_again_only_where_that_may_help(
    server: Server, at_desk: Open, temperature: float, reply: Say, times: int
) -> None:
    server.always = reply
    async with at_desk() as desk:
        with pytest.raises(ItemError):
            await desk.role(temperature=temperature).ask(AnyAnswer(instruction="Hi."), item="i")

    assert len(server.asked) == times


async def test_reasoning_is_kept_apart_from_the_answer(server: Server, at_desk: Open) -> None:
    server.will(said("<think>In the text.</think>\n\nFine.", reasoning="In its field."))
    for _ in range(2):
        async with at_desk() as desk:
            parsed = await desk.role().ask(AnyAnswer(instruction="Hi."), item="i")
            assert (parsed.value, parsed.reply.text) == ("Fine.", "Fine.")
            assert parsed.reply.reasoning == "In its field.\n\nIn the text."
            assert parsed.reply.reasoning_tokens == 8

    assert len(server.asked) == 1


async def test_at_temperature_0_the_same_question_is_never_sent_twice(
    server: Server, at_desk: Open
) -> None:
    """The conversation goes on: the reply, and what was wrong with it."""
    server.will(*[say(chat("I'm sorry."))] * 2, say(chat("Fine.")))
    for _ in range(2):
        async with at_desk() as desk:
            assert await respond(desk.role(temperature=0.0)) == "Fine."

    conversations = [heard.json["messages"] for heard in server.asked]
    assert [len(messages) for messages in conversations] == [1, 3, 5]
    assert conversations[2][:3] == conversations[1]
    assert [message["role"] for message in conversations[1]] == ["user", "assistant", "user"]
    assert conversations[1][1]["content"] == "I'm sorry."
    assert "cannot be used: a refusal." in conversations[1][2]["content"]


async def test_a_reply_without_text_is_asked_for_as_before_and_then_not_quoted_to_the_model(
    server: Server, at_desk: Open
) -> None:
    """The server lost it, and if not: vendors refuse empty messages, and two of one role."""
    server.will(say(chat("")), say(chat(" ")), say(chat("Fine.")))
    async with at_desk() as desk:
        await desk.role(temperature=0.0).ask(Respond(instruction="Hi."), item="i")

    contents = [[m["content"] for m in heard.json["messages"]] for heard in server.asked]
    assert [len(messages) for messages in contents] == [1, 1, 1]
    assert contents[0] == contents[1]
    assert contents[2][0].startswith(f"{contents[0][0]}\n\nYour last reply held no answer.")


async def test_at_other_temperatures_the_question_stays_as_it_is(
    server: Server, at_desk: Open
) -> None:
    server.will(say(chat("I'm sorry.")), say(chat("Fine.")))
    async with at_desk() as desk:
        assert await respond(desk.role(temperature=0.7)) == "Fine."

    assert server.asked[0].body == server.asked[1].body


async def test_half_an_emoji_is_served_and_kept_as_it_came(server: Server, at_desk: Open) -> None:
    body = b'{"choices": [{"message": {"content": "cut \\ud83d"}, "finish_reason": "length"}]}'
    server.will(answer(body))
    said: list[str] = []
    for _ in range(2):
        async with at_desk() as desk:
            said.append(await respond(desk.role(), "Half: \udc00", item="i"))

    assert said == ["cut \ud83d"] * 2
    assert len(server.asked) == 1


# -- the cache's own troubles -------------------------------------------------------------------


@pytest.mark.parametrize("damage", [b"", b"\0noise\xff", b'{"texts": 1}', "text", None])
async def test_a_damaged_value_is_asked_again_and_replaced(
    server: Server, at_desk: Open, tmp_path: Path, damage: object
) -> None:
    numbered(server)

    def hurt() -> None:
        with closing(sqlite3.connect(tmp_path / "cache" / "cache.db")) as connection, connection:
            connection.execute("UPDATE Cache SET value = ?", (damage,))

    said: list[str] = []
    for session in range(3):
        async with at_desk() as desk:
            said.append(await respond(desk.role()))
        if session == 0:
            await anyio.to_thread.run_sync(hurt)

    assert said == ["answer 1", "answer 2", "answer 2"]


async def test_what_another_process_stored_first_is_what_is_served(
    server: Server, at_desk: Open
) -> None:
    """Both paid; from now on both say the same."""
    numbered(server)
    held = Held(server)
    async with at_desk() as one, at_desk() as other:
        asking = [asyncio.ensure_future(respond(desk.role())) for desk in (one, other)]
        await held.heard.wait()
        while len(server.asked) < 2:
            await anyio.wait_all_tasks_blocked()
        held.speak.set()
        said = await asyncio.gather(*asking)
        again = [await respond(desk.role()) for desk in (one, other)]

    assert len(server.asked) == 2
    assert len({*said, *again}) == 1


async def test_noise_that_another_process_stored_first_makes_nobody_wait_for_ever(
    server: Server, at_desk: Open, tmp_path: Path
) -> None:
    numbered(server)
    held = Held(server)
    said: list[str] = []

    def plant(key: bytes) -> None:
        with closing(sqlite3.connect(tmp_path / "cache" / "cache.db")) as connection, connection:
            connection.execute(
                "INSERT INTO Cache (key, raw, mode, value) VALUES (?, 1, 1, ?)", (key, b"noise")
            )

    async with at_desk() as desk:
        pending = desk.role().begin(AnyAnswer(instruction="Hi."), item="i")
        await held.heard.wait()
        await anyio.to_thread.run_sync(plant, pending.key)
        held.speak.set()
        said.append((await desk.role().finish(pending)).value)
        said += [await respond(desk.role()) for _ in range(2)]

    assert said == ["answer 1", "answer 2", "answer 2"]


async def test_an_answer_that_cannot_be_kept_stops_the_run_with_the_files_name(
    server: Server, at_desk: Open, tmp_path: Path
) -> None:
    def spoil() -> None:
        with closing(sqlite3.connect(tmp_path / "cache" / "cache.db")) as connection, connection:
            connection.execute(
                "CREATE TRIGGER full BEFORE INSERT ON Cache BEGIN"
                " SELECT RAISE(ABORT, 'database or disk is full'); END"
            )

    held = Held(server)
    async with at_desk() as desk:
        await anyio.to_thread.run_sync(spoil)
        asking = [asyncio.ensure_future(respond(desk.role(), item=item)) for item in "ab"]
        await held.heard.wait()
        held.speak.set()
        errors = await asyncio.gather(*asking, return_exceptions=True)

    path = tmp_path / "cache" / "cache.db"
    full = f"{path}: database or disk is full; free some space, then run `codeclm resume RUN`"
    assert [(type(error), str(error)) for error in errors] == [(StorageError, full)] * 2
    assert len(server.asked) == 1


async def test_the_key_of_the_api_is_in_no_cache_key_and_nowhere_on_the_disk(
    server: Server, at_desk: Open, tmp_path: Path
) -> None:
    numbered(server)
    said: list[str] = []
    for key in (SECRET, "sk-another"):
        async with at_desk(key=key) as desk:
            said.append(await respond(desk.role()))

    def files() -> list[bytes]:
        return [path.read_bytes() for path in (tmp_path / "cache").iterdir()]

    data = b"".join(await anyio.to_thread.run_sync(files))
    assert said == ["answer 1"] * 2
    assert [heard.headers["authorization"] for heard in server.asked] == [f"Bearer {SECRET}"]
    assert b"answer 1" in data
    assert SECRET.encode() not in data


# -- the ends of a run --------------------------------------------------------------------------


async def test_a_gentle_stop_keeps_what_was_in_flight_and_sends_nothing_that_was_queued(
    server: Server, at_desk: Open, tmp_path: Path
) -> None:
    """Nobody waits for the answer any more; it is paid for."""
    numbered(server)
    held = Held(server)
    async with at_desk(max_concurrent=1) as desk:
        model = desk.role(temperature=1.0)
        flying = asyncio.ensure_future(respond(model, item="flying"))
        queued = asyncio.ensure_future(respond(model, item="queued"))
        await held.heard.wait()
        desk.dispatcher.stop(Stopping())
        flying.cancel()
        ends = await asyncio.gather(flying, queued, return_exceptions=True)
        held.speak.set()
    kept = await anyio.to_thread.run_sync(stored, tmp_path)

    assert [type(end) for end in ends] == [asyncio.CancelledError, Stopping]
    assert [(one.sample, one.text) for one in kept] == [("flying", "answer 1")]
    assert len(server.asked) == 1


async def test_a_wrong_key_stops_every_question_of_every_role(
    server: Server, at_desk: Open, tmp_path: Path
) -> None:
    server.always = say({"error": {"message": "no such key"}}, status=401)
    async with at_desk(max_concurrent=3) as desk:
        roles = [desk.role("strong", temperature=1.0), desk.role("target", temperature=1.0)]
        asking = [respond(role, item=f"{role.role}{n}") for n in range(10) for role in roles]
        errors = await asyncio.gather(*asking, return_exceptions=True)
    kept = await anyio.to_thread.run_sync(stored, tmp_path)

    assert {type(error) for error in errors} == {RunStopped}
    assert len(server.asked) <= 3
    assert kept == []


async def test_a_question_begun_and_left_unfinished_harms_nobody(
    server: Server, at_desk: Open, tmp_path: Path
) -> None:
    held = Held(server)
    async with at_desk() as desk:
        model = desk.role()
        model.begin(AnyAnswer(instruction="Hi."), item="i")
        await held.heard.wait()
        held.speak.set()
    kept = await anyio.to_thread.run_sync(stored, tmp_path)

    assert [one.text for one in kept] == ["Hello."]


# -- what is sent -------------------------------------------------------------------------------


async def test_settings_are_sent_as_given_and_what_is_unset_is_left_to_the_server(
    server: Server, at_desk: Open
) -> None:
    async with at_desk() as desk:
        await respond(desk.role(temperature=None), "Hi.")
        full = desk.role(temperature=0.5, top_p=0.9, max_tokens=9, extra={"top_k": 3})
        await respond(full, "Hi.")
        structured = desk.role(response_format="json_schema")
        await structured.ask(AnyScore(instruction="I", first="A", second="B"), item="")
        await respond(structured, "Hi.")

    bare, given, score, free = [dict(heard.json) for heard in server.asked]
    messages = bare["messages"]
    assert bare == {"model": "m", "messages": messages}
    assert given == {
        "model": "m",
        "messages": messages,
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 9,
        "top_k": 3,
    }
    assert score["response_format"]["type"] == "json_schema"
    assert free == {"model": "m", "messages": messages, "temperature": 0.0}  # prose has no schema


async def test_a_vocabulary_is_sent_in_the_schema(server: Server, at_desk: Open) -> None:
    """A server that keeps to schemas cannot answer outside of it."""
    server.always = lambda _: say(chat('{"use_case": "odes", "skills": ["metre"]}'))
    async with at_desk() as desk:
        structured = desk.role(response_format="json_schema")
        free = Encode(instruction="Hi.")
        bound = Encode(instruction="Hi.", vocabulary=Vocabulary(("odes",), ("metre", "rhyme")))
        await structured.ask(free, item="")
        reply = await structured.ask(bound, item="")

    assert (reply.value.use_case, reply.value.skills) == ("odes", ("metre",))
    one, other = (
        heard.json["response_format"]["json_schema"]["schema"]["properties"]
        for heard in server.asked
    )
    assert "enum" not in one["use_case"]
    assert other["use_case"]["enum"] == ["odes"]
    assert other["skills"]["items"]["enum"] == ["metre", "rhyme"]


async def test_reserved_tokens_are_given_back_when_the_answer_says_what_it_used(
    server: Server, at_desk: Open
) -> None:
    """200 are reserved for each of ten answers that use 8."""
    async with at_desk(tokens_per_minute=6e6) as desk:
        model = desk.role(max_tokens=200, temperature=1.0)
        for n in range(10):
            await respond(model, item=str(n))
        charged = desk.dispatcher.statistics().tokens

    assert desk.dispatcher.reserves
    assert charged == 10 * 8
