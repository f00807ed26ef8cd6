"""How fast what is paid for comes back: cached calls a second, and a run with its seeds finished.

The cache is filled through `Model.ask` with a provider that answers at once; then a new process
asks everything again, in order and shuffled. A ledger is filled with finished seeds through its own
writer; then the same command is given again, with one seed more than are finished.
"""

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from codeclm.engine.bench.server import TEXT
from codeclm.engine.calls.budget import Budget
from codeclm.engine.calls.cache import open_cache
from codeclm.engine.calls.counters import Counters
from codeclm.engine.calls.dispatcher import open_dispatcher
from codeclm.engine.calls.model import Model
from codeclm.engine.calls.outgoing import InFlightCalls, RoleCalls
from codeclm.engine.calls.pacing import Limits
from codeclm.engine.calls.sampling import Sampling
from codeclm.engine.config import BudgetConfig, RetryPolicy, RoleConfig, build_config
from codeclm.engine.data import seeds
from codeclm.engine.data.records import Example, InstructionRequest, Metadata, Seed, identity
from codeclm.engine.pipeline.prepare import Plan, prepare
from codeclm.engine.pipeline.session import settle_manifest
from codeclm.engine.store.writer import LedgerWriter
from codeclm.prompts import PromptSet, Respond
from codeclm.providers.base import Reply, Request, ResponseFormat

from .measuring import (
    Cost,
    Gate,
    Line,
    announce,
    arguments,
    calm_collector,
    costing,
    hold,
    keep,
    on_loop,
    plot,
    settle,
    show,
)

INSTRUCTION = "Explain in detail, with examples, why this matters: " + "word " * 150


class Instant:
    """A provider without a model: 1 KB at once."""

    kind = "instant"
    identity = "instant"
    structured: ResponseFormat = "text"

    async def complete(self, request: Request, /) -> Reply:
        del request
        return Reply(text=TEXT, prompt_tokens=200, completion_tokens=220, model="instant")

    async def aclose(self) -> None:
        return


async def ask_all(folder: Path, order: Sequence[int], workers: int) -> tuple[Cost, int]:
    """Ask one question for each number in *order*; return the cost and how many were paid for."""
    counters = Counters()
    numbers = iter(order)
    cost = list[Cost]()

    async def work(model: Model) -> None:
        for n in numbers:
            text = f"{INSTRUCTION}{n}"
            await model.ask(Respond(instruction=text), item=str(n))

    async with (
        open_cache(folder) as cache,
        open_dispatcher(Instant(), Limits(max_concurrent=512), RetryPolicy()) as dispatcher,
    ):
        budget = Budget(BudgetConfig(), {"strong": RoleConfig()}, (), stop=dispatcher.stop)
        calls = RoleCalls("strong", dispatcher, cache, InFlightCalls(), counters, budget)
        model = Model(Sampling("m", temperature=0.7), PromptSet.load("default", (Respond,)), calls)
        with costing(len(order)) as cost:
            await asyncio.gather(*(work(model) for _ in range(workers)))
        await dispatcher.drained()
    return cost[0], counters.total().paid


def cached(entries: int, folder: Path) -> dict[str, Any]:
    """Fill a cache and replay it, at most 100,000 calls of it at a time."""
    filled, paid = on_loop(partial(ask_all, folder, range(entries), 512))
    subset = random.Random(0).sample(range(entries), min(entries, 100_000))
    row: dict[str, Any] = {"entries": entries, "filled/s": round(filled.per_second)}
    for name, order in (("in order", sorted(subset)), ("shuffled", subset)):
        on_loop(partial(ask_all, folder, order[: len(order) // 10], 1))  # the file's pages
        cost, paid_again = on_loop(partial(ask_all, folder, order, 1))
        if (paid, paid_again) != (entries, 0):
            raise RuntimeError(f"{paid} of {entries} paid, and {paid_again} again")
        row[f"{name}/s"] = round(cost.per_second)
        row[f"{name} µs"] = round(cost.cpu_us, 1)
    size = sum(file.stat().st_size for file in folder.iterdir())
    return row | {"bytes per entry": round(size / entries)}


# -- resuming ---------------------------------------------------------------------------------


def resumed(finished: int, folder: Path) -> dict[str, Any]:
    """Go on with a run of so many finished seeds and one that is not."""
    source = folder / "seeds.jsonl"
    with source.open("w", encoding="utf-8") as file:
        for n in range(finished + 1):
            text = f"Tell me of number {n}, of its friends, and of what they did that summer."
            file.write(json.dumps({"instruction": text}) + "\n")
    arguments = [
        *("--seeds", str(source), "--strong", "scripted/strong", "--target", "scripted/target"),
        *("--out", str(folder / "run"), "--cache", str(folder / "cache")),
    ]
    roles = ("strong.model='scripted/strong'", "target.model='scripted/target'")
    places = (f"out='{folder / 'run'}'", f"cache.folder='{folder / 'cache'}'")
    config = build_config({"seeds": [str(source)]}, [*roles, *places], where="benchmark")
    _fill(prepare(config, where="benchmark"), finished)
    row: dict[str, Any] = {"finished seeds": finished}
    plan = _timed(row, "check", partial(prepare, config, where="benchmark"))
    ledger = _timed(row, "open", partial(LedgerWriter, plan.folder.ledger))
    done = _timed(row, "skip list", ledger.reader.finished_seeds)
    ledger.close()
    _timed(row, "find the next seed", lambda: next(seeds.read(config.seed_source, skip=done)))
    row["until its first call"] = round(sum(row[name] for name in list(row)[1:]), 2)
    began = time.perf_counter()
    process = subprocess.run(
        [sys.executable, "-m", "codeclm.engine", "run", *arguments, "--display", "none"],
        capture_output=True,
        text=True,
        check=False,
    )
    row["whole command"] = round(time.perf_counter() - began, 2)
    if process.returncode:
        raise RuntimeError(process.stderr)
    return row


def _timed(row: dict[str, Any], name: str, work: Any) -> Any:
    began = time.perf_counter()
    value = work()
    row[name] = round(time.perf_counter() - began, 2)
    return value


def _fill(plan: Plan, finished: int) -> None:
    """Write what a run leaves of so many seeds, one instruction each, filtered."""
    plan.folder.make()
    ledger = LedgerWriter(plan.folder.ledger)
    settle_manifest(plan, ledger, allow_change=False)
    for n in range(finished):
        name = identity("seed", str(n))
        metadata = Metadata(n, name, f"letters {n}", ("tact", "style"), "seed", (name,))
        ledger.seed_encoded(Seed(n, name, f"Tell me of number {n}."), metadata, item=n)
        example = Example(
            id=name,
            position=n,
            number=0,
            metadata=metadata,
            basic_instruction=f"Write letter {n}.",
            fate="filtered",
            reason="gap",
        )
        ledger.example_finished(example)
        ledger.request_done(InstructionRequest(metadata, 10), 1)
    ledger.close()


# -- all of it --------------------------------------------------------------------------------


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--entries", type=int, nargs="+", help="sizes of the cache and the ledger")


def _gates_of_resuming(rows: list[dict[str, Any]]) -> list[Gate]:
    return [
        Gate(
            "skip a million finished seeds, seconds",
            row["find the next seed"] / row["finished seeds"] * 1e6,
            most=2.0,
        )
        for row in rows
    ]


def main() -> None:
    job, args = arguments(__doc__, _more)
    sizes = args.entries or (job.pick([300], [20_000], [10_000, 100_000, 1_000_000]))
    settle()
    about = announce("replay")
    calm_collector()
    replays, resumes = list[dict[str, Any]](), list[dict[str, Any]]()
    for entries in sizes:
        with tempfile.TemporaryDirectory() as folder:
            replays.append(cached(entries, Path(folder)))
        show("cached calls (one task, as fast as it can)", replays[-1:])
        with tempfile.TemporaryDirectory() as folder:
            resumes.append(resumed(entries, Path(folder)))
        show("going on with a run, seconds", resumes[-1:])
    keep(job, "replay", about, {"cached": replays, "resumed": resumes})
    lines = [
        Line(name, [row["entries"] for row in replays], [row[f"{name}/s"] for row in replays])
        for name in ("in order", "shuffled")
    ]
    plot(job, "replay", "Cached calls", lines, x="entries", y="calls per second", log_x=True)
    gates = [
        Gate("cached calls ÷ calls written", row["shuffled/s"] / row["filled/s"], least=1.2)
        for row in replays
    ]
    hold(job, [*gates, *_gates_of_resuming(resumes)])


if __name__ == "__main__":
    main()
