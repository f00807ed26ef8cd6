"""What ``--json`` prints: the documents of the table in docs/json.md."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import GenericAlias
from typing import Any, NamedTuple

import msgspec
import pytest

from codeclm.engine.commands import COMMANDS
from codeclm.engine.commands.exit_status import ExitStatus
from codeclm.engine.commands.parser import Parser, build_parser

from .commands import COMMAND, codeclm, environment, write_lines, write_seeds

PAGE = Path(__file__).parents[1] / "docs" / "json.md"
MODELS = ("--strong", "scripted/strong", "--target", "scripted/target")
RUN = ("--seeds", "seeds.jsonl", *MODELS, "--per-metadata", "2")

COMPARISON = """
seeds = "seeds.jsonl"
out = "comparison"
strong.model = "scripted/strong"
target.model = "scripted/target"
[compare]
rows = 3
recipes = ["codeclm", "wizardlm"]
"""


class Row(NamedTuple):
    """A row of the table."""

    form: str
    record: Any


def _table() -> Iterator[tuple[str, Row]]:
    for line in PAGE.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and cells[1] in {"one document", "a list", "lines"}:
            module, _, name = cells[2].strip("`").rpartition(".")
            row = Row(cells[1], getattr(import_module(f"codeclm.{module}"), name))
            yield from ((command, row) for command in re.findall(r"`([^`]+)`", cells[0]))


TABLE = dict(_table())

COMMAND_LINES = {
    "init": "init new.toml",
    "check": "check -c run/config.toml",
    "plan": "plan -c run/config.toml",
    "plan --pilot": "plan -c run/config.toml --pilot 2",
    "preview": "preview -c run/config.toml --count 1",
    "run": "run -c run/config.toml --out run",
    "resume": "resume run",
    "status": "status run",
    "inspect RUN": "inspect run --limit 2",
    "inspect RUN ID": "inspect run 0.0",
    "inspect RUN ID --prompts": "inspect run 0.0 --prompts",
    "report": "report run --to page.html",
    "export": "export run --to rows.json",
    "review export": "review export run --to review.jsonl",
    "review import": "review import run decided.jsonl",
    "pack": "pack run --to packed.tar.gz",
    "unpack": "unpack given.tar.gz --to unpacked",
    "calibrate": "calibrate run",
    "contamination": "contamination run --against test.jsonl",
    "evaluate": "evaluate --test test.jsonl --candidate scripted/target"
    " --reference scripted/strong --judge scripted/strong --out evaluation",
    "compare": "compare -c compare.toml",
    "compare --plan": "compare -c compare.toml --plan --out planned",
    "bench": "bench --calls 5",
    "bench --model": "bench --model scripted/strong --calls 5",
    "cache stats": "cache stats",
    "cache verify": "cache verify",
    "cache explain": "cache explain 0 1 2 3 4 5 6 7 8 9 a b c d e f",
    "cache prune": "cache prune --older-than 1 --dry-run",
    "cache pack": "cache pack",
    "models": "models openai",
    "plugins": "plugins",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run and what the commands read."""
    folder = tmp_path_factory.mktemp("home")
    write_seeds(folder, 5)
    write_lines(folder / "test.jsonl", [{"instruction": "Name three rivers."}] * 2)
    (folder / "compare.toml").write_text(COMPARISON)
    done = codeclm("run", *RUN, "--out", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    codeclm("review", "export", "run", "--to", "decided.jsonl", cwd=folder)
    codeclm("pack", "run", "--to", "given.tar.gz", cwd=folder)
    return folder


def check(line: str, record: Any) -> None:
    """Check that *line* is a *record* and has no field that it does not know."""
    document = msgspec.json.decode(line, type=record)
    assert json.loads(msgspec.json.encode(document)) == json.loads(line)


@pytest.mark.parametrize("command", COMMAND_LINES)
def test_stdout_is_the_documented_record(command: str, home: Path) -> None:
    row = TABLE[command]
    done = codeclm(*COMMAND_LINES[command].split(), "--json", cwd=home)
    lines = done.stdout.splitlines()

    assert done.returncode in {0, 3}, done.stderr
    assert len(lines) == 1 or (lines and row.form == "lines")
    for line in lines:
        check(line, GenericAlias(list, row.record) if row.form == "a list" else row.record)


def test_every_documented_command_is_tried() -> None:
    need_torch_weights_or_the_hub = {"tune", "answer", "loop", "push"}
    serves_until_stopped = {"view"}

    tried = TABLE.keys() - need_torch_weights_or_the_hub - serves_until_stopped
    assert tried == COMMAND_LINES.keys()


def test_every_command_that_takes_json_is_documented() -> None:
    documented = {re.sub(r" (?:[A-Z]+|--.*)", "", command) for command in TABLE}
    commands = {leaf.prog.removeprefix("codeclm ") for leaf in leaves(build_parser(COMMANDS))}

    assert commands - documented == {"completion"}


def leaves(parser: Parser) -> Iterator[Parser]:
    """Yield the parsers of whole commands, such as that of ``codeclm cache stats``."""
    if not parser.commands:
        yield parser
    for command in parser.commands.values():
        yield from leaves(command)


def takes_json(parser: Parser) -> bool:
    return any("--json" in argument.option_strings for argument in parser.arguments)


def test_every_command_takes_json() -> None:
    parser = build_parser(COMMANDS)
    without = [leaf.prog for leaf in leaves(parser) if not takes_json(leaf)]

    assert without == ["codeclm completion"]  # its result is a script


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("status nowhere", "nowhere: not a run's folder; there is "),
        ("status run --jsn", "unrecognized arguments: --jsn; did you mean --json?"),
        ("statsu run", "there is no command 'statsu'; did you mean status?"),
        ("check -c \x1b[2J.toml", "no such file"),
    ],
)
def test_an_error_is_a_document_too(line: str, message: str, home: Path) -> None:
    done = codeclm(*line.split(), "--json", cwd=home)
    error = json.loads(done.stdout)["error"]

    assert (done.returncode, error["status"]) == (2, 2)
    assert message in error["message"]
    assert message in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_every_exit_status_is_documented() -> None:
    documented = re.findall(r"^\| (\d) \|", PAGE.read_text("utf-8"), re.MULTILINE)

    assert [int(number) for number in documented] == [status.value for status in ExitStatus]


def test_the_viewer_says_where_it_is_until_it_is_stopped(home: Path) -> None:
    command = [*COMMAND, "view", "run", "--no-browser", "--json"]
    with subprocess.Popen(
        command, cwd=home, env=environment(home), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == ""

    check(line, TABLE["view"].record)
    assert json.loads(line)["address"].startswith("http://127.0.0.1:")
    assert process.returncode == 0
