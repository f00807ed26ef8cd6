"""Folders and files that fail: a clear line, an exit status, nothing lost, and a way on."""

import os
import shlex
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from .processes import HANGS, FaultServer, codeclm, command, environment, fault_server, write_seeds
from .server import Rule

pytestmark = pytest.mark.slow


class Ended(NamedTuple):
    status: int
    said: str
    rows: bytes


@pytest.fixture(scope="module")
def shop() -> Iterator[FaultServer]:
    with fault_server() as server:
        yield server


@pytest.fixture(scope="module")
def undisturbed(shop: FaultServer, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    shop.reset()
    return run(shop, tmp_path_factory.mktemp("undisturbed")).rows


def arguments(server: FaultServer, folder: Path, *, out: str = "run", seeds: int = 3) -> list[str]:
    """A run on three seeds: some 100 calls."""
    file = write_seeds(folder / "seeds.jsonl", seeds)
    roles = ("--strong", "vllm/strong", "--target", "vllm/target", "--base-url", server.url)
    return [
        *("run", "--seeds", str(file), *roles, "--out", out, "--cache", "cache"),
        *("--per-metadata", "4", "--display", "none", "--no-preflight"),
    ]


def run(
    server: FaultServer,
    folder: Path,
    *,
    out: str = "run",
    seeds: int = 3,
    most: int | None = None,
) -> Ended:
    """Run to the end; *most* is the KiB that no file may outgrow."""
    line = arguments(server, folder, out=out, seeds=seeds)
    done = codeclm(*line, cwd=folder) if most is None else _confined(line, folder, most)
    export = folder / out / "alpaca.jsonl"
    rows = export.read_bytes() if export.exists() else b""
    return Ended(done.returncode, done.stderr + done.stdout, rows)


def _confined(line: list[str], folder: Path, most: int) -> subprocess.CompletedProcess[str]:
    shell = ("bash", "-c", f'ulimit -f {most}; eval "$0"', shlex.join(command(*line)))
    return subprocess.run(
        shell,
        cwd=folder,
        env=environment(PYTHONDONTWRITEBYTECODE="1"),  # half a .pyc would stay
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )


def answers(folder: Path) -> int:
    """How many answers are kept, in a cache that is whole."""
    if not (folder / "cache" / "cache.db").exists():
        return 0
    with closing(sqlite3.connect(folder / "cache" / "cache.db")) as cache:
        assert cache.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if not cache.execute("SELECT * FROM sqlite_master WHERE name = 'Cache'").fetchall():
            return 0
        return int(cache.execute("SELECT count(*) FROM Cache").fetchone()[0])


@pytest.mark.parametrize("blocks", [128, 800])
def test_a_full_disk_stops_the_run_and_costs_no_answer_that_was_kept(
    blocks: int, shop: FaultServer, tmp_path: Path
) -> None:
    """No file may outgrow so many KiB: too few to begin, or to go on.

    With room again, the same command goes on.
    """
    (tmp_path / "elsewhere").mkdir()
    undisturbed = run(shop, tmp_path / "elsewhere", seeds=20).rows
    shop.reset(latency=0.005)
    full = run(shop, tmp_path, seeds=20, most=blocks)
    before, kept = len(shop.seen()), answers(tmp_path)

    again = run(shop, tmp_path, seeds=20)

    assert full.status == 1
    assert "Traceback" not in full.said
    assert "resume" in full.said
    assert ("cache.db" in full.said) or ("ledger.sqlite" in full.said)
    assert again == (0, again.said, undisturbed)
    assert len(shop.seen()) - before == answers(tmp_path) - kept


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named_before_any_call(shop: FaultServer, tmp_path: Path) -> None:
    shop.reset()
    (tmp_path / "locked").mkdir(mode=0o500)

    ended = run(shop, tmp_path, out="locked/run")

    assert ended.status == 2
    assert "locked/run: cannot be created (Permission denied): choose another folder" in ended.said
    assert shop.seen() == []


def test_a_folder_that_cannot_be_made_is_named_before_any_call(
    shop: FaultServer, tmp_path: Path
) -> None:
    shop.reset()
    (tmp_path / "file").write_bytes(b"")

    ended = run(shop, tmp_path, out="file/run")

    assert (ended.status, shop.seen()) == (2, [])
    assert "file/run: cannot be created (Not a directory): choose another folder" in ended.said


def test_a_cache_folder_that_cannot_be_made_is_named_before_any_call(
    shop: FaultServer, tmp_path: Path
) -> None:
    shop.reset()
    (tmp_path / "cache").write_bytes(b"")

    ended = run(shop, tmp_path)

    assert (ended.status, shop.seen()) == (1, [])
    assert "cache" in ended.said
    assert "choose another folder" in ended.said
    assert "Traceback" not in ended.said


def noise(path: Path) -> None:
    """Overwrite the file, its log too."""
    path.write_bytes(Random(1).randbytes(path.stat().st_size))


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def hurt_inside(path: Path) -> None:
    """Leave the header as it is and overwrite pages behind it."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 4)
        file.write(Random(1).randbytes(size // 2))


Harm = Callable[[Path], None]


@pytest.mark.parametrize("harm", [noise, cut_off, hurt_inside])
def test_a_damaged_cache_stops_with_its_name_and_is_replaced_once_moved_away(
    harm: Harm, shop: FaultServer, undisturbed: bytes, tmp_path: Path
) -> None:
    shop.reset()
    run(shop, tmp_path)
    harm(tmp_path / "cache" / "cache.db")

    ended = run(shop, tmp_path, out="second")
    (tmp_path / "cache").rename(tmp_path / "hurt")
    after = run(shop, tmp_path, out="second")

    assert ended.status == 1
    assert "cache.db" in ended.said
    assert "Traceback" not in ended.said
    assert after == (0, after.said, undisturbed)


@pytest.mark.parametrize("harm", [noise, cut_off, hurt_inside])
def test_a_damaged_ledger_stops_with_its_name_and_is_made_anew_for_nothing(
    harm: Harm, shop: FaultServer, undisturbed: bytes, tmp_path: Path
) -> None:
    """The answers are in the cache: once the ledger is moved away, no call is made."""
    shop.reset()
    run(shop, tmp_path)
    paid = len(shop.seen())
    harm(tmp_path / "run" / "ledger.sqlite")

    ended = run(shop, tmp_path)
    (tmp_path / "run").rename(tmp_path / "hurt")
    after = run(shop, tmp_path)

    assert ended.status == 1
    assert "ledger.sqlite" in ended.said
    assert "Traceback" not in ended.said
    assert after == (0, after.said, undisturbed)
    assert len(shop.seen()) == paid


def test_the_second_process_on_a_run_is_refused_with_the_first_ones_id(
    shop: FaultServer, tmp_path: Path
) -> None:
    shop.reset(rules=(Rule(fault="stalled", after=5),))
    first = subprocess.Popen(
        command(*arguments(shop, tmp_path)),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    shop.wait(5, timeout=HANGS)

    second = run(shop, tmp_path)
    first.send_signal(signal.SIGKILL)
    first.wait()

    assert second.status == 2
    assert f"run: process {first.pid} on " in second.said
    assert "is working on this run: wait for it, or stop it" in second.said


def test_two_runs_share_a_cache_at_the_same_time(
    shop: FaultServer, undisturbed: bytes, tmp_path: Path
) -> None:
    """Both come to the same dataset, and every answer is kept once."""
    shop.reset(latency=0.01)
    runs = [
        subprocess.Popen(
            command(*arguments(shop, tmp_path, out=out)),
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for out in ("one", "two")
    ]

    statuses = [process.wait(HANGS) for process in runs]

    asked = {one.digest for one in shop.seen()}
    rows = [(tmp_path / out / "alpaca.jsonl").read_bytes() for out in ("one", "two")]
    assert (statuses, rows) == ([0, 0], [undisturbed, undisturbed])
    assert answers(tmp_path) == len(asked)


def test_answers_under_keys_of_another_version_lie_idle(
    shop: FaultServer, undisturbed: bytes, tmp_path: Path
) -> None:
    """They are neither served nor thrown away."""
    shop.reset()
    run(shop, tmp_path)
    paid = len(shop.seen())
    with closing(sqlite3.connect(tmp_path / "cache" / "cache.db")) as cache, cache:
        cache.execute("UPDATE Cache SET key = randomblob(16)")

    after = run(shop, tmp_path, out="second")

    assert after == (0, after.said, undisturbed)
    assert (len(shop.seen()), answers(tmp_path)) == (2 * paid, 2 * paid)


def test_answers_from_the_future_are_as_good(
    shop: FaultServer, undisturbed: bytes, tmp_path: Path
) -> None:
    """The clock was set back by ten years since they were stored."""
    shop.reset()
    run(shop, tmp_path)
    paid = len(shop.seen())
    with closing(sqlite3.connect(tmp_path / "cache" / "cache.db")) as cache, cache:
        cache.execute("UPDATE Cache SET store_time = store_time + 3e8, access_time = 9e9")

    after = run(shop, tmp_path, out="second")

    assert after == (0, after.said, undisturbed)
    assert len(shop.seen()) == paid


def _old_ledger(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as ledger:
        ledger.execute("PRAGMA user_version = 2")


def _old_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"format": 1}')


@pytest.mark.parametrize("age", [_old_ledger, _old_manifest])
def test_a_folder_of_another_version_is_refused_in_one_line_before_any_call(
    age: Harm, shop: FaultServer, undisturbed: bytes, tmp_path: Path
) -> None:
    """Once it is moved away, the answers in the cache make the same dataset again."""
    shop.reset()
    run(shop, tmp_path)
    paid = len(shop.seen())
    age(tmp_path / "run")

    ended = run(shop, tmp_path)
    (tmp_path / "run").rename(tmp_path / "old")
    after = run(shop, tmp_path)

    (line,) = (line for line in ended.said.splitlines() if "another version" in line)
    assert ended.status == 2
    assert "move the run's folder away and run again" in line
    assert after == (0, after.said, undisturbed)
    assert len(shop.seen()) == paid


def test_changed_seeds_are_refused_under_the_same_name(shop: FaultServer, tmp_path: Path) -> None:
    shop.reset()
    run(shop, tmp_path)
    paid = len(shop.seen())
    line = arguments(shop, tmp_path)
    write_seeds(tmp_path / "seeds.jsonl", 4)

    done = codeclm(*line, cwd=tmp_path)

    assert done.returncode == 2
    assert "the seed files have changed" in done.stderr
    assert len(shop.seen()) == paid
