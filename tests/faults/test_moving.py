"""A killed run goes on in another folder with another cache, and pays for nothing again."""

import shutil
import sqlite3
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from .processes import (
    HANGS,
    FaultServer,
    codeclm,
    command,
    environment,
    fault_server,
    write_seeds,
)

pytestmark = pytest.mark.slow

SEEDS = 12
WIDTH = 4


@pytest.fixture(scope="module")
def shop() -> Iterator[FaultServer]:
    with fault_server() as server:
        yield server


def arguments(server: FaultServer, folder: Path) -> tuple[object, ...]:
    seeds = write_seeds(folder / "seeds.jsonl", SEEDS)
    return (
        *("run", "--strong", "vllm/strong", "--target", "vllm/target", "--base-url", server.url),
        *(
            "--seeds",
            seeds,
            "--out",
            "run",
            "--cache",
            "cache",
            "--max-concurrent",
            WIDTH,
            "--per-metadata",
            2,
        ),
        *("--display", "none", "--no-preflight"),
    )


def answers(cache: Path) -> int:
    with closing(sqlite3.connect(cache / "cache.db")) as database:
        return int(database.execute("SELECT count(*) FROM Cache").fetchone()[0])


def paid(server: FaultServer) -> int:
    return sum(seen.paid for seen in server.seen())


@pytest.mark.parametrize("sessions", [1, 2])
def test_a_killed_run_goes_on_elsewhere_and_pays_for_nothing_again(
    sessions: int, shop: FaultServer, tmp_path: Path
) -> None:
    undisturbed, killed, elsewhere = (tmp_path / name for name in ("whole", "killed", "elsewhere"))
    for folder in (undisturbed, killed, elsewhere):
        folder.mkdir()
    shop.reset()
    codeclm(*arguments(shop, undisturbed), cwd=undisturbed)
    rows = (undisturbed / "run" / "alpaca.jsonl").read_bytes()
    in_all = answers(undisturbed / "cache")

    shop.reset(latency=0.005)
    for _ in range(sessions):
        with subprocess.Popen(
            command(*arguments(shop, killed)), cwd=killed, env=environment(), stderr=subprocess.PIPE
        ) as process:
            shop.wait(shop.totals().answered + 60, timeout=HANGS)
            process.kill()
    kept, before = answers(killed / "cache"), paid(shop)
    packed = codeclm("pack", "run", "--to", "moved.tar.gz", cwd=killed)
    assert packed.returncode == 0, packed.stderr
    assert f"{kept:,} answers" in packed.stderr
    (killed / "moved.tar.gz").rename(elsewhere / "moved.tar.gz")
    (killed / "seeds.jsonl").unlink()
    (killed / "cache").rename(killed / "gone")
    unpacked = codeclm("unpack", "moved.tar.gz", "--to", "here", cwd=elsewhere)
    assert unpacked.returncode == 0, unpacked.stderr
    resumed = codeclm(
        "resume", "here", "--trust", "--no-preflight", "--display", "none", cwd=elsewhere
    )

    assert resumed.returncode == 0, resumed.stderr
    assert (elsewhere / "here" / "alpaca.jsonl").read_bytes() == rows
    assert paid(shop) - before == in_all - kept
    assert answers(elsewhere / "here" / "cache") == in_all


def test_a_copied_folder_says_what_it_costs_before_anything_is_paid_again(
    shop: FaultServer, tmp_path: Path
) -> None:
    shop.reset(latency=0.005)
    prices = [
        f"--set={role}.price_{kind}=20"
        for role in ("strong", "target")
        for kind in ("input", "output")
    ]
    with subprocess.Popen(
        command(*arguments(shop, tmp_path), *prices), cwd=tmp_path, env=environment()
    ) as process:
        shop.wait(60, timeout=HANGS)
        process.kill()
    before = paid(shop)
    manifest = (tmp_path / "run" / "manifest.json").read_bytes()

    go_on = ("resume", "run", "--no-preflight", "--display", "none")
    refused = codeclm(*go_on, "--cache", "other", cwd=tmp_path)
    assert (refused.returncode, paid(shop)) == (2, before)
    assert f"the run used {tmp_path}/cache" in refused.stderr
    assert "--pay-again" in refused.stderr
    assert (tmp_path / "run" / "manifest.json").read_bytes() == manifest

    (tmp_path / "seeds.jsonl").rename(tmp_path / "moved.jsonl")
    lost = codeclm(*go_on, cwd=tmp_path)
    assert (lost.returncode, paid(shop)) == (2, before)
    assert "seeds.jsonl: no such file" in lost.stderr

    done = codeclm(*go_on, "--seeds", "moved.jsonl", "--cache", "cache", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    finished = paid(shop)
    # Nothing is left to pay for, so that no cache is missed.
    again = codeclm(*go_on, "--cache", "other", cwd=tmp_path)
    assert (again.returncode, paid(shop)) == (0, finished)


def test_who_says_so_pays_again(shop: FaultServer, tmp_path: Path) -> None:
    shop.reset(latency=0.005)
    with subprocess.Popen(
        command(*arguments(shop, tmp_path)), cwd=tmp_path, env=environment()
    ) as process:
        shop.wait(60, timeout=HANGS)
        process.kill()
    (tmp_path / "cache").rename(tmp_path / "away")

    refused = codeclm("resume", "run", "--no-preflight", cwd=tmp_path)
    paying = codeclm("resume", "run", "--no-preflight", "--pay-again", cwd=tmp_path)

    assert (refused.returncode, paying.returncode) == (2, 0)


def without_answers(pack: Path, to: Path) -> None:
    """Copy *pack*, but for the file of its answers."""
    with tarfile.open(pack) as old, tarfile.open(to, "w:gz", format=tarfile.GNU_FORMAT) as new:
        for member in old:
            if member.name != "answers/000000.jsonl":
                new.addfile(member, old.extractfile(member))


def test_a_pack_that_lacks_answers_says_so_and_pays_for_none_unasked(
    shop: FaultServer, tmp_path: Path
) -> None:
    shop.reset(latency=0.005)
    with subprocess.Popen(
        command(*arguments(shop, tmp_path)), cwd=tmp_path, env=environment()
    ) as process:
        shop.wait(60, timeout=HANGS)
        process.kill()
    before, cache = paid(shop), tmp_path / "cache"
    assert codeclm("pack", "run", "--to", "whole.tar.gz", cwd=tmp_path).returncode == 0
    without_answers(tmp_path / "whole.tar.gz", tmp_path / "emptied.tar.gz")
    shutil.copytree(cache, tmp_path / "half")
    with closing(sqlite3.connect(tmp_path / "half" / "cache.db")) as database:
        database.execute("DELETE FROM Cache WHERE rowid % 2")
        database.commit()
    cache.rename(tmp_path / "away")

    for name, source in (("gone", "cache"), ("halved", "half")):
        pack = ("pack", "run", "--cache", source, "--to", f"{name}.tar.gz")
        refused = codeclm(*pack, cwd=tmp_path)
        assert (refused.returncode, (tmp_path / f"{name}.tar.gz").exists()) == (2, False)
        assert "To go on would pay again for" in refused.stderr
        assert codeclm(*pack, "--pay-again", cwd=tmp_path).returncode == 0
    for name in ("gone", "halved", "emptied"):
        unpacked = codeclm("unpack", f"{name}.tar.gz", "--to", name, cwd=tmp_path)
        assert unpacked.returncode == 0, unpacked.stderr
        assert "lacks answers that the run has paid for" in unpacked.stderr
        resumed = codeclm("resume", name, "--trust", "--no-preflight", cwd=tmp_path)
        assert (resumed.returncode, paid(shop)) == (2, before)
        assert "--pay-again" in resumed.stderr
    whole = codeclm("unpack", "whole.tar.gz", "--to", "whole", cwd=tmp_path)
    assert "paid for" not in whole.stderr
