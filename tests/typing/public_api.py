"""How programs use the package: mypy and pyright check it in scripts/check, and nothing runs it.

Every ``type: ignore`` marks a mistake that the checkers must find; one too many is an error.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, assert_type

import codeclm
from codeclm import (
    CodeclmError,
    Config,
    EvaluationConfig,
    Outcome,
    Plan,
    RunStopped,
    Selection,
    Summary,
    UserError,
    build_config,
    build_evaluation,
    evaluate,
    export,
    load_config,
    make_dataset,
    prepare,
    read_rows,
    run,
    stream_rows,
)


def configure() -> Config:
    tree = {"seeds": "seeds.jsonl", "strong": {"model": "scripted/strong"}}
    assert_type(load_config("codeclm.toml"), Config)
    assert_type(load_config(Path("codeclm.toml"), ["filter.threshold=2"]), Config)
    build_config("seeds.jsonl")  # type: ignore[arg-type]
    load_config(7)  # type: ignore[arg-type]
    config = build_config(tree, ["target.model='scripted/target'"])
    config.seed = 3  # type: ignore[misc]
    config.sead  # type: ignore[attr-defined]  # noqa: B018
    assert_type(config.target_rows, int | None)
    assert_type(config.strong.model, str)
    return assert_type(config, Config)


def work(config: Config) -> None:
    plan = assert_type(prepare(config), Plan)
    summary = assert_type(run(plan), Summary)
    assert_type(run(config, allow_change=True), Summary)
    assert_type(summary.rows, int)
    assert_type(summary.files, dict[str, str])
    run("codeclm.toml")  # type: ignore[arg-type]
    run(config, True)  # type: ignore[call-arg]
    with ThreadPoolExecutor() as pool:
        assert_type(list(pool.map(run, [plan, config])), list[Summary])


def look(folder: Path) -> None:
    assert_type(read_rows(folder), Iterator[Selection])
    for row in read_rows("runs/first"):
        assert_type(row.instruction, str)
        assert_type(row.chosen.text, str)
        assert_type(row.example.fate, Literal["kept", "filtered", "failed"])
        row.instruction = ""  # type: ignore[misc]
    assert_type(export(folder, "rows.jsonl", format="sharegpt", with_metadata=True), int)
    export(folder, "rows.jsonl", fromat="alpaca")  # type: ignore[call-arg]


async def stream(config: Config) -> None:
    assert_type(await make_dataset(config), Summary)
    async with stream_rows(config) as rows:
        async for row in rows:
            assert_type(row, Selection)
    assert_type(rows.summary, Summary | None)
    rows.summary.rows  # type: ignore[union-attr]  # noqa: B018
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(make_dataset(config))
    assert_type(task.result(), Summary)
    async for _ in stream_rows(config):  # type: ignore[attr-defined]
        pass


def judge() -> None:
    config = build_evaluation({"test": "vicuna"}, ["judge.model='openai/gpt-5-mini'"])
    outcome = assert_type(evaluate(assert_type(config, EvaluationConfig)), Outcome)
    evaluate(build_config({}))  # type: ignore[arg-type]
    assert_type(outcome.finished, bool)


def fail(config: Config) -> str:
    try:
        run(config)
    except UserError as error:
        return assert_type(str(error), str)
    except RunStopped:
        return "call it again"
    except CodeclmError:
        raise
    codeclm.run_all(config)  # type: ignore[attr-defined]
    return ""
