"""What one call costs: bare aiohttp, aiohttp as we tune it, `Model.ask` alone, the whole engine.

All make the same calls, those of one seed in turn: encode, decode, rubrics, and ten times two
answers and two scores. The whole engine reads seeds, parses, scores, filters and keeps its ledger,
over aiohttp and, where it is installed, over the lean transport; both it and `Model.ask` have every
answer on disk before anything uses it.

Cells whose wire gives less than 1,000 calls a second are left out: what a call costs cannot be seen
there among what starting costs. They run at a fixed number of calls, in turns.
"""

import argparse
import asyncio
import gc
import json
import signal
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, cast

import aiohttp
import anyio
import orjson
from yarl import URL

from codeclm.engine.bench.server import TEXT
from codeclm.engine.calls.cache import Cache
from codeclm.engine.calls.cache_file import open_cache_file
from codeclm.engine.calls.clients import CallSettings, open_clients
from codeclm.engine.calls.counters import Counters
from codeclm.engine.calls.dispatcher import Dispatcher
from codeclm.engine.calls.keys import KeyBuilder
from codeclm.engine.calls.model import Model
from codeclm.engine.calls.outgoing import OutgoingCall
from codeclm.engine.calls.pacing import Limits, Pacer
from codeclm.engine.calls.prompts import load_prompts
from codeclm.engine.calls.replies import decode_reply, encode_reply, to_stored
from codeclm.engine.config import Config, build_config
from codeclm.engine.data.text.fingerprint import fingerprint
from codeclm.engine.disk.event_log import event_logger, logging_to
from codeclm.engine.pipeline import line as flow
from codeclm.engine.pipeline import session as run
from codeclm.engine.pipeline.prepare import prepare
from codeclm.engine.pipeline.stages.refine import Refiner
from codeclm.engine.store.writer import LedgerWriter
from codeclm.prompts import (
    AnyPrompt,
    Decode,
    Encode,
    Prompt,
    PromptSet,
    RawReply,
    Respond,
    Score,
    WriteRubrics,
)
from codeclm.prompts.decode import read_instructions
from codeclm.prompts.encode import read_metadata
from codeclm.prompts.score import read_scores
from codeclm.providers import openai
from codeclm.providers.base import Message, Reply, Request
from codeclm.providers.http.aiohttp_transport import AiohttpSession

from .measuring import (
    Cost,
    Gate,
    Job,
    Line,
    LoadServer,
    announce,
    arguments,
    calm_collector,
    costing,
    cpu_of_process,
    cpu_of_thread,
    hold,
    keep,
    load_server,
    median,
    on_loop,
    plot,
    quiet,
    settle,
    show,
    timed,
)

PER_SEED = 43
LEAN = tuple(f"{role}.transport=lean" for role in ("strong", "target", "judge"))
VARIANTS = ("aiohttp", "tuned", "ask", "engine") + ("engine, lean",) * bool(find_spec("httptools"))


PROMPTS: tuple[AnyPrompt, ...] = (Encode, Decode, WriteRubrics, Respond, Score)


def unparsed(prompt: AnyPrompt) -> Callable[..., Prompt[str]]:
    """Return *prompt* with a parser that does nothing: parsing is measured by itself."""

    def read(self: Prompt[str], reply: RawReply) -> str:
        del self
        return reply.text

    return cast("type[Prompt[str]]", type(prompt.__name__, (prompt,), {"read": read}))


_ENCODE, _DECODE, _RUBRICS, _RESPOND, _SCORE = map(unparsed, PROMPTS)


def questions(number: int) -> list[Prompt[str]]:
    """What one seed leads to, with texts of the lengths that the load server's answers have."""
    about = {"use_case": f"letters {number:08}", "skills": ("tact",)}
    basic = f"Write a letter, number 1 of {number:08}, to somebody who has moved away lately."
    respond = _RESPOND(instruction=basic)
    score = _SCORE(instruction=basic, first=TEXT, second=TEXT)
    return [
        _ENCODE(instruction=basic),
        _DECODE(**about, number=10),
        _RUBRICS(**about, number=4),
        *[respond] * 20,
        *[score] * 20,
    ]


def bodies(loaded: PromptSet) -> list[bytes]:
    """The same questions as they go over the wire."""
    return [
        openai.encode(
            Request(
                model="m",
                messages=tuple(Message(*turn) for turn in loaded.render(prompt)),
                temperature=0.7,
                max_tokens=2048,
            )
        )
        for prompt in questions(0)
    ]


# -- the variants -----------------------------------------------------------------------------


async def bare(server: LoadServer, in_flight: int, calls: int, sent: list[bytes]) -> Cost:
    """Measure aiohttp as its manual shows it, but for the bound on connections."""
    connector = aiohttp.TCPConnector(limit=in_flight)
    headers = {"Authorization": "Bearer sk-none"}
    url = f"{server.url}/v1/chat/completions"
    decoded = [json.loads(body) for body in sent]
    numbers = iter(range(calls))

    async def work() -> None:
        for n in numbers:
            body = decoded[n % len(decoded)]
            async with session.post(url, json=body, headers=headers) as answer:
                reply = await answer.json()
            assert reply["choices"][0]["message"]["content"]

    async with aiohttp.ClientSession(connector=connector) as session:
        return await _measured(work, in_flight, calls)


async def tuned(server: LoadServer, in_flight: int, calls: int, sent: list[bytes]) -> Cost:
    """Measure aiohttp as our transport uses it: no retry, no limit, nothing kept."""
    headers = {"Authorization": "Bearer sk-none", "Content-Type": "application/json"}
    url = URL(f"{server.url}/v1/chat/completions", encoded=True)
    decoded = [orjson.loads(body) for body in sent]
    numbers = iter(range(calls))

    async def work() -> None:
        for n in numbers:
            body = orjson.dumps(decoded[n % len(decoded)])
            async with session.post(url, data=body, headers=headers) as answer:
                reply = orjson.loads(await answer.read())
            assert reply["choices"][0]["message"]["content"]

    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_read=600),
    ) as session:
        return await _measured(work, in_flight, calls)


async def _measured(work: Callable[[], Awaitable[None]], in_flight: int, calls: int) -> Cost:
    with costing(calls) as cost:
        await asyncio.gather(*(work() for _ in range(in_flight)))
    return cost[0]


def settings(server: LoadServer, in_flight: int, folder: Path, *more: str) -> Config:
    """One endpoint for all roles, so that *in_flight* bounds all of them together."""
    roles = [
        f"{role}.{key}={value}"
        for role in ("strong", "target", "judge")
        for key, value in (
            ("model", "vllm/m"),
            ("base_url", f"{server.url}/v1"),
            ("max_concurrent", in_flight),
            ("temperature", 0.7),
        )
    ]
    # Both orders get the same scores from the load server: the gap is 0, and one round is all.
    places = (
        "filter.max_iterations=1",
        f"out='{folder / 'run'}'",
        f"cache.folder='{folder / 'cache'}'",
    )
    return build_config({}, [*roles, *places, *more], where="benchmark")


async def ask(server: LoadServer, in_flight: int, calls: int, folder: Path) -> Cost:
    """Measure `Model.ask`: prompt, key, cache, dispatcher, provider, commit."""
    config = settings(server, in_flight, folder, "seeds='none'")
    role = {"strong": config.strong}
    loaded = {"strong": load_prompts(config, "strong", config.strong, PROMPTS, "benchmark")}
    call_settings = CallSettings(config.cache.path(), config.retry, config.parse_attempts)
    numbered = _all_questions()

    async def work(model: Model) -> None:
        for n, prompt in numbered:
            if n >= calls:
                return
            await model.ask(prompt, item=str(n))

    with costing(calls) as cost:
        async with (
            open_clients(role, loaded, call_settings, counters=Counters()) as clients,
        ):
            await asyncio.gather(*(work(clients.models["strong"]) for _ in range(in_flight)))
            await clients.drained()
    return cost[0]


def _all_questions() -> Iterator[tuple[int, Prompt[str]]]:
    of_one = questions(0)
    n = 0
    while True:
        yield n, of_one[n % len(of_one)]
        n += 1


async def engine(server: LoadServer, in_flight: int, calls: int, folder: Path, *more: str) -> Cost:
    """Measure a run: seeds, all stages, ledger, accounts; everything but exports and the screen."""
    count = max(1, calls // PER_SEED)
    write_seeds(folder / "seeds.jsonl", count)
    seeds = f"seeds='{folder / 'seeds.jsonl'}'"
    plan = prepare(settings(server, in_flight, folder, seeds, *more), where="benchmark")
    plan.folder.make()
    with plan.folder.locked(), logging_to(plan.folder.events), costing(count * PER_SEED) as cost:
        session = await run.execute(plan, watch=_nothing, tries_roles=False)
    paid = session.counters.total().paid
    if (session.ending, paid) != ("finished", count * PER_SEED):
        raise RuntimeError(f"{session.ending}: {session.reason}: {paid} calls")
    return cost[0]


async def _nothing(session: run.Session) -> None:
    del session


def write_seeds(path: Path, count: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        for n in range(count):
            file.write(
                json.dumps({"instruction": f"Tell me of number {n} and its friends."}) + "\n"
            )


# -- in turns ---------------------------------------------------------------------------------


class Cell(NamedTuple):
    in_flight: int
    latency_ms: int
    calls: int
    turns: int


WIDTHS = (1, 64, 128, 256, 512, 1000, 2000, 5000)


def cells(job: Job, *, widths: Sequence[int], latencies: Sequence[int]) -> list[Cell]:
    if job.size != "full":
        return [Cell(128, 0, job.pick(5, 100, 0) * PER_SEED, job.pick(1, 3, 0))]
    grid = [(n, ms) for ms in latencies for n in widths]
    return [
        Cell(n, ms, max(10_000, 4 * n) // PER_SEED * PER_SEED, 5)
        for n, ms in grid
        if ms == 0 or n / ms >= 1
    ]


def measure(cell: Cell, server: LoadServer, names: tuple[str, ...]) -> dict[str, list[Cost]]:
    """Run all variants in turns, each turn in another order."""
    sent = bodies(PromptSet.load("default", PROMPTS))
    costs: dict[str, list[Cost]] = {name: [] for name in names}
    on_loop(partial(tuned, server, cell.in_flight, min(cell.calls, 2000), sent))
    for turn in range(cell.turns):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            with tempfile.TemporaryDirectory() as folder:
                gc.collect()
                variant: dict[str, Callable[[], Any]] = {
                    "aiohttp": partial(bare, server, cell.in_flight, cell.calls, sent),
                    "tuned": partial(tuned, server, cell.in_flight, cell.calls, sent),
                    "ask": partial(ask, server, cell.in_flight, cell.calls, Path(folder)),
                    "engine": partial(engine, server, cell.in_flight, cell.calls, Path(folder)),
                    "engine, lean": partial(
                        engine, server, cell.in_flight, cell.calls, Path(folder), *LEAN
                    ),
                }
                costs[name].append(on_loop(variant[name]))
    return costs


def summary(cell: Cell, measured: dict[str, list[Cost]]) -> dict[str, Any]:
    """Ratios are medians over turns of what was measured in the same turn."""
    row: dict[str, Any] = {"in flight": cell.in_flight, "ms": cell.latency_ms}
    for name, costs in measured.items():
        row[f"{name} µs"] = round(quiet([cost.cpu_us for cost in costs]), 1)
    for name, costs in measured.items():
        row[f"{name}/s"] = round(median([cost.per_second for cost in costs]))
    for name in ("ask", "engine", "engine, lean"):
        if name in measured and "tuned" in measured:
            turns = zip(measured[name], measured["tuned"], strict=True)
            ratios = [one.cpu_us / other.cpu_us for one, other in turns]
            row[f"{name} ÷ tuned"] = round(median(ratios), 2)
            calm, bare_calm = (
                quiet([cost.cpu_us for cost in measured[variant]]) for variant in (name, "tuned")
            )
            row[f"{name} ÷ tuned, quiet"] = round(calm / bare_calm, 2)
    return row


# -- the parts --------------------------------------------------------------------------------


def shares(server: LoadServer, calls: int) -> list[dict[str, Any]]:
    """What each part of one call costs, by itself: an average over the calls of a seed.

    Parts measured in a tight loop find warm caches: their sum is less than the whole.
    """
    loaded = PromptSet.load("default", PROMPTS)
    prompts = questions(0)
    rendered = [loaded.render(prompt) for prompt in prompts]
    requests = [
        Request(
            model="m", messages=tuple(Message(*turn) for turn in turns), temperature=0.7, sample="0"
        )
        for turns in rendered
    ]
    keys = KeyBuilder("openai", server.url, requests[0])
    rows = [
        {"part": name, "µs": round(timed(20, work) / PER_SEED, 2)}
        for name, work in (
            ("prompt", lambda: [loaded.render(prompt) for prompt in prompts]),
            ("key", lambda: [keys.key(request.messages, "0") for request in requests]),
            ("request body", lambda: [openai.encode(request) for request in requests]),
        )
    ]
    rows += _parse_and_keep(keys)
    rows += on_loop(_paced)
    rows += on_loop(partial(_hops, 20_000))
    rows += on_loop(partial(_whole, server, calls))
    return rows + _sampled(server, calls)


SAMPLED: dict[str, Callable[..., object]] = {
    "the wire": AiohttpSession.post,
    "provider, the wire included": openai.OpenAI.complete,
    "dispatcher, the provider included": Dispatcher.send,
    "a call from its turn on: send, count, store": OutgoingCall.carry_out,
    "begin a call": Model.begin,
    "of that: prompt": PromptSet.render,
    "of that: key": KeyBuilder.key,
    "of that: lookup": Cache.get,
    "finish a call": Model.finish,
    "refining, calls included": Refiner.__call__,
    "fingerprints": fingerprint,
    "reading scores": read_scores,
    "ledger": LedgerWriter.example_finished,
}


def _sampled(server: LoadServer, calls: int) -> list[dict[str, Any]]:
    """Look every millisecond of CPU where a whole run is, and share its cost out by that.

    Inclusive. The two writers have no stack of their own here: what they use is spread over all.
    """
    names = {function.__code__: name for name, function in SAMPLED.items()}
    hits, samples = Counter[str](), 0

    def sample(_: int, frame: FrameType | None) -> None:
        nonlocal samples
        samples += 1
        stack = set[str]()
        while frame is not None:
            if frame.f_code in names:
                stack.add(names[frame.f_code])
            frame = frame.f_back
        hits.update(stack)

    before = signal.signal(signal.SIGPROF, sample)
    signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
    with tempfile.TemporaryDirectory() as folder:
        total: Cost = on_loop(partial(engine, server, 128, calls, Path(folder)))
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, before)
    return [
        {"part": f"sampled: {name}", "µs": round(hits[name] / max(1, samples) * total.cpu_us, 1)}
        for name in SAMPLED
    ]


def _parse_and_keep(keys: KeyBuilder) -> list[dict[str, Any]]:
    reply = Reply(text=TEXT, prompt_tokens=200, completion_tokens=220, model="canned")
    stored = to_stored(reply, about=keys.fields, sample="0")
    value = encode_reply(stored)
    texts = {
        "encode": "Use case: letters\nSkills: tact",
        "decode": "\n".join(f"{n}. Write letter {n} of 12 to a friend." for n in range(1, 11)),
    }
    with tempfile.TemporaryDirectory() as folder, open_cache_file(Path(folder)) as file:
        lookup = timed(1000, partial(file.get, b"0" * 16))
    scored = timed(200, partial(read_scores, "9 3"))
    parsed = 20 * scored + timed(50, partial(read_metadata, texts["encode"]))
    parsed += timed(50, partial(read_instructions, texts["decode"], number=10))
    return [
        {"part": "lookup (absent)", "µs": round(lookup, 2)},
        {"part": "record to disk form", "µs": round(timed(500, partial(encode_reply, stored)), 2)},
        {
            "part": "record from disk form (hits)",
            "µs": round(timed(500, partial(decode_reply, value)), 2),
        },
        {"part": "reading answers", "µs": round(parsed / PER_SEED, 2)},
    ]


async def _paced() -> list[dict[str, Any]]:
    loop = asyncio.get_running_loop()
    pacer = Pacer(Limits(requests_per_minute=6e8), clock=loop.time)

    def pace() -> None:
        pacer.delay(0.0)
        pacer.take(0.0)

    logger = event_logger()
    return [
        {"part": "known limit", "µs": round(timed(2000, pace), 2)},
        {"part": "log line that is dropped", "µs": round(timed(500, partial(logger.info, "x")), 2)},
    ]


async def _hops(items: int) -> list[dict[str, Any]]:
    async def source() -> AsyncIterator[int]:
        for n in range(items):
            yield n

    async def step(item: int) -> list[int]:
        return [item]

    async def sink(item: int) -> None:
        del item

    def lost(*_: object) -> None:
        return

    line = flow.begin(flow.Stage("a", step, lost, 64, 64)).then(flow.Stage("b", step, lost, 64, 64))
    with costing(items) as cost:
        await flow.run(source(), line, sink, halt=lost, counts={})
    return [{"part": "hop between stages (per item)", "µs": round(cost[0].cpu_us / 2, 2)}]


async def _whole(server: LoadServer, calls: int) -> list[dict[str, Any]]:
    """Threads of a whole run: what the two writers use, and the loop's part by subtraction."""
    used = {"codeclm-cache": 0.0, "codeclm-ledger": 0.0}

    async def watch(session: run.Session) -> None:
        del session
        while True:
            for name, most in used.items():
                used[name] = max(most, cpu_of_thread(name))
            await anyio.sleep(0.02)

    with tempfile.TemporaryDirectory() as folder:
        write_seeds(Path(folder, "seeds.jsonl"), calls // PER_SEED)
        seeds = f"seeds='{Path(folder, 'seeds.jsonl')}'"
        plan = prepare(settings(server, 128, Path(folder), seeds), where="benchmark")
        plan.folder.make()
        lag = _Lag()
        with costing(calls) as cost:
            async with anyio.create_task_group() as group:
                group.start_soon(lag.measure)
                await run.execute(plan, watch=watch, tries_roles=False)
                group.cancel_scope.cancel()
    rows = [{"part": f"thread {name}", "µs": round(used[name] / calls * 1e6, 2)} for name in used]
    rest = cost[0].cpu_us - sum(used.values()) / calls * 1e6
    return [
        *rows,
        {"part": "loop thread, all in all", "µs": round(rest, 2)},
        {"part": "whole run", "µs": round(cost[0].cpu_us, 2)},
        {"part": "loop lag p99 (ms, not µs)", "µs": round(lag.quantile(0.99) * 1e3, 2)},
        {"part": "loop lag max (ms, not µs)", "µs": round(lag.quantile(1.0) * 1e3, 2)},
    ]


class _Lag:
    """How late a timer comes, in seconds, looked at every 5 ms."""

    def __init__(self) -> None:
        self._late = list[float]()

    async def measure(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.005)
            self._late.append(time.perf_counter() - began - 0.005)

    def quantile(self, share: float) -> float:
        ordered = sorted(self._late)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


# -- all of it --------------------------------------------------------------------------------


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--in-flight", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--latency", type=int, nargs="+", default=(0, 50, 200), metavar="MS")


def main() -> None:
    job, args = arguments(__doc__, _more)
    settle()
    about = announce("call path")
    calm_collector()
    rows = list[dict[str, Any]]()
    for cell in cells(job, widths=args.in_flight, latencies=args.latency):
        with load_server(cell.latency_ms, "--answers", "staged") as server:
            began = cpu_of_process(server.pid)
            costs = measure(cell, server, VARIANTS)
            total = cell.calls * (len(VARIANTS) * cell.turns) + min(cell.calls, 2000)
            served = (cpu_of_process(server.pid) - began) / total
        rows.append(summary(cell, costs) | {"server could/s": round(1 / max(served, 1e-9))})
        show(f"{cell.calls:,} calls, {cell.turns} turns", rows[-1:])
    with load_server(0, "--answers", "staged") as server:
        cost = shares(server, job.pick(5, 100, 250) * PER_SEED)
    show("CPU-µs per call, quiet p10 over turns; calls/s, median", rows)
    show("what each part costs, µs per call (128 in flight, no latency)", cost)
    keep(job, "callpath", about, {"cells": rows, "parts": cost})
    _draw(job, rows)
    hold(job, _gates(rows[0], {row["part"]: row["µs"] for row in cost}))


def _gates(cell: dict[str, Any], parts: dict[str, float]) -> list[Gate]:
    ratio = min(cell["engine ÷ tuned"], cell["engine ÷ tuned, quiet"])
    return [
        Gate("CPU of the engine ÷ bare aiohttp's", ratio, most=2.5),
        Gate("render a prompt, µs", parts["prompt"], most=100),
    ]


def _draw(job: Job, rows: list[dict[str, Any]]) -> None:
    still = [row for row in rows if row["ms"] == 0]
    lines = [
        Line(name, [row["in flight"] for row in still], [row[f"{name} µs"] for row in still])
        for name in VARIANTS
    ]
    plot(
        job,
        "callpath",
        "CPU per call, no latency",
        lines,
        x="calls in flight",
        y="CPU-µs per call",
        log_x=True,
    )


if __name__ == "__main__":
    main()
