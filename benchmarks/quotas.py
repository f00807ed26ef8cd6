"""How much of a quota does a whole run use, and what do refusals cost it?

``codeclm run`` against the tests' fault server, which enforces its quotas to the millisecond. The
full size measures minutes against exact sliding windows. The gate measures seconds against shallow
buckets, which are stricter: they refuse a burst that a minute's window would absorb.
"""

import signal
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.faults.processes import FaultServer, command, environment, fault_server, write_seeds
from tests.faults.quota import QuotaSettings
from tests.faults.server import Rule, Seen, Settings

from .measuring import Gate, Job, announce, arguments, hold, keep, show


class Trial(NamedTuple):
    """A quota, the arguments that tell the run about it, and the share it must use."""

    name: str
    quota: QuotaSettings
    arguments: tuple[str, ...]
    least: float
    known: bool = True


KNOWN_REQUESTS = ("--set", "strong.requests_per_minute=6000")
KNOWN_TOKENS = ("--set", "strong.tokens_per_minute=1500000")

WINDOWS = (
    Trial(
        "6,000 requests/min, known",
        QuotaSettings(requests_per_minute=6000, kind="window"),
        KNOWN_REQUESTS,
        least=0.99,
    ),
    Trial(
        "1,500,000 tokens/min, known",
        QuotaSettings(tokens_per_minute=1.5e6, kind="window"),
        KNOWN_TOKENS,
        least=0.95,
    ),
    Trial(
        "6,000 requests/min by bucket of 1 s, unknown",
        QuotaSettings(requests_per_minute=6000, kind="bucket", span=1.0),
        (),
        least=0.85,
        known=False,
    ),
)

BUCKETS = (
    Trial(
        "6,000 requests/min by bucket of 0.1 s, known",
        QuotaSettings(requests_per_minute=6000, kind="bucket", span=0.1),
        KNOWN_REQUESTS,
        least=0.99,
    ),
    Trial(
        "1,500,000 tokens/min by bucket of 2 s, known",
        QuotaSettings(tokens_per_minute=1.5e6, kind="bucket", span=2.0),
        KNOWN_TOKENS,
        least=0.95,
    ),
    WINDOWS[-1],
    Trial(
        "6,000 requests/min by bucket of 1 s, unknown, 429s without Retry-After",
        QuotaSettings(requests_per_minute=6000, kind="bucket", span=1.0, retry_after="none"),
        (),
        least=0.85,
        known=False,
    ),
)


# -- how much is used -------------------------------------------------------------------------


@contextmanager
def running(server: FaultServer, folder: Path, options: Sequence[str]) -> Generator[None]:
    """Run in the background; kill the run at the end."""
    seeds = write_seeds(folder / "seeds.jsonl", 4000)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command(*_line(server, folder, seeds), *options),
            env=environment(),
            stdout=log,
            stderr=log,
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _line(server: FaultServer, folder: Path, seeds: Path) -> tuple[object, ...]:
    return (
        *("run", "--seeds", seeds, "--strong", "vllm/strong", "--target", "vllm/target"),
        *("--base-url", server.url, "--out", folder / "run", "--cache", folder / "cache"),
        *("--display", "none"),
    )


def measure_use(server: FaultServer, trial: Trial, *, lead: float, span: float) -> dict[str, Any]:
    """Run against a quota of the strong model; measure *span* seconds after *lead* seconds."""
    server.reset(Settings(latency=0.02, jitter=0.02, quotas={"strong": trial.quota}))
    with tempfile.TemporaryDirectory() as folder, running(server, Path(folder), trial.arguments):
        server.wait(1, timeout=20)
        time.sleep(lead + span + 0.1)
        requests = [request for request in server.seen() if request.model == "strong"]
    begin = requests[0].received + lead
    passed = [
        request
        for request in requests
        if begin <= request.received < begin + span and request.outcome != "refused"
    ]
    by_second = [0] * int(span)
    for request in passed:
        by_second[int(request.received - begin)] += 1
    return {
        "quota": trial.name,
        "used": round(_share(trial.quota, passed, span), 4),
        "429s": sum(request.outcome == "refused" for request in requests),
        "fewest in a second": min(by_second),
        "most in a second": max(by_second),
    }


def _share(quota: QuotaSettings, passed: Sequence[Seen], span: float) -> float:
    if quota.requests_per_minute:
        return 60 * len(passed) / span / quota.requests_per_minute
    assert quota.tokens_per_minute
    return 60 * sum(request.tokens for request in passed) / span / quota.tokens_per_minute


def _gates_of_use(trial: Trial, row: dict[str, Any]) -> list[Gate]:
    gates = [Gate(f"{trial.name}: used", row["used"], least=trial.least)]
    if trial.known:
        return [*gates, Gate(f"{trial.name}: 429s", row["429s"], most=0)]
    return [*gates, Gate(f"{trial.name}: fewest in a second", row["fewest in a second"], least=60)]


# -- what refusals cost -----------------------------------------------------------------------


def run_to_end(server: FaultServer, settings: Settings, seeds: int, *options: object) -> list[Seen]:
    """Run to the end; return all requests."""
    server.reset(settings)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        line = _line(server, folder, write_seeds(folder / "seeds.jsonl", seeds))
        subprocess.run(
            command(*line, "--max-iterations", 1, *options),
            env=environment(),
            capture_output=True,
            check=True,
        )
    return server.seen()


def _span(requests: Sequence[Seen]) -> float:
    """Seconds from the first request to the last answer."""
    return max(request.answered or 0.0 for request in requests) - requests[0].received


def refusals(server: FaultServer, seeds: int) -> dict[str, Any]:
    """Refuse 15 % of all contents once, for a second: the others should continue meanwhile.

    Use enough seeds that the waits of the last item, which nothing can fill, do not matter.
    """
    rule = Rule(fault="429", value="1", share=0.15, times=1)
    options = ("--per-metadata", 12, "--max-concurrent", 8)
    ideal = _span(run_to_end(server, Settings(latency=0.1), seeds, *options))
    actual = _span(run_to_end(server, Settings(latency=0.1, rules=(rule,)), seeds, *options))
    return _row("15 % refused once for 1 s", actual, ideal)


def trouble(server: FaultServer, seeds: int) -> dict[str, Any]:
    """Let the target model refuse every call: the strong one should answer all it can meanwhile."""
    rule = Rule(fault="429", value="1", times=2, model="target")
    options = ("--per-metadata", 2)

    def strong(settings: Settings) -> float:
        requests = run_to_end(server, settings, seeds, *options)
        return _span([r for r in requests if r.model == "strong" and r.purpose != "score"])

    ideal = strong(Settings(latency=0.05))
    actual = strong(Settings(latency=0.05, rules=(rule,)))
    return _row("strong model while the target refuses", actual, ideal)


def _row(name: str, actual: float, ideal: float) -> dict[str, Any]:
    ratio = round(actual / ideal, 3)
    return {"trouble": name, "seconds": round(actual, 2), "ideal": round(ideal, 2), "ratio": ratio}


# -- all of it --------------------------------------------------------------------------------


def _trials(job: Job, server: FaultServer) -> tuple[list[dict[str, Any]], list[Gate]]:
    rows, gates = list[dict[str, Any]](), list[Gate]()
    span = job.pick(1.0, 5.0, 60.0)
    for trial in job.pick(BUCKETS[:1], BUCKETS, WINDOWS):
        rows.append(measure_use(server, trial, lead=job.pick(0.5, 3.0, 3.0), span=span))
        gates += _gates_of_use(trial, rows[-1])
        show(f"use of a quota over {span:g} s", rows[-1:])
    return rows, gates


def main() -> None:
    job, _ = arguments(__doc__)
    about = announce("quotas")
    with fault_server() as server:
        rows, gates = _trials(job, server)
        costs = [
            refusals(server, job.pick(2, 30, 120)),
            trouble(server, job.pick(2, 6, 24)),
        ]
    show("use of a quota", rows)
    show("what refusals cost", costs)
    keep(job, "quotas", about, {"used": rows, "refusals": costs})
    hold(job, [*gates, *(Gate(row["trouble"], row["ratio"], most=1.3) for row in costs)])


if __name__ == "__main__":
    main()
