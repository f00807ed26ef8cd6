"""Stages joined by bounded streams in one task group: the scheduler.

Knows nothing of models or instructions: items go in, items come out, and every item that cannot go
on is told of once. A line is a chain, never a circle: a circle of bounded streams deadlocks (seen
with two workers and buffers of 8); whatever repeats does so inside one stage, or comes in again
through the source.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Generic, NamedTuple, Self, TypeVar

import anyio
from msgspec import Struct

from ..calls.counters import StageCounts
from ..data.errors import ItemError, RunStopped, Stopping

T = TypeVar("T")
In = TypeVar("In")
Out = TypeVar("Out")
Next = TypeVar("Next")


class EndOfStream(Exception):  # noqa: N818  (the term anyio uses)
    """Every sender has left and the buffer is empty."""


class StreamStatistics(NamedTuple):
    buffered: int
    waiting_to_send: int
    waiting_to_receive: int
    senders: int


class Stream(Generic[T]):
    """A bounded stream between tasks of one event loop.

    Like anyio's memory stream, at a tenth of its cost per item. With ``capacity`` 0 an item passes
    only from hand to hand. When the last `Sender` has left and the buffer is empty, receivers get
    `EndOfStream`. An item is received once or not at all, also when either side is cancelled: what
    a cancelled receiver had been handed goes to the next one.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._buffer: deque[T] = deque()
        self._receivers: deque[asyncio.Future[T]] = deque()
        self._waiting: deque[tuple[asyncio.Future[None], T]] = deque()
        self._senders = 0

    def sender(self) -> "Sender[T]":
        """Make a sending end; it counts from now on, until it is left."""
        self._senders += 1
        return Sender(self)

    def statistics(self) -> StreamStatistics:
        return StreamStatistics(
            len(self._buffer), len(self._waiting), len(self._receivers), self._senders
        )

    def send_nowait(self, item: T) -> bool:
        """Pass *item* on if a receiver waits or the buffer has room; else return False."""
        if self._hand_over(item):
            return True
        if len(self._buffer) < self._capacity:
            self._buffer.append(item)
            return True
        return False

    async def send(self, item: T) -> None:
        """Pass *item* on, waiting for room."""
        if self.send_nowait(item):
            return
        room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (room, item)
        self._waiting.append(entry)
        try:
            await room
        except asyncio.CancelledError:
            if entry in self._waiting:
                self._waiting.remove(entry)
            raise

    async def receive(self) -> T:
        """Take the next item.

        Raises:
            EndOfStream: there will be none.
        """
        if self._buffer:
            item = self._buffer.popleft()
            self._refill()
            return item
        while self._waiting:
            room, item = self._waiting.popleft()
            if not room.done():  # cancelled a moment ago, and its task has not run since
                room.set_result(None)
                return item
        if not self._senders:
            raise EndOfStream
        receiver: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._receivers.append(receiver)
        try:
            return await receiver
        except asyncio.CancelledError:
            if receiver in self._receivers:
                self._receivers.remove(receiver)
            elif receiver.done() and not receiver.cancelled() and receiver.exception() is None:
                self._give_back(receiver.result())
            raise

    def _hand_over(self, item: T) -> bool:
        while self._receivers:
            receiver = self._receivers.popleft()
            if not receiver.done():
                receiver.set_result(item)
                return True
        return False

    def _give_back(self, item: T) -> None:
        if not self._hand_over(item):
            self._buffer.appendleft(item)

    def _refill(self) -> None:
        while self._waiting and len(self._buffer) < self._capacity:
            room, item = self._waiting.popleft()
            if not room.done():
                self._buffer.append(item)
                room.set_result(None)

    def leave(self) -> None:
        """One sender less; `Sender` calls it."""
        self._senders -= 1
        if not self._senders:
            for receiver in self._receivers:
                if not receiver.done():
                    receiver.set_exception(EndOfStream())
            self._receivers.clear()


class Sender(Generic[T]):
    """A sending end of a `Stream`, left by leaving its ``with``."""

    def __init__(self, stream: Stream[T]) -> None:
        self._stream = stream
        self.send_nowait = stream.send_nowait
        self.send = stream.send

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.leave()


class Stage(Struct, Generic[In, Out], frozen=True):
    """A step that many workers carry out: one item in, any number out.

    ``step`` raises `ItemError` for an item that is lost. ``buffer`` is the number of items that may
    wait in front of the stage.
    """

    name: str
    step: Callable[[In], Awaitable[Iterable[Out]]]
    workers: int = 1
    buffer: int = 0


class Line(Generic[In, Out]):
    """Stages in a row; the type checker refuses two that do not fit."""

    def __init__(self, stages: tuple[Stage[Any, Any], ...]) -> None:
        self.stages = stages

    def then(self, stage: Stage[Out, Next]) -> "Line[In, Next]":
        return Line((*self.stages, stage))


def begin(stage: Stage[In, Out]) -> Line[In, Out]:
    """Start a line."""
    return Line((stage,))


class Callbacks(Struct, frozen=True):
    """Who is told what befalls items.

    ``lost(stage, item, error)`` for every `ItemError`; ``halt(error)`` when no item can go on, so
    that the rest can be stopped gently; ``counts`` gets a row per stage.
    """

    lost: Callable[[str, Any, ItemError], None]
    halt: Callable[[RunStopped], None]
    counts: dict[str, StageCounts]


async def run(
    source: AsyncIterator[In],
    line: Line[In, Out],
    sink: Callable[[Out], Awaitable[None]],
    watch: Callbacks,
) -> None:
    """Let everything *source* gives go through *line* into *sink*.

    Ends when the source has ended and every item has reached the sink or was lost. Items left
    behind by `Stopping` reach neither, and are not told of: they are for the next time.
    """
    async with anyio.create_task_group() as group:
        stream: Stream[Any] = Stream(line.stages[0].buffer)
        group.start_soon(_pour, source, stream.sender(), name="source")
        for n, stage in enumerate(line.stages):
            last = n + 1 == len(line.stages)
            out: Stream[Any] = Stream(0 if last else line.stages[n + 1].buffer)
            worker = _Worker(stage, stream, watch)
            for number in range(stage.workers):
                group.start_soon(worker.run, out.sender(), name=f"{stage.name}-{number}")
            stream = out
        await _drain(stream, sink)


async def _pour(source: AsyncIterator[In], sender: Sender[In]) -> None:
    with sender:
        async for item in source:
            await sender.send(item)


async def _drain(stream: Stream[Out], sink: Callable[[Out], Awaitable[None]]) -> None:
    while True:
        try:
            item = await stream.receive()
        except EndOfStream:
            return
        await sink(item)


class _Worker:
    """What the workers of one stage share."""

    def __init__(self, stage: Stage[Any, Any], stream: Stream[Any], watch: Callbacks) -> None:
        self._stage = stage
        self._stream = stream
        self._watch = watch
        self._counts = watch.counts.setdefault(stage.name, StageCounts())

    async def run(self, sender: Sender[Any]) -> None:
        with sender:
            while True:
                try:
                    item = await self._stream.receive()
                except EndOfStream:
                    return
                self._counts.entered += 1
                for result in await self._step(item):
                    if not sender.send_nowait(result):
                        await sender.send(result)
                self._counts.finished += 1
                # An item whose every answer was on disk never waited: let the others have a turn.
                await asyncio.sleep(0)

    async def _step(self, item: Any) -> Iterable[Any]:
        try:
            return await self._stage.step(item)
        except ItemError as error:
            self._counts.lost += 1
            self._watch.lost(self._stage.name, item, error)
        except Stopping:
            self._counts.stopped += 1
        except RunStopped as error:
            self._counts.stopped += 1
            self._watch.halt(error)
        return ()
