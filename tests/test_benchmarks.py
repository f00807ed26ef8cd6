"""The benchmarks run, and `codeclm bench` tells what an endpoint takes.

How fast anything is depends on the machine: `scripts/bench --gate` holds that against what is
promised, on a quiet one.
"""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.bench.endpoint import Level, quantile, suggestion

from .commands import codeclm
from .servers import ReceivedRequest, Say, Server, chat, say

ROOT = Path(__file__).resolve().parents[1]

script = pytest.mark.skipif(
    not (ROOT / "benchmarks" / "callpath.py").exists() or sys.platform != "linux",
    reason="the benchmarks are not part of the wheel, and read /proc",
)


def quick(name: str, out: Path, *arguments: str) -> dict[str, Any]:
    """Run a benchmark in its quick form and return its results."""
    ended = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--quick", "--out", out, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    results: dict[str, Any] = json.loads((out / f"{name}.json").read_text("utf-8"))
    return results


# -- the scripts ------------------------------------------------------------------------------

TABLES = {
    "callpath": {"cells", "parts"},
    "replay": {"cached", "resumed"},
    "limits": {"known", "unknown", "storms"},
    "quotas": {"used", "refusals"},
    "rates": {"limits"},
    "pipeline": {"runs"},
    "memory": {"summary", "series"},
}


@script
@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_a_benchmark_runs_and_keeps_what_it_measured(name: str, tmp_path: Path) -> None:
    results = quick(name, tmp_path)

    assert set(results) == {"circumstances", *TABLES[name]}
    assert all(results[table] for table in TABLES[name])


@script
def test_a_gate_that_is_missed_is_named_with_its_figure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    measuring = importlib.import_module("benchmarks.measuring")
    gates = [measuring.Gate("kept", 0.99, least=0.98), measuring.Gate("missed", 3, most=2.5)]

    with pytest.raises(SystemExit, match=r"^gates missed: missed \(3\)$"):
        measuring.hold(measuring.Job("gate", None), gates)
    measuring.hold(measuring.Job("quick", None), gates)
    measuring.hold(measuring.Job("gate", None), gates[:1])

    assert capsys.readouterr().out.count("MISSED") == 1


@script
@pytest.mark.slow
def test_every_row_comes_and_none_is_paid_twice(tmp_path: Path) -> None:
    """The adapter that is held against the rivals loses no row to a 429, and little to a kill."""
    found = quick("rivals", tmp_path, "--only", "codeclm")

    assert [row["note"] for row in found["clean"] + found["refused"]] == ["", ""]
    assert found["refused"][0]["asked"] < 200 * 1.3
    (killed,) = found["killed"]
    assert killed["rows"] == 600
    assert killed["paid again"] <= 64


# -- codeclm bench ----------------------------------------------------------------------------


@pytest.fixture
def canned() -> Iterator[str]:
    """The built-in server, 20 ms away."""
    with subprocess.Popen(
        [sys.executable, "-m", "codeclm.engine.bench.server", "20"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        process.kill()


def test_bench_tells_what_this_machine_can_do(tmp_path: Path) -> None:
    ended = codeclm("bench", "--calls", "200", "--json", cwd=tmp_path)

    assert ended.returncode == 0, ended.stderr
    trials = json.loads(ended.stdout)
    assert [(one["in_flight"], one["calls"]) for one in trials] == [
        (64, 200),
        (256, 200),
        (1000, 200),
    ]
    assert all(one["replayed_per_second"] > 0 < one["calls_per_second"] for one in trials)


def test_bench_finds_how_many_calls_an_endpoint_takes_at_once(canned: str, tmp_path: Path) -> None:
    """Calls in flight double until they are spent, and settings are suggested."""
    ended = codeclm(
        *("bench", "--model", "vllm/m", "--base-url", canned, "--calls", "100"), cwd=tmp_path
    )

    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:7]] == ["1", "2", "4", "8", "16", "32"]
    assert '  model = "vllm/m"' in lines


def test_bench_shows_latencies_and_writes_nothing_into_the_users_cache(
    canned: str, tmp_path: Path
) -> None:
    ended = codeclm(
        *("bench", "--model", "vllm/m", "--base-url", canned, "--calls", "8", "--json"),
        cwd=tmp_path,
    )

    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert [(one["in_flight"], one["answered"]) for one in found["levels"]] == [(1, 4), (2, 4)]
    assert all(0.02 <= one["p50"] <= one["p99"] for one in found["levels"])
    assert list(tmp_path.iterdir()) == []


async def test_bench_stops_where_it_is_refused_and_suggests_a_pace(
    server: Server, tmp_path: Path
) -> None:
    """No call is spent beyond the level that met a 429, and what went before is the pace."""

    def answer(asked: ReceivedRequest) -> Say:
        del asked
        if len(server.asked) > 12:
            return say({"error": {"message": "too fast"}}, status=429)
        return say(chat())

    server.always = answer
    arguments = ("bench", "--model", "vllm/m", "--base-url", f"{server.url}/v1", "--json")
    ended = await anyio.to_thread.run_sync(partial(codeclm, *arguments, cwd=tmp_path))

    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert [one["refused"] for one in found["levels"]] == [0, 0, 4]
    assert set(found["suggested"]) == {"max_concurrent", "requests_per_minute"}
    assert found["notes"] == ["it refused calls (429) with 4 in flight"]


async def test_bench_with_a_wrong_key_is_one_line(server: Server, tmp_path: Path) -> None:
    """One refusal is enough: no further call is made."""
    server.always = say({"error": {"message": "wrong key"}}, status=401)
    arguments = ("bench", "--model", "vllm/m", "--base-url", f"{server.url}/v1")
    ended = await anyio.to_thread.run_sync(partial(codeclm, *arguments, cwd=tmp_path))

    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "401" in ended.stderr
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--base-url", "http://127.0.0.1:1/v1"), "codeclm: --model: required with --base-url"),
        (("--model", "nowhere/m"), "codeclm: --model: unknown provider 'nowhere'"),
        (("--model", "openai/m"), "codeclm: --model: openai needs a key: set OPENAI_API_KEY"),
    ],
)
def test_bench_says_what_it_needs(arguments: tuple[str, ...], says: str, tmp_path: Path) -> None:
    ended = codeclm("bench", *arguments, cwd=tmp_path)

    assert ended.returncode == 2
    assert ended.stderr.startswith(says)


def level(in_flight: int, rate: float, refused: int = 0) -> Level:
    return Level(in_flight, 10, refused, 0, rate, rate * 100, 0.1, 0.2, 0.3)


def test_the_fewest_calls_in_flight_that_are_nearly_best_are_suggested() -> None:
    levels = [level(1, 10), level(2, 19), level(4, 36), level(8, 38), level(16, 39)]

    assert suggestion(levels) == {"max_concurrent": 4}


def test_a_level_that_was_refused_is_not_suggested() -> None:
    levels = [level(1, 10), level(2, 20), level(4, 100, refused=3)]

    assert suggestion(levels) == {"max_concurrent": 2, "requests_per_minute": 1200}


@given(st.lists(st.floats(0.1, 1e6), min_size=1), st.floats(0.01, 1.0))
def test_a_quantile_is_one_of_the_values_and_at_least_so_many_are_not_above_it(
    values: list[float], share: float
) -> None:
    found = quantile(sorted(values), share)

    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-6
