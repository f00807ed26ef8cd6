"""Stages joined by bounded streams in one task group: the scheduler.

It knows nothing about models or instructions. A line is a chain, never a circle: a circle of
bounded streams deadlocks (seen with two workers and buffers of 8). Repetition happens inside one
stage, or through the source.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Generic, TypeVar

import anyio
from anyio.abc import TaskGroup
from msgspec import Struct

from ..calls.counters import StageCounts
from ..data.errors import ItemError, RunStopped, Stopping
from .stream import EndOfStream, Sender, Stream

In = TypeVar("In")
Out = TypeVar("Out")
Next = TypeVar("Next")


class Stage(Struct, Generic[In, Out], frozen=True):
    """A step carried out by a number of workers.

    Attributes:
        name: the stage's name in the progress display.
        step: one item in, any number out; raises `ItemError` for an item that cannot continue.
        lost: called once with every such item and its error.
        workers: how many items are worked on at the same time.
        buffer: how many items may wait in front of the stage.
    """

    name: str
    step: Callable[[In], Awaitable[Iterable[Out]]]
    lost: Callable[[In, ItemError], None]
    workers: int = 1
    buffer: int = 0


class Line(Generic[In, Out]):
    """Stages in a row; the type checker rejects two that do not fit."""

    def __init__(self, stages: tuple[Stage[Any, Any], ...]) -> None:
        self.stages = stages

    def then(self, stage: Stage[Out, Next]) -> "Line[In, Next]":
        """Append *stage*."""
        return Line((*self.stages, stage))

    def join(self, line: "Line[Out, Next]") -> "Line[In, Next]":
        """Append all stages of *line*."""
        return Line((*self.stages, *line.stages))


def begin(stage: Stage[In, Out]) -> Line[In, Out]:
    """Start a line."""
    return Line((stage,))


async def run(
    source: AsyncIterator[In],
    line: Line[In, Out],
    sink: Callable[[Out], Awaitable[None]],
    *,
    halt: Callable[[RunStopped], None],
    counts: dict[str, StageCounts],
) -> None:
    """Send every item of *source* through *line* into *sink*.

    Returns when the source has ended and every item has reached the sink or was lost. Items that
    `Stopping` leaves behind do neither: they are for the next session.

    Args:
        source: the items.
        line: the stages.
        sink: receives what the last stage returns, one at a time.
        halt: called when no item can continue, so that the caller can stop the rest gracefully.
        counts: gets one row per stage, by name.
    """
    async with anyio.create_task_group() as group:
        stream: Stream[Any] = Stream(line.stages[0].buffer)
        group.start_soon(_pour, source, stream.sender(), name="source")
        for n, stage in enumerate(line.stages):
            is_last = n + 1 == len(line.stages)
            out: Stream[Any] = Stream(0 if is_last else line.stages[n + 1].buffer)
            stage_counts = counts.setdefault(stage.name, StageCounts())
            _Workers(stage, stream, out, halt, stage_counts, group).start()
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


class _Workers:
    """The workers of one stage: each starts the next when it takes an item and none is idle.

    So there are never many more than items, however many the settings allow.
    """

    def __init__(
        self,
        stage: Stage[Any, Any],
        stream: Stream[Any],
        out: Stream[Any],
        halt: Callable[[RunStopped], None],
        counts: StageCounts,
        group: TaskGroup,
    ) -> None:
        self._stage = stage
        self._stream = stream
        self._out = out
        self._halt = halt
        self._counts = counts
        self._group = group
        self._started = 0

    def start(self) -> None:
        """Start one more worker, if there may be one."""
        if self._started < self._stage.workers:
            name = f"{self._stage.name}-{self._started}"
            self._started += 1
            self._group.start_soon(self._run, self._out.sender(), name=name)

    async def _run(self, sender: Sender[Any]) -> None:
        with sender:
            while True:
                try:
                    item = await self._stream.receive()
                except EndOfStream:
                    return
                if not self._stream.has_receivers:
                    self.start()
                self._counts.entered += 1
                for result in await self._step(item):
                    if not sender.send_nowait(result):
                        await sender.send(result)
                self._counts.finished += 1
                # An item whose every reply was cached never waited: let the other tasks run.
                await asyncio.sleep(0)

    async def _step(self, item: Any) -> Iterable[Any]:
        try:
            return await self._stage.step(item)
        except ItemError as error:
            self._counts.lost += 1
            self._stage.lost(item, error)
        except Stopping:
            self._counts.stopped += 1
        except RunStopped as error:
            self._counts.stopped += 1
            self._halt(error)
        return ()
