import gc
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from codeclm.engine.calls.prompts import PROMPTS
from codeclm.engine.commands import COMMANDS
from codeclm.engine.pipeline.event_loop import run_async

from .commands import COMMAND, codeclm, environment, started, write_lines, write_seeds
from .servers import ReceivedRequest, Say, Server, answer, chat, say

ROLES = ("--strong", "scripted/strong", "--target", "scripted/target")
SMALL = ("--seeds", "seeds.jsonl", *ROLES, "--per-metadata", "2", "--export", "alpaca", "sharegpt")
EXPORTS = ("alpaca.jsonl", "sharegpt.jsonl")


def slow(latency: float, jitter: float = 0.0) -> tuple[str, ...]:
    options = f"{{latency={latency}, jitter={jitter}}}"
    return ("--set", f"strong.options={options}", "--set", f"target.options={options}")


def exports(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in EXPORTS]


def summary(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The one line on stdout of ``--json``."""
    assert done.stdout.count("\n") == 1, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def paid(done: dict[str, Any]) -> int:
    return sum(stage["paid"] for stage in done["calls"].values())


def reused(done: dict[str, Any]) -> int:
    return sum(stage["reused"] for stage in done["calls"].values())


def add_up(sums: dict[str, Any]) -> bool:
    ended = sums["kept"] + sum(sums["filtered"].values()) + sum(sums["failed"].values())
    return bool(sums["input"] == ended + sums.get("unfinished", 0))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run in ``run``, and what it said in ``said.json``."""
    folder = tmp_path_factory.mktemp("home")
    write_seeds(folder)
    done = codeclm("run", *SMALL, "--out", "run", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "said.json").write_text(done.stdout)
    return folder


def said(home: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((home / "said.json").read_text())
    return read


# -- running ----------------------------------------------------------------------------------


def test_a_run_says_what_became_of_every_seed_and_instruction(home: Path) -> None:
    told = said(home)

    assert (told["ending"], told["rows"] > 0) == ("finished", True)
    assert told["seeds"]["input"] == 12
    assert (add_up(told["seeds"]), add_up(told["instructions"])) == (True, True)
    assert (
        told["rows"] == told["instructions"]["kept"] == len(exports(home / "run")[0].splitlines())
    )
    assert json.loads((home / "run" / "summary.json").read_text()) == told


def test_the_same_command_again_makes_no_call_and_the_same_files(home: Path) -> None:
    before = exports(home / "run")
    done = codeclm("run", *SMALL, "--out", "run", "--json", cwd=home)

    assert (done.returncode, paid(summary(done)), reused(summary(done))) == (0, 0, 0)
    assert exports(home / "run") == before


def test_a_run_in_another_folder_is_paid_from_the_cache(home: Path) -> None:
    done = codeclm("run", *SMALL, "--out", "other", "--json", cwd=home)

    assert (paid(summary(done)), reused(summary(done)) > 0) == (0, True)
    assert exports(home / "other") == exports(home / "run")


@pytest.mark.parametrize("in_flight", ["1", "16", "256"])
def test_the_files_are_the_same_at_any_concurrency(
    in_flight: str, home: Path, tmp_path: Path
) -> None:
    write_seeds(tmp_path)
    jitter = slow(0.002, 0.002)
    done = codeclm(
        "run",
        *SMALL,
        *jitter,
        "--max-concurrent",
        in_flight,
        "--out",
        "run",
        "--display",
        "none",
        cwd=tmp_path,
    )

    assert (done.returncode, exports(tmp_path / "run")) == (0, exports(home / "run"))


def test_the_first_rows_are_the_same_at_any_concurrency(tmp_path: Path) -> None:
    """Which seeds were begun differs, which rows are the first does not."""
    write_seeds(tmp_path, 60)
    found = set[bytes]()
    for in_flight in ("1", "64"):
        line = (
            "run",
            *SMALL,
            *slow(0.002, 0.002),
            "--max-concurrent",
            in_flight,
            "-n",
            "15",
            "--json",
        )
        cache = str(tmp_path / f"cache-{in_flight}")
        done = codeclm(*line, "--out", in_flight, "--cache", cache, cwd=tmp_path)
        assert (done.returncode, summary(done)["rows"]) == (0, 15)
        found.add((tmp_path / in_flight / "alpaca.jsonl").read_bytes())

    assert len(found) == 1


def test_progress_for_programs_is_json_lines(tmp_path: Path) -> None:
    write_seeds(tmp_path, 8)
    line = ("run", *SMALL, *slow(0.15), "--max-concurrent", "8", "--out", "run", "--json")
    done = codeclm(*line, cwd=tmp_path)
    _, *lines = done.stderr.splitlines()

    assert lines
    assert all(isinstance(json.loads(text)["spending"]["calls"], int) for text in lines)


def test_fewer_rows_than_wanted_are_status_3_and_said(tmp_path: Path) -> None:
    write_seeds(tmp_path, 1)
    few = ("-n", "50", "--max-candidates", "50", "--threshold", "5")
    done = codeclm("run", *SMALL, *few, "--out", "run", cwd=tmp_path)

    assert done.returncode == 3
    assert "instructions         50 in" in done.stdout
    assert "rows are missing: raise size.max_expansion" in done.stderr


def test_where_nothing_is_selected_five_times_as_many_is_enough(tmp_path: Path) -> None:
    write_seeds(tmp_path, 1)
    done = codeclm("run", *SMALL, "-n", "4", "--threshold", "10", "--out", "run", cwd=tmp_path)

    assert done.returncode == 3
    assert "instructions         20 in" in done.stdout
    assert "the dataset is empty" in done.stderr


def test_few_seeds_are_gone_through_again_until_there_are_rows_enough(tmp_path: Path) -> None:
    write_seeds(tmp_path, 2)
    line = ("run", "--seeds", "seeds.jsonl", *ROLES, "-n", "60", "--out", "run", "--json")
    done = summary(codeclm(*line, cwd=tmp_path))

    assert (done["rows"], done["seeds"]["kept"]) == (60, 2)
    assert 60 <= done["instructions"]["input"] < 80
    assert done["calls"]["encode"]["paid"] == 2


def test_every_seed_is_asked_for_its_share_of_the_rows(tmp_path: Path) -> None:
    write_seeds(tmp_path, 40)
    line = ("run", "--seeds", "seeds.jsonl", *ROLES, "-n", "30", "--out", "run", "--json")
    done = summary(codeclm(*line, cwd=tmp_path))

    assert (done["rows"], done["seeds"]["kept"]) == (30, 30)


@pytest.mark.parametrize("recipe", ["self-instruct", "codeclm-metadata", "wizardlm"])
def test_a_gap_left_by_a_passing_failure_is_filled_by_the_next_session(
    recipe: str, tmp_path: Path
) -> None:
    """The run does not go on past its target meanwhile: behind a gap nothing counts."""
    write_seeds(tmp_path, 60)
    line = ("run", "--seeds", "seeds.jsonl", "--strong", "scripted/strong", "--recipe", recipe)
    flags = ("-n", "40", "--out", "run", "--json", "--set", "retry.attempts=1")
    flaky = ("--set", "strong.options={error_rate=0.03}")
    first = codeclm(*line, *flags, *flaky, cwd=tmp_path)
    second = codeclm(*line, *flags, cwd=tmp_path)

    assert paid(summary(first)) < 600
    assert second.returncode == 0, second.stderr
    assert summary(second)["rows"] == 40


def test_no_draft_takes_the_place_of_another(tmp_path: Path) -> None:
    """Where every round is a row, what is refused has a place of its own too."""
    write_seeds(tmp_path, 20)
    line = ("run", "--seeds", "seeds.jsonl", *ROLES, "--recipe", "wizardlm+", "--json")
    rule = ("--set", "quality.max_instruction_words=28", "--per-metadata", "40")
    done = summary(codeclm(*line, *rule, "--out", "run", cwd=tmp_path))
    stories = done["instructions"]

    assert stories["filtered"]["too_long"] > 0
    assert stories["input"] == 20 * 40 - 3 * _refused_before(tmp_path / "run")


def _refused_before(run: Path) -> int:
    """Drafts that were refused as they were decoded: one story each, not four."""
    with closing(sqlite3.connect(run / "ledger.sqlite")) as ledger:
        query = "SELECT count(*) FROM examples WHERE reason = 'too_long' AND iteration = 0"
        return int(ledger.execute(query).fetchone()[0])


def test_a_preview_of_a_pool_makes_one_request(tmp_path: Path) -> None:
    write_seeds(tmp_path)
    line = ("preview", "--seeds", "seeds.jsonl", "--strong", "scripted/strong")
    done = codeclm(*line, "--recipe", "self-instruct", "-n", "500", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert 1 <= done.stdout.count("basic instruction") <= 20


def test_a_changed_configuration_is_refused_with_the_difference(home: Path) -> None:
    line = ("run", *SMALL, "--out", "run", "--threshold", "2", "--set", "strong.temperature=0.5")
    before = exports(home / "run")
    done = codeclm(*line, cwd=home)

    assert (done.returncode, done.stdout) == (2, "")
    assert "filter.threshold: 3.0 → 2.0" in done.stderr
    assert "strong.temperature: 0.7 → 0.5" in done.stderr
    assert "--allow-change" in done.stderr
    assert exports(home / "run") == before


def test_how_a_run_is_carried_out_may_change(home: Path) -> None:
    line = ("run", *SMALL, "--out", "run", "--max-concurrent", "3", "--rpm", "600", "--json")

    assert paid(summary(codeclm(*line, cwd=home))) == 0


def test_an_allowed_change_begins_anew_with_what_was_paid_for(tmp_path: Path) -> None:
    """Another threshold changes no question before the second round: all of that is reused."""
    write_seeds(tmp_path)
    line = ("run", *SMALL, "--out", "run", "--json")
    first = summary(codeclm(*line, "--threshold", "7", cwd=tmp_path))
    second = summary(codeclm(*line, "--threshold", "1", "--allow-change", cwd=tmp_path))
    third = codeclm(*line, "--threshold", "1", "--json", cwd=tmp_path)

    assert paid(first) > 0
    assert (paid(second), reused(second) > 0) == (0, True)
    assert second["rows"] > first["rows"]
    assert (third.returncode, summary(third)["rows"]) == (0, second["rows"])


def test_a_seed_file_that_changed_is_refused(tmp_path: Path) -> None:
    write_seeds(tmp_path, 2)
    line = ("run", *SMALL, "--out", "run")
    first = codeclm(*line, cwd=tmp_path)
    write_seeds(tmp_path, 3)
    second = codeclm(*line, cwd=tmp_path)

    assert (first.returncode, second.returncode) == (0, 2)
    assert "the seed files have changed" in second.stderr


def test_bad_seed_lines_are_named_and_counted(tmp_path: Path) -> None:
    (tmp_path / "seeds.jsonl").write_text(
        '{"instruction": "Sing."}\nno json\n{"other": 1}\n\n{"instruction": "Dance."}\n'
    )
    done = codeclm("run", *SMALL, "--out", "run", "--json", cwd=tmp_path)
    status = codeclm("status", "run", cwd=tmp_path)

    assert done.returncode == 0
    assert summary(done)["seeds"]["input"] == 4
    assert summary(done)["seeds"]["failed"] == {"unreadable_record": 2}
    assert "seeds.jsonl:2" in status.stdout
    assert "seeds.jsonl:3" in status.stdout


def test_seeds_that_are_all_bad_are_status_2(tmp_path: Path) -> None:
    (tmp_path / "seeds.jsonl").write_text('{"other": 1}\n[]\n')
    done = codeclm("run", *SMALL, "--out", "run", cwd=tmp_path)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "no seed can be read" in done.stderr
    assert "seeds.jsonl:1" in done.stderr


def test_an_address_that_cannot_be_used_is_status_2(tmp_path: Path) -> None:
    """It is known before the run's folder is there."""
    write_seeds(tmp_path, 2)
    roles = ("--strong", "openai/x", "--base-url", "http://me:secret@localhost:1/v1")
    line = ("--seeds", "seeds.jsonl", *roles, "--recipe", "tree-instruct", "--out", "run")
    done = codeclm("run", *line, cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "codeclm: command line: strong.base_url: must not hold a user name or password: give the"
        " key as api_key = NAME\n"
    )
    assert not (tmp_path / "run").exists()


def test_names_may_hold_spaces_and_what_no_keyboard_has(tmp_path: Path) -> None:
    folder = tmp_path / "my seeds 🌱 é"
    folder.mkdir()
    write_seeds(folder, 2, "the 🌱 'seeds'.jsonl")
    line = ("--seeds", "the 🌱 'seeds'.jsonl", *ROLES, "--per-metadata", "2")
    ran = codeclm("run", *line, "--out", "a 🌱 run", cwd=folder)
    resumed = codeclm("resume", "a 🌱 run", "--json", cwd=folder)
    elsewhere = codeclm("status", str(folder / "a 🌱 run"), "--json", cwd=tmp_path)

    assert [done.returncode for done in (ran, resumed, elsewhere)] == [0, 0, 0]
    assert paid(summary(resumed)) == 0
    assert summary(elsewhere)["rows"] == summary(resumed)["rows"]


def test_the_folder_is_named_after_the_configuration(tmp_path: Path) -> None:
    write_seeds(tmp_path, 1)
    (tmp_path / "first try.toml").write_text(
        "seeds = 'seeds.jsonl'\ndecode.per_metadata = 1\n"
        "strong.model = 'scripted/strong'\ntarget.model = 'scripted/target'\n"
    )
    done = codeclm("run", "first try.toml", cwd=tmp_path)

    assert done.returncode == 0
    assert (tmp_path / "runs" / "first try" / "alpaca.jsonl").is_file()


# -- stopping ---------------------------------------------------------------------------------


def test_an_interrupted_run_goes_on_and_pays_nothing_twice(home: Path, tmp_path: Path) -> None:
    """One Ctrl-C: what is in flight comes in, status 5, and the command that goes on is said."""
    write_seeds(tmp_path)
    line = (
        "run",
        *SMALL,
        *slow(0.05),
        "--max-concurrent",
        "4",
        "--out",
        "run",
        "--json",
        "--display",
        "none",
    )
    with started(*line, cwd=tmp_path) as process:
        _after_some_calls(process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    stopped = json.loads(out)
    rows_so_far = (tmp_path / "run" / "alpaca.jsonl").read_bytes().count(b"\n")
    resumed = codeclm("resume", "run", "--json", cwd=tmp_path)

    assert (process.returncode, stopped["ending"]) == (5, "stopped")
    assert "to continue: codeclm resume run" in err
    assert rows_so_far == stopped["rows"]
    assert (resumed.returncode, summary(resumed)["ending"]) == (0, "finished")
    assert paid(stopped) > 0
    assert paid(stopped) + paid(summary(resumed)) == paid(said(home))
    assert exports(tmp_path / "run") == exports(home / "run")


def _after_some_calls(process: subprocess.Popen[str]) -> None:
    """Read progress until it tells of paid calls."""
    assert process.stderr is not None
    while not json.loads(process.stderr.readline())["spending"]["calls"]:
        pass


def test_a_second_interrupt_stops_at_once(tmp_path: Path) -> None:
    """The first would wait a minute for the answers in flight."""
    write_seeds(tmp_path)
    line = ("run", *SMALL, *slow(60), "--out", "run", "--json")
    with started(*line, cwd=tmp_path) as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert any('"stopping"' in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()

    last = json.loads(err.splitlines()[0])
    assert (process.returncode, last["state"]) == (5, "stopping at once")
    assert json.loads(out)["reason"] == (
        "stopped at once on request; calls in flight given up, which may be billed:"
        f" {last['activity']['in_flight']}"
    )
    assert "to continue: codeclm resume run" in err


def test_two_processes_never_work_on_one_run(tmp_path: Path) -> None:
    """The second is refused, naming the first and its host; readers are not."""
    write_seeds(tmp_path)
    line = ("run", *SMALL, *slow(60), "--out", "run", "--json")
    with started(*line, cwd=tmp_path) as process:
        try:
            assert process.stderr is not None
            process.stderr.readline()
            second = codeclm(*line, cwd=tmp_path)
            status = codeclm("status", "run", "--json", cwd=tmp_path)
        finally:
            process.kill()
            process.communicate()

    assert (second.returncode, second.stderr.count("\n")) == (2, 1)
    assert json.loads(second.stdout)["error"]["status"] == 2
    assert (
        f"process {process.pid} on {socket.gethostname()} is working on this run" in second.stderr
    )
    assert (status.returncode, summary(status)["rows"]) == (0, 0)


INTERRUPTED = """
import sys
from codeclm.engine.cli import main

class Interrupt:
    def find_spec(self, name, path, target=None):
        if name == "codeclm.engine.commands.run":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupt())
sys.exit(main(["run"]))
"""


def test_an_interrupt_while_a_command_is_imported_is_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (
        5,
        "codeclm: interrupted: run the same command again to continue\n",
    )


def test_an_interrupt_within_a_task_group_is_an_interrupt() -> None:
    """A signal before anyone handles signals; a group would be a traceback."""

    async def work() -> None:
        async with anyio.create_task_group() as outer, anyio.create_task_group():
            outer.start_soon(anyio.sleep_forever)
            raise KeyboardInterrupt

    thresholds = gc.get_threshold()
    try:
        with pytest.raises(KeyboardInterrupt):
            run_async(work)
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)


# -- looking ----------------------------------------------------------------------------------


def test_status_tells_what_the_run_told(home: Path) -> None:
    told = summary(codeclm("status", "run", "--json", cwd=home))
    whole = said(home)

    assert {name: told[name] for name in ("rows", "seeds", "instructions", "gaps", "winners")} == {
        name: whole[name] for name in ("rows", "seeds", "instructions", "gaps", "winners")
    }
    assert f"{whole['rows']} kept" in codeclm("status", "run", cwd=home).stdout


def test_status_says_how_a_stopped_run_continues(tmp_path: Path) -> None:
    write_seeds(tmp_path, 3)
    roles = ("--strong", "scripted/strong", "--target", "scripted/target")
    run = ("run", "--seeds", "seeds.jsonl", *roles, "--out", "r", "--max-calls", "5")
    stopped = codeclm(*run, cwd=tmp_path)
    command = "to continue: codeclm resume r --set budget.calls=N"

    assert stopped.returncode == 4
    assert stopped.stderr.count(command) == 1
    assert "5 of 5 spent" not in stopped.stdout
    assert command in codeclm("status", "r", cwd=tmp_path).stdout


def test_costs_are_listed_in_the_order_of_a_run(home: Path) -> None:
    roles = ("strong", "target", "judge")
    stages = ("encode", "decode", "rubrics", "improve", "respond", "score")
    costs = summary(codeclm("status", "run", "--json", cwd=home))["costs"]
    names = [(roles.index(cost["role"]), stages.index(cost["stage"])) for cost in costs]

    assert len(names) == 7
    assert names == sorted(names)


@pytest.mark.parametrize("layout", ["alpaca", "sharegpt", "messages", "preference"])
def test_an_export_holds_every_row_of_the_run(layout: str, home: Path) -> None:
    done = codeclm("export", "run", "--format", layout, "--to", f"{layout}.jsonl", cwd=home)
    lines = (home / f"{layout}.jsonl").read_bytes().splitlines()

    assert (done.returncode, done.stdout) == (0, "")
    assert f"wrote {len(lines)} rows" in done.stderr
    assert layout == "preference" or len(lines) == said(home)["rows"]
    assert all(json.loads(line) for line in lines)


def test_an_export_equals_the_run_s_own_file(home: Path) -> None:
    codeclm("export", "run", "--to", "again.jsonl", cwd=home)

    assert (home / "again.jsonl").read_bytes() == exports(home / "run")[0]


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (("export", "run", "--format", "csv", "--to", "x.jsonl"), "csv"),
        (("export", "run", "--to", "x.doc"), "x.doc"),
        (("export", "run", "--to", "run/config.toml/x.jsonl"), "run/config.toml"),
        (("status", "nowhere"), "nowhere: not a run's folder"),
        (("resume", "nowhere"), "nowhere: not a run's folder"),
        (("inspect", "run", "zz"), "no example's id begins with 'zz'"),
        (("inspect", "run", ""), "ids begin with ''"),
    ],
)
def test_what_cannot_be_looked_at_is_one_line_and_status_2(
    argv: tuple[str, ...], complaint: str, home: Path
) -> None:
    done = codeclm(*argv, cwd=home)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert complaint in done.stderr


def first_id(home: Path) -> str:
    codeclm("export", "run", "--to", "meta.jsonl", "--with-metadata", cwd=home)
    row = json.loads((home / "meta.jsonl").read_text().splitlines()[0])
    return next(str(value) for key, value in _flat(row) if key == "id")


def _flat(row: dict[str, Any]) -> list[tuple[str, Any]]:
    found = list(row.items())
    for value in row.values():
        if isinstance(value, dict):
            found += value.items()  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
    return found


def test_inspect_tells_an_example_s_whole_story(home: Path) -> None:
    name = first_id(home)
    words = codeclm("inspect", "run", name, cwd=home).stdout
    story = summary(codeclm("inspect", "run", name, "--json", cwd=home))

    assert (story["id"], story["fate"]) == (name, "kept")
    assert "Tell me of 0." in words
    assert story["basic_instruction"] in words
    assert all(call[2] in words for call in story["calls"])


ANSI = "\x1b[31mred\x1b[0m \x07 \u202egnp \x9b5m"


def test_what_models_and_users_write_never_drives_the_terminal(tmp_path: Path) -> None:
    write_lines(tmp_path / "m.jsonl", [{"use_case": ANSI, "skills": [ANSI]}])
    line = ("--metadata", "m.jsonl", *ROLES, "--per-metadata", "6", "--threshold", "0")
    ran = codeclm("run", *line, "--out", "run", cwd=tmp_path)
    shown = [
        ran,
        codeclm("status", "run", cwd=tmp_path),
        codeclm("inspect", "run", first_id(tmp_path), cwd=tmp_path),
        codeclm("report", "run", cwd=tmp_path),
    ]

    assert [done.returncode for done in shown] == [0, 0, 0, 0]
    assert "\\x1b[31mred" in shown[2].stdout
    for done in shown:
        assert not set(done.stdout + done.stderr) & set("\x1b\x07\u202e\x9b")


def test_a_preview_tells_stories_and_leaves_only_what_was_paid_for(tmp_path: Path) -> None:
    write_seeds(tmp_path)
    line = ("preview", "--seeds", "seeds.jsonl", *ROLES, "--target-rows", "500", "--cache", "c")
    before = codeclm(*line, "--count", "2", "--display", "none", cwd=tmp_path)
    after = codeclm(*line, "--count", "2", "--json", cwd=tmp_path)
    stories = [json.loads(story) for story in after.stdout.splitlines() if story]

    assert (before.returncode, after.returncode) == (0, 0), before.stderr
    assert before.stdout.count("Tell me of ") == 2
    assert [story["position"] for story in stories] == [0, 1]
    assert all(call[5] for story in stories for call in story["calls"])
    assert {path.name for path in tmp_path.iterdir()} == {"seeds.jsonl", "c"}


def test_a_reader_that_has_gone_is_no_traceback(home: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*COMMAND, "inspect", "run", first_id(home)],
            cwd=home,
            env=environment(home),
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writing)

    assert (done.returncode, done.stderr) == (1, "")


# -- before a run -----------------------------------------------------------------------------


def test_init_writes_a_configuration_once(tmp_path: Path) -> None:
    first = codeclm("init", "my run.toml", cwd=tmp_path)
    second = codeclm("init", "my run.toml", cwd=tmp_path)
    (tmp_path / "my run.toml").write_text("")
    forced = codeclm("init", "my run.toml", "--force", cwd=tmp_path)

    assert [done.returncode for done in (first, second, forced)] == [0, 2, 0]
    assert "codeclm check 'my run.toml'" in first.stdout
    assert "already exists (overwrite it with --force)" in second.stderr
    assert "[strong]" in (tmp_path / "my run.toml").read_text()


def test_check_says_what_would_be_done_and_does_nothing(tmp_path: Path) -> None:
    write_seeds(tmp_path)
    done = codeclm("check", *SMALL, "--out", "run", cwd=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert "no call was made" in done.stdout
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["seeds.jsonl"]


def test_check_names_the_seeds_that_are_none_and_what_is_in_force(tmp_path: Path) -> None:
    with write_seeds(tmp_path, 5).open("a") as file:
        file.write('{"instruction": ""}\n' * 4 + "{\n")
    asked = ("--target-rows", "7", "--set", "quality.min_response_words=3")
    done = codeclm("check", *SMALL, *asked, cwd=tmp_path)
    limited = codeclm("check", *SMALL, "--limit", "5", "--head", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "seeds    10"
    assert "5 of the first 10 (50.0%) cannot be read" in lines[1]
    assert [line.strip() for line in lines[2:5]] == [
        f"seeds.jsonl:{n}: the instruction is empty" for n in (6, 7, 8)
    ]
    assert lines[5:8] == [
        "recipe   codeclm: encode, decode + rubrics, refine",
        "rows     exactly 7, if possible",
        "quality  min_response_words = 3",
    ]
    assert "seeds    5 of 10\nrecipe" in limited.stdout
    assert "quality  no rules" in limited.stdout


def test_plan_says_how_many_of_the_seeds_it_takes(tmp_path: Path) -> None:
    write_seeds(tmp_path, 5)
    limited = codeclm("plan", *SMALL, "--limit", "2", cwd=tmp_path)
    whole = codeclm("plan", *SMALL, "--limit", "9", cwd=tmp_path)

    assert limited.stdout.startswith("from 2 of 5 seeds of about ")
    assert whole.stdout.startswith("from 5 seeds of about ")


def test_no_command_is_status_2_with_help(tmp_path: Path) -> None:
    none = codeclm(cwd=tmp_path)
    wrong = codeclm("rum", cwd=tmp_path)

    assert (none.returncode, "usage: codeclm" in none.stdout) == (2, True)
    assert (wrong.returncode, "there is no command 'rum'; did you mean run?" in wrong.stderr) == (
        2,
        True,
    )


_IMPORTS = """
import sys
before = set(sys.modules)
import codeclm.engine
added = {name.partition(".")[0] for name in set(sys.modules) - before} - {"codeclm"}
light = sorted(added - sys.stdlib_module_names)
from codeclm.engine.cli import main
try:
    main(["--help"])
except SystemExit:
    pass
heavy = {"aiohttp", "anyio", "asyncio", "diskcache", "msgspec", "orjson", "sqlite3", "structlog"}
print("LIGHT", light, "HEAVY", sorted(heavy & set(sys.modules)))
"""


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTS], capture_output=True, text=True, check=True, cwd=tmp_path
    )

    assert done.stdout.endswith("LIGHT [] HEAVY []\n")


_COMMAND_IMPORTS = """
import sys
from codeclm.engine.cli import main
from codeclm.engine.commands import COMMANDS
main(sys.argv[1:])
imported = {verb for verb in COMMANDS if f"codeclm.engine.commands.{verb}" in sys.modules}
heavy = {"torch", "pyarrow", "transformers", "matplotlib", "xllamacpp"}
print("COMMANDS", sorted(imported), "HEAVY", sorted(heavy & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("argv", "modules"), [("status run", "['status']"), ("inspect run ID --json", "['inspect']")]
)
def test_a_command_imports_no_other_and_nothing_it_does_not_need(
    argv: str, modules: str, home: Path
) -> None:
    argv = argv.replace("ID", first_id(home))
    done = subprocess.run(
        [sys.executable, "-c", _COMMAND_IMPORTS, *argv.split()],
        capture_output=True,
        text=True,
        check=True,
        cwd=home,
        env=environment(home),
    )

    assert done.stdout.splitlines()[-1] == f"COMMANDS {modules} HEAVY []"


@pytest.mark.parametrize("verb", COMMANDS)
def test_no_verb_imports_another(verb: str) -> None:
    script = (
        f"import sys, codeclm.engine.commands.{verb}\n"
        "from codeclm.engine.commands import COMMANDS\n"
        "print([v for v in COMMANDS if f'codeclm.engine.commands.{v}' in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout == f"['{verb}']\n"


@pytest.mark.parametrize("verb", ["status", "export", "inspect", "plugins"])
def test_a_verb_that_only_reads_a_run_imports_no_scheduler(verb: str) -> None:
    script = (
        f"import sys, codeclm.engine.commands.{verb}\n"
        "print([m for m in sys.modules if m.endswith('pipeline.streaming') or m == 'structlog'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"


def test_help_takes_less_than_a_third_of_a_second_of_cpu(tmp_path: Path) -> None:
    process = subprocess.Popen([*COMMAND, "--help"], cwd=tmp_path, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)

    assert (process.returncode, usage.ru_utime + usage.ru_stime < 0.3) == (0, True)


_OFFLINE = """
import sys
reached = []
def hook(event, details):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.sendto", "urllib.Request"}:
        reached.append(event)
sys.addaudithook(hook)
from codeclm.engine.cli import main
status = main(sys.argv[1:])
print(status, reached)
"""


def test_a_run_without_a_server_reaches_for_no_network(tmp_path: Path) -> None:
    write_seeds(tmp_path, 2)
    done = subprocess.run(
        [sys.executable, "-c", _OFFLINE, "run", *SMALL, "--out", "run", "--display", "none"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.splitlines()[-1] == "0 []"


# -- over HTTP --------------------------------------------------------------------------------

SECRET = "sk-proj-Zx81kQ4vT7mB2pL9wR3yN6"
TEAM = "team-secret-5d0a77"
OVER_HTTP = (
    *("--seeds", "seeds.jsonl", "--per-metadata", "2", "--max-iterations", "1"),
    *("--strong", "openai/strong", "--target", "openai/target", "--out", "run"),
    *("--set", 'strong.headers={"X-Team"="$TEAM_TOKEN"}'),
    *("--set", "strong.api_key=OPENAI_API_KEY", "--set", "target.api_key=OPENAI_API_KEY"),
)


def acting(asked: ReceivedRequest) -> Say:
    """A model that gives each stage what it asks for."""
    text = asked.json["messages"][-1]["content"]
    if "instruction analyzer" in text:
        return say(chat("Use case: letters\nSkills: tact"))
    if "instruction writer" in text:
        return say(chat("1. Write to your aunt.\n2. Write to your landlord."))
    if "instruction judge" in text:
        return say(chat("1. Rubric: Length.\n1. Action: Make it longer."))
    if "Assistant 1" in text:
        ahead = text.index("from strong") < text.index("from target")
        return say(chat("9 2" if ahead else "2 9"))
    return say(chat(f"An answer from {asked.json['model']}."))


async def over_http(server: Server, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    def run() -> subprocess.CompletedProcess[str]:
        if not (folder / "seeds.jsonl").exists():
            write_seeds(folder, 2)
        line = ("run", *OVER_HTTP, "--no-preflight", "--base-url", f"{server.url}/v1", *more)
        return codeclm(*line, cwd=folder, OPENAI_API_KEY=SECRET, TEAM_TOKEN=TEAM)

    return await anyio.to_thread.run_sync(run)


def _files_with(folder: Path, *texts: str) -> list[str]:
    return [
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and any(text.encode() in path.read_bytes() for text in texts)
    ]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_no_file_ever_holds_a_key(server: Server, tmp_path: Path) -> None:
    server.always = acting
    done = await over_http(server, tmp_path)
    held = await anyio.to_thread.run_sync(_files_with, tmp_path, SECRET, TEAM)

    assert done.returncode == 0, done.stderr
    assert server.asked[0].headers["authorization"] == f"Bearer {SECRET}"
    assert {asked.headers.get("x-team") for asked in server.asked} >= {TEAM}
    assert held == []
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_refused_key_stops_the_run_and_is_not_repeated(
    server: Server, tmp_path: Path
) -> None:
    """Servers quote the key in their complaint."""
    words = {"error": {"message": f"Incorrect API key provided: {SECRET}", "code": "invalid"}}
    server.always = say(words, status=401)
    done = await over_http(server, tmp_path)
    held = await anyio.to_thread.run_sync(_files_with, tmp_path, SECRET, TEAM)

    assert done.returncode == 1
    assert "to continue: codeclm resume run" in done.stderr
    assert "401" in done.stdout + done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert held == []
    assert len(server.asked) <= 2


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_failed_for_a_passing_reason_is_status_1_and_resumed(
    server: Server, tmp_path: Path
) -> None:
    """Also where the metadata is the user's own, and no seed could be unfinished."""

    def half_away(asked: ReceivedRequest) -> Say:
        text = asked.json["messages"][-1]["content"]
        if "instruction writer" in text and "poems" in text:
            return answer(b"busy", status=503)
        return acting(asked)

    server.always = half_away
    rows = [{"use_case": "letters"}, {"use_case": "poems"}]
    await anyio.to_thread.run_sync(write_lines, tmp_path / "m.jsonl", rows)
    more = (
        "--metadata",
        "m.jsonl",
        "--set",
        "retry={attempts=2, first_wait=0.01}",
        "--max-concurrent",
        "1",
    )
    first = await over_http(server, tmp_path, *more, "--json")
    server.always = acting
    second = await over_http(server, tmp_path, *more, "--json")

    assert (first.returncode, second.returncode) == (1, 0)
    assert "some items failed with transient errors" in first.stderr
    assert summary(second)["rows"] == 2


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_failed_for_good_is_taken_up_when_asked_for(
    server: Server, tmp_path: Path
) -> None:
    """Nothing that was paid for is paid again; what was refused is asked once more."""

    def refuses_one(asked: ReceivedRequest) -> Say:
        text = asked.json["messages"][-1]["content"]
        if asked.json["model"] == "target" and "landlord" in text:
            return say({"error": {"message": "too lyrical"}}, status=400)
        return acting(asked)

    async def resume(*more: str) -> dict[str, Any]:
        line = ("resume", "run", "--json", "--no-preflight", *more)
        run = partial(codeclm, *line, cwd=tmp_path, OPENAI_API_KEY=SECRET, TEAM_TOKEN=TEAM)
        return summary(await anyio.to_thread.run_sync(run))

    server.always = refuses_one
    first = summary(await over_http(server, tmp_path, "--json"))
    server.always = acting
    elsewhere = tmp_path / "elsewhere"
    await anyio.to_thread.run_sync(elsewhere.mkdir)
    undisturbed = summary(await over_http(server, elsewhere, "--json"))
    plain, retried, again = [
        await resume(),
        await resume("--retry-failed"),
        await resume("--retry-failed"),
    ]

    failed = [done["instructions"]["failed"] for done in (first, plain, retried, again)]
    assert failed == [{"rejected": 2}, {"rejected": 2}, {}, {}]
    assert (paid(plain), paid(again)) == (0, 0)
    assert paid(first) + paid(retried) == paid(undisturbed)


def test_init_writes_every_template_and_a_run_takes_them_as_its_own(tmp_path: Path) -> None:
    write_seeds(tmp_path)
    first = codeclm("init", "--prompts", "mine", cwd=tmp_path)
    texts = {path.stem: path.read_text("utf-8") for path in (tmp_path / "mine").iterdir()}
    (tmp_path / "mine" / "decode.txt").write_text("Only {{number}}.")
    wrong = codeclm("check", *SMALL, "--prompts", "mine", cwd=tmp_path)
    again = codeclm("init", "--prompts", "mine", cwd=tmp_path)
    small = codeclm("init", "--prompts", "mine", "--prompt-set", "small", "--force", cwd=tmp_path)
    checked = codeclm("check", *SMALL, "--prompts", "mine", cwd=tmp_path)

    assert [done.returncode for done in (first, wrong, again, small, checked)] == [0, 2, 2, 0, 0]
    assert texts.keys() == set(PROMPTS.names())
    assert "{{skills}}, {{use_case}} is missing" in wrong.stderr
    assert "already exists" in again.stderr
    assert (tmp_path / "mine" / "decode.txt").read_text("utf-8") != texts["decode"]


def test_a_configuration_of_the_usual_name_is_read_where_none_is_named(tmp_path: Path) -> None:
    write_seeds(tmp_path)
    nothing = codeclm("check", cwd=tmp_path)
    (tmp_path / "codeclm.toml").write_text(
        'seeds = "seeds.jsonl"\n[strong]\nmodel = "scripted/strong"\n'
        '[target]\nmodel = "scripted/target"\n[decode]\nper_metadata = 7\n'
    )
    from_file = codeclm("plan", cwd=tmp_path)
    from_flags = codeclm("check", *SMALL, cwd=tmp_path)

    assert [done.returncode for done in (nothing, from_file, from_flags)] == [2, 0, 0]
    assert "settings from codeclm.toml" in from_file.stderr
    assert "settings from" not in from_flags.stderr


def test_inspect_without_an_id_lists_what_matches(home: Path) -> None:
    def listed(*flags: str) -> list[dict[str, Any]]:
        done = codeclm("inspect", "run", "--json", "--limit", "10000", *flags, cwd=home)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    everything = listed()
    kept, filtered = listed("--fate", "kept"), listed("--fate", "filtered")
    sample = kept[0]
    word = sample["basic_instruction"].split()[0].lower()

    assert len(everything) == len(kept) + len(filtered) + len(listed("--fate", "failed"))
    assert {one["reason"] for one in listed("--reason", "gap")} <= {"gap"}
    assert sample["id"] in {one["id"] for one in listed("--search", word.upper())}
    assert listed("--search", "no such words at all") == []
    assert {len(one["iterations"]) for one in listed("--round", "1")} == {1}
    use_case = sample["metadata"]["use_case"]
    assert sample["id"] in {one["id"] for one in listed("--use-case", use_case.upper())}


def test_inspect_shows_the_prompts_that_were_sent(home: Path) -> None:
    line = ("inspect", "run", first_id(home), "--prompts")
    shown = json.loads(codeclm(*line, "--json", cwd=home).stdout)
    text = codeclm(*line, cwd=home).stdout
    elsewhere = codeclm(*line, cwd=home, CODECLM_CACHE_DIR="none")

    example, prompts = shown["example"], shown["prompts"]
    assert [prompt["key"] for prompt in prompts] == [call[2] for call in example["calls"]]
    assert {prompt["certainty"] for prompt in prompts} == {"sent"}
    scores = [prompt["messages"][-1][1] for prompt in prompts if prompt["stage"] == "score"]
    assert example["iterations"][0]["instruction"] in scores[0]
    assert "prompt: score, to the judge model (as it was sent)" in text
    assert "prompt: encode, to the strong model" in text
    assert "the cache lacks the call" in elsewhere.stdout


def test_a_list_goes_on_where_the_last_one_ended(home: Path) -> None:
    whole = codeclm("inspect", "run", "--limit", "10000", cwd=home)
    first = codeclm("inspect", "run", "--limit", "5", cwd=home)
    second = codeclm("inspect", "run", "--limit", "10000", "--skip", "5", cwd=home)

    assert (first.stdout + second.stdout, second.stderr) == (whole.stdout, "")
    assert "--skip 5 shows the next" in first.stderr


def test_every_row_has_an_address_of_its_own_and_equal_seeds_share_ids(tmp_path: Path) -> None:
    write_lines(tmp_path / "seeds.jsonl", [{"instruction": "Tell me of rain."}] * 2)
    codeclm("run", *SMALL, "--out", "run", cwd=tmp_path)
    lines = codeclm("inspect", "run", "--json", cwd=tmp_path).stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    addresses = [f"{row['position']}.{row['number']}" for row in rows]
    by_address = [
        json.loads(codeclm("inspect", "run", address, "--json", cwd=tmp_path).stdout)
        for address in addresses
    ]
    shared = codeclm("inspect", "run", rows[0]["id"], "--json", cwd=tmp_path)

    assert len(set(addresses)) == len(rows) > len({row["id"] for row in rows})
    assert by_address == rows
    assert json.loads(shared.stdout) == rows[0]
    assert f"this is {addresses[0]}; with the same id: {addresses[2]}" in shared.stderr
    assert codeclm("inspect", "run", "9.9", cwd=tmp_path).returncode == 2
    mistyped = codeclm("inspect", "run", "--reason", "duplicates", cwd=tmp_path)
    assert mistyped.stderr == "codeclm: no example matches; there is duplicate\n"


@pytest.mark.slow
def test_a_thread_that_never_ends_does_not_keep_the_process(tmp_path: Path) -> None:
    """As one of AnyIO's does after a second interrupt at a bad moment."""
    script = (
        "import sys, threading\n"
        "from codeclm.engine.__main__ import run\n"
        "threading.Thread(target=threading.Event().wait).start()\n"
        "sys.argv = ['codeclm', 'plugins', '--json']\n"
        "sys.exit(run())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)


def test_a_run_that_spent_its_budget_goes_on_with_a_larger_one(tmp_path: Path) -> None:
    write_seeds(tmp_path)
    stopped = codeclm("run", *SMALL, "--out", "run", "--max-calls", "20", cwd=tmp_path)
    more = codeclm("resume", "run", "--max-calls", "30", "--json", cwd=tmp_path)
    rest = codeclm("resume", "run", "--max-calls", "100000", "--json", cwd=tmp_path)

    assert [done.returncode for done in (stopped, more, rest)] == [4, 4, 0]
    assert "20 of 20 spent" in stopped.stderr
    assert summary(rest)["calls_in_all"] > 30
