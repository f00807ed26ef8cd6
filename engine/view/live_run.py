"""A run that is shown while it works: what is shown is renewed when the run has changed."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
from msgspec import Struct

from ..data.errors import RunStopped, UserError
from ..disk.threads import finish_in_thread
from .overview import Overview, read_overview
from .snapshot import Contents, Moment, Snapshot, open_snapshot

T = TypeVar("T")

Clock = Callable[[], float]

_INTERVAL = 1.0
"""Seconds between two looks at a run."""

_PAUSE = 4
"""Rests between two readings of a run, in multiples of the time that a reading takes."""


class State(Struct, frozen=True):
    """What the page asks for again and again.

    Attributes:
        listed: how often the entries were listed; 0: not yet.
        measured: how often the figures were computed.
        problem: why the run cannot be read, if it cannot.
    """

    name: str
    path: str
    is_working: bool
    listed: int
    measured: int
    problem: str
    contents: Contents | None


class LiveRun:
    """One run of a server's. `watch` keeps it up to date; the rest answers requests."""

    def __init__(self, path: Path, clock: Clock = time.monotonic) -> None:
        self.path = path
        self._name = path.absolute().name
        self._clock = clock
        self._snapshot: Snapshot | None = None
        self._snapshot_stack = ExitStack()
        """Closes the snapshot."""
        self._using = anyio.Lock()
        """Held by whoever reads the snapshot or replaces it."""
        self._overview: Overview | None = None
        self._moment = Moment(0, is_working=False)
        self._listed = self._measured = 0
        self._problem = ""
        self._next = 0.0
        """When the run may be read again."""

    # -- what requests ask for ------------------------------------------------------------------

    def state(self) -> State:
        return State(
            self._name,
            str(self.path),
            self._moment.is_working,
            self._listed,
            self._measured,
            self._problem,
            None if self._snapshot is None else self._snapshot.contents,
        )

    @property
    def overview(self) -> Overview | None:
        """The figures; None while they are computed for the first time."""
        return self._overview

    async def read(self, question: Callable[[Snapshot], T]) -> T | None:
        """Ask the newest snapshot in a thread; None while there is none.

        Raises:
            StorageError: the ledger or the cache cannot be read.
        """
        async with self._using:
            if self._snapshot is None:
                return None
            return await anyio.to_thread.run_sync(question, self._snapshot)

    # -- keeping up -----------------------------------------------------------------------------

    async def watch(self) -> None:
        """List the run and compute its figures whenever it has changed, until cancelled."""
        try:
            while True:
                try:
                    await self._renew()
                    self._problem = ""
                except (UserError, RunStopped) as error:
                    self._problem = str(error)
                await anyio.sleep(_INTERVAL)
        finally:
            await finish_in_thread(self._snapshot_stack.close)

    async def _renew(self) -> None:
        if self._clock() < self._next or not await self._has_changed():
            return
        begun = self._clock()
        await self._list()
        self._overview = await anyio.to_thread.run_sync(read_overview, self.path)
        self._measured = self._listed
        self._next = self._clock() + _PAUSE * (self._clock() - begun)

    async def _has_changed(self) -> bool:
        if self._problem:  # reading is tried until it succeeds
            return True
        now = await self.read(Snapshot.moment)
        if now is None:
            return True
        self._moment, before = now, self._moment
        return now.is_other_file or now != before or self._measured != self._listed

    async def _list(self) -> None:
        """Replace the snapshot."""
        stack = ExitStack()
        snapshot = await anyio.to_thread.run_sync(stack.enter_context, open_snapshot(self.path))
        async with self._using:
            await anyio.to_thread.run_sync(self._snapshot_stack.close)
            self._snapshot_stack, self._snapshot = stack, snapshot
            self._moment = await anyio.to_thread.run_sync(snapshot.moment)
        self._listed += 1
