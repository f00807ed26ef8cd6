"""Carry a run out over as many processes as it takes, and interrupt them."""

import shutil
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from codeclm.engine.commands.exit_status import ExitStatus

from ..processes import HANGS, FaultServer, command, environment, write_seeds
from ..server import Seen
from .plan import Intervention, RoundPlan

EXPORTS = ("alpaca", "preference")
FINISHED = frozenset({ExitStatus.DONE, ExitStatus.ROWS_MISSING})
UNBOUNDED = 10_000_000
"""A budget that no round reaches."""


class EndedProcess(NamedTuple):
    """A process that was ended at once."""

    first: int
    """Its first request."""
    last: int
    """The first request after its own."""
    at: float
    """When it was ended."""


class Outcome(NamedTuple):
    """What a run leaves behind."""

    exports: dict[str, bytes]
    fates: list[tuple[Any, ...]]
    stored: int
    """Answers in the cache."""
    accounted: int
    """Paid answers of all sessions, as the summary counts them."""
    files: frozenset[str]


class Baseline(NamedTuple):
    """The undisturbed run."""

    outcome: Outcome
    paid: Counter[str]
    """How often each content was paid for."""
    calls: int


class Round(Struct):
    """What happened in a round."""

    number: int
    plan: RoundPlan
    interventions: list[str] = []
    kills: int = 0
    requests: int = 0
    faults: int = 0
    in_flight: int = 0
    again: int = 0
    unaccounted: int = 0
    """Answers in the cache that no session counts as paid."""
    over: int = 0
    """Answers beyond the budget and what was in flight at kills."""
    oldest: float = 0.0
    """Seconds between the oldest lost answer and the kill that lost it."""
    wrong: list[str] = []


_FATES = (
    "SELECT position, id, state, reason, fingerprint, item, metadata FROM seeds ORDER BY 1",
    "SELECT position, metadata FROM items ORDER BY 1",
    "SELECT first_row, item, count, instructions, done, reason FROM requests ORDER BY 1",
    "SELECT row_index, item, id, fate, reason, winner, iteration, gaps FROM examples ORDER BY 1",
    "SELECT row_index, fingerprint FROM examples ORDER BY 1",
)


class Run:
    """One run, over as many processes as it takes."""

    def __init__(self, server: FaultServer, folder: Path, result: Round) -> None:
        self._server = server
        self.folder = folder
        self.plan = result.plan
        self.out = folder / "run"
        self.cache = folder / "cache"
        self.result = result
        self.ended: list[EndedProcess] = []
        self.budget_stop: int | None = None
        """Requests when the run stopped for its budget."""
        self._budget = result.plan.budget
        self._sessions = 0
        shutil.rmtree(folder, ignore_errors=True)  # of the command before
        folder.mkdir(parents=True)
        write_seeds(folder / "seeds.jsonl", result.plan.scenario.seeds)
        server.reset(result.plan.server)

    def carry_out(self, dice: Random) -> None:
        """Start sessions, and interrupt them as planned, until the run is finished."""
        planned = list(self.plan.interventions)
        for _ in range(3 * len(planned) + 3):
            intervention = planned.pop(0) if planned else None
            status = self._session(intervention, dice)
            if self.result.wrong or status in FINISHED:
                return
            if status == ExitStatus.BUDGET_SPENT:
                self.budget_stop = len(self.seen())
                self._budget = None
            elif intervention is None:
                self.result.wrong.append(f"exit {status}: {self._last_lines()}")
                return
        self.result.wrong.append("never finished")

    def repeat(self) -> None:
        """Give the same command once more: it makes no call."""
        before = len(self.seen())
        status = self.spawn(self._command()).wait(HANGS)
        calls = len(self.seen()) - before
        if status not in FINISHED or calls:
            self.result.wrong.append(f"the same command once more: exit {status}, {calls} calls")

    def outcome(self) -> Outcome:
        """Read what the run leaves behind."""
        exports = {name: (self.out / f"{name}.jsonl").read_bytes() for name in EXPORTS}
        with closing(sqlite3.connect(self.out / "ledger.sqlite")) as ledger:
            fates = [row for query in _FATES for row in ledger.execute(query)]
        with closing(sqlite3.connect(self.cache / "cache.db")) as cache:
            stored = cache.execute("SELECT count(*) FROM Cache").fetchone()[0]
        accounted = msgspec.json.decode((self.out / "summary.json").read_bytes())["calls_in_all"]
        files = (path for folder in (self.out, self.cache) for path in folder.rglob("*"))
        names = frozenset(str(path.relative_to(self.folder)) for path in files)
        return Outcome(exports, fates, stored, accounted, names)

    def seen(self) -> list[Seen]:
        return self._server.seen()

    def spawn(self, arguments: Sequence[object]) -> "subprocess.Popen[bytes]":
        self._sessions += 1
        with (self.folder / f"output-{self._sessions}").open("wb") as output:
            return subprocess.Popen(
                command(*arguments),
                cwd=self.folder,
                env=environment(PYTHONFAULTHANDLER="1", XDG_STATE_HOME=str(self.folder / "state")),
                stdout=output,
                stderr=output,
            )

    # -- one session ------------------------------------------------------------------------------

    def _arguments(self, dice: Random) -> list[object]:
        budget = self._budget or UNBOUNDED
        if (self.out / "config.toml").exists() and dice.random() < 0.5:
            return ["resume", "run", "--set", f"budget.calls={budget}", "--display", "none"]
        return self._command(budget)

    def _command(self, budget: int = UNBOUNDED) -> list[object]:
        roles = ["--strong", "vllm/strong", "--target", "vllm/target", "--base-url"]
        patience = [f"{role}.timeout=3" for role in ("strong", "target", "judge")]
        waits = ["retry.first_wait=0.02", "retry.longest_wait=0.3"]
        if self.plan.streams:
            patience += [f"{role}.stream=true" for role in ("strong", "target", "judge")]
        return [
            *("run", "--seeds", "seeds.jsonl", *roles, self._server.url, "--out", "run"),
            *(
                "--cache",
                "cache",
                "--max-concurrent",
                self.plan.width,
                "--transport",
                self.plan.transport,
            ),
            *("--export", *EXPORTS, "--max-calls", budget, "--display", "none"),
            *(word for setting in (*patience, *waits) for word in ("--set", setting)),
            *self.plan.scenario.arguments,
        ]

    def _session(self, intervention: Intervention | None, dice: Random) -> int:
        before = len(self.seen())
        process = self.spawn(self._arguments(dice))
        if intervention is not None and self._await(process, intervention):
            self._intervene(process, intervention, dice, before)
        try:
            status = process.wait(HANGS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # faulthandler says where it was
            status = process.wait()
            self.result.wrong.append(f"it hung: {self._last_lines()}")
        self._settle()
        allowed = set[int]()
        if intervention is not None:
            allowed |= {ExitStatus.FAILED.value, ExitStatus.STOPPED.value, -signal.SIGKILL}
        if self._budget is not None:
            allowed.add(ExitStatus.BUDGET_SPENT)
        if intervention is not None and len(self.seen()) == before:
            allowed |= {-signal.SIGINT, -signal.SIGTERM}  # Python itself was starting
        if status not in allowed | FINISHED:
            self.result.wrong.append(f"exit {status} after {intervention}: {self._last_lines()}")
        was_starting = len(self.seen()) == before and "\nKeyboardInterrupt" in self._output()
        if "Traceback" in self._output() and not was_starting:
            self.result.wrong.append(f"traceback after {intervention}: {self._last_lines()}")
        return status

    def _await(self, process: "subprocess.Popen[bytes]", intervention: Intervention) -> bool:
        """Wait for the moment of *intervention*; False if the process ended before."""
        while intervention.answered:
            totals = self._server.wait(
                intervention.answered, purpose=intervention.purpose, timeout=0.1
            )
            if totals.answered_for >= intervention.answered:
                break
            if process.poll() is not None:
                return False
        return still_running(process, intervention.delay)

    def _intervene(
        self,
        process: "subprocess.Popen[bytes]",
        intervention: Intervention,
        dice: Random,
        before: int,
    ) -> None:
        self.result.interventions.append(str(intervention))
        at = time.monotonic()
        match intervention.kind:
            case "int" | "term":
                number = signal.SIGINT if intervention.kind == "int" else signal.SIGTERM
                process.send_signal(number)
                return
            case "int_int":
                process.send_signal(signal.SIGINT)
                if not still_running(process, dice.uniform(0, 0.03)):
                    return
                at = time.monotonic()
                process.send_signal(signal.SIGINT)
            case "pause":
                process.send_signal(signal.SIGSTOP)
                time.sleep(dice.uniform(0.05, 3.5))
                process.send_signal(signal.SIGCONT)
                return
            case "stop_kill":
                process.send_signal(signal.SIGSTOP)
                time.sleep(dice.uniform(0.0, 0.1))
                process.kill()
            case _:
                process.kill()
        self._note_end(process, at, before)
        if intervention.kind == "kill_twice":
            self._kill_while_starting(dice)

    def _kill_while_starting(self, dice: Random) -> None:
        before = len(self.seen())
        process = self.spawn(self._arguments(dice))
        if still_running(process, dice.uniform(0, 0.7)):
            at = time.monotonic()
            process.kill()
            self._note_end(process, at, before)

    def _note_end(self, process: "subprocess.Popen[bytes]", at: float, before: int) -> None:
        process.wait(HANGS)
        self.result.kills += 1
        self._settle()
        self.ended.append(EndedProcess(before, len(self.seen()), at))

    def _settle(self) -> None:
        """Wait until the server has noticed that the process is gone."""
        deadline = time.monotonic() + HANGS
        while self._server.totals().connections:
            if time.monotonic() > deadline:
                raise RuntimeError("connections of a dead process stay open")
            time.sleep(0.002)

    def _output(self) -> str:
        return (self.folder / f"output-{self._sessions}").read_text("utf-8", "replace")

    def _last_lines(self) -> str:
        return " | ".join(self._output().strip().splitlines()[-6:])


def still_running(process: "subprocess.Popen[bytes]", seconds: float) -> bool:
    """Give *process* so many seconds, and return whether it still runs."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False
