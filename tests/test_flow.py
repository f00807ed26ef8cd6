"""The scheduler: nothing is lost, doubled or left behind, however the stages behave."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from functools import partial
from typing import Any, Literal, NamedTuple, TypeVar

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.calls.counters import StageCounts
from codeclm.engine.data.errors import ItemError, RunStopped, Stopping
from codeclm.engine.pipeline.stream import (
    Callbacks,
    EndOfStream,
    Line,
    Stage,
    Stream,
    StreamStatistics,
    begin,
    run,
)

from .examples import examples

T = TypeVar("T")

Path = tuple[int, ...]
"""An item: the seed's number, then which of its parent's results it is."""

Fate = Literal["lost", "stopped", "halted"] | int
"""What a step does with an item; a number is how many results it has."""


class Step(NamedTuple):
    fate: Fate
    turns: int
    """How often the step lets others go first."""


class Plan(NamedTuple):
    """A stage as hypothesis draws it; an item's step is chosen by its path."""

    workers: int
    buffer: int
    steps: tuple[Step, ...]

    def of(self, item: Path) -> Step:
        return self.steps[sum(item) % len(self.steps)]


fates = st.one_of(st.integers(0, 3), st.sampled_from(["lost", "stopped", "halted"]))
plans = st.builds(
    Plan,
    st.integers(1, 5),
    st.integers(0, 3),
    st.lists(st.builds(Step, fates, st.integers(0, 3)), min_size=1, max_size=5).map(tuple),
)
lines = st.lists(plans, min_size=1, max_size=4)
loops = st.booleans()


class Account:
    """What a run told of its items."""

    def __init__(self, plan: list[Plan]) -> None:
        self.plan = plan
        self.sunk: Counter[Path] = Counter()
        self.lost: Counter[tuple[str, Path]] = Counter()
        self.halted = 0
        self.counts: dict[str, StageCounts] = {}

    @property
    def watch(self) -> Callbacks:
        def lost(stage: str, item: Any, error: ItemError) -> None:
            assert str(error) == f"unreadable: {item}"
            self.lost[stage, item] += 1

        def halt(error: RunStopped) -> None:
            assert str(error) == "no money left"
            self.halted += 1

        return Callbacks(lost, halt, self.counts)

    def line(self) -> Line[Path, Path]:
        first, *others = [
            Stage(f"stage {n}", partial(_step, plan), plan.workers, plan.buffer)
            for n, plan in enumerate(self.plan)
        ]
        line = begin(first)
        for stage in others:
            line = line.then(stage)
        return line

    async def sink(self, item: Path) -> None:
        await asyncio.sleep(0)
        self.sunk[item] += 1


async def _step(plan: Plan, item: Path) -> Iterable[Path]:
    step = plan.of(item)
    for _ in range(step.turns):
        await asyncio.sleep(0)
    match step.fate:
        case "lost":
            raise ItemError("unreadable", str(item))
        case "stopped":
            raise Stopping
        case "halted":
            raise RunStopped("no money left")
        case number:
            return [(*item, n) for n in range(number)]


def foreseen(plan: list[Plan], items: int) -> Account:
    """What must become of *items*, worked out without a scheduler."""
    account = Account(plan)
    level: list[Path] = [(n,) for n in range(items)]
    for n, stage in enumerate(plan):
        name = f"stage {n}"
        counts = account.counts[name] = StageCounts(entered=len(level), finished=len(level))
        following: list[Path] = []
        for item in level:
            match stage.of(item).fate:
                case "lost":
                    counts.lost += 1
                    account.lost[name, item] += 1
                case "stopped":
                    counts.stopped += 1
                case "halted":
                    counts.stopped += 1
                    account.halted += 1
                case number:
                    following += [(*item, k) for k in range(number)]
        level = following
    account.sunk.update(level)
    return account


async def source(items: int) -> AsyncIterator[Path]:
    for n in range(items):
        if n % 3:
            await asyncio.sleep(0)
        yield (n,)


def complaints(loop: asyncio.AbstractEventLoop) -> list[str]:
    """Collect what a loop would only have logged: errors in callbacks, futures nobody awaited."""
    heard: list[str] = []
    loop.set_exception_handler(lambda _, context: heard.append(str(context)))
    return heard


def in_loop(main: Callable[[], Coroutine[Any, Any, T]], *, uvloop: bool) -> T:
    """Run *main*, which must end, leave no task, and cause no error that nobody sees."""

    async def watched() -> T:
        heard = complaints(asyncio.get_running_loop())
        result = await main()
        await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}

        assert (heard, left) == ([], set())
        return result

    return anyio.run(watched, backend_options={"use_uvloop": uvloop})


@examples(150)
@given(lines, st.integers(0, 25), loops)
def test_every_item_reaches_the_sink_or_is_accounted_for(
    plan: list[Plan], items: int, uvloop: bool
) -> None:
    told = Account(plan)

    in_loop(lambda: run(source(items), told.line(), told.sink, told.watch), uvloop=uvloop)

    expected = foreseen(plan, items)
    assert (told.sunk, told.lost, told.halted) == (expected.sunk, expected.lost, expected.halted)
    assert told.counts == expected.counts


@examples(150)
@given(lines, st.integers(0, 25), st.integers(0, 120), loops)
def test_a_cancelled_run_ends_and_tells_of_nothing_twice(
    plan: list[Plan], items: int, turns: int, uvloop: bool
) -> None:
    told = Account(plan)

    async def cut_short() -> None:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(_cancel_after, turns, scope)
                await run(source(items), told.line(), told.sink, told.watch)
                group.cancel_scope.cancel()

    in_loop(cut_short, uvloop=uvloop)

    expected = foreseen(plan, items)
    assert told.sunk <= expected.sunk
    assert told.lost <= expected.lost
    for name, counts in told.counts.items():
        most = expected.counts[name]
        assert counts.lost + counts.stopped <= counts.finished + plan[int(name[-1])].workers
        assert counts.finished <= counts.entered <= most.entered
        assert counts.entered - counts.finished <= plan[int(name[-1])].workers


async def _cancel_after(turns: int, scope: anyio.CancelScope) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
    scope.cancel()


async def _broken(item: int) -> list[int]:
    await asyncio.sleep(0)
    if item == 3:
        raise ZeroDivisionError("a bug")
    return [item]


async def _whole(item: int) -> list[int]:
    return [item]


async def _nowhere(_: int) -> None:
    return


async def _broken_sink(item: int) -> None:
    await _broken(item)


async def _numbers() -> AsyncIterator[int]:
    for n in range(100):
        yield n


async def _broken_numbers() -> AsyncIterator[int]:
    for n in range(100):
        await _broken(n)
        yield n


@pytest.mark.parametrize(
    ("numbers", "step", "sink"),
    [
        pytest.param(_broken_numbers, _whole, _nowhere, id="source"),
        pytest.param(_numbers, _broken, _nowhere, id="stage"),
        pytest.param(_numbers, _whole, _broken_sink, id="sink"),
    ],
)
async def test_an_unexpected_error_ends_the_run_with_that_error(
    numbers: Callable[[], AsyncIterator[int]],
    step: Callable[[int], Awaitable[list[int]]],
    sink: Callable[[int], Awaitable[None]],
) -> None:
    line = begin(Stage("first", _whole, workers=3)).then(Stage("second", step, workers=2, buffer=2))
    told = Account([])

    with pytest.raises(ExceptionGroup) as caught:
        await run(numbers(), line, sink, told.watch)

    assert caught.group_contains(ZeroDivisionError, match="a bug")
    assert caught.value.split(ZeroDivisionError)[1] is None
    assert told.lost == Counter()


async def test_a_line_takes_in_no_more_than_its_workers_and_buffers_hold() -> None:
    """Backpressure reaches the source: a million seeds are never in memory."""
    gate = asyncio.Event()
    taken: list[int] = []

    async def counted() -> AsyncIterator[int]:
        for n in range(1000):
            taken.append(n)
            yield n

    async def wait(item: int) -> list[int]:
        await gate.wait()
        return [item]

    sunk: list[int] = []

    async def sink(item: int) -> None:
        sunk.append(item)

    line = begin(Stage("free", _whole, workers=2, buffer=1)).then(Stage("held", wait, 4, 3))
    held = 0
    async with anyio.create_task_group() as group:
        group.start_soon(run, counted(), line, sink, Account([]).watch)
        await anyio.wait_all_tasks_blocked()
        held = len(taken)
        gate.set()

    assert held == 4 + 3 + 2 + 1 + 1  # held by workers, buffer, workers, buffer, source
    assert sorted(sunk) == list(range(1000))


# -- the stream alone ---------------------------------------------------------------------------


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


@examples(400)
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
