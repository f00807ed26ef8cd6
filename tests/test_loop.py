"""Rounds of making data, tuning on them and evaluating: `codeclm loop`."""

import json
import shutil
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from codeclm.engine.config import CacheConfig, Config, JudgeConfig, RoleConfig
from codeclm.engine.data.intervals import Interval
from codeclm.engine.evaluate.difference import Difference
from codeclm.engine.evaluate.settings import EvaluationConfig
from codeclm.engine.evaluate.verdicts import VerdictCounts
from codeclm.engine.loop.record import (
    EvaluationResult,
    LoopRecord,
    RoundRecord,
    TuningResult,
    read_record,
    write_record,
)
from codeclm.engine.loop.settings import LoopConfig
from codeclm.engine.loop.table import round_tables
from codeclm.engine.store.folder import FolderError

from . import tiny_model
from .commands import COMMAND, codeclm, environment, write_lines

EXAMPLE = Path(__file__).parents[1] / "examples" / "loop"
STEPS = (
    *("start: answer", "start: evaluate", "round 1 of 1: make", "round 1 of 1: tune"),
    *("round 1 of 1: answer", "round 1 of 1: evaluate"),
)
CONFIG = """
rounds = 1
out = "loop"
[run]
seeds = "seeds.jsonl"
target_rows = 6
[run.strong]
model = "python/letters:reply"
prompts = "prompts"
[run.target]
model = "transformers/tiny"
max_tokens = 3
temperature = 0
[run.judge]
model = "python/letters:score"
[run.decode]
per_metadata = 3
rubrics = 2
[tune]
epochs = 1
batch = 2
device_batch = 2
max_length = 128
[answer]
max_tokens = 3
[evaluate]
test = "test.jsonl"
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.make(tmp_path_factory.mktemp("tiny"))


def write_loop(folder: Path, tiny: Path | None = None) -> Path:
    """Write everything that the loop of `CONFIG` reads; without *tiny*, a model without weights."""
    folder.mkdir(exist_ok=True)
    if tiny is None:
        (folder / "tiny").mkdir()
        (folder / "tiny" / "config.json").write_text("{}")
    else:
        shutil.copytree(tiny, folder / "tiny")
    shutil.copytree(EXAMPLE / "prompts", folder / "prompts")
    seeds = ("Sort the letters c b a", "Reverse the letters x y z", "Repeat the last letter of q w")
    write_lines(folder / "seeds.jsonl", ({"instruction": text} for text in seeds))
    tasks = ("Sort the letters k a t e", "Reverse the letters t o p", "Sort the letters n o")
    write_lines(folder / "test.jsonl", ({"instruction": text} for text in tasks))
    (folder / "loop.toml").write_text(CONFIG)
    return folder


def run_loop(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return codeclm("loop", "loop.toml", *more, cwd=folder, PYTHONPATH=str(EXAMPLE))


def kill_at(folder: Path, step: str) -> None:
    """Begin the loop, and kill it once it says that it begins *step*."""
    with subprocess.Popen(
        [*COMMAND, "loop", "loop.toml"],
        cwd=folder,
        env=environment(folder, PYTHONPATH=str(EXAMPLE)),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        while step not in (line := process.stderr.readline()):
            assert line, process.wait()
        process.send_signal(signal.SIGKILL)


def results(folder: Path) -> tuple[Any, ...]:
    """Return everything that a loop makes, without the time it took."""
    record = json.loads((folder / "loop" / "loop.json").read_text())
    for one in record["rounds"]:
        del one["seconds"]
    first = folder / "loop" / "round-1"
    files = (first / "data" / "alpaca.jsonl", first / "model" / "model.safetensors")
    answers = (folder / "loop" / "start" / "answers.jsonl", first / "answers.jsonl")
    return record, *(file.read_bytes() for file in (*files, *answers))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Path:
    """A loop that nothing disturbed."""
    folder = write_loop(tmp_path_factory.mktemp("loop") / "whole", tiny)
    done = run_loop(folder)
    assert done.returncode == 0, done.stderr
    assert "start" in done.stdout
    return folder


@pytest.mark.slow
@pytest.mark.timeout(900)  # seven processes, most of which import torch
def test_a_loop_killed_at_every_step_ends_like_an_undisturbed_one(
    tmp_path: Path, tiny: Path, whole: Path
) -> None:
    killed = write_loop(tmp_path / "killed", tiny)
    for step in STEPS:
        kill_at(killed, step)
    resumed = run_loop(killed)
    record, *_ = results(whole)
    before, after = record["rounds"]

    assert resumed.returncode == 0, resumed.stderr
    assert results(killed) == results(whole)
    assert (before["run"], before["evaluation"]["prompts"]) == (None, 3)
    assert (after["run"]["rows"], after["run"]["winners"]) == (6, {"strong": 6})
    assert after["tuning"]["rows"] == 6
    assert after["evaluation"]["to_start"]["prompts"] == 3

    unchanged = (killed / "loop" / "loop.json").read_bytes()
    assert run_loop(killed, "--json").returncode == 0
    assert (killed / "loop" / "loop.json").read_bytes() == unchanged
    changed = run_loop(killed, "--set", "tune.epochs=2")
    assert (changed.returncode, "hyperparameters differ" in changed.stderr) == (2, True)
    with (killed / "tiny" / "model.safetensors").open("ab") as file:
        file.write(b"\0")
    other = run_loop(killed)
    assert (other.returncode, "other weights" in other.stderr) == (2, True), other.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_rows_of_the_test_set_are_not_trained_on_and_rounds_add_up(
    tmp_path: Path, tiny: Path, whole: Path
) -> None:
    write_loop(tmp_path, tiny)
    rows = (whole / "loop" / "round-1" / "data" / "alpaca.jsonl").read_text().splitlines()
    write_lines(tmp_path / "test.jsonl", [{"instruction": json.loads(rows[0])["instruction"]}])
    done = run_loop(tmp_path, "--rounds", "2", "--json")
    first, second = json.loads(done.stdout)["rounds"][1:]

    assert done.returncode == 0, done.stderr
    assert (first["tuning"]["overlapping"], first["tuning"]["rows"]) == (1, 5)
    assert second["tuning"]["rows"] == first["tuning"]["rows"] + second["run"]["rows"]
    assert second["evaluation"]["to_previous"]["other"] == "round 1"


@pytest.mark.skipif(find_spec("trl") is None, reason='needs the extra: pip install ".[train]"')
@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("run.target.model=scripted/target", "run.target.model: must be transformers/NAME"),
        ("run.target.model=transformers/absent", "absent: not found"),
        ("run.out=elsewhere", "set only out"),
        ("evaluate.candidate.model=scripted/x", "evaluate.candidate"),
        ("evaluate.test=absent.jsonl", "absent.jsonl: no such file"),
        ("evaluate.judge.model=python/letters:reply", "cannot score"),
        ("tune.learning_rate=1e-6", "tune.last_learning_rate: must be below"),
        ("tune.batch=7", "cannot be shared"),
        ("tune.epoch=3", "did you mean epochs?"),
    ],
)
def test_a_wrong_loop_is_one_line_before_anything_is_written(
    tmp_path: Path, setting: str, says: str
) -> None:
    write_loop(tmp_path)
    done = run_loop(tmp_path, "--set", setting)

    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert says in done.stderr
    assert not (tmp_path / "loop").exists()


@pytest.mark.parametrize("verb", ["run", "check", "evaluate"])
def test_a_loop_s_file_is_told_from_a_run_s(tmp_path: Path, verb: str) -> None:
    write_loop(tmp_path)
    done = codeclm(verb, "loop.toml", cwd=tmp_path)

    assert (done.returncode, "this file is for codeclm loop" in done.stderr) == (2, True)


@pytest.mark.skipif(find_spec("trl") is None, reason='needs the extra: pip install ".[train]"')
def test_a_stranger_s_loop_runs_no_function_of_its_choice(tmp_path: Path) -> None:
    write_loop(tmp_path)
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop.toml").rename(tmp_path / "loop" / "config.toml")
    (tmp_path / "loop" / "loop.json").write_text("{}")
    done = codeclm("loop", "loop/config.toml", cwd=tmp_path, PYTHONPATH=str(EXAMPLE))

    assert (done.returncode, "--trust" in done.stderr) == (2, True), done.stderr
    assert "strong: the model letters:reply" in done.stderr


def test_the_table_shows_rounds_that_have_only_begun() -> None:
    evaluation = EvaluationResult(
        prompts=4,
        counts=VerdictCounts(0, 3, 1, 0),
        crr=75.0,
        interval=Interval(75.0, 30.1, 95.4),
        to_start=Difference("start", 4, Interval(25.0, 0.0, 75.0)),
        to_previous=None,
        cut_off=0,
    )
    tuning = TuningResult(
        rows=1200, overlapping=0, repeated=0, steps=9, first_loss=2.0, last_loss=1.0
    )
    record = LoopRecord(
        model="",
        rounds=(
            RoundRecord(number=0, evaluation=evaluation, seconds={"answer": 2.4}),
            RoundRecord(number=1, tuning=tuning),
        ),
    )
    rounds, held_out = (table.rows for table in round_tables(record))

    assert rounds == (
        ("start", *"------", "-", "2"),
        ("1", *"-----", "1,200", "-", "0"),
    )
    assert held_out == (
        ("start", "75.0", "30.1 to 95.4", "+25.0", "+0.0 to +75.0", "-", "-"),
        ("1", *"------"),
    )


def test_a_record_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert read_record(tmp_path, "one") == LoopRecord(model="one")
    write_record(tmp_path, LoopRecord(model="one"))
    assert read_record(tmp_path, "one") == LoopRecord(model="one")
    with pytest.raises(FolderError, match="other weights"):
        read_record(tmp_path, "two")
    write_record(tmp_path, LoopRecord(model="one", format=99))
    with pytest.raises(FolderError, match="another version"):
        read_record(tmp_path, "one")
    (tmp_path / "loop.json").write_text("{")
    with pytest.raises(FolderError, match="cannot be read"):
        read_record(tmp_path, "one")


def test_reference_judge_and_cache_are_the_run_s_unless_named() -> None:
    run = Config(strong=RoleConfig(model="scripted/strong"), cache=CacheConfig(folder="shared"))
    other = EvaluationConfig(judge=JudgeConfig(model="scripted/judge"))
    default, named = (
        LoopConfig(run=run, evaluate=one).evaluation for one in (EvaluationConfig(), other)
    )

    assert (default.reference.model, default.reference.temperature) == ("scripted/strong", None)
    assert (default.judge.model, named.judge.model) == ("scripted/strong", "scripted/judge")
    assert default.cache.folder == "shared"
