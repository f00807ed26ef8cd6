"""``codeclm completion``: a script by which a shell completes commands, flags and run folders."""

import argparse
import sys
from argparse import Action
from collections.abc import Iterable
from typing import Any, get_args

import shtab

from ...prompts import SETS
from ...providers.base import Transport
from ...providers.models import model_table
from ..data.formats import EXPORTS
from ..pipeline.recipes import RECIPES
from . import COMMANDS
from .arguments import add_examples
from .exit_status import ExitStatus
from .parser import Parser, build_parser

SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="the shell that is to read the script")
    add_examples(
        parser,
        "# for good; a new shell reads it (zsh: from a folder of $fpath)",
        "codeclm completion bash > ~/.local/share/bash-completion/completions/codeclm",
        "codeclm completion zsh > ~/.zfunc/_codeclm",
        "codeclm completion fish > ~/.config/fish/completions/codeclm.fish",
    )


def run(args: argparse.Namespace) -> int:
    parser = build_parser(COMMANDS)
    _describe_all(parser)
    sys.stdout.write(f"{shtab.complete(parser, args.shell)}\n")
    return ExitStatus.DONE


def _describe_all(parser: Parser) -> None:
    for action in parser.arguments:
        if parser.commands and action.help == argparse.SUPPRESS:
            action.help = ""  # shtab leaves out what the help does
        _describe(action)
    for command in parser.commands.values():
        _describe_all(command)


def _describe(action: Action) -> None:
    """Tell shtab which values *action* takes."""
    described: Any = action
    words = next((WORDS[name]() for name in action.option_strings if name in WORDS), None)
    metavar = str(action.metavar)
    if words is not None and metavar != "DIR":
        described.choices = list(words)
    elif action.dest in {"folder", "folders"}:
        described.complete = _RUNS
    elif "FILE" in metavar or "RUN" in metavar:
        described.complete = shtab.FILE
    elif "DIR" in metavar:
        described.complete = shtab.DIRECTORY


def _models() -> Iterable[str]:
    return (f"{row.provider}/{row.name}" for row in model_table().models if not row.is_family)


WORDS = {
    "--recipe": RECIPES.names,
    "--format": EXPORTS.names,
    "--export": EXPORTS.names,
    "--transport": lambda: get_args(Transport),
    "--prompts": lambda: SETS,
    **dict.fromkeys(("--strong", "--target", "--judge", "--candidate", "--reference"), _models),
}
"""The values of flags that argparse does not check, since a plugin or a folder may be one."""

_BASH_RUNS = """\
_codeclm_dir_runs() {
  local folder any=
  for folder in "$1"*/ "$1"*/*/; do
    [ -f "${folder}config.toml" ] && [ -f "${folder}ledger.sqlite" ] || continue
    printf '%s\\n' "${folder%/}"
    any=1
  done
  [ -n "$any" ] || compgen -d -- "$1"
}"""

_RUNS = {**shtab.DIRECTORY, "bash": "_codeclm_dir_runs", "preamble": {"bash": _BASH_RUNS}}
"""Runs where there are any, else folders."""
