"""Kill real runs at random moments, resume them, and see that nothing was lost or paid twice.

``python -m tests.faults.chaos --rounds 100 --seed 1`` (or ``scripts/chaos``) prints a line for
each round and exits with 1 if any promise was broken. A round starts ``codeclm run`` against the
fault server, strikes it (SIGKILL, also while stopped or twice in a row; SIGTERM; SIGINT once and
twice; SIGSTOP and SIGCONT), goes on until it is done, and compares with an undisturbed run:

* *Paid again*: how much oftener a content was paid than in the undisturbed run. Each such content
  must have been in flight at a strike that ends a process at once; a gentle stop and a pause allow
  none.
* *In flight* at a strike: the request had come in whole, and its answer had not been handed to
  the kernel, or had been within the last ``GRACE`` seconds: an answer needs a moment to be read,
  grouped and committed. How old the oldest lost answer was is printed, so that the grace can be
  judged. On a busy machine that moment has no bound: unless *strict*, a process that kept nothing
  of what was answered later is taken to have been no further.
* Exports and the ledger's fates equal byte for byte, sums add up, both databases pass SQLite's
  integrity check, every stored answer can be read, and no unfinished file is left behind.
"""

import argparse
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from codeclm.engine.calls.replies import decode_reply

from .processes import HANGS, FaultServer, command, environment, fault_server, write_seeds
from .server import Seen

GRACE = 0.05
"""Seconds; see the module."""

EXPORTS = ("alpaca", "preference")


class Scenario(Struct, frozen=True):
    """A kind of run. ``exact`` says that all it does is determined, not its dataset alone."""

    name: str
    seeds: int
    arguments: tuple[str, ...]
    exact: bool = True


SCENARIOS = (
    Scenario("streaming", 12, ("--per-metadata", "6")),
    Scenario("first_n", 14, ("--per-metadata", "5", "-n", "30"), exact=False),
    Scenario(
        "augmented",
        10,
        (
            "--augment-to",
            "14",
            "-n",
            "40",
            "--max-candidates",
            "200",
            "--threshold",
            "4",
            "--max-iterations",
            "2",
        ),
    ),
)


class Strike(Struct, frozen=True):
    """What is done to a process, and when.

    ``answered`` waits until so many requests were answered (of ``purpose``, if given) in this
    round, then ``delay`` seconds more.
    """

    kind: str
    delay: float
    answered: int = 0
    purpose: str = ""

    @property
    def gentle(self) -> bool:
        return self.kind in {"int", "term", "pause"}

    def __str__(self) -> str:
        return f"{self.kind}@{self.purpose}{self.answered}+{self.delay * 1000:.0f}ms"


class Ended(NamedTuple):
    """A process that was ended at once."""

    first: int
    """Its first request."""
    last: int
    """The first request after its own."""
    at: float
    """When it was struck."""


class Outcome(NamedTuple):
    """What a run left behind."""

    exports: dict[str, bytes]
    fates: list[tuple[Any, ...]]
    answers: int
    """Answers in the cache."""


class Round(Struct):
    """What a round came to."""

    number: int
    scenario: str
    concurrency: int
    strikes: list[str] = []
    kills: int = 0
    requests: int = 0
    in_flight: int = 0
    again: int = 0
    oldest: float = 0.0
    """Seconds between the oldest lost answer and the strike that lost it."""
    wrong: list[str] = []

    def __str__(self) -> str:
        verdict = "; ".join(self.wrong) or "ok"
        return (
            f"{self.number:>4}  {self.scenario:<9} {self.concurrency:>3} {self.requests:>5}"
            f" {self.kills:>5} {self.in_flight:>9} {self.again:>6} {self.oldest * 1000:>6.0f}"
            f"  {verdict}  [{', '.join(self.strikes)}]"
        )


HEADER = "   #  scenario    c  reqs kills in flight re-paid old ms  verdict"


class Baseline(NamedTuple):
    """The undisturbed run."""

    outcome: Outcome
    paid: Counter[str]
    purposes: Counter[str]


class Harness:
    """Rounds against one server; everything is kept under *folder*."""

    def __init__(self, server: FaultServer, folder: Path, *, seed: int, strict: bool) -> None:
        self._server = server
        self._folder = folder
        self._seed = seed
        self._strict = strict
        self._baselines: dict[str, Baseline] = {}

    def round(self, number: int, scenario: Scenario | None = None) -> Round:
        """Play round *number*; the same number and seed plan the same strikes."""
        dice = Random(f"{self._seed}/{number}")
        scenario = scenario or SCENARIOS[number % len(SCENARIOS)]
        if scenario.name not in self._baselines:
            self._baselines[scenario.name] = self._undisturbed(scenario)
        baseline = self._baselines[scenario.name]
        result = Round(number, scenario.name, dice.choice((8, 16, 32, 64)))
        folder = self._folder / f"round-{number}"
        self._prepare(folder, scenario, latency=dice.choice((0.005, 0.02, 0.05)))
        run = _Run(self._server, folder, scenario, result)
        run.disturb(_plan(dice, scenario, baseline), dice)
        _judge(run, baseline, strict=self._strict)
        if not result.wrong and dice.random() < 0.3:
            _strike_export(run, baseline, dice)
        if not result.wrong:
            shutil.rmtree(folder)
        return result

    def _undisturbed(self, scenario: Scenario) -> Baseline:
        folder = self._folder / f"undisturbed-{scenario.name}"
        self._prepare(folder, scenario, latency=0.002)
        result = Round(0, scenario.name, 64)
        run = _Run(self._server, folder, scenario, result)
        run.disturb([], Random(0))
        if result.wrong:
            raise RuntimeError(f"the undisturbed run failed: {result.wrong}")
        seen = self._server.seen()
        paid = Counter(one.digest for one in seen if one.paid)
        return Baseline(run.outcome(), paid, Counter(one.purpose for one in seen))

    def _prepare(self, folder: Path, scenario: Scenario, *, latency: float) -> None:
        folder.mkdir(parents=True)
        write_seeds(folder / "seeds.jsonl", scenario.seeds)
        self._server.reset(latency=latency, jitter=latency)


def _plan(dice: Random, scenario: Scenario, baseline: Baseline) -> list[Strike]:
    """Draw the strikes of a round: where, and with what."""
    total = sum(baseline.purposes.values())
    strikes = list[Strike]()
    reached = 0
    for _ in range(dice.randint(1, 4)):
        kind = dice.choice(
            ("kill", "kill", "kill", "kill", "twice", "stopped", "int", "int_int", "term", "pause")
        )
        match dice.randrange(6):
            case 0:
                strike = Strike(kind, dice.uniform(0, 1.0))
            case 1:  # while exporting, or a moment before or after
                strike = Strike(kind, dice.uniform(0, 0.08), total)
            case 2:  # the last seed was encoded: while augmenting
                strike = Strike(kind, dice.uniform(0, 0.02), scenario.seeds, "encode")
            case _:
                reached = dice.randint(reached, total)
                strike = Strike(kind, dice.uniform(0, 0.01), reached)
        strikes.append(strike)
    return sorted(strikes, key=lambda strike: (strike.answered, not strike.purpose))


class _Run:
    """One run, over as many processes as it takes."""

    def __init__(
        self, server: FaultServer, folder: Path, scenario: Scenario, result: Round
    ) -> None:
        self._server = server
        self.folder = folder
        self.scenario = scenario
        self.out = folder / "run"
        self.result = result
        self.ended: list[Ended] = []
        self._sessions = 0

    def disturb(self, strikes: Sequence[Strike], dice: Random) -> None:
        """Run and strike until the run is done."""
        waiting = list(strikes)
        for _ in range(3 * len(strikes) + 2):
            strike = waiting.pop(0) if waiting else None
            status = self._session(strike, dice)
            if self.result.wrong:
                return
            if status == 0:
                return
            if strike is None:
                self.result.wrong.append(f"exit {status}: {self._said()}")
                return
        self.result.wrong.append("never done")

    def outcome(self) -> Outcome:
        """Read what the run left behind."""
        exports = {name: (self.out / f"{name}.jsonl").read_bytes() for name in EXPORTS}
        with closing(sqlite3.connect(self.out / "ledger.sqlite")) as ledger:
            fates = [row for query in _FATES for row in ledger.execute(query)]
        with closing(sqlite3.connect(self.folder / "cache" / "cache.db")) as cache:
            answers = cache.execute("SELECT count(*) FROM Cache").fetchone()[0]
        return Outcome(exports, fates, answers)

    def seen(self) -> list[Seen]:
        return self._server.seen()

    def spawn(self, arguments: Sequence[object]) -> "subprocess.Popen[bytes]":
        self._sessions += 1
        with (self.folder / f"said-{self._sessions}").open("wb") as said:
            return subprocess.Popen(
                command(*arguments),
                cwd=self.folder,
                env=environment(PYTHONFAULTHANDLER="1"),
                stdout=subprocess.DEVNULL,
                stderr=said,
            )

    def _arguments(self, dice: Random) -> list[object]:
        shown = ["--display", "none"]
        if (self.out / "config.toml").exists() and dice.random() < 0.5:
            return ["resume", "run", *shown]
        roles = ["--strong", "vllm/strong", "--target", "vllm/target", "--base-url"]
        return [
            *("run", "--seeds", "seeds.jsonl", *roles, self._server.url, "--out", "run"),
            *("--cache", "cache", "-c", self.result.concurrency, "--export", *EXPORTS),
            *(*self.scenario.arguments, *shown),
        ]

    def _session(self, strike: Strike | None, dice: Random) -> int:
        before = len(self._server.seen())
        process = self.spawn(self._arguments(dice))
        if strike is not None and self._await(process, strike):
            self._strike(process, strike, dice, before)
        try:
            status = process.wait(HANGS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # faulthandler says where it was
            status = process.wait()
            self.result.wrong.append(f"it hung: {self._said()}")
        self._settle()
        allowed = {0, 1, -signal.SIGKILL} if strike is not None else {0}
        if strike is not None and strike.kind == "term":
            allowed.add(-signal.SIGTERM)  # while it starts or closes; what it paid for is counted
        if strike is not None and len(self._server.seen()) == before:
            allowed.add(-signal.SIGINT)  # Python itself was starting
        if status not in allowed:
            self.result.wrong.append(f"exit {status} after {strike}: {self._said()}")
        return status

    def _await(self, process: "subprocess.Popen[bytes]", strike: Strike) -> bool:
        """Wait for the moment of *strike*; False if the process ended before."""
        while strike.answered:
            told = self._server.wait(strike.answered, purpose=strike.purpose, timeout=0.1)
            if told.answered_for >= strike.answered:
                break
            if process.poll() is not None:
                return False
        return _still_running(process, strike.delay)

    def _strike(
        self, process: "subprocess.Popen[bytes]", strike: Strike, dice: Random, before: int
    ) -> None:
        self.result.strikes.append(str(strike))
        struck = time.monotonic()
        match strike.kind:
            case "int" | "term":
                process.send_signal(signal.SIGINT if strike.kind == "int" else signal.SIGTERM)
                return
            case "int_int":
                process.send_signal(signal.SIGINT)
                if not _still_running(process, dice.uniform(0, 0.03)):
                    return
                struck = time.monotonic()
                process.send_signal(signal.SIGINT)
            case "pause":
                process.send_signal(signal.SIGSTOP)
                time.sleep(dice.uniform(0.05, 0.3))
                process.send_signal(signal.SIGCONT)
                return
            case "stopped":
                process.send_signal(signal.SIGSTOP)
                time.sleep(dice.uniform(0.0, 0.1))
                process.kill()
            case _:
                process.kill()
        process.wait(HANGS)
        self.result.kills += 1
        self._settle()
        self._note_end(struck, before)
        if strike.kind == "twice":
            self._again_at_once(dice)

    def _again_at_once(self, dice: Random) -> None:
        """Resume and kill while it starts."""
        before = len(self._server.seen())
        process = self.spawn(self._arguments(dice))
        if not _still_running(process, dice.uniform(0, 0.7)):
            return
        struck = time.monotonic()
        process.kill()
        process.wait()
        self.result.kills += 1
        self._settle()
        self._note_end(struck, before)

    def _settle(self) -> None:
        """Wait until the server has noticed that the process is gone."""
        deadline = time.monotonic() + HANGS
        while self._server.totals().connections:
            if time.monotonic() > deadline:
                raise RuntimeError("connections of a dead process stay open")
            time.sleep(0.002)

    def _note_end(self, struck: float, before: int) -> None:
        self.ended.append(Ended(before, len(self._server.seen()), struck))

    def _said(self) -> str:
        text = (self.folder / f"said-{self._sessions}").read_text("utf-8", "replace")
        return " | ".join(text.strip().splitlines()[-6:])


def _still_running(process: "subprocess.Popen[bytes]", seconds: float) -> bool:
    """Give *process* so many seconds, and say whether it still runs."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


_FATES = (
    "SELECT position, id, state, reason, fingerprint, item, metadata FROM seeds ORDER BY 1",
    "SELECT position, metadata FROM items ORDER BY 1",
    "SELECT first_row, item, count, instructions, done, reason FROM requests ORDER BY 1",
    "SELECT row_index, item, id, fate, reason, winner, iteration, gaps FROM examples ORDER BY 1",
    "SELECT row_index, fingerprint FROM examples ORDER BY 1",
)


# -- judging ----------------------------------------------------------------------------------


def _judge(run: _Run, baseline: Baseline, *, strict: bool) -> None:
    result = run.result
    if result.wrong:
        return
    seen = run.seen()
    result.requests = len(seen)
    lost = _may_be_lost(run.ended, seen, strict=strict)
    result.in_flight = len(lost)
    result.wrong += _paid_again(run, seen, baseline, lost)
    result.wrong += _damage(run.out / "ledger.sqlite", run.folder / "cache" / "cache.db")
    result.wrong += _sums(run)
    outcome = run.outcome()
    for name in EXPORTS:
        if outcome.exports[name] != baseline.outcome.exports[name]:
            result.wrong.append(f"{name} differs")
    if run.scenario.exact and outcome.fates != baseline.outcome.fates:
        result.wrong.append(_first_difference(outcome.fates, baseline.outcome.fates))
    if run.scenario.exact and outcome.answers != baseline.outcome.answers:
        result.wrong.append(f"{outcome.answers} answers kept, not {baseline.outcome.answers}")
    litter = sorted(path.name for path in run.out.iterdir() if path.name.startswith("."))
    if litter:
        result.wrong.append(f"left behind: {', '.join(litter)}")


def _may_be_lost(ended: Sequence[Ended], seen: Sequence[Seen], *, strict: bool) -> dict[int, float]:
    """Return the requests in flight when their process was ended, and how old their answers were.

    See the module.
    """
    lost: dict[int, float] = {}
    for process in ended:
        own = seen[process.first : process.last]
        later = {one.digest for one in seen[process.last :] if one.paid}
        kept = [one.answered or 0.0 for one in own if one.digest not in later]
        since = process.at if strict else min(process.at, max(kept, default=0.0))
        for number in range(process.first, process.last):
            answered = seen[number].answered
            if seen[number].paid and (answered is None or answered > since - GRACE):
                lost[number] = 0.0 if answered is None else process.at - answered
    return lost


def _paid_again(
    run: _Run, seen: Sequence[Seen], baseline: Baseline, lost: Mapping[int, float]
) -> Iterator[str]:
    payments: dict[str, list[int]] = {}
    for number, one in enumerate(seen):
        if one.paid:
            payments.setdefault(one.digest, []).append(number)
    # What the first N rows need is settled, what is under way when they are there is not.
    once = 0 if run.scenario.exact else 1
    for digest, numbers in payments.items():
        again = len(numbers) - max(baseline.paid[digest], once)
        if again <= 0:
            continue
        run.result.again += again
        # Items may share a prompt, each with its own sample: any of these may be the one that was
        # lost, and at least so many of them must have been in flight.
        ages = [lost[number] for number in numbers if number in lost]
        if len(ages) < again:
            yield f"{seen[numbers[0]].purpose} {digest} paid again, not in flight at a kill"
        run.result.oldest = max(run.result.oldest, *ages[:again], 0.0)


def _damage(ledger: Path, cache: Path) -> Iterator[str]:
    for path in (ledger, cache):
        with closing(sqlite3.connect(path)) as database:
            ((said,), *_) = database.execute("PRAGMA integrity_check").fetchall()
            if said != "ok":
                yield f"{path.name}: {said}"
    with closing(sqlite3.connect(cache)) as database:
        for (value,) in database.execute("SELECT value FROM Cache"):
            try:
                decode_reply(value)
            except msgspec.MsgspecError as error:
                yield f"{cache.name}: {error}"


def _sums(run: _Run) -> Iterator[str]:
    summary: dict[str, Any] = msgspec.json.decode((run.out / "summary.json").read_bytes())
    for what in ("seeds", "instructions"):
        sums: dict[str, Any] = summary[what]
        ended = sums["kept"] + sum(sums["filtered"].values()) + sum(sums["failed"].values())
        if sums["input"] != ended + sums["unfinished"]:
            yield f"{what} do not add up: {sums}"
        if run.scenario.exact and sums["unfinished"]:
            yield f"{what} unfinished: {sums['unfinished']}"
    rows = (run.out / f"{EXPORTS[0]}.jsonl").read_bytes().count(b"\n")
    if summary["rows"] != rows:
        yield f"the summary says {summary['rows']} rows, the export has {rows}"


def _first_difference(rows: Sequence[tuple[Any, ...]], wanted: Sequence[tuple[Any, ...]]) -> str:
    extra, missing = set(rows) - set(wanted), set(wanted) - set(rows)
    one = next(iter(extra or missing), ())
    return f"ledger: {len(extra)} other and {len(missing)} missing rows, as {str(one)[:150]}"


def _strike_export(run: _Run, baseline: Baseline, dice: Random) -> None:
    """Kill ``codeclm export``: its file is whole or not there."""
    to = run.out / "again.jsonl"
    process = run.spawn(["export", "run", "--format", EXPORTS[0], "--to", to])
    if _still_running(process, dice.uniform(0.1, 0.5)):
        process.kill()
        process.wait()
        run.result.kills += 1
    if to.exists() and to.read_bytes() != baseline.outcome.exports[EXPORTS[0]]:
        run.result.wrong.append("a killed export left half a file")


# -- command ----------------------------------------------------------------------------------


def play(
    rounds: int,
    *,
    seed: int,
    folder: Path,
    first: int = 0,
    strict: bool = False,
    tell: Callable[[str], None] = print,
) -> list[Round]:
    """Play *rounds* from round *first* on; what went wrong stays in *folder*."""
    results = list[Round]()
    with fault_server() as server:
        harness = Harness(server, folder, seed=seed, strict=strict)
        for number in range(first, first + rounds):
            results.append(harness.round(number))
            tell(str(results[-1]))
    return results


def main() -> int:
    parser = argparse.ArgumentParser(prog="chaos", description="Kill and resume real runs.")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first round")
    parser.add_argument("--folder", type=Path, help="where rounds are kept that went wrong")
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="codeclm-chaos-"))
    print(HEADER, flush=True)
    results = play(
        args.rounds,
        seed=args.seed,
        folder=folder,
        first=args.first,
        strict=True,
        tell=lambda line: print(line, flush=True),
    )
    wrong = [result for result in results if result.wrong]
    print(
        f"{len(results)} rounds, {sum(r.kills for r in results)} kills,"
        f" {sum(r.requests for r in results)} requests, {sum(r.in_flight for r in results)} in"
        f" flight at kills, {sum(r.again for r in results)} paid again, oldest lost answer"
        f" {max((r.oldest for r in results), default=0.0) * 1000:.0f} ms,"
        f" {len(wrong)} rounds wrong{f' (kept in {folder})' if wrong else ''}"
    )
    if not wrong and not args.folder:
        shutil.rmtree(folder)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
