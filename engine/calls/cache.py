"""Replies by key: every reply that was paid for is on disk before anything uses it.

Reads are synchronous and take microseconds. Writes go through one thread that commits groups,
since a commit for each costs six times as much.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Generator, Iterable, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

from ..disk.sqlite import GroupWriter, StorageError
from ..disk.threads import entered_in_thread
from .cache_file import CacheFile, Entry, open_cache_file
from .spending import Charge
from .uses import Use

_MAX_NOTED = 1_000_000
"""Rows up to which all keys are read into the filter when the cache is opened: 0.7 s (measured)."""

_AT_ONCE = 32
"""Writes reported in one turn of the loop; handling each takes some 0.1 ms."""


class CacheWrite(Entry, kw_only=True):
    """An entry on its way to the disk; ``stored`` receives the value on disk after the commit."""

    stored: asyncio.Future[bytes]


class KeyFilter:
    """A Bloom filter with one hash: a key that it does not hold was never added.

    Keys are hashes, so their own first 25 bits serve. With a million keys, 3 % of the others are
    false positives.
    """

    def __init__(self, key_starts: Iterable[bytes]) -> None:
        """Hold the keys that begin with the four bytes of each of *key_starts*."""
        self._bits = bytearray(1 << 22)
        for start in key_starts:
            self.add(start)

    def add(self, key: bytes) -> None:
        index = int.from_bytes(key[:4], "little")
        self._bits[index >> 10] |= 1 << (index & 7)

    def __contains__(self, key: bytes) -> bool:
        index = int.from_bytes(key[:4], "little")
        return bool(self._bits[index >> 10] & 1 << (index & 7))


@asynccontextmanager
async def open_cache(folder: Path) -> AsyncGenerator["Cache"]:
    """Open the cache in *folder*, creating it if missing; leaving the block writes what is queued.

    Raises:
        StorageError: it cannot be opened or written, or it is damaged.
    """
    async with entered_in_thread(_open(folder, asyncio.get_running_loop())) as cache:
        yield cache


@contextmanager
def _open(folder: Path, loop: asyncio.AbstractEventLoop) -> Generator["Cache"]:
    with open_cache_file(folder) as file:
        key_filter = None
        if file.alone and file.row_bound() <= _MAX_NOTED:
            key_filter = KeyFilter(file.key_starts())
        report = partial(_report_soon, loop)
        with GroupWriter[CacheWrite | Use]("codeclm-cache", file.put, report) as writer:
            yield Cache(file, writer, key_filter, loop)


class Cache:
    """The store of replies that were paid for, for one event loop; open it with `open_cache`.

    A lookup that finds nothing costs a sixth of a call. It is skipped while this process is the
    only writer: a key that is not in the filter is then absent.
    """

    def __init__(
        self,
        file: CacheFile,
        writer: GroupWriter[CacheWrite | Use],
        key_filter: KeyFilter | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._file = file
        self._writer = writer
        self._filter = key_filter
        self._loop = loop

    def get(self, key: bytes) -> bytes | None:
        """Return the value of *key*.

        Raises:
            StorageError: the file cannot be read.
        """
        if self._filter is not None and key not in self._filter:
            if self._file.alone:
                return None
            self._filter = None  # another process has opened the cache: the filter lacks its keys
        return self._file.get(key)

    def put(
        self, key: bytes, value: bytes, *, replace: bool = False, charge: Charge | None = None
    ) -> asyncio.Future[bytes]:
        """Store *value* and what it cost, even if nobody awaits the returned future.

        The future's result is the value on disk afterwards: unless *replace* is set, a value that
        another process stored first stays. It raises `StorageError` if nothing could be stored.
        """
        if self._filter is not None:
            self._filter.add(key)
        stored: asyncio.Future[bytes] = self._loop.create_future()
        self._writer.put(CacheWrite(key, value, replace, charge, stored=stored))
        return stored

    def note_use(self, key: bytes, session: str) -> None:
        """Note that *session* uses the stored reply of *key*; written with the next group."""
        self._writer.put(Use(key, session))


def _report_soon(
    loop: asyncio.AbstractEventLoop, group: Sequence[CacheWrite | Use], error: StorageError | None
) -> None:
    writes = deque(item for item in group if isinstance(item, CacheWrite))
    if writes and not loop.is_closed():
        loop.call_soon_threadsafe(_report, loop, writes, error)


def _report(
    loop: asyncio.AbstractEventLoop, group: deque[CacheWrite], error: StorageError | None
) -> None:
    """Report a few writes at a time: all at once would block the loop."""
    for _ in range(min(_AT_ONCE, len(group))):
        write = group.popleft()
        if write.stored.done():
            continue  # the waiting task was cancelled
        if error is None:
            write.stored.set_result(write.value)
        else:
            write.stored.set_exception(error)
    if group:
        loop.call_soon(_report, loop, group, error)
