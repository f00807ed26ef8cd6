"""SQLite files: what was told to be kept is on disk, and every failure names its remedy."""

import asyncio
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from codeclm.engine.calls.cache import open_cache
from codeclm.engine.calls.cache_file import Entry, open_cache_file
from codeclm.engine.data.records import Unreadable
from codeclm.engine.disk.presence import Presence
from codeclm.engine.disk.sqlite import GroupWriter, StorageError, connect, transaction
from codeclm.engine.store.writer import LedgerWriter

from .threads import kill

# -- told after COMMIT --------------------------------------------------------------------------

WRITER = """
import asyncio, resource, sys
from functools import partial
from pathlib import Path
from codeclm.engine.calls.cache import open_cache

folder, most = Path(sys.argv[1]), int(sys.argv[2])
if most:
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

async def main():
    failed = asyncio.Event()
    def report(n, stored):
        error = stored.exception()
        if error is None:
            print("acknowledged", n, flush=True)
        else:
            print("failed", type(error).__name__, error, flush=True)
            failed.set()
    async with open_cache(folder) as cache:
        n = 0
        waiting = set()
        while not failed.is_set() and n < 100_000:
            for n in range(n, n + 7):
                stored = cache.put(n.to_bytes(16, "big"), b"%d" % n * 400)
                stored.add_done_callback(partial(report, n))
                stored.add_done_callback(waiting.discard)
                waiting.add(stored)
            n += 1
            if len(waiting) > 50:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    print("closed")

asyncio.run(main())
"""


def writer(folder: Path, *, most: int = 0) -> "subprocess.Popen[str]":
    """Start a process that keeps values and says so; *most* bytes fit into a file."""
    command = [sys.executable, "-c", WRITER, str(folder), str(most)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def on_disk(folder: Path, numbers: Sequence[int]) -> list[int]:
    """Those of *numbers* whose whole value is there."""
    with open_cache_file(folder) as cache:
        return [n for n in numbers if cache.get(n.to_bytes(16, "big")) == b"%d" % n * 400]


@pytest.mark.parametrize("lines", [1, 40, 300, 1500])
def test_what_a_killed_process_had_acknowledged_is_on_disk(tmp_path: Path, lines: int) -> None:
    with writer(tmp_path) as process:
        assert process.stdout is not None
        heard = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        heard += process.stdout.readlines()

    acknowledged = [int(line.split()[1]) for line in heard if line.endswith("\n")]
    assert process.returncode == -signal.SIGKILL
    assert len(acknowledged) >= lines
    assert on_disk(tmp_path, acknowledged) == acknowledged


def test_a_full_disk_is_said_and_loses_nothing_that_was_kept(tmp_path: Path) -> None:
    """The process says which file and what to do, ends by itself, and what it kept is there."""
    with writer(tmp_path, most=1_500_000) as process:
        said, _ = process.communicate()

    lines = said.splitlines()
    acknowledged = [int(line.split()[1]) for line in lines if line.startswith("acknowledged")]
    failures = {line for line in lines if line.startswith("failed")}
    assert (process.returncode, lines[-1]) == (0, "closed")
    assert len(acknowledged) > 100
    remedy = "the disk is full or faulty: fix that, then run `codeclm resume RUN`"
    assert failures == {f"failed StorageError {tmp_path}/cache.db: disk I/O error; {remedy}"}
    assert on_disk(tmp_path, acknowledged) == acknowledged


def test_a_database_that_may_not_grow_says_that_the_disk_is_full(tmp_path: Path) -> None:
    path = tmp_path / "small.db"
    with closing(connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.execute("PRAGMA max_page_count = 4")
        with pytest.raises(StorageError) as caught, transaction(connection, path):
            _fill(connection, 200_000)
        with transaction(connection, path):
            _fill(connection, 1)
        rows = connection.execute("SELECT length(x) FROM t").fetchall()

    assert str(caught.value) == (
        f"{path}: database or disk is full; free some space, then run `codeclm resume RUN`"
    )
    assert rows == [(1,)]


def _fill(connection: sqlite3.Connection, size: int) -> None:
    connection.execute("INSERT INTO t VALUES (?)", (bytes(size),))


# -- files that can't be used -------------------------------------------------------------------


def use_cache(folder: Path) -> None:
    with open_cache_file(folder):
        pass


def use_ledger(folder: Path) -> None:
    LedgerWriter(folder / "cache.db").close()


def _noise(folder: Path) -> None:
    (folder / "cache.db").write_bytes(bytes(n * 7 % 251 for n in range(100_000)))


def _cut(folder: Path) -> None:
    with (folder / "cache.db").open("r+b") as file:
        file.truncate(100_077)


def _text(folder: Path) -> None:
    (folder / "cache.db").write_text("notes\n" * 1000)


def _folder(folder: Path) -> None:
    (folder / "cache.db").unlink()
    (folder / "cache.db").mkdir()


FOREIGN = "file is not a database; the file is damaged, or not made by codeclm: move it away"
DAMAGED = "database disk image is malformed; the file is damaged: move it away"
CLOSED = "unable to open database file; check that the folder exists and can be written"


def _fill_ledger(folder: Path) -> None:
    with closing(LedgerWriter(folder / "cache.db")) as ledger:
        for n in range(500):
            ledger.seed_unreadable(Unreadable(n, "seeds.jsonl", "x" * 4000))


def _fill_cache(folder: Path) -> None:
    with open_cache_file(folder) as file:
        file.put([Entry(n.to_bytes(16, "big"), bytes(4000)) for n in range(500)])


@pytest.mark.parametrize(("fill", "use"), [(_fill_cache, use_cache), (_fill_ledger, use_ledger)])
@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [(_noise, FOREIGN), (_text, FOREIGN), (_folder, CLOSED), (_cut, DAMAGED)],
)
def test_a_spoilt_file_is_named_with_a_remedy(
    tmp_path: Path,
    spoil: Callable[[Path], None],
    complaint: str,
    fill: Callable[[Path], None],
    use: Callable[[Path], None],
) -> None:
    fill(tmp_path)
    spoil(tmp_path)
    before = _bytes(tmp_path / "cache.db")

    with pytest.raises(StorageError) as caught:
        use(tmp_path)

    assert str(caught.value).startswith(f"{tmp_path}/cache.db: {complaint}")
    assert _bytes(tmp_path / "cache.db") == before


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def test_a_file_that_rots_inside_is_a_storage_error_or_a_value_and_nothing_else(
    tmp_path: Path,
) -> None:
    """Which pages are hurt is up to chance; that the file is named, and nothing hangs, is not."""
    _fill_cache(tmp_path)
    data = bytearray((tmp_path / "cache.db").read_bytes())
    third = len(data) // 3
    data[third : 2 * third] = Random(1).randbytes(third)
    (tmp_path / "cache.db").write_bytes(data)

    found, errors, ended = asyncio.run(_read_and_write(tmp_path))

    assert found > 0
    assert {text.split(" (")[0] for text in errors} == {f"{tmp_path}/cache.db: {DAMAGED}"}
    assert ended == 500


async def _read_and_write(folder: Path) -> tuple[int, list[str], int]:
    """Return how many replies were found, what was wrong with others, how many writes ended."""
    found, errors = 0, list[str]()
    async with open_cache(folder) as cache:
        for n in range(500):
            try:
                found += cache.get(n.to_bytes(16, "big")) is not None
            except StorageError as error:
                errors.append(str(error))
        writes = [cache.put(Random(n).randbytes(16), b"new") for n in range(500)]
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
    return found, errors, sum(isinstance(one, bytes | StorageError) for one in outcomes)


@pytest.mark.parametrize("inside", ["", "deeper/still"])
def test_a_folder_that_is_a_file_is_named_with_a_remedy(tmp_path: Path, inside: str) -> None:
    (tmp_path / "file").write_text("mine")

    with pytest.raises(StorageError) as caught:
        use_cache(tmp_path / "file" / inside)

    assert str(caught.value).startswith(f"{tmp_path}/file")
    assert str(caught.value).endswith(": choose another folder")
    assert (tmp_path / "file").read_text() == "mine"


UNPRIVILEGED = """
import os, sys
from pathlib import Path
from codeclm.engine.calls.cache_file import open_cache_file
from codeclm.engine.store.writer import LedgerWriter
from codeclm.engine.disk.sqlite import StorageError

if os.geteuid() == 0:  # root may write everywhere
    os.setgid(65534)
    os.setuid(65534)
folder = Path(sys.argv[1])
for use in (
    lambda: open_cache_file(folder).__enter__(),
    lambda: open_cache_file(folder / "new").__enter__(),
    lambda: LedgerWriter(folder / "cache.db"),
):
    try:
        use()
        print("opened")
    except StorageError as error:
        print(error)
"""


@pytest.fixture
def shared() -> Generator[Path]:
    """A folder that anybody may enter, unlike those of ``tmp_path``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


def test_a_folder_that_cannot_be_written_is_named_with_a_remedy(shared: Path) -> None:
    use_cache(shared)
    before = (shared / "cache.db").read_bytes()
    (shared / "cache.db").chmod(0o444)
    shared.chmod(0o555)

    said = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED, str(shared)],
        capture_output=True,
        text=True,
        check=True,
    )

    cache, new, ledger = said.stdout.splitlines()
    assert cache == f"{shared}: Permission denied: choose another folder"
    assert ledger.startswith(f"{shared}/cache.db: ")
    assert "; check " in ledger
    assert new == f"{shared}/new: Permission denied: choose another folder"
    assert (shared / "cache.db").read_bytes() == before


# -- transactions and groups --------------------------------------------------------------------


def test_a_transaction_that_fails_leaves_nothing_and_the_next_one_works(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    with closing(connect(path)) as connection:
        connection.execute("CREATE TABLE t (x UNIQUE)")

        def twice() -> None:
            with transaction(connection, path):
                connection.execute("INSERT INTO t VALUES (1)")
                connection.execute("INSERT INTO t VALUES (1)")

        def bug() -> None:
            with transaction(connection, path):
                connection.execute("INSERT INTO t VALUES (2)")
                raise ZeroDivisionError

        with pytest.raises(StorageError, match="UNIQUE constraint failed"):
            twice()
        with pytest.raises(ZeroDivisionError):
            bug()
        with transaction(connection, path):
            connection.execute("INSERT INTO t VALUES (3)")
        rows = connection.execute("SELECT x FROM t").fetchall()

    assert rows == [(3,)]


class Groups:
    """A writer's two ends, noting what comes by; ``gate`` holds it up."""

    def __init__(self, *, fails: int | None = None) -> None:
        self.written: list[list[int]] = []
        self.told: list[tuple[list[int], str | None]] = []
        self.threads = set[str]()
        self.gate = threading.Event()
        self._fails = fails

    def write(self, group: Sequence[int]) -> None:
        self.gate.wait(10)
        self.threads.add(threading.current_thread().name)
        if self._fails in group:
            raise StorageError("full")
        self.written.append(list(group))

    def done(self, group: Sequence[int], error: StorageError | None) -> None:
        self.told.append((list(group), None if error is None else str(error)))


def test_items_are_written_in_order_in_groups_by_one_thread_and_told_of_once() -> None:
    groups = Groups()
    with GroupWriter[int]("scribe", groups.write, groups.done, max_group=8) as writer:
        for n in range(100):
            writer.put(n)
        groups.gate.set()

    assert [n for group in groups.written for n in group] == list(range(100))
    assert groups.told == [(group, None) for group in groups.written]
    assert max(map(len, groups.written)) == 8
    assert groups.threads == {"scribe"}
    assert writer.waiting == 0


def test_a_group_that_cannot_be_written_is_told_so_and_the_next_ones_are_tried() -> None:
    groups = Groups(fails=5)
    groups.gate.set()
    writer = GroupWriter[int]("scribe", groups.write, groups.done, max_group=4)
    for n in range(12):
        writer.put(n)
    with writer:
        pass

    assert groups.told == [([0, 1, 2, 3], None), ([4, 5, 6, 7], "full"), ([8, 9, 10, 11], None)]


def test_what_waits_for_a_writer_that_dies_is_told_so() -> None:
    """Before the thread took it up, in its hands, or put when it was long dead."""
    groups = Groups()
    with GroupWriter[int]("scribe", groups.write, groups.done, max_group=2) as writer:
        for n in range(5):
            writer.put(n)
        thread = kill("scribe")
        groups.gate.set()
        thread.join()
        writer.put(5)

    told = [n for group, _ in groups.told for n in group]
    assert sorted(told) == [0, 1, 2, 3, 4, 5]
    assert groups.told[-1] == (
        [5],
        "scribe: the thread that writes has died (SystemExit()); run `codeclm resume RUN`",
    )
    assert writer.waiting == 0


def test_a_writer_that_was_never_given_anything_ends() -> None:
    groups = Groups()
    with GroupWriter[int]("scribe", groups.write, groups.done):
        pass

    assert (groups.written, groups.told) == ([], [])


def test_a_database_that_is_replaced_is_noticed_and_one_that_grows_is_not(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    with closing(connect(path)) as connection:
        connection.execute("CREATE TABLE words (word TEXT)")
        presence = Presence([path])
        connection.execute("INSERT INTO words VALUES ('more')")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        presence.check()
        shutil.copy(path, tmp_path / "copy.db")
        (tmp_path / "copy.db").replace(path)

        with pytest.raises(StorageError, match=r"cache\.db: deleted, moved or replaced"):
            presence.check()


def test_a_log_that_is_deleted_is_noticed(tmp_path: Path) -> None:
    """What it holds would be gone with the process."""
    path = tmp_path / "cache.db"
    with closing(connect(path)) as connection:
        connection.execute("CREATE TABLE words (word TEXT)")
        presence = Presence([path])
        (tmp_path / "cache.db-wal").unlink()

        with pytest.raises(StorageError, match=r"cache\.db-wal: deleted"):
            presence.check()
