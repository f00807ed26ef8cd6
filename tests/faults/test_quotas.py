"""Limits are kept and used: real runs against a server that enforces them to the millisecond."""

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .driving import FaultServer, command, environment, fault_server, write_seeds
from .measuring import use
from .quota import QuotaSettings
from .server import Rule, Settings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def strict() -> Iterator[FaultServer]:
    with fault_server() as server:
        yield server


def test_a_known_request_limit_is_used_to_99_percent_without_a_refusal(
    strict: FaultServer, tmp_path: Path
) -> None:
    quota = QuotaSettings(requests_per_minute=6000, kind="bucket", span=0.1)

    found = use(strict, tmp_path, quota, "--set", "strong.requests_per_minute=6000", lead=1)

    assert found.refused == 0, found
    assert found.requests >= 0.99, found


def test_a_known_token_limit_is_used_to_95_percent_without_a_refusal(
    strict: FaultServer, tmp_path: Path
) -> None:
    quota = QuotaSettings(tokens_per_minute=1_500_000, kind="bucket", span=2.0)

    found = use(
        strict, tmp_path, quota, "--set", "strong.tokens_per_minute=1500000", lead=3, span=5
    )

    assert found.refused == 0, found
    assert found.tokens >= 0.95, found


@pytest.mark.parametrize(
    "said", [pytest.param("seconds", marks=pytest.mark.slow), pytest.param("none")]
)
def test_an_unknown_limit_is_found_and_used_to_85_percent(
    said: str, strict: FaultServer, tmp_path: Path
) -> None:
    """Under steady refusals the pace neither freezes nor swings."""
    quota = QuotaSettings(requests_per_minute=6000, kind="bucket", span=1.0, retry_after=said)

    found = use(strict, tmp_path, quota, lead=2, span=4)

    assert found.requests >= 0.85, found
    assert min(found.by_second) >= 60, found


def finish(server: FaultServer, folder: Path, settings: Settings, *arguments: object) -> float:
    """Run to the end and return the seconds from the first request to the last answer."""
    server.reset(settings)
    seeds = write_seeds(folder / "seeds.jsonl", 30)
    roles = ("--strong", "vllm/strong", "--target", "vllm/target", "--base-url", server.url)
    subprocess.run(
        command(
            *("run", "--seeds", seeds, *roles, "--out", folder / "run"),
            *("--cache", folder / "cache", "--display", "none", *arguments),
        ),
        env=environment(),
        capture_output=True,
        timeout=60,
        check=True,
    )
    seen = server.seen()
    return max(one.answered or 0 for one in seen) - seen[0].received


@pytest.mark.slow
def test_one_refusal_in_seven_costs_less_than_a_third_of_the_time(
    strict: FaultServer, tmp_path: Path
) -> None:
    """15 % of requests are refused once for a second: the others run on meanwhile.

    Long enough that the last item's own waits, which nothing can fill, do not decide.
    """
    arguments = ("--per-metadata", 12, "--max-iterations", 1, "-c", 8)
    folders = tmp_path / "ideal", tmp_path / "refused"
    for folder in folders:
        folder.mkdir()
    rule = Rule(fault="429", value="1", share=0.15, times=1)

    with fault_server() as kind, ThreadPoolExecutor() as both:
        one = both.submit(finish, kind, folders[0], Settings(latency=0.1), *arguments)
        other = both.submit(
            finish, strict, folders[1], Settings(latency=0.1, rules=(rule,)), *arguments
        )
        ideal, took = one.result(), other.result()

    assert sum(one.outcome == "429" for one in strict.seen()) > 200
    assert took <= 1.3 * ideal


def test_an_endpoint_in_trouble_does_not_slow_another(strict: FaultServer, tmp_path: Path) -> None:
    """While the target model refuses everybody for seconds, the strong one answers all it can."""
    arguments = ("--per-metadata", 2, "--max-iterations", 1, "--limit", 6)
    (tmp_path / "ideal").mkdir()
    trouble = Rule(fault="429", value="1", times=2, model="target")

    finish(strict, tmp_path / "ideal", Settings(latency=0.05), *arguments)
    ideal = _strong_answers_took(strict)
    began = time.monotonic()
    finish(strict, tmp_path, Settings(latency=0.05, rules=(trouble,)), *arguments)

    assert time.monotonic() - began > 2
    assert _strong_answers_took(strict) <= 1.3 * ideal + 0.1


def _strong_answers_took(server: FaultServer) -> float:
    """Seconds until the strong model had written everything that does not wait for the target."""
    seen = [one for one in server.seen() if one.model == "strong" and one.purpose != "score"]
    return max(one.answered or 0 for one in seen) - seen[0].received
