"""Whole runs against servers that refuse: nothing is lost, nothing is paid for twice.

How much of a limit is used is a matter of time: `tests/test_dispatch_quotas.py` owns the clock for
it, `scripts/bench --gate quotas` measures.
"""

import json
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from .processes import HANGS, FaultServer, codeclm, command, environment, fault_server, write_seeds
from .quota import QuotaSettings
from .server import Rule, Seen, Settings

pytestmark = pytest.mark.slow


class Finished(NamedTuple):
    rows: bytes
    paid: Counter[str]
    """How often each content was paid for."""
    seen: list[Seen]


@pytest.fixture(scope="module")
def strict() -> Iterator[FaultServer]:
    with fault_server() as server:
        yield server


@pytest.fixture(scope="module")
def undisturbed(strict: FaultServer, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return finish(strict, tmp_path_factory.mktemp("undisturbed"), Settings())


def line(server: FaultServer, folder: Path, *arguments: str) -> list[str]:
    """A run on six seeds: some 100 calls."""
    seeds = write_seeds(folder / "seeds.jsonl", 6)
    roles = ("--strong", "vllm/strong", "--target", "vllm/target", "--base-url", server.url)
    return [
        *("run", "--seeds", str(seeds), *roles, "--out", "run", "--cache", "cache"),
        *("--per-metadata", "4", "--max-iterations", "1", "--no-preflight", *arguments),
    ]


def finish(server: FaultServer, folder: Path, settings: Settings, *arguments: str) -> Finished:
    """Run to the end, which must be a good one."""
    server.reset(settings)
    done = codeclm(*line(server, folder, *arguments, "--display", "none"), cwd=folder)
    assert done.returncode == 0, done.stderr
    return finished(server, folder)


def finished(server: FaultServer, folder: Path) -> Finished:
    seen = server.seen()
    paid = Counter(one.digest for one in seen if one.paid)
    return Finished((folder / "run" / "alpaca.jsonl").read_bytes(), paid, seen)


def test_calls_that_are_refused_once_are_sent_once_more(
    strict: FaultServer, undisturbed: Finished, tmp_path: Path
) -> None:
    """15 % of all contents, while the others run on."""
    rule = Rule(fault="429", value="0.05", share=0.15, times=1)

    found = finish(strict, tmp_path, Settings(rules=(rule,)), "--max-concurrent", "8")

    refused = Counter(one.digest for one in found.seen if one.outcome == "429")
    assert (found.rows, found.paid) == (undisturbed.rows, undisturbed.paid)
    assert len(refused) >= 10
    assert set(refused.values()) == {1}


@pytest.mark.parametrize(
    "quota",
    [
        QuotaSettings(requests_per_minute=6000, kind="bucket", span=0.08, retry_after="seconds"),
        QuotaSettings(requests_per_minute=6000, kind="window", span=0.08, retry_after="ms"),
        QuotaSettings(requests_per_minute=6000, kind="window", span=0.08, retry_after="none"),
        QuotaSettings(requests_per_minute=6000, kind="bucket", span=0.08, headers=True),
    ],
    ids=["bucket", "window", "silent window", "bucket that tells what is left"],
)
def test_a_quota_that_nobody_told_of_costs_no_answer(
    quota: QuotaSettings, strict: FaultServer, undisturbed: Finished, tmp_path: Path
) -> None:
    """There is room for eight requests at once, and for a hundred in a second."""
    found = finish(strict, tmp_path, Settings(quotas={"strong": quota}))

    assert (found.rows, found.paid) == (undisturbed.rows, undisturbed.paid)


def test_a_limit_that_is_set_holds_back_all_but_the_first_call(
    strict: FaultServer, tmp_path: Path
) -> None:
    """At one request a minute the run tells that the next one waits for its time."""
    strict.reset()
    process = started(strict, tmp_path, "--json", "--set", "strong.requests_per_minute=1")
    with process:
        try:
            assert process.stderr is not None
            paused = 0.0
            while paused <= 0.0:
                told = process.stderr.readline()
                if told.startswith("{"):
                    endpoints = json.loads(told)["endpoints"]
                    paused = max((one["paused"] for one in endpoints), default=0.0)
            seen = strict.seen()
        finally:
            process.send_signal(signal.SIGKILL)

    assert 0 < paused <= 61
    assert len(seen) == 1


def test_an_endpoint_in_trouble_does_not_stop_another(
    strict: FaultServer, undisturbed: Finished, tmp_path: Path
) -> None:
    """While the target model refuses everybody, the strong one answers all that it can."""
    free = [one for one in undisturbed.seen if one.model == "strong" and one.purpose != "score"]
    trouble = Rule(fault="429", value="0.05", model="target")
    strict.reset(rules=(trouble,))
    with started(strict, tmp_path, "--display", "none") as process:
        during = strict.wait(len(free), timeout=HANGS)
        models = {one.model for one in strict.seen() if one.paid}
        strict.set()
        process.communicate(timeout=HANGS)

    assert during.answered == len(free)
    assert models == {"strong"}
    assert process.returncode == 0
    found = finished(strict, tmp_path)
    assert (found.rows, found.paid) == (undisturbed.rows, undisturbed.paid)


def started(server: FaultServer, folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command(*line(server, folder, *arguments)),
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
