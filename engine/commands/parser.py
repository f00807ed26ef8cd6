"""The parser of the command line, and what may have been meant where it cannot read it."""

import argparse
import re
import sys
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from typing import Any, NoReturn, cast

from ..data.errors import UserError
from . import COMMANDS, TASKS, load
from .exit_status import ExitStatus


class UsageError(UserError):
    """Arguments that a command does not take."""

    def __init__(self, usage: str, command: str, message: str) -> None:
        super().__init__(message)
        self.usage = usage
        self.command = command


_HELP = f"""\
Make instruction data tailored to your task and your model (CodecLM).

{{commands}}
`codeclm COMMAND --help` shows the options of a command, and examples.

exit status
  {ExitStatus.DONE}  done
  {ExitStatus.FAILED}  failed; to be continued
  {ExitStatus.WRONG_INPUT}  wrong input; no call was made
  {ExitStatus.ROWS_MISSING}  finished, but short of --target-rows
  {ExitStatus.BUDGET_SPENT}  out of budget; to be continued
  {ExitStatus.STOPPED}  stopped by Ctrl-C or SIGTERM; to be continued"""


def build_parser(verbs: Collection[str]) -> "Parser":
    """Build the parser, with the arguments of *verbs*: those of the others need their modules."""
    parser = Parser(
        prog="codeclm",
        usage="codeclm COMMAND [options]",
        description=_HELP.format(commands="".join(_task_lines())),
    )
    parser.add_argument(
        "--version", "-V", action=_PrintVersion, nargs=0, help="show the version number and exit"
    )
    commands = parser.add_subparsers(
        dest="verb", metavar="COMMAND", prog="codeclm", help=argparse.SUPPRESS
    )
    for verb, summary in COMMANDS.items():
        description = f"{summary[0].upper()}{summary[1:]}."
        subparser = commands.add_parser(verb, help=summary, description=description)
        if verb in verbs:
            load(verb).add_arguments(subparser)
    return parser


def _task_lines() -> Iterator[str]:
    width = max(map(len, COMMANDS))
    for task, verbs in TASKS.items():
        lines = (f"  {verb:<{width}}  {summary}" for verb, summary in verbs.items())
        yield "\n".join([task, *lines, "\n"])


class Parser(argparse.ArgumentParser):
    """Suggests what may have been meant.

    Abbreviations are errors: a flag may gain a neighbour. Commands get parsers of this class, too.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_Formatter, **settings)
        self.set_defaults(parser=self)  # the innermost one wins: `codeclm cache prune`'s

    @property
    def arguments(self) -> list[argparse.Action]:
        """The arguments, in their order; for a command with further commands, those too."""
        return list(self._actions)

    @property
    def commands(self) -> dict[str, "Parser"]:
        """The parsers of the commands below this one, by name."""
        for action in self._actions:
            choices: object = action.choices
            if isinstance(choices, dict):
                return cast("dict[str, Parser]", choices)
        return {}

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError`, in place of ending the process."""
        suggestion = self._suggestion(message)
        if match := re.match(r"argument COMMAND: invalid choice: ('.+?') \(", message):
            message = f"there is no command {match[1]}"
            suggestion = suggestion or "; `codeclm --help` lists them"
        raise UsageError(self.format_usage(), self.prog, message + suggestion)

    def _suggestion(self, message: str) -> str:
        if match := re.match(r".*invalid choice: '(.+?)' \(choose from (.+)\)$", message):
            names = re.findall(r"[\w-]+", match[2])
        elif match := re.match(r"unrecognized arguments: (--[^\s=]+)", message):
            names = [name for action in self._actions for name in action.option_strings]
        else:
            return ""
        near = get_close_matches(match[1], names, n=1, cutoff=0.6)
        return f"; did you mean {near[0]}?" if near else ""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Leave room for long flags, and descriptions and examples as they are written."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=27)


class _PrintVersion(argparse.Action):
    """Look the version up only on demand: reading the package's metadata takes 20 ms."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        from importlib.metadata import version  # noqa: PLC0415  (see above)

        sys.stdout.write(f"codeclm {version('codeclm')}\n")
        parser.exit()
