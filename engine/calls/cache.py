"""Replies on disk: every answered call is here before anything uses it.

A diskcache folder (so that its tools can read it), with three differences from how diskcache comes:
nothing is ever thrown away, values are bytes and pickle is refused (a cache folder from a stranger
must not run code), and writes go through one thread that commits groups on the same file, because
a commit each costs six times as much.

Knows keys and stored answers; neither stages nor providers' protocols.
"""

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from hashlib import blake2b
from pathlib import Path
from typing import Any

import diskcache
import msgspec
from msgspec import Raw, Struct

from ...providers import json_codec
from ...providers.base import Message, Reply, Request
from ..disk.exclusive import ExclusiveUse, entry_lock
from ..disk.sqlite import GroupWriter, StorageError, connect, storage_error, transaction

KEY_VERSION = 1
"""Raised when the meaning of a key changes; older answers then lie idle, they do no harm."""


class About(Struct, frozen=True, array_like=True):
    """What a key was made of, short of the messages: so that it can be said which field differs."""

    provider: str
    endpoint: str
    model: str
    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    seed: int | None
    response_format: str
    schema: dict[str, Any] | None
    extra: dict[str, Any]
    key_version: int = KEY_VERSION


class StoredReply(Struct, frozen=True, omit_defaults=True):
    """A reply as it lies on disk."""

    text: str
    finish_reason: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    model: str = ""
    time: float = 0.0
    """Seconds since 1970, when the answer came."""
    sample: str = ""
    about: Raw = Raw(b"null")


class _Escaped(StoredReply, frozen=True):
    """A reply that holds half an emoji: only the slow decoder reads it, and that knows no Raw."""

    about: Any = None


_stored = msgspec.json.Decoder(StoredReply)
_escaped = msgspec.json.Decoder(_Escaped)
_sorted = msgspec.json.Encoder(order="sorted")


class KeyBuilder:
    """Makes the keys of calls that differ in nothing but messages, seed and sample.

    The constant part is hashed once, which leaves one pass over the messages per call.
    """

    def __init__(self, provider: str, endpoint: str, request: Request) -> None:
        about = About(
            provider,
            endpoint,
            request.model,
            request.temperature,
            request.top_p,
            request.max_tokens,
            request.seed,
            request.response_format,
            request.schema,
            request.extra,
        )
        try:
            self.about = Raw(_sorted.encode(about))
        except UnicodeEncodeError:
            self.about = Raw(json_codec.dumps(msgspec.to_builtins(about, order="sorted")))
        self._base = blake2b(bytes(self.about), digest_size=16)

    def of(self, messages: Sequence[Message], sample: str) -> bytes:
        """Return the key: 16 bytes, the same in every run and on every machine."""
        said = json_codec.dumps(messages)
        digest = self._base.copy()
        # The length keeps messages and sample apart; Raw JSON before it ends with a bracket.
        digest.update(b"%d:%b" % (len(said), said))
        digest.update(sample.encode("utf-8", "surrogatepass"))
        return digest.digest()


def store(reply: Reply, *, about: Raw, sample: str) -> StoredReply:
    """Make of *reply* what is kept of it."""
    return StoredReply(
        text=reply.text,
        finish_reason=reply.finish_reason,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
        cached_tokens=reply.cached_tokens,
        model=reply.model,
        time=round(time.time(), 3),
        sample=sample,
        about=about,
    )


dump = json_codec.dumps
"""Encode a `StoredReply` for the disk."""


def load(value: bytes) -> StoredReply:
    """Decode a value.

    Raises:
        msgspec.MsgspecError: it is no stored answer.
    """
    try:
        return _stored.decode(value)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):
        read = json_codec.loads(value, _escaped)
    fields: dict[str, Any] = msgspec.structs.asdict(read)
    fields["about"] = Raw(json_codec.dumps(read.about))
    return StoredReply(**fields)


def _readable(value: Any) -> StoredReply | None:
    try:
        return load(value) if isinstance(value, bytes) else None
    except msgspec.MsgspecError:
        return None


class BytesDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache ships no types
    """A diskcache Disk that stores bytes only, in the database only, and never unpickles."""

    def __init__(self, directory: str, **settings: object) -> None:
        del settings  # those of another program's Disk, where one has made the folder
        super().__init__(directory)

    def put(self, key: Any) -> Any:
        if not isinstance(key, bytes):
            raise TypeError(f"keys are bytes, not {type(key).__name__}")
        return sqlite3.Binary(key), True

    def get(self, key: object, raw: object) -> bytes:
        if not raw or not isinstance(key, bytes):
            raise StorageError("the cache holds a key that is not ours; it was left alone")
        return key

    def store(self, value: Any, read: Any, key: Any = None) -> Any:
        del read, key
        if not isinstance(value, bytes):
            raise TypeError(f"values are bytes, not {type(value).__name__}")
        return 0, _RAW, None, sqlite3.Binary(value)

    def fetch(self, mode: object, filename: object, value: object, read: object) -> bytes:
        del read
        if mode != _RAW or filename is not None or not isinstance(value, bytes):
            raise StorageError("the cache holds a value that is not ours; it was left alone")
        return value


_RAW = 1  # diskcache's MODE_RAW

_SETTINGS: dict[str, Any] = {
    "eviction_policy": "none",
    "cull_limit": 0,
    "size_limit": 2**50,
    "statistics": 0,
    "tag_index": 0,
    "sqlite_auto_vacuum": 0,
    "sqlite_cache_size": -8192,  # KiB; as pages of 16 KB it would be 128 MB
    "sqlite_mmap_size": 0,
    "disk_min_file_size": 2**50,
}

_FIND = (
    "SELECT value FROM Cache"
    f" WHERE key = ? AND raw = 1 AND mode = {_RAW} AND typeof(value) = 'blob'"
)
_ROW = f"(?, 1, ?, ?, {_RAW}, ?)"
_KEEP = (
    f"INSERT OR IGNORE INTO Cache (key, raw, store_time, access_time, mode, value) VALUES {_ROW}"
)
_REPLACE = _KEEP.replace("IGNORE", "REPLACE")

_FULL = 1_000_000
"""Rows up to which all keys are noted at the start: 0.7 s (measured)."""

_AT_ONCE = 32
"""Answers told of in one turn of the loop; what follows from each takes it some 0.1 ms."""

# Rows per statement: each execution gives the interpreter's lock away and has to win it back from
# a busy loop, so one statement for many rows is several times faster than one for each.
_ROWS = (64, 8, 1)
_KEEP_ROWS = {n: _KEEP + f", {_ROW}" * (n - 1) for n in _ROWS}


class Write(Struct):
    """A value on its way to the disk; ``kept`` is called in the loop once it is there.

    It is given the value that is *now* on disk: another process may have been first, and what is
    served is always what is stored.
    """

    key: bytes
    value: bytes
    kept: Callable[[bytes, StorageError | None], None]
    replace: bool = False


class _Seen:
    """One bit for each value of a key's first 25: without its bit a key was never added.

    Keys are hashes, so their own bits serve. With a million keys 3 % of others seem seen too.
    """

    def __init__(self) -> None:
        self._bits = bytearray(1 << 22)

    def add(self, key: bytes) -> None:
        place = int.from_bytes(key[:4], "little")
        self._bits[place >> 10] |= 1 << (place & 7)

    def __contains__(self, key: bytes) -> bool:
        place = int.from_bytes(key[:4], "little")
        return bool(self._bits[place >> 10] & 1 << (place & 7))


class Cache:
    """The store of paid answers, for one event loop.

    Reads are synchronous and take microseconds; writes are handed to a thread. Looking up what is
    not there costs a sixth of a call, so while no other process writes here what this one has
    neither found at the start nor stored since is taken as absent.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "cache.db"
        self._seen: _Seen | None = None

    def open(self) -> "Cache":
        """Open or make the folder. Blocks: call it in a thread.

        Raises:
            StorageError: it can't be opened or written, or it is damaged.
        """
        self._loop: asyncio.AbstractEventLoop | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with ExitStack() as stack, entry_lock(self.folder):
                self._use = stack.enter_context(ExclusiveUse(self.folder))
                self._connect(stack)
                self._writer = stack.enter_context(
                    GroupWriter[Write]("codeclm-cache", self._write, self._written)
                )
                self._resources = stack.pop_all()
        except sqlite3.Error as error:
            raise storage_error(self.path, error) from error
        except OSError as error:
            raise StorageError(f"{self.folder}: {error.strerror}: choose another folder") from error
        return self

    def _connect(self, stack: ExitStack) -> None:
        connect(self.path).close()  # sets the page size, which only a new file takes
        # It makes the tables, so that its tools can read them; reads and writes are our own.
        made: Any = diskcache.Cache(str(self.folder), disk=BytesDisk, **_SETTINGS)
        made.close()
        self._out = stack.enter_context(closing(connect(self.path)))
        self._in = stack.enter_context(closing(connect(self.path)))
        self._in.execute("PRAGMA query_only=1")
        self._in.execute(_FIND, (b"",)).fetchone()
        with transaction(self._out, self.path):
            pass  # fails here if the file cannot be written
        if self._use.alone:
            self._note_keys()

    def _note_keys(self) -> None:
        """Note what is stored, where that is worth its time: a cache so full is being read."""
        (last,) = self._in.execute("SELECT max(rowid) FROM Cache").fetchone()
        if (last or 0) <= _FULL:
            self._seen = _Seen()
            for (start,) in self._in.execute(
                "SELECT substr(key, 1, 4) FROM Cache WHERE typeof(key) = 'blob'"
            ):
                self._seen.add(start)

    def use(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say which loop is to be told of kept answers."""
        self._loop = loop

    def get(self, key: bytes) -> bytes | None:
        """Return the value of *key*.

        Raises:
            StorageError: the file can't be read.
        """
        if self._seen is not None and key not in self._seen:
            if self._use.alone:
                return None
            self._seen = None  # others have come: what they store is not noted
        try:
            row: tuple[bytes] | None = self._in.execute(_FIND, (key,)).fetchone()
        except sqlite3.Error as error:
            raise storage_error(self.path, error) from error
        return None if row is None else row[0]

    def entries(self) -> Iterator[tuple[bytes, StoredReply | None]]:
        """Yield every key with its answer, None where the value is no answer of ours. Blocks."""
        try:
            for key, value in self._in.execute("SELECT key, value FROM Cache"):
                yield key, _readable(value)
        except sqlite3.Error as error:
            raise storage_error(self.path, error) from error

    def damage(self) -> list[str]:
        """Return what SQLite finds wrong with the file; nothing if it is sound. Blocks."""
        try:
            rows = self._in.execute("PRAGMA integrity_check").fetchall()
        except sqlite3.Error as error:
            return [str(error)]
        return [row[0] for row in rows if row[0] != "ok"]

    def older(self, than: float) -> int:
        """Count the answers stored before *than*, in seconds since 1970. Blocks."""
        row = self._in.execute("SELECT count(*) FROM Cache WHERE store_time < ?", (than,))
        return int(row.fetchone()[0])

    def prune(self, than: float) -> int:
        """Delete the answers stored before *than*: the one way in which anything ever goes. Blocks.

        Raises:
            StorageError: other processes use the cache.
        """
        self._check_alone()
        return self._administer("DELETE FROM Cache WHERE store_time < ?", than)

    def pack(self) -> None:
        """Give the space of deleted answers back; needs as much again meanwhile. Blocks.

        Raises:
            StorageError: other processes use the cache, or the disk is full.
        """
        self._check_alone()
        self._administer("VACUUM")
        self._administer("PRAGMA wal_checkpoint(TRUNCATE)")

    def _check_alone(self) -> None:
        if not self._use.alone:
            raise StorageError(f"{self.folder}: another process uses it: wait for it, or stop it")

    def _administer(self, statement: str, *values: float) -> int:
        try:
            return self._out.execute(statement, values).rowcount
        except sqlite3.Error as error:
            raise storage_error(self.path, error) from error

    def put(self, write: Write) -> None:
        """Hand in a value; it is kept even if nobody waits for it any more."""
        if self._seen is not None:
            self._seen.add(write.key)
        self._writer.put(write)

    def close(self) -> None:
        """Write what is left. Blocks: call it in a thread."""
        self._resources.close()

    def _write(self, group: Sequence[Write]) -> None:
        now = time.time()
        fresh = [(w.key, now, now, w.value) for w in group if not w.replace]
        mended = [(w.key, now, now, w.value) for w in group if w.replace]
        with transaction(self._out, self.path):
            kept = self._keep(fresh)
            if mended:
                self._out.executemany(_REPLACE, mended)
            if kept < len(fresh):
                self._adopt(group, now)

    def _keep(self, rows: Sequence[tuple[Any, ...]]) -> int:
        """Insert what is not there yet; return how many rows that were."""
        kept = start = 0
        for size in _ROWS:
            while len(rows) - start >= size:
                values = [value for row in rows[start : start + size] for value in row]
                kept += self._out.execute(_KEEP_ROWS[size], values).rowcount
                start += size
        return kept

    def _adopt(self, group: Iterable[Write], now: float) -> None:
        """Take over what another process had stored before us; what is not ours makes way."""
        for write in group:
            row = self._out.execute(_FIND, (write.key,)).fetchone()
            if row is not None:
                write.value = row[0]
            else:
                self._out.execute(_REPLACE, (write.key, now, now, write.value))

    def _written(self, group: Sequence[Write], error: StorageError | None) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_tell, self._loop, deque(group), error)


def _tell(loop: asyncio.AbstractEventLoop, group: deque[Write], error: StorageError | None) -> None:
    """Tell a few at a time: all at once they would hold up the loop while each goes on."""
    for _ in range(min(_AT_ONCE, len(group))):
        write = group.popleft()
        write.kept(write.value, error)
    if group:
        loop.call_soon(_tell, loop, group, error)
