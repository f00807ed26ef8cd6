"""What ``from codeclm.engine import …`` offers."""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import codeclm.engine
from codeclm.engine.commands import COMMANDS, load

from .commands import environment, write_seeds

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
