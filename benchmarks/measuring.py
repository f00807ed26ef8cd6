"""What the benchmarks share: clocks, where processes run, how results are shown and kept.

Figures are ratios first: absolute ones vary by half between repetitions on a machine that others
use, so whatever is compared is run in turns, in one process.
"""

import argparse
import asyncio
import gc
import os
import platform
import resource
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from math import inf
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
CLIENT_CORE, SERVER_CORE = 0, 1

Row = Mapping[str, object]


# -- the command line -------------------------------------------------------------------------


T = TypeVar("T")


class Job(NamedTuple):
    """How a script was asked to run."""

    size: Literal["quick", "gate", "full"]
    out: Path | None
    """Where results go; None: nowhere."""

    def pick(self, quick: T, gate: T, full: T) -> T:
        """Return the value for this size."""
        match self.size:
            case "quick":
                return quick
            case "gate":
                return gate
            case "full":
                return full


class Gate(NamedTuple):
    """A figure that must not be missed."""

    name: str
    figure: float
    least: float = -inf
    most: float = inf

    @property
    def is_met(self) -> bool:
        return self.least <= self.figure <= self.most


def arguments(
    about: str | None, add: Callable[[argparse.ArgumentParser], None] | None = None
) -> tuple[Job, argparse.Namespace]:
    """Read the command line.

    Quick runs prove that a script works, gates that it is as fast as promised; neither keeps its
    results unless it is told where.
    """
    parser = argparse.ArgumentParser(description=(about or "").split("\n", 1)[0])
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--quick", action="store_true", help="seconds: does it run at all?")
    sizes.add_argument(
        "--gate", action="store_true", help="a minute: exit with 1 where a promise is not kept"
    )
    parser.add_argument("--out", type=Path, help="folder for JSON and PNG (default: results/)")
    if add is not None:
        add(parser)
    args = parser.parse_args()
    full = not args.quick and not args.gate
    out = args.out or (RESULTS if full else None)
    return Job("full" if full else "quick" if args.quick else "gate", out), args


# -- clocks and sizes -------------------------------------------------------------------------


class Cost(NamedTuple):
    """What so many calls took."""

    cpu_us: float
    """CPU-µs of this process per call, all its threads."""
    per_second: float


@contextmanager
def costing(calls: int) -> Generator[list[Cost]]:
    """Measure the body, which makes so many *calls*; the list holds the cost afterwards."""
    costs = list[Cost]()
    began, cpu = time.perf_counter(), time.process_time()
    yield costs
    used, took = time.process_time() - cpu, time.perf_counter() - began
    costs.append(Cost(used / calls * 1e6, calls / took))


def timed(repeats: int, work: Callable[[], object], *, rounds: int = 5) -> float:
    """Return µs of wall time for one *work*: the best of some rounds of so many repeats."""
    best = float("inf")
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(repeats):
            work()
        best = min(best, (time.perf_counter() - began) / repeats)
    return best * 1e6


def cpu_of_thread(name: str) -> float:
    """CPU-seconds of the threads whose name begins with *name*, while they live."""
    return sum(
        time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
        for thread in threading.enumerate()
        if thread.name.startswith(name) and thread.ident is not None
    )


def cpu_of_process(pid: int) -> float:
    """CPU-seconds that process *pid* has used, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def megabytes_of(pid: int) -> float:
    """Resident memory of process *pid*; 0 once it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text("utf-8").split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * resource.getpagesize() / 1e6


def quiet(values: Sequence[float]) -> float:
    """The tenth percentile: what a quiet machine would show."""
    ordered = sorted(values)
    return ordered[int((len(ordered) - 1) * 0.1)]


median = statistics.median


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


# -- where things run -------------------------------------------------------------------------


def settle() -> None:
    """Run on the client's core, with room for thousands of connections."""
    os.sched_setaffinity(0, {CLIENT_CORE})
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def calm_collector() -> None:
    """Set the garbage collector as `codeclm run` does, so that all are measured alike."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 1000)


def on_loop(main: Callable[[], Any]) -> Any:
    """Run the coroutine function *main* on the loop that `codeclm` uses."""
    if find_spec("uvloop") is None:
        return asyncio.run(main())
    import uvloop

    return uvloop.run(main())


class LoadServer(NamedTuple):
    url: str
    """Without ``/v1``."""
    pid: int

    def counts(self) -> Any:
        """What a server with ``--answers counted`` has seen."""
        with urllib.request.urlopen(f"{self.url}/counts", timeout=10) as answer:
            return msgspec.json.decode(answer.read())


@contextmanager
def load_server(latency_ms: float, *arguments: object) -> Generator[LoadServer]:
    """Serve canned answers from the other core, after *latency_ms*."""
    process = subprocess.Popen(
        [sys.executable, HERE / "server.py", "0", str(latency_ms), *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
    )
    os.sched_setaffinity(process.pid, {SERVER_CORE % (os.cpu_count() or 1)})
    assert process.stdout is not None
    try:
        yield LoadServer(f"http://127.0.0.1:{int(process.stdout.readline())}", process.pid)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


# -- telling ----------------------------------------------------------------------------------


def circumstances() -> dict[str, object]:
    """The machine, what else it does, and what ran: without them a figure says nothing."""
    packages = ("codeclm", "aiohttp", "httptools", "uvloop", "anyio", "msgspec", "orjson")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "commit": _commit(),
        "versions": {name: version(name) for name in packages if find_spec(name)},
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip()


def show(title: str, rows: Sequence[Row]) -> None:
    """Print *rows* as a table; the first row names the columns."""
    print(f"\n{title}")
    if not rows:
        print("  nothing was measured")
        return
    names = list(rows[0])
    cells = [names, *([_shown(row.get(name, "")) for name in names] for row in rows)]
    widths = [max(len(line[at]) for line in cells) for at in range(len(names))]
    for line in cells:
        padded = (
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        print("  " + "  ".join(padded).rstrip())
    sys.stdout.flush()


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def announce(title: str) -> dict[str, object]:
    """Print where and under which load a script runs, and return it for the results."""
    about = circumstances()
    print(f"{title}: {about['processor']}, {about['cores']} cores, Python {about['python']}")
    print(f"  load {about['load_average']}, {about['date']}, commit {about['commit']}", flush=True)
    return about


def keep(job: Job, name: str, about: Mapping[str, object], tables: Mapping[str, Any]) -> None:
    """Write what was found as JSON, if it is to be kept."""
    if job.out is None:
        return
    job.out.mkdir(parents=True, exist_ok=True)
    contents = msgspec.json.encode({"circumstances": about, **tables})
    path = job.out / f"{name}.json"
    path.write_bytes(msgspec.json.format(contents, indent=1) + b"\n")
    print(f"\nwrote {path}")


def hold(job: Job, gates: Sequence[Gate]) -> None:
    """Compare figures with what is promised, if that was asked for.

    Raises:
        SystemExit: one of them is missed.
    """
    if job.size != "gate":
        return
    show(
        "gates",
        [
            {
                "gate": gate.name,
                "figure": gate.figure,
                "at least": "" if gate.least == -inf else gate.least,
                "at most": "" if gate.most == inf else gate.most,
                "": "" if gate.is_met else "MISSED",
            }
            for gate in gates
        ],
    )
    missed = [f"{gate.name} ({gate.figure:g})" for gate in gates if not gate.is_met]
    if missed:
        sys.exit(f"gates missed: {', '.join(missed)}")


class Line(NamedTuple):
    label: str
    x: Sequence[float]
    y: Sequence[float]


def plot(
    job: Job, name: str, title: str, lines: Sequence[Line], *, x: str, y: str, log_x: bool = False
) -> None:
    """Draw *lines* into a PNG, where results are kept and matplotlib is there."""
    if job.out is None:
        return
    if find_spec("matplotlib") is None:
        print(f"no {name}.png: it needs matplotlib (the extra `plots`)")
        return
    import_module("matplotlib").use("agg")
    pyplot: Any = import_module("matplotlib.pyplot")
    figure, axes = pyplot.subplots(figsize=(8, 4.5), dpi=120)
    for line in lines:
        axes.plot(line.x, line.y, marker="o", markersize=3, label=line.label)
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.set_ylim(bottom=0)
    if log_x:
        axes.set_xscale("log")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(job.out / f"{name}.png")
    pyplot.close(figure)
