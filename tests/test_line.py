"""The scheduler: nothing is lost, doubled or left behind, however the stages behave."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Literal, NamedTuple

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.calls.counters import StageCounts
from codeclm.engine.data.errors import ItemError, RunStopped, Stopping
from codeclm.engine.pipeline.line import Line, Stage, begin, run

from .examples import examples
from .loops import in_loop, loops

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


class Account:
    """What a run told of its items."""

    def __init__(self, plan: list[Plan]) -> None:
        self.plan = plan
        self.sunk: Counter[Path] = Counter()
        self.lost: Counter[tuple[str, Path]] = Counter()
        self.halted = 0
        self.counts: dict[str, StageCounts] = {}

    def lose(self, stage: str, item: Any, error: ItemError) -> None:
        assert str(error) == f"unreadable: {item}"
        self.lost[stage, item] += 1

    def halt(self, error: RunStopped) -> None:
        assert str(error) == "no money left"
        self.halted += 1

    async def follow(self, items: AsyncIterator[Path]) -> None:
        await run(items, self.line(), self.sink, halt=self.halt, counts=self.counts)

    def line(self) -> Line[Path, Path]:
        first, *others = [
            Stage(name, partial(_step, plan), partial(self.lose, name), plan.workers, plan.buffer)
            for name, plan in ((f"stage {n}", plan) for n, plan in enumerate(self.plan))
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


@examples(150)
@given(lines, st.integers(0, 25), loops)
def test_every_item_reaches_the_sink_or_is_accounted_for(
    plan: list[Plan], items: int, uvloop: bool
) -> None:
    told = Account(plan)

    in_loop(lambda: told.follow(source(items)), uvloop=uvloop)

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
                await told.follow(source(items))
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
    told = Account([])
    lost = partial(told.lose, "any")
    line = begin(Stage("first", _whole, lost, workers=3)).then(
        Stage("second", step, lost, workers=2, buffer=2)
    )

    with pytest.raises(ExceptionGroup) as caught:
        await run(numbers(), line, sink, halt=told.halt, counts=told.counts)

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

    told = Account([])
    lost = partial(told.lose, "any")
    line = begin(Stage("free", _whole, lost, workers=2, buffer=1)).then(
        Stage("held", wait, lost, 4, 3)
    )
    held = 0
    async with anyio.create_task_group() as group:
        group.start_soon(partial(run, counted(), line, sink, halt=told.halt, counts=told.counts))
        await anyio.wait_all_tasks_blocked()
        held = len(taken)
        gate.set()

    assert held == 4 + 3 + 2 + 1 + 1  # held by workers, buffer, workers, buffer, source
    assert sorted(sunk) == list(range(1000))
