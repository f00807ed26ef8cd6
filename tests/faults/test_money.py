"""What was paid is on disk with the answer: no kill, no lost file and no full disk hides any."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .processes import HANGS, FaultServer, codeclm, command, environment, fault_server, write_seeds
from .test_storage import answers

pytestmark = pytest.mark.slow

ROLES = ("strong", "target", "judge")
WIDTH = 4
"""Calls in flight at each of the two endpoints."""


@pytest.fixture(scope="module")
def shop() -> Iterator[FaultServer]:
    with fault_server() as server:
        yield server


def line(server: FaultServer, folder: Path, *more: object) -> list[str]:
    file = write_seeds(folder / "seeds.jsonl", 12)
    roles = ("--strong", "vllm/strong", "--target", "vllm/target", "--base-url", server.url)
    return command(
        *(
            "run",
            "--seeds",
            file,
            *roles,
            "--out",
            "run",
            "--cache",
            "cache",
            "--max-concurrent",
            WIDTH,
        ),
        *("--per-metadata", 4, "--display", "none", *more),
    )


def start(server: FaultServer, folder: Path, *more: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        line(server, folder, *more),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def recorded_calls(folder: Path) -> int:
    """What the run says that all its sessions paid for."""
    told = codeclm("status", "run", "--json", cwd=folder)
    return int(json.loads(told.stdout)["calls_in_all"])


def paid(server: FaultServer) -> int:
    return sum(seen.paid for seen in server.seen())


def move_away(path: Path) -> None:
    path.rename(f"{path}.away")


def test_a_budget_of_calls_holds_through_kills(shop: FaultServer, tmp_path: Path) -> None:
    """What is lost by a kill is on the wire, or on its way to the disk."""
    shop.reset(latency=0.005)
    lost = 0
    for _ in range(5):
        process = start(shop, tmp_path, "--max-calls", 100)
        shop.wait(shop.totals().answered + 15, timeout=HANGS)
        process.kill()
        process.communicate()
        before, lost = lost, paid(shop) - answers(tmp_path)
        assert lost - before <= 2 * 2 * WIDTH
        assert recorded_calls(tmp_path) == answers(tmp_path)

    ended = start(shop, tmp_path, "--max-calls", 100)
    _, told = ended.communicate(timeout=HANGS)

    assert recorded_calls(tmp_path) == answers(tmp_path) == paid(shop) - lost == 100
    assert ended.returncode == 4
    assert "budget.calls: 100 of 100 spent" in told
    assert "to continue: codeclm resume run --set budget.calls=N" in told
    assert (tmp_path / "run" / "alpaca.jsonl").exists()


def test_a_budget_of_money_is_not_overrun_by_what_is_in_flight(
    shop: FaultServer, tmp_path: Path
) -> None:
    """Sixteen calls in flight cost up to a hundredth of the budget each."""
    shop.reset(latency=0.01)
    prices = [f"--set={role}.price_{kind}=20" for role in ROLES for kind in ("input", "output")]
    ended = start(shop, tmp_path, "--max-concurrent", 16, "--max-cost", 1, *prices)
    _, told = ended.communicate(timeout=HANGS)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    by_stage = sum(cost["money"] for cost in summary["costs"])

    assert ended.returncode == 4
    assert "budget.money: " in told
    assert 0.9 <= summary["money_in_all"] <= 1.01
    assert by_stage == pytest.approx(summary["money_in_all"])
    assert set(summary["prices"].values()) == {"yours"}


def test_a_budget_of_hours_ends_the_run(shop: FaultServer, tmp_path: Path) -> None:
    shop.reset(latency=0.05)
    ended = start(shop, tmp_path, "--max-hours", 0.0001)
    _, told = ended.communicate(timeout=HANGS)

    assert ended.returncode == 4
    assert "budget.hours: 0.0001 of 0.0001 spent" in told


def test_a_budget_of_money_needs_the_prices_of_whoever_is_paid(
    shop: FaultServer, tmp_path: Path
) -> None:
    shop.reset()
    prices = ("--set=strong.price_input=1", "--set=strong.price_output=1")
    keyed = ("--set", 'target.api_key="PATH"')
    ended = start(shop, tmp_path, "--max-cost", 1, *prices, *keyed)
    _, told = ended.communicate(timeout=HANGS)

    assert ended.returncode == 2
    assert "budget.money: no price is known for target" in told
    assert (paid(shop), (tmp_path / "run").exists()) == (0, False)


@pytest.mark.parametrize(
    ("lost", "named", "way_on", "flags"),
    [
        ("cache", "cache/cache.db", "codeclm resume run", ["--pay-again"]),
        ("run", "run/ledger.sqlite", "run the same command again", []),
    ],
)
@pytest.mark.parametrize("remove", [shutil.rmtree, move_away])
def test_a_folder_that_is_deleted_or_moved_stops_the_run_and_the_way_on_works(
    lost: str,
    named: str,
    way_on: str,
    flags: list[str],
    remove: Callable[[Path], object],
    shop: FaultServer,
    tmp_path: Path,
) -> None:
    shop.reset(latency=0.1)
    process = start(shop, tmp_path)
    shop.wait(5, timeout=HANGS)
    remove(tmp_path / lost)
    _, told = process.communicate(timeout=HANGS)
    shop.reset()

    again = start(shop, tmp_path, *flags)
    again.communicate(timeout=HANGS)

    assert process.returncode == 1
    assert f"{named}: deleted, moved or replaced while in use" in told
    assert way_on in told
    assert "Traceback" not in told
    assert again.returncode == 0


def test_results_that_cannot_be_written_leave_a_way_on(shop: FaultServer, tmp_path: Path) -> None:
    """As on a full disk: the message says what failed, and that nothing else did."""
    shop.reset()
    start(shop, tmp_path, "--max-calls", 5).communicate(timeout=HANGS)
    (tmp_path / "run" / "summary.json").unlink()
    (tmp_path / "run" / "summary.json").mkdir()

    ended = start(shop, tmp_path)
    _, told = ended.communicate(timeout=HANGS)
    (tmp_path / "run" / "summary.json").rmdir()
    before = paid(shop)
    again = start(shop, tmp_path)
    again.communicate(timeout=HANGS)

    assert ended.returncode == 1
    assert "summary.json" in told
    assert "to continue: codeclm resume run" in told
    assert "Traceback" not in told
    assert (again.returncode, paid(shop)) == (0, before)
