"""What a run is said to take: without a key, and as a pilot measures it."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from blockbuster import BlockBuster

from codeclm.engine.calls.clients import endpoint_name
from codeclm.engine.calls.counters import MeasuredReply
from codeclm.engine.calls.gate import Origin
from codeclm.engine.calls.prices import money
from codeclm.engine.calls.spending import Usage, total_spending
from codeclm.engine.config import Config, RoleConfig, build_config
from codeclm.engine.pipeline.expectation import Start
from codeclm.engine.pipeline.pilot import covered_time, run_pilot
from codeclm.engine.pipeline.prepare import prepare
from codeclm.engine.pipeline.session import Session, execute
from codeclm.engine.reporting.duration import busiest
from codeclm.engine.reporting.pilot import PilotForecast, forecast_from_pilot, pilot_text
from codeclm.engine.store.reader import LedgerReader

from .acting import may_read_the_cache
from .commands import codeclm

SEEDS = 60


@pytest.fixture(autouse=True)
def reading(unblocked: BlockBuster | None) -> None:
    """Let the cache be read in the loop."""
    may_read_the_cache(unblocked)


def write_seeds(folder: Path) -> Path:
    lines = [json.dumps({"instruction": f"Explain topic {n} to a child."}) for n in range(SEEDS)]
    path = folder / "seeds.jsonl"
    path.write_text("\n".join(lines))
    return path


def settings(folder: Path, cache: str, more: dict[str, Any]) -> Config:
    options = {"unreadable_rate": 0.1}
    roles = {
        role: {"model": f"scripted/{role}", "options": options, "price_input": 1, "price_output": 5}
        for role in ("strong", "target", "judge")
    }
    tree: dict[str, Any] = {
        "seeds": str(folder / "seeds.jsonl"),
        "out": str(folder / f"run on {cache}"),
        "cache": {"folder": str(folder / cache)},
        **roles,
        **more,
    }
    return build_config(tree, where="test")


async def watch(_session: Session) -> None:
    return


async def piloted(config: Config, count: int) -> PilotForecast:
    plan = await anyio.to_thread.run_sync(lambda: prepare(config, where="test"))
    start = Start(SEEDS)
    pilot, measured = await run_pilot(plan, start, count, origin=Origin(), watch=watch)
    return forecast_from_pilot(plan, start, pilot, measured)


async def finished(config: Config) -> tuple[int, float]:
    """Run to the end; return the calls and the money that it took."""
    plan = await anyio.to_thread.run_sync(lambda: prepare(config, where="test"))
    await anyio.to_thread.run_sync(plan.folder.make)
    session = await execute(plan, watch=watch)
    assert session.ending == "finished"

    def spent() -> tuple[int, float]:
        with LedgerReader(plan.folder.ledger) as ledger:
            spending = ledger.spending(config.cache.database())
        total = total_spending(spending.values())
        return total.calls, money(plan.roles, total.usage) or 0.0

    return await anyio.to_thread.run_sync(spent)


@pytest.mark.parametrize(
    "more",
    [
        {"target_rows": 300},
        {"target_rows": 300, "metadata": {"augment_to": 100}},
        {"decode": {"per_metadata": 4}, "filter": {"threshold": 2.0}},
        {"recipe": "wizardlm", "target_rows": 240},
    ],
    ids=["target", "augmented", "all seeds", "wizardlm"],
)
async def test_a_pilot_of_twenty_seeds_tells_calls_and_money_within_15_percent(
    more: dict[str, Any], tmp_path: Path
) -> None:
    await anyio.to_thread.run_sync(write_seeds, tmp_path)

    forecast = await piloted(settings(tmp_path, "cache of the pilot", more), 20)
    calls, cost = await finished(settings(tmp_path, "cache of the run", more))

    assert forecast.calls == pytest.approx(calls, rel=0.15)
    assert forecast.money == pytest.approx(cost, rel=0.15)


async def test_a_pilot_is_paid_once_and_the_run_reuses_all_of_it(tmp_path: Path) -> None:
    await anyio.to_thread.run_sync(write_seeds, tmp_path)
    more: dict[str, Any] = {"decode": {"per_metadata": 2}}
    config = settings(tmp_path, "cache", more)

    first = await piloted(config, 10)
    stored = await anyio.to_thread.run_sync(_stored, config)
    again = await piloted(config, 10)
    stored_again = await anyio.to_thread.run_sync(_stored, config)
    calls, _ = await finished(config)
    alone, _ = await finished(settings(tmp_path, "another cache", more))

    assert (again, stored_again) == (first, stored)
    assert first.rows > 0
    assert calls == alone - stored


def _stored(config: Config) -> int:
    with closing(sqlite3.connect(config.cache.database())) as cache:
        return int(cache.execute("SELECT count(*) FROM Cache").fetchone()[0])


def test_what_the_pilot_kept_and_the_time_are_said() -> None:
    text = pilot_text(PilotForecast((), {}, seconds=3725, rows=0))

    assert "time: about 1:02:05" in text
    assert "the pilot kept no row" in text


def test_the_busiest_endpoint_or_limit_says_how_long_calls_take() -> None:
    """Strong and judge are one endpoint; 300 s of calls, six at once. Then 60 calls a minute."""
    strong = RoleConfig(model="vllm/one", max_concurrent=6)
    roles = {"strong": strong, "judge": strong, "target": RoleConfig(model="vllm/two")}
    usage = {name: {"respond": Usage(100, 5000)} for name in roles}
    seconds = {"strong": {"respond": 200.0}, "judge": {"score": 100.0}, "target": {"respond": 9.0}}
    limited = {**roles, "target": RoleConfig(model="vllm/two", requests_per_minute=60)}
    tokens = {**roles, "target": RoleConfig(model="vllm/two", tokens_per_minute=1000)}

    assert endpoint_name(roles["strong"]) == endpoint_name(roles["judge"])
    assert busiest(roles, usage, seconds) == 50
    assert busiest(limited, usage, seconds) == 100
    assert busiest(tokens, usage, seconds) == 300


def test_pauses_between_sessions_are_no_time_of_the_pilots() -> None:
    """Two calls side by side, one more; then, an hour later, another session's."""
    ends = ((10.0, 10.0), (8.0, 3.0), (12.0, 3.0), (3700.0, 5.0))
    replies = [MeasuredReply("strong", "encode", Usage(1), *end) for end in ends]

    assert covered_time(replies) == 12 + 5


def test_a_plan_needs_no_key(tmp_path: Path) -> None:
    write_seeds(tmp_path)
    line = ("plan", "--seeds", "seeds.jsonl", "--strong", "openai/gpt-5-mini")
    done = codeclm(*line, "--target", "vllm/x", cwd=tmp_path)
    pilot = codeclm(*line, "--target", "vllm/x", "--pilot", "2", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "likely" in done.stdout
    assert "money " in done.stdout
    assert "set OPENAI_API_KEY (a plan needs none)" in done.stderr
    assert pilot.returncode == 2
    assert "set OPENAI_API_KEY" in pilot.stderr


def test_a_pilot_from_the_command_line(tmp_path: Path) -> None:
    write_seeds(tmp_path)
    models = ("--strong", "scripted/s", "--target", "scripted/t", "--per-metadata", "2")
    line = ("plan", "--seeds", "seeds.jsonl", *models, "--pilot", "5", "--display", "none")
    text = codeclm(*line, cwd=tmp_path)
    told = codeclm(*line, "--json", cwd=tmp_path)

    assert text.returncode == 0, text.stderr
    assert "likely, in all" in text.stdout
    assert "time: about" in text.stdout
    assert "pilot: 5 seeds" in text.stdout
    assert json.loads(told.stdout)["rows"] > 0
    assert not (tmp_path / "runs").exists()
