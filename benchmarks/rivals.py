"""The same rows through other engines, each in its own environment.

Every rival is installed once from PyPI, at the version named here, into ``$CODECLM_RIVALS`` (or the
user's cache folder). All send the same N distinct chat completions to the load server, with the
fastest settings that their manuals give (see ``adapters/``). A rival that cannot be installed,
fails or takes too long is reported as such. Three scenarios: clean; 15 % of rows refused once with
Retry-After: 1; killed with SIGKILL after a third of the rows and started again, which counts the
answers that are paid for twice. Only in the last must answers be kept: in the others, rivals that
can run without keeping them (datatrove, async-batch-llm) do so; codeclm always keeps them.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from .measuring import (
    CLIENT_CORE,
    HERE,
    Job,
    Line,
    LoadServer,
    announce,
    arguments,
    keep,
    load_server,
    megabytes_of,
    plot,
    settle,
    show,
)


class Rival(Struct, frozen=True):
    name: str
    adapter: str
    packages: tuple[str, ...] = ()
    """Empty: it runs in the environment of these scripts."""
    keeps_answers: bool = False
    """Whether its answers should survive a kill."""


RIVALS = (
    Rival("codeclm", "codeclm_line", keeps_answers=True),
    Rival("tuned aiohttp", "tuned_aiohttp"),
    Rival(
        "datatrove",
        "datatrove_runner",
        ("datatrove[inference]==0.10.1", "orjson"),
        keeps_answers=True,
    ),
    Rival("curator", "curator", ("bespokelabs-curator==0.1.31",), keeps_answers=True),
    Rival(
        "async-batch-llm", "async_batch", ("async-batch-llm[openai]==0.28.0",), keeps_answers=True
    ),
    Rival("data-designer", "designer", ("data-designer==0.9.6",), keeps_answers=True),
    Rival(
        "distilabel",
        "distilabel_pipeline",
        ("distilabel[openai]==1.5.3", "requests"),
        keeps_answers=True,
    ),
    Rival("litellm router", "litellm_router", ("litellm==1.106.2",)),
    Rival("inspect-ai", "inspect_ai_eval", ("inspect-ai==0.3.285", "openai"), keeps_answers=True),
    Rival("openai sdk", "openai_sdk", ("openai[aiohttp]==3.52.0",)),
)


class Scenario(Struct, frozen=True):
    rows: int
    in_flight: int
    latency_ms: int
    refuse: float = 0.0


class AdapterResult(Struct, frozen=True, rename={"importing": "import"}):
    """What an adapter reports; times in seconds."""

    answers: int
    importing: float
    seconds: float
    cpu: float


class RivalError(Exception):
    """A rival did not finish; the message says why."""


_result = msgspec.json.Decoder(AdapterResult)


# -- environments -----------------------------------------------------------------------------


def folder_of(rival: Rival) -> Path:
    base = os.environ.get("CODECLM_RIVALS") or Path("~/.cache/codeclm-rivals").expanduser()
    return Path(base) / rival.name.replace(" ", "-")


def interpreter(rival: Rival) -> str:
    """Return the Python of *rival*'s environment, creating the environment if necessary.

    Raises:
        RivalError: the rival cannot be installed.
    """
    if not rival.packages:
        return sys.executable
    folder = folder_of(rival)
    stamp, packages = folder / "installed.txt", "\n".join(rival.packages)
    python = str(folder / "bin" / "python")
    if stamp.exists() and stamp.read_text("utf-8") == packages:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    installation = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--only-binary=:all:", *rival.packages],
        capture_output=True,
        text=True,
        check=False,
    )
    if installation.returncode:
        raise RivalError(f"not installed: {installation.stderr.strip().splitlines()[-1][:160]}")
    stamp.write_text(packages, "utf-8")
    return python


# -- one run ----------------------------------------------------------------------------------


class AdapterProcess:
    """A running adapter, in its own process group, on the client's core."""

    def __init__(
        self,
        rival: Rival,
        server: LoadServer,
        scenario: Scenario,
        folder: Path,
        *,
        keep: bool = False,
    ) -> None:
        script = HERE / "adapters" / f"{rival.adapter}.py"
        self._output = (folder / "output").open("w+b")
        self.process = subprocess.Popen(
            [
                *(interpreter(rival), str(script), f"{server.url}/v1"),
                *(str(scenario.rows), str(scenario.in_flight), str(folder)),
            ],
            stdout=self._output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=_environment(folder) | ({"KEEP": "1"} if keep else {}),
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {CLIENT_CORE}),  # noqa: PLW1509
        )
        self.megabytes = 0.0
        self._is_over = threading.Event()
        self._watch = threading.Thread(target=self._sample_memory)
        self._watch.start()

    def finish(self, timeout: float) -> AdapterResult:
        """Wait for the end.

        Raises:
            RivalError: it failed, or took longer than *timeout* seconds.
        """
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise RivalError(f"not done after {timeout:.0f} s") from None
        finally:
            self.kill()
        self._output.seek(0)
        lines = self._output.read().decode("utf-8", "replace").strip().splitlines()
        results = [line for line in lines if line.startswith("RESULT ")]
        if not results:
            raise RivalError(f"failed: {lines[-1][:160] if lines else 'no output'}")
        return _result.decode(results[-1].removeprefix("RESULT "))

    def kill(self) -> None:
        """Kill it and every process it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._is_over.set()
        self._watch.join()

    def _sample_memory(self) -> None:
        while not self._is_over.wait(0.1):
            total = sum(megabytes_of(pid) for pid in _session(self.process.pid))
            self.megabytes = max(self.megabytes, total)


def _session(leader: int) -> list[int]:
    """Return the processes of the session that *leader* started."""
    pids = list[int]()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text("utf-8").rsplit(")", 1)[1].split()
        except OSError:
            continue  # it has just exited
        if int(fields[3]) == leader:
            pids.append(int(entry.name))
    return pids


def _environment(folder: Path) -> dict[str, str]:
    """Return an environment without keys and telemetry, whose home is *folder*."""
    inherited = {k: v for k, v in os.environ.items() if not k.endswith(("_API_KEY", "_BASE_URL"))}
    return inherited | {
        "HOME": str(folder),
        "OPENAI_API_KEY": "none",
        "HF_HUB_OFFLINE": "1",
        "NO_PROXY": "127.0.0.1",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }


def run_undisturbed(rival: Rival, scenario: Scenario, timeout: float) -> dict[str, Any]:
    """Run *scenario* through *rival* once."""
    row: dict[str, Any] = {
        "engine": rival.name,
        "rows": scenario.rows,
        "in flight": scenario.in_flight,
        "ms": scenario.latency_ms,
        "rows/s": "",
        "CPU ms/row": "",
        "MB": "",
        "import s": "",
        "whole s": "",
        "asked": "",
        "note": "",
    }
    counted = ("--answers", "counted", "--refuse", scenario.refuse)
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        load_server(scenario.latency_ms, *counted) as server,
    ):
        try:
            start = time.monotonic()
            process = AdapterProcess(rival, server, scenario, Path(folder))
            result = process.finish(timeout)
        except RivalError as error:
            return row | {"note": str(error)}
        total = time.monotonic() - start
        counts = server.counts()
    missing = scenario.rows - result.answers
    return row | {
        "rows/s": round(result.answers / result.seconds),
        "CPU ms/row": round(result.cpu / scenario.rows * 1e3, 2),
        "MB": round(process.megabytes),
        "import s": round(result.importing, 2),
        "whole s": round(total, 2),
        "asked": counts["asked"],
        "note": f"{missing} rows missing" if missing else "",
    }


def run_killed(rival: Rival, scenario: Scenario, timeout: float) -> dict[str, Any]:
    """Kill *rival* after a third of the rows, restart it, and count repeated requests."""
    row: dict[str, Any] = {"engine": rival.name, "paid again": "", "rows": "", "note": ""}
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        load_server(scenario.latency_ms, "--answers", "counted") as server,
    ):
        try:
            first = AdapterProcess(rival, server, scenario, Path(folder), keep=True)
            _wait(server, scenario.rows // 3, first, timeout)
            first.kill()
            second = AdapterProcess(rival, server, scenario, Path(folder), keep=True)
            result = second.finish(timeout)
        except RivalError as error:
            return row | {"note": str(error)}
        counts = server.counts()
    twice = counts["asked"] - counts["rows"]
    note = "" if rival.keeps_answers else "keeps nothing"
    return row | {"paid again": twice, "rows": result.answers, "note": note}


def _wait(server: LoadServer, rows: int, process: AdapterProcess, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while server.counts()["asked"] < rows:
        if process.process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise RivalError(f"it did not reach {rows} rows")
        time.sleep(0.02)


# -- all of it --------------------------------------------------------------------------------


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    names = [rival.name for rival in RIVALS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--rows", type=int, nargs="+", default=[200, 2_000, 20_000])
    parser.add_argument("--in-flight", type=int, nargs="+", default=[64, 256, 1_000])
    parser.add_argument("--latency", type=int, nargs="+", default=[50], help="milliseconds")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds per run")
    parser.add_argument("--install", action="store_true", help="only create the environments")


def install(rivals: list[Rival]) -> list[dict[str, Any]]:
    """Create all environments; the rows say which are in place."""
    rows = list[dict[str, Any]]()
    for rival in rivals:
        note = "in place"
        try:
            interpreter(rival)
        except RivalError as error:
            note = str(error)
        rows.append({"engine": rival.name, "packages": " ".join(rival.packages), "note": note})
    return rows


def scenarios(job: Job, args: argparse.Namespace) -> list[Scenario]:
    """Return all combinations; no more rows in flight than rows, and one width for 200 rows."""
    if job.size != "full":
        return [Scenario(200, 64, 50)]
    return [
        Scenario(rows, width, ms)
        for ms in args.latency
        for rows in args.rows
        for width in args.in_flight
        if width <= rows and (rows > 200 or width == min(args.in_flight))
    ]


def main() -> None:
    job, args = arguments(__doc__, _add_arguments)
    settle()
    about = announce("rivals")
    names = args.only or (
        ["codeclm", "tuned aiohttp"] if job.size != "full" else [r.name for r in RIVALS]
    )
    selected = [rival for rival in RIVALS if rival.name in names]
    environments = install(selected)
    show("environments", environments)
    if args.install:
        return
    ready = [r for r, row in zip(selected, environments, strict=True) if row["note"] == "in place"]
    runs = list[dict[str, Any]]()
    for scenario in scenarios(job, args):
        rows = [run_undisturbed(rival, scenario, args.timeout) for rival in ready]
        show(
            f"{scenario.rows:,} rows, {scenario.in_flight:,} in flight, {scenario.latency_ms} ms",
            rows,
        )
        runs += rows
    refused = [
        run_undisturbed(rival, Scenario(200, 64, 50, refuse=0.15), args.timeout) for rival in ready
    ]
    show("15 % of 200 rows refused once, Retry-After: 1", refused)
    paid = [run_killed(rival, Scenario(600, 64, 50), args.timeout) for rival in ready]
    show("killed after 200 of 600 rows, 64 in flight, and restarted", paid)
    tables = {"environments": environments, "clean": runs, "refused": refused, "killed": paid}
    keep(job, "rivals", about, tables)
    _draw(job, runs)


def _draw(job: Job, runs: list[dict[str, Any]]) -> None:
    widest = max(run["in flight"] for run in runs)
    lines = list[Line]()
    for name in dict.fromkeys(run["engine"] for run in runs):
        points = [
            run
            for run in runs
            if run["engine"] == name and run["in flight"] in {widest, 256} and run["rows/s"] != ""
        ]
        if points:
            lines.append(
                Line(
                    name, [point["rows"] for point in points], [point["rows/s"] for point in points]
                )
            )
    plot(job, "rivals", "The same rows", lines, x="rows", y="rows per second", log_x=True)


if __name__ == "__main__":
    main()
