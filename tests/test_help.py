"""What ``--help`` says, and what may have been meant."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from codeclm.engine.commands import COMMANDS
from codeclm.engine.commands.parser import UsageError, build_parser

from .commands import codeclm


def help_of(verb: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    return build_parser([verb]).commands[verb].format_help()


def examples(text: str) -> Iterator[list[str]]:
    """The commands below "examples:", split into words as a shell does."""
    lines = text.partition("\nexamples:\n")[2].replace("\\\n", "").splitlines()
    for line in lines:
        command = shlex.split(re.split(r" [|>] ", line)[0], comments=True)
        if command:
            yield command


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_verb_s_help_fits_80_columns(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = help_of(verb, monkeypatch).splitlines()

    assert [line for line in lines if len(line) > 80] == []


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_verb_s_examples_are_commands_that_it_accepts(
    verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = list(examples(help_of(verb, monkeypatch)))

    assert commands
    for program, *words in commands:
        assert program == "codeclm"
        assert build_parser(words[:1]).parse_args(words).verb == words[0]


def test_every_verb_is_listed_with_its_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = build_parser([]).format_help()

    assert [line for line in text.splitlines() if len(line) > 80] == []
    assert all(f"\n  {verb:<15}{summary}\n" in text for verb, summary in COMMANDS.items())
    assert text.index("\nmake\n") < text.index("  run  ") < text.index("\nlook\n")
    assert "  3  finished, but short of --target-rows\n" in text


@pytest.mark.parametrize("line", ["run a.toml", "run -c a.toml", "run --config a.toml"])
def test_a_configuration_is_named_in_one_of_three_ways(line: str) -> None:
    assert str(build_parser(["run"]).parse_args(line.split()).config) == "a.toml"


def test_a_configuration_is_named_once() -> None:
    assert build_parser(["run"]).parse_args(["run"]).config is None
    for line in ("run a.toml -c b.toml", "run -c b.toml a.toml"):
        with pytest.raises(UsageError, match="not allowed with argument"):
            build_parser(["run"]).parse_args(line.split())
    with pytest.raises(UsageError, match="FILE --config/-c is required"):
        build_parser(["compare"]).parse_args(["compare"])


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("exprt runs/a", "export"),
        ("run --treshold 3", "--threshold"),
        ("run --thres 3", "--threshold"),
        ("status runs/a --jsn", "--json"),
        ("export r --trainer trll --to x", "trl"),
        ("run --concurrency 8", "--max-concurrent"),
        ("review exprt r --to x.csv", "export"),
        ("cache prune --older-than 3 --dryrun", "--dry-run"),
    ],
)
def test_a_typing_error_is_answered_with_what_may_have_been_meant(
    line: str, meant: str, tmp_path: Path
) -> None:
    done = codeclm(*line.split(), cwd=tmp_path)

    assert done.returncode == 2
    assert done.stderr.rstrip().endswith(f"did you mean {meant}?"), done.stderr


def test_help_is_a_word_too(tmp_path: Path) -> None:
    assert codeclm("help", cwd=tmp_path).stdout == codeclm("--help", cwd=tmp_path).stdout
    assert codeclm("help", "run", cwd=tmp_path).stdout == codeclm("run", "-h", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("run", "no codeclm.toml here: write one with: codeclm init; or name seeds and models:"),
        ("check", "no codeclm.toml here"),
        ("frobnicate", "there is no command 'frobnicate'; `codeclm --help` lists them"),
        (
            "run settings.yaml",
            "settings.yaml: no such file; write one with: codeclm init settings.toml",
        ),
        ("resume a.toml", "to work on what a configuration describes: codeclm run a.toml"),
        ("status runs", "runs: not a run's folder; there is runs/"),
        ("status runs/tow", "runs/tow: not a run's folder; there is runs/two, runs/one"),
        ("status", "the following arguments are required: RUN"),
        ("inspect runs/one --prompts", "--prompts shows one example's: name it"),
    ],
)
def test_a_newcomer_s_slip_is_answered_with_what_to_type(
    line: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "a.toml").touch()
    for name in ("one", "two"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "ledger.sqlite").touch()
    done = codeclm(*line.split(), cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
