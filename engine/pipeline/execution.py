"""What a mode works with during a session."""

from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TypeVar

from msgspec import Struct

from ..config import Config
from ..data.records import Example, Metadata, Seed, Unreadable
from ..store.writer import LedgerWriter
from .acceptance import Acceptance
from .line import Line, run
from .state import SessionState
from .steps import Finishing, Tools, Writing

In = TypeVar("In")
Out = TypeVar("Out")

SeedRecords = Iterator[Seed | Unreadable]

OnKept = Callable[[Example], Awaitable[None]]
"""Awaited with each example that is kept; the session goes no faster than it returns."""


async def ignore(example: Example) -> None:
    """Do nothing with *example*."""
    del example


class Widths(Struct, frozen=True):
    """Workers per stage: enough that every endpoint has work while other calls are pending."""

    encode: int
    write: int
    finish: int


class Execution(Struct, frozen=True):
    """One session's settings, open models, ledger and state.

    Attributes:
        config: the run's settings.
        writing: how the recipe writes basic instructions.
        finishing: how it finishes them.
        tools: what the steps are built from.
        ledger: open for writing.
        state: whether the session continues.
        acceptance: the quality rules.
        widths: workers per stage.
        read_seeds: reads the seeds that the run uses, skipping the positions whose byte is not
            zero. Blocks.
        total_seeds: records that the run uses, unreadable ones included.
        seed_order: returns their positions in the order in which rows are shared among them, of
            which so many are to spread as evenly as can be. Blocks.
        metadata: metadata written by the user, instead of seeds.
        on_kept: awaited with each example that is kept.
    """

    config: Config
    writing: Writing
    finishing: Finishing
    tools: Tools
    ledger: LedgerWriter
    state: SessionState
    acceptance: Acceptance
    widths: Widths
    read_seeds: Callable[[bytearray], SeedRecords]
    total_seeds: int = 0
    seed_order: Callable[[int], "array[int]"] = lambda _first: array("I")
    metadata: tuple[Metadata, ...] = ()
    on_kept: OnKept = ignore

    async def run(
        self,
        source: AsyncIterator[In],
        line: Line[In, Out],
        sink: Callable[[Out], Awaitable[None]],
    ) -> None:
        """Send every item of *source* through *line* into *sink*, until the session stops."""
        await run(source, line, sink, halt=self.state.halt, counts=self.tools.counters.stages)
