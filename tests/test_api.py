"""What ``from codeclm import …`` and ``from codeclm.engine import …`` offer."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import uvloop

import codeclm
import codeclm.engine
from codeclm.engine.commands import COMMANDS, load
from codeclm.engine.config import Config
from codeclm.engine.reporting.summary import Summary

from .commands import environment, write_seeds

PYTHON_PAGE_PRINTS = r"(?s)finished: (\d+) rows\n.*\n\1 rows in rows\.jsonl\n.*\d+ wins of \d+\n"

DOCUMENTED = codeclm.engine.__doc__ or ""
EXAMPLE = dedent(DOCUMENTED.partition("`make_dataset`:\n")[2].partition("\n\nAnother")[0])


def test_the_documented_example_makes_a_dataset(tmp_path: Path) -> None:
    write_seeds(tmp_path, 3)
    done = subprocess.run(
        [sys.executable, "-c", EXAMPLE],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    rows = (tmp_path / "runs" / "first" / "alpaca.jsonl").read_text().count("\n")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{rows} rows in runs/first/alpaca.jsonl\n"
    assert rows > 0


def test_every_public_name_can_be_imported() -> None:
    assert [name for name in codeclm.engine.__all__ if not hasattr(codeclm.engine, name)] == []
    assert not hasattr(codeclm.engine, "no_such_name")


def test_every_verb_has_a_module_that_takes_arguments_and_runs() -> None:
    modules = {verb: load(verb) for verb in COMMANDS}

    assert [
        verb
        for verb, module in modules.items()
        if not (callable(module.add_arguments) and callable(module.run))
    ] == []


# -- the package's own names ------------------------------------------------------------------


def settings(folder: Path, name: str, **more: Any) -> Config:
    return codeclm.build_config(
        {
            "seeds": str(folder / "seeds.jsonl"),
            "strong": {"model": "scripted/strong"},
            "target": {"model": "scripted/target"},
            "decode": {"per_metadata": 2},
            "out": str(folder / name),
            "cache": {"folder": str(folder / f"{name}.cache")},
            **more,
        }
    )


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    write_seeds(tmp_path, 4)
    return tmp_path


def test_every_name_of_the_package_can_be_imported() -> None:
    assert [name for name in codeclm.__all__ if not hasattr(codeclm, name)] == []
    assert not hasattr(codeclm, "no_such_name")


def test_the_example_of_the_package_runs(seeds: Path) -> None:
    example = dedent((codeclm.__doc__ or "").partition("CodecLM.\n")[2].partition("\n\n`run`")[0])
    done = subprocess.run(
        [sys.executable, "-c", example],
        cwd=seeds,
        env=environment(seeds),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, ""), done.stderr


@pytest.mark.blocking  # the runs are, in threads of their own
def test_runs_work_in_threads_side_by_side_and_keep_their_logs_apart(seeds: Path) -> None:
    plans = [codeclm.prepare(settings(seeds, name)) for name in ("a", "b")]
    with ThreadPoolExecutor() as pool:
        summaries = list(pool.map(codeclm.run, plans))

    exports = [plan.folder.export("alpaca").read_bytes() for plan in plans]
    logs = [plan.folder.events.read_text("utf-8") for plan in plans]
    assert [summary.ending for summary in summaries] == ["finished", "finished"]
    assert exports[0] == exports[1] != b""
    for plan, log in zip(plans, logs, strict=True):
        events = [json.loads(line) for line in log.splitlines()]
        assert [event["event"] for event in events] == ["run.began", "run.ended"]
        assert events[0]["folder"] == str(plan.folder.path)


@pytest.mark.blocking
async def test_a_run_works_where_a_loop_runs_already(seeds: Path) -> None:
    """As in a notebook's cell: the caller's loop waits, and the signals stay the caller's."""
    before = signal.getsignal(signal.SIGINT)

    blocking = codeclm.run(settings(seeds, "blocking"))
    awaited = await codeclm.make_dataset(settings(seeds, "awaited"))

    assert blocking.rows == awaited.rows > 0
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.blocking
async def test_rows_are_handed_out_as_they_are_kept(seeds: Path) -> None:
    async with codeclm.stream_rows(settings(seeds, "rows")) as rows:
        instructions = [row.instruction async for row in rows]

    assert rows.summary is not None
    exported = [
        json.loads(line)["instruction"]
        for line in (seeds / "rows" / "alpaca.jsonl").read_text("utf-8").splitlines()
    ]
    assert sorted(instructions) == sorted(exported)
    assert rows.summary.rows == len(exported) > 0


@pytest.mark.blocking
async def test_leaving_the_rows_early_stops_the_run_and_loses_nothing(seeds: Path) -> None:
    config = settings(seeds, "early", strong={"model": "scripted/strong", "max_concurrent": 1})
    async with codeclm.stream_rows(config) as rows:
        async for _ in rows:
            break
    stopped = rows.summary

    finished = await codeclm.make_dataset(config)

    assert stopped is not None
    assert stopped.ending == "stopped"
    assert finished.ending == "finished"
    assert finished.rows == codeclm.run(settings(seeds, "whole")).rows


async def _first_row(config: Config) -> None:
    """Fail at the first row, with its id."""
    async with codeclm.stream_rows(config) as rows:
        async for row in rows:
            raise LookupError(row.id)


@pytest.mark.blocking
async def test_an_error_of_the_run_is_raised_as_it_is(seeds: Path) -> None:
    await codeclm.make_dataset(settings(seeds, "same"))

    with pytest.raises(codeclm.UserError, match="another run"):
        await _first_row(settings(seeds, "same", seed=1))


@pytest.mark.blocking
async def test_a_cancelled_run_continues_where_it_was(seeds: Path) -> None:
    config = settings(seeds, "cancelled")
    with pytest.raises(LookupError):
        await _first_row(config)

    assert (await codeclm.make_dataset(config)).ending == "finished"


@pytest.mark.blocking
def test_an_export_replaces_no_file_unless_told_to(seeds: Path) -> None:
    codeclm.run(settings(seeds, "run"))
    count = codeclm.export(seeds / "run", seeds / "rows.json", format="sharegpt")

    with pytest.raises(codeclm.CodeclmError, match="already exists"):
        codeclm.export(seeds / "run", seeds / "rows.json")
    assert len(json.loads((seeds / "rows.json").read_bytes())) == count
    assert codeclm.export(seeds / "run", seeds / "rows.json", force=True) == count


@pytest.mark.blocking
def test_the_rows_of_a_run_are_read_back_in_seed_order(seeds: Path) -> None:
    codeclm.run(settings(seeds, "run"))
    rows = [(row.instruction, row.chosen.text) for row in codeclm.read_rows(seeds / "run")]

    lines = (seeds / "run" / "alpaca.jsonl").read_text("utf-8").splitlines()
    exported = [json.loads(line) for line in lines]
    assert rows == [(row["instruction"], row["output"]) for row in exported]
    with pytest.raises(codeclm.UserError, match="not a run's folder"):
        next(codeclm.read_rows(seeds / "none"))


@pytest.mark.blocking
@pytest.mark.parametrize("loop", [asyncio.run, uvloop.run])
def test_two_runs_share_the_loop_of_a_program(
    loop: Callable[[Coroutine[Any, Any, Any]], Any], seeds: Path
) -> None:
    """Of asyncio and of uvloop; whoever has only trio calls `run` in a thread."""

    async def both() -> list[Summary]:
        runs = (codeclm.make_dataset(settings(seeds, name)) for name in ("one", "two"))
        return await asyncio.gather(*runs)

    one, two = loop(both())

    assert (one.ending, two.ending) == ("finished", "finished")
    assert one.rows == two.rows > 0


def test_the_examples_of_the_python_page_run_from_top_to_bottom(seeds: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "python.md").read_text("utf-8")
    script = "\n".join(re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=seeds,
        env=environment(seeds),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(PYTHON_PAGE_PRINTS, done.stdout), done.stdout


def test_the_python_page_has_every_public_name() -> None:
    page = (Path(__file__).parents[1] / "docs" / "python.md").read_text("utf-8")

    assert [name for name in codeclm.__all__ if not re.search(rf"\| `{name}\b", page)] == []


def test_every_public_name_is_held_by_the_type_checkers() -> None:
    program = (Path(__file__).parent / "typing" / "public_api.py").read_text("utf-8")

    assert [name for name in codeclm.__all__ if not re.search(rf"\b{name}\b", program)] == []
