"""Does any role wait while it has work? A whole run with three models of unequal speed.

``codeclm run`` with scripted models that take their time, each with its own limit. No run can be
faster than its busiest role: calls times latency divided by the calls allowed in flight, or calls
divided by the rate. The rest is the start (the first seeds must come down the line), the end, and
what the engine leaves unused.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from .callpath import write_seeds
from .measuring import Gate, Line, announce, arguments, hold, keep, plot, settle, show

SCORED = {"score", "judge"}


class Speed(NamedTuple):
    latency: float
    """Seconds."""
    at_once: int
    per_minute: float | None = None

    def least(self, calls: int) -> float:
        """Return the seconds that so many calls take at least."""
        paced = calls * 60 / self.per_minute if self.per_minute else 0.0
        return max(calls * self.latency / self.at_once, paced)


SCENARIOS: dict[str, dict[str, Speed]] = {
    "slow strong": {
        "strong": Speed(0.4, 64),
        "target": Speed(0.05, 64),
        "judge": Speed(0.05, 64),
    },
    "slow target": {
        "strong": Speed(0.05, 64),
        "target": Speed(0.4, 24),
        "judge": Speed(0.05, 64),
    },
    "slow judge": {
        "strong": Speed(0.05, 64),
        "target": Speed(0.05, 64),
        "judge": Speed(0.4, 64),
    },
    "judge by the minute": {
        "strong": Speed(0.1, 64),
        "target": Speed(0.05, 32),
        "judge": Speed(0.05, 64, per_minute=9_000),
    },
    "all alike": {
        "strong": Speed(0.1, 32),
        "target": Speed(0.1, 32),
        "judge": Speed(0.1, 32),
    },
}


def settings(scenario: dict[str, Speed]) -> list[str]:
    assignments = list[str]()
    for role, speed in scenario.items():
        values = {
            "model": f"'scripted/{role}'",
            "max_concurrent": speed.at_once,
            "temperature": 0.7,
            "options": f"{{ latency = {speed.latency}, model_seed = '{role}' }}",
        }
        if speed.per_minute:
            values["requests_per_minute"] = speed.per_minute
        for name, value in values.items():
            assignments += ["--set", f"{role}.{name}={value}"]
    return assignments


def run(scenario: dict[str, Speed], seeds: int, folder: Path) -> tuple[float, dict[str, int]]:
    """Return the seconds that a run took and the calls of each role."""
    write_seeds(folder / "seeds.jsonl", seeds)
    start = time.perf_counter()
    process = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "codeclm.engine",
                "run",
                "--seeds",
                str(folder / "seeds.jsonl"),
            ),
            *("--out", str(folder / "run"), "--cache", str(folder / "cache")),
            *("--json", *settings(scenario)),
        ],
        capture_output=True,
        check=False,
    )
    elapsed = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(process.stderr.decode()[-2000:])
    return elapsed, _calls_by_role(json.loads(process.stdout))


def _calls_by_role(summary: dict[str, Any]) -> dict[str, int]:
    calls: dict[str, int] = {stage: counts["paid"] for stage, counts in summary["calls"].items()}
    judge = sum(count for stage, count in calls.items() if stage in SCORED)
    target = calls["respond"] // 2
    return {"strong": sum(calls.values()) - judge - target, "target": target, "judge": judge}


def startup_seconds() -> float:
    """Return the seconds that the command takes to do nothing: part of every run."""
    start = time.perf_counter()
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import codeclm.engine.pipeline.session, codeclm.engine.commands.run",
        ],
        check=True,
    )
    return time.perf_counter() - start


def help_cpu() -> float:
    """Return the CPU seconds of ``codeclm --help``, at best."""
    return min(_help_cpu() for _ in range(5))


def _help_cpu() -> float:
    command = [sys.executable, "-m", "codeclm.engine", "--help"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    job, _ = arguments(__doc__)
    settle()
    about = announce("pipeline")
    names = job.pick(list(SCENARIOS)[:1], list(SCENARIOS)[:1], list(SCENARIOS))
    sizes = job.pick([2], [30], [30, 120])
    rows = list[dict[str, Any]]()
    for name in names:
        for seeds in sizes:
            scenario = SCENARIOS[name]
            with tempfile.TemporaryDirectory() as folder:
                elapsed, calls = run(scenario, seeds, Path(folder))
            least = {role: speed.least(calls[role]) for role, speed in scenario.items()}
            busiest = max(least, key=lambda role: least[role])
            rows.append(
                {
                    "scene": name,
                    "seeds": seeds,
                    "calls": sum(calls.values()),
                    "busiest": busiest,
                    "least s": round(least[busiest], 2),
                    "took s": round(elapsed, 2),
                    "ratio": round(elapsed / least[busiest], 3),
                    "ratio without start": round((elapsed - startup_seconds()) / least[busiest], 3),
                }
            )
            show("wall time against the busiest role's", rows[-1:])
    show("wall time against the busiest role's", rows)
    keep(job, "pipeline", about, {"runs": rows})
    lines = [
        Line(
            name,
            [row["calls"] for row in rows if row["scene"] == name],
            [row["ratio"] for row in rows if row["scene"] == name],
        )
        for name in names
    ]
    plot(job, "pipeline", "A run against its busiest role", lines, x="calls", y="wall ÷ least")
    gates = [
        Gate("wall time ÷ the busiest role's", row["ratio without start"], most=1.5) for row in rows
    ]
    hold(job, [*gates, Gate("codeclm --help, CPU seconds", help_cpu(), most=0.3)])


if __name__ == "__main__":
    main()
