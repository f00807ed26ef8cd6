"""The same rows through other engines, each in an environment of its own.

Every rival is installed from PyPI at the version named here into ``$CODECLM_RIVALS`` (or the user's
cache folder), once. All answer the same N distinct chat completions from the load server, with
settings as fast as their manuals allow (see ``adapters/``); a rival that cannot be installed, fails
or takes too long is reported as such. Three scenarios: clean; 15 % of rows refused once with
Retry-After: 1; killed with SIGKILL after a third of the rows and started again, where what counts
is how many answers are paid for twice. Only in the last must answers be kept: elsewhere rivals that
can do without keeping them (datatrove, async-batch-llm) are let off; codeclm is not.
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
    """None: it runs in the environment of these scripts."""
    keeps: bool = False
    """Whether it is expected to keep answers over a kill."""


RIVALS = (
    Rival("codeclm", "codeclm_line", keeps=True),
    Rival("tuned aiohttp", "tuned_aiohttp"),
    Rival("datatrove", "datatrove_runner", ("datatrove[inference]==0.10.1", "orjson"), keeps=True),
    Rival("curator", "curator", ("bespokelabs-curator==0.1.31",), keeps=True),
    Rival("async-batch-llm", "async_batch", ("async-batch-llm[openai]==0.28.0",), keeps=True),
    Rival("data-designer", "designer", ("data-designer==0.9.6",), keeps=True),
    Rival(
        "distilabel", "distilabel_pipeline", ("distilabel[openai]==1.5.3", "requests"), keeps=True
    ),
    Rival("litellm router", "litellm_router", ("litellm==1.106.2",)),
    Rival("inspect-ai", "inspect_ai_eval", ("inspect-ai==0.3.285", "openai"), keeps=True),
    Rival("openai sdk", "openai_sdk", ("openai[aiohttp]==3.52.0",)),
)


class Scene(Struct, frozen=True):
    rows: int
    in_flight: int
    latency_ms: int
    refuse: float = 0.0


class Found(Struct, frozen=True, rename={"importing": "import"}):
    """What an adapter says of its own run."""

    answers: int
    importing: float
    seconds: float
    cpu: float


class Broken(Exception):  # noqa: N818  (what became of a rival)
    """A rival did not get through; the message says how."""


_found = msgspec.json.Decoder(Found)


# -- environments -----------------------------------------------------------------------------


def folder_of(rival: Rival) -> Path:
    base = os.environ.get("CODECLM_RIVALS") or Path("~/.cache/codeclm-rivals").expanduser()
    return Path(base) / rival.name.replace(" ", "-")


def interpreter(rival: Rival) -> str:
    """Return the python of *rival*'s environment, making it where it is not there.

    Raises:
        Broken: it can't be installed.
    """
    if not rival.packages:
        return sys.executable
    folder = folder_of(rival)
    stamp, wanted = folder / "installed.txt", "\n".join(rival.packages)
    python = str(folder / "bin" / "python")
    if stamp.exists() and stamp.read_text("utf-8") == wanted:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    installed = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--only-binary=:all:", *rival.packages],
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode:
        raise Broken(f"not installed: {installed.stderr.strip().splitlines()[-1][:160]}")
    stamp.write_text(wanted, "utf-8")
    return python


# -- one run ----------------------------------------------------------------------------------


class Running:
    """An adapter at work, in a process group of its own, on the client's core."""

    def __init__(
        self,
        rival: Rival,
        server: LoadServer,
        scene: Scene,
        folder: Path,
        *,
        keep: bool = False,
    ) -> None:
        script = HERE / "adapters" / f"{rival.adapter}.py"
        self._said = (folder / "said").open("w+b")
        self.process = subprocess.Popen(
            [
                *(interpreter(rival), str(script), f"{server.url}/v1"),
                *(str(scene.rows), str(scene.in_flight), str(folder)),
            ],
            stdout=self._said,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=_environment(folder) | ({"KEEP": "1"} if keep else {}),
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {CLIENT_CORE}),  # noqa: PLW1509
        )
        self.megabytes = 0.0
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._weigh)
        self._watch.start()

    def finish(self, timeout: float) -> Found:
        """Wait for the end.

        Raises:
            Broken: it failed, or took longer than *timeout* seconds.
        """
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Broken(f"not done after {timeout:.0f} s") from None
        finally:
            self.kill()
        self._said.seek(0)
        said = self._said.read().decode("utf-8", "replace").strip().splitlines()
        told = [line for line in said if line.startswith("FOUND ")]
        if not told:
            raise Broken(f"failed: {said[-1][:160] if said else 'it said nothing'}")
        return _found.decode(told[-1].removeprefix("FOUND "))

    def kill(self) -> None:
        """End it and whatever it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._ended.set()
        self._watch.join()

    def _weigh(self) -> None:
        while not self._ended.wait(0.1):
            together = sum(megabytes_of(pid) for pid in _session(self.process.pid))
            self.megabytes = max(self.megabytes, together)


def _session(leader: int) -> list[int]:
    """Processes of the session that *leader* began."""
    found = list[int]()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text("utf-8").rsplit(")", 1)[1].split()
        except OSError:
            continue  # it has just ended
        if int(fields[3]) == leader:
            found.append(int(entry.name))
    return found


def _environment(folder: Path) -> dict[str, str]:
    """No keys, no telemetry, nothing written outside *folder*."""
    kept = {k: v for k, v in os.environ.items() if not k.endswith(("_API_KEY", "_BASE_URL"))}
    return kept | {
        "HOME": str(folder),
        "OPENAI_API_KEY": "none",
        "HF_HUB_OFFLINE": "1",
        "NO_PROXY": "127.0.0.1",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }


def clean(rival: Rival, scene: Scene, timeout: float) -> dict[str, Any]:
    """Run *scene* through *rival* once."""
    row: dict[str, Any] = {
        "engine": rival.name,
        "rows": scene.rows,
        "in flight": scene.in_flight,
        "ms": scene.latency_ms,
        "rows/s": "",
        "CPU ms/row": "",
        "MB": "",
        "import s": "",
        "whole s": "",
        "asked": "",
        "note": "",
    }
    counted = ("--answers", "counted", "--refuse", scene.refuse)
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        load_server(scene.latency_ms, *counted) as server,
    ):
        try:
            began = time.monotonic()
            running = Running(rival, server, scene, Path(folder))
            found = running.finish(timeout)
        except Broken as error:
            return row | {"note": str(error)}
        whole = time.monotonic() - began
        counts = server.counts()
    short = scene.rows - found.answers
    return row | {
        "rows/s": round(found.answers / found.seconds),
        "CPU ms/row": round(found.cpu / scene.rows * 1e3, 2),
        "MB": round(running.megabytes),
        "import s": round(found.importing, 2),
        "whole s": round(whole, 2),
        "asked": counts["asked"],
        "note": f"{short} rows missing" if short else "",
    }


def killed(rival: Rival, scene: Scene, timeout: float) -> dict[str, Any]:
    """Kill *rival* after a third of the rows, start it again, count what is asked twice."""
    row: dict[str, Any] = {"engine": rival.name, "paid again": "", "rows": "", "note": ""}
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        load_server(scene.latency_ms, "--answers", "counted") as server,
    ):
        try:
            first = Running(rival, server, scene, Path(folder), keep=True)
            _wait(server, scene.rows // 3, first, timeout)
            first.kill()
            again = Running(rival, server, scene, Path(folder), keep=True)
            found = again.finish(timeout)
        except Broken as error:
            return row | {"note": str(error)}
        counts = server.counts()
    twice = counts["asked"] - counts["rows"]
    kept = "" if rival.keeps else "keeps nothing"
    return row | {"paid again": twice, "rows": found.answers, "note": kept}


def _wait(server: LoadServer, rows: int, running: Running, timeout: float) -> None:
    ends = time.monotonic() + timeout
    while server.counts()["asked"] < rows:
        if running.process.poll() is not None or time.monotonic() > ends:
            running.kill()
            raise Broken(f"it did not come to {rows} rows")
        time.sleep(0.02)


# -- all of it --------------------------------------------------------------------------------


def _more(parser: argparse.ArgumentParser) -> None:
    names = [rival.name for rival in RIVALS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--rows", type=int, nargs="+", default=[200, 2_000, 20_000])
    parser.add_argument("--in-flight", type=int, nargs="+", default=[64, 256, 1_000])
    parser.add_argument("--latency", type=int, nargs="+", default=[50], help="milliseconds")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds, of one run")
    parser.add_argument("--install", action="store_true", help="only make the environments")


def install(chosen: list[Rival]) -> list[dict[str, Any]]:
    """Make all environments and say how that went."""
    rows = list[dict[str, Any]]()
    for rival in chosen:
        try:
            interpreter(rival)
            rows.append(
                {"engine": rival.name, "packages": " ".join(rival.packages), "note": "in place"}
            )
        except Broken as error:
            rows.append(
                {"engine": rival.name, "packages": " ".join(rival.packages), "note": str(error)}
            )
    return rows


def scenes(job: Job, args: argparse.Namespace) -> list[Scene]:
    """No more rows in flight than there are rows; the smallest size at one width only."""
    if job.size != "full":
        return [Scene(200, 64, 50)]
    return [
        Scene(rows, width, ms)
        for ms in args.latency
        for rows in args.rows
        for width in args.in_flight
        if width <= rows and (rows > 200 or width == min(args.in_flight))
    ]


def main() -> None:
    job, args = arguments(__doc__, _more)
    settle()
    about = announce("rivals")
    names = args.only or (
        ["codeclm", "tuned aiohttp"] if job.size != "full" else [r.name for r in RIVALS]
    )
    chosen = [rival for rival in RIVALS if rival.name in names]
    installed = install(chosen)
    show("environments", installed)
    if args.install:
        return
    ready = [r for r, row in zip(chosen, installed, strict=True) if row["note"] == "in place"]
    runs = list[dict[str, Any]]()
    for scene in scenes(job, args):
        at = len(runs)
        runs += [clean(rival, scene, args.timeout) for rival in ready]
        show(
            f"{scene.rows:,} rows, {scene.in_flight:,} in flight, {scene.latency_ms} ms", runs[at:]
        )
    refused = [clean(rival, Scene(200, 64, 50, refuse=0.15), args.timeout) for rival in ready]
    show("15 % of 200 rows refused once, Retry-After: 1", refused)
    paid = [killed(rival, Scene(600, 64, 50), args.timeout) for rival in ready]
    show("killed after 200 of 600 rows, 64 in flight, and started again", paid)
    tables = {"environments": installed, "clean": runs, "refused": refused, "killed": paid}
    keep(job, "rivals", about, tables)
    _draw(job, runs)


def _draw(job: Job, runs: list[dict[str, Any]]) -> None:
    most = max(run["in flight"] for run in runs)
    lines = list[Line]()
    for name in dict.fromkeys(run["engine"] for run in runs):
        mine = [
            run
            for run in runs
            if run["engine"] == name and run["in flight"] in {most, 256} and run["rows/s"] != ""
        ]
        if mine:
            lines.append(Line(name, [r["rows"] for r in mine], [r["rows/s"] for r in mine]))
    plot(job, "rivals", "The same rows", lines, x="rows", y="rows per second", log_x=True)


if __name__ == "__main__":
    main()
