"""A bounded stream: every item is received once, whoever is cancelled."""

import asyncio
import contextlib
from collections import Counter
from typing import NamedTuple

import anyio
from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.pipeline.stream import EndOfStream, Stream, StreamStatistics

from .examples import examples
from .loops import in_loop, loops

Path = tuple[int, ...]
"""An item: its sender's number, then its own."""


class Actor(NamedTuple):
    """A sender of so many items, or a receiver; cancelled at a turn, if ever."""

    sends: int | None
    pauses: int
    cancelled_at: int | None


actors = st.lists(
    st.builds(
        Actor,
        st.one_of(st.none(), st.integers(0, 4)),
        st.integers(0, 2),
        st.one_of(st.none(), st.integers(0, 12)),
    ),
    max_size=7,
)


@examples(250)
@given(st.integers(0, 3), actors, loops)
def test_cancelling_a_sender_or_receiver_loses_and_doubles_nothing(
    capacity: int, cast: list[Actor], uvloop: bool
) -> None:
    """What was sent is received once; what was cancelled while being sent, at most once."""
    sent: Counter[Path] = Counter()
    tried: Counter[Path] = Counter()
    got: Counter[Path] = Counter()
    ends: list[StreamStatistics] = []

    async def send(stream: Stream[Path], number: int, actor: Actor) -> None:
        with stream.sender() as sender:
            for n in range(actor.sends or 0):
                for _ in range(actor.pauses):
                    await asyncio.sleep(0)
                tried[number, n] += 1
                await sender.send((number, n))
                sent[number, n] += 1

    async def receive(stream: Stream[Path], pauses: int) -> None:
        while True:
            for _ in range(pauses):
                await asyncio.sleep(0)
            try:
                got[await stream.receive()] += 1
            except EndOfStream:
                return

    async def play() -> None:
        stream: Stream[Path] = Stream(capacity)
        with stream.sender():
            tasks = [
                asyncio.ensure_future(
                    receive(stream, actor.pauses)
                    if actor.sends is None
                    else send(stream, number, actor)
                )
                for number, actor in enumerate(cast)
            ]
            for turn in range(13):
                await asyncio.sleep(0)
                for task, actor in zip(tasks, cast, strict=True):
                    if actor.cancelled_at == turn:
                        task.cancel()
            tasks.append(asyncio.ensure_future(receive(stream, 0)))
            for task, actor in zip(tasks, cast, strict=False):
                if actor.sends is not None:
                    await asyncio.wait([task])
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        await receive(stream, 0)  # what a receiver gave back when no other was left
        ends.append(stream.statistics())
        for outcome in outcomes:
            assert outcome is None or isinstance(outcome, asyncio.CancelledError), repr(outcome)

    in_loop(play, uvloop=uvloop)

    assert max(got.values(), default=1) == 1
    assert sent <= got <= tried
    assert ends == [StreamStatistics(0, 0, 0, 0)]


async def test_a_receiver_passes_over_a_sender_cancelled_a_moment_before() -> None:
    """The sender's task has not run since; its item was not sent."""
    stream: Stream[str] = Stream(0)
    with stream.sender() as sender:
        tasks = [asyncio.ensure_future(sender.send(word)) for word in ("cancelled", "sent")]
        await anyio.wait_all_tasks_blocked()
        tasks[0].cancel()
        received = await stream.receive()
        done = await asyncio.gather(*tasks, return_exceptions=True)

    assert received == "sent"
    assert [type(outcome) for outcome in done] == [asyncio.CancelledError, type(None)]


async def test_room_goes_to_the_next_sender_when_the_first_was_cancelled_a_moment_before() -> None:
    stream: Stream[str] = Stream(1)
    with stream.sender() as sender:
        words = ("buffered", "cancelled", "sent")
        tasks = [asyncio.ensure_future(sender.send(word)) for word in words]
        await anyio.wait_all_tasks_blocked()
        tasks[1].cancel()
        received = [await stream.receive(), await stream.receive()]
        await asyncio.wait(tasks)

    assert received == ["buffered", "sent"]


async def test_one_receiver_gets_items_in_the_order_they_were_sent() -> None:
    stream: Stream[int] = Stream(2)
    received: list[int] = []

    async def send() -> None:
        with stream.sender() as sender:
            for n in range(50):
                if not sender.send_nowait(n):
                    await sender.send(n)

    sending = asyncio.ensure_future(send())
    await anyio.wait_all_tasks_blocked()
    waiting = stream.statistics()
    with contextlib.suppress(EndOfStream):
        while True:
            received.append(await stream.receive())
    await sending

    assert waiting == StreamStatistics(2, 1, 0, 1)
    assert received == list(range(50))
