"""How much of a quota a real run uses.

``python -m tests.faults.measuring`` measures a whole minute against exact sliding windows; tests
measure a few seconds against shallow buckets, which are stricter: what overflows a tenth of a
second's allowance would hardly be seen in a minute's.
"""

import signal
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from .driving import FaultServer, command, environment, fault_server, write_seeds
from .quota import QuotaSettings
from .server import Settings


class Use(NamedTuple):
    """What went through in the span that was measured."""

    requests: float
    """Share of the requests allowed."""
    tokens: float
    """Share of the tokens allowed; 0 where they were not bounded."""
    refused: int
    """Requests that met a 429, from the first on."""
    by_second: tuple[int, ...]
    """Requests let through in each second of the span."""


@contextmanager
def running(server: FaultServer, folder: Path, *arguments: object) -> Generator[None]:
    """Keep a run busy, and end it."""
    seeds = write_seeds(folder / "seeds.jsonl", 2000)
    roles = ("--strong", "vllm/strong", "--target", "vllm/target", "--base-url", server.url)
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            command(
                *("run", "--seeds", seeds, *roles, "--out", folder / "run"),
                *("--cache", folder / "cache", "--display", "none", *arguments),
            ),
            env=environment(),
            stdout=said,
            stderr=said,
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def use(
    server: FaultServer,
    folder: Path,
    quota: QuotaSettings,
    *arguments: object,
    lead: float = 1.5,
    span: float = 5.0,
) -> Use:
    """Run against *quota* on the strong model, and measure *span* seconds after *lead* seconds."""
    server.reset(Settings(latency=0.02, jitter=0.02, quotas={"strong": quota}))
    with running(server, folder, *arguments):
        server.wait(1, timeout=20)
        time.sleep(lead + span + 0.1)
        seen = [one for one in server.seen() if one.model == "strong"]
    begin = seen[0].received + lead
    passed = [
        one for one in seen if begin <= one.received < begin + span and one.outcome != "refused"
    ]
    by_second = [0] * int(span)
    for one in passed:
        by_second[int(one.received - begin)] += 1
    requests, tokens = quota.requests_per_minute, quota.tokens_per_minute
    return Use(
        60 * len(passed) / span / requests if requests else 0.0,
        60 * sum(one.tokens for one in passed) / span / tokens if tokens else 0.0,
        sum(one.outcome == "refused" for one in seen),
        tuple(by_second),
    )


def main() -> None:
    rows = (
        (
            "6,000 requests/min, known",
            QuotaSettings(requests_per_minute=6000, kind="window"),
            ("--set", "strong.requests_per_minute=6000"),
        ),
        (
            "1,000,000 tokens/min, known",
            QuotaSettings(tokens_per_minute=1e6, kind="window"),
            ("--set", "strong.tokens_per_minute=1000000"),
        ),
        (
            "6,000 requests/min by bucket of 1 s, unknown",
            QuotaSettings(requests_per_minute=6000, kind="bucket", span=1.0),
            (),
        ),
    )
    with fault_server() as server:
        for name, quota, arguments in rows:
            with tempfile.TemporaryDirectory() as folder:
                found = use(server, Path(folder), quota, *arguments, lead=2, span=60)
            print(
                f"{name}: {found.requests:.1%} of requests, {found.tokens:.1%} of tokens,"
                f" {found.refused} refused, {min(found.by_second)}-{max(found.by_second)} a second",
                flush=True,
            )


if __name__ == "__main__":
    main()
