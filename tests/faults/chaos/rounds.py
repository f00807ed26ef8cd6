"""Play rounds one after another against one server."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from ..processes import FaultServer, fault_server
from ..server import Settings
from .plan import RoundPlan, Scenario, draw, scenarios
from .sessions import EXPORTS, Baseline, Round, Run, still_running
from .verdict import judge


class Harness:
    """Rounds against one server; everything is kept under *folder*."""

    def __init__(
        self, server: FaultServer, folder: Path, *, seed: int, size: int, strict: bool
    ) -> None:
        self._server = server
        self._folder = folder
        self._seed = seed
        self._scenarios = scenarios(size)
        self._strict = strict
        self._baselines: dict[str, Baseline] = {}

    def round(self, number: int) -> Round:
        """Play round *number*; the same number and seed draw the same plan."""
        dice = Random(f"{self._seed}/{number}")
        scenario = self._scenarios[number % len(self._scenarios)]
        if scenario.name not in self._baselines:
            self._baselines[scenario.name] = self._undisturbed(scenario)
        baseline = self._baselines[scenario.name]
        result = Round(number, draw(dice, scenario, calls=baseline.calls))
        run = Run(self._server, self._folder / f"round-{number}", result)
        run.carry_out(dice)
        if not result.wrong:
            judge(run, baseline, strict=self._strict)
        if not result.wrong:
            run.repeat()
        if not result.wrong and dice.random() < 0.3:
            _kill_export(run, baseline, dice)
        if not result.wrong:
            shutil.rmtree(run.folder)
        return result

    def _undisturbed(self, scenario: Scenario) -> Baseline:
        plan = RoundPlan(
            scenario, 64, "aiohttp", Settings(latency=0.002, jitter=0.002), (), None, streams=False
        )
        run = Run(self._server, self._folder / f"undisturbed-{scenario.name}", Round(0, plan))
        run.carry_out(Random(0))
        if run.result.wrong:
            raise RuntimeError(f"the undisturbed run failed: {run.result.wrong}")
        seen = run.seen()
        paid = Counter(one.digest for one in seen if one.paid)
        return Baseline(run.outcome(), paid, len(seen))


def _kill_export(run: Run, baseline: Baseline, dice: Random) -> None:
    """Kill ``codeclm export``: its file is whole or not there."""
    to = run.out / "again.jsonl"
    process = run.spawn(["export", "run", "--format", EXPORTS[0], "--to", to])
    if still_running(process, dice.uniform(0.1, 0.5)):
        process.kill()
        process.wait()
        run.result.kills += 1
    if to.exists() and to.read_bytes() != baseline.outcome.exports[EXPORTS[0]]:
        run.result.wrong.append("a killed export left half a file")


def play(
    rounds: int,
    *,
    seed: int,
    folder: Path,
    first: int = 0,
    size: int = 1,
    strict: bool = False,
    report: Callable[[Round], None] = lambda _: None,
) -> list[Round]:
    """Play *rounds* from round *first* on; what went wrong stays in *folder*."""
    results = list[Round]()
    with fault_server() as server:
        harness = Harness(server, folder, seed=seed, size=size, strict=strict)
        for number in range(first, first + rounds):
            results.append(harness.round(number))
            report(results[-1])
    return results
