"""The command line: argv → the module of the command → exit status.

Only the command that is run gets imported, so that ``codeclm --help`` costs no more than argparse.
"""

import argparse
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import Any, NoReturn, assert_never

from .commands import COMMANDS, TASKS, load
from .commands.exit_status import ExitStatus
from .data.errors import RunStopped, UserError
from .reporting.terminal import printable


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its `ExitStatus`."""
    words = sys.argv[1:] if argv is None else list(argv)
    _treat_sigterm_like_sigint()
    try:
        return _run(words)
    except BaseExceptionGroup as group:
        error = _expected(group)
        if error is None:
            raise
        return _report(error)
    except KeyboardInterrupt as interrupt:  # a session that has begun handles signals itself
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _print_error(str(interrupt) or "interrupted: run the same command again to continue")
        return ExitStatus.STOPPED
    except (UserError, RunStopped, OSError) as error:
        return _report(error)


def _treat_sigterm_like_sigint() -> None:
    """Let SIGTERM end the process with a message; a running session handles both itself."""
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def _run(words: Sequence[str]) -> int:
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]  (closed: `>&-`)
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    parser = build_parser(next((word for word in words if not word.startswith("-")), None))
    args, rest = parser.parse_known_args(words)
    if rest:
        args.parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if args.verb is None:
        parser.print_help()
        return ExitStatus.WRONG_INPUT
    status: int = load(args.verb).run(args)
    sys.stdout.flush()  # here, so that a closed pipe or a full disk is noticed
    return status


def _expected(group: BaseExceptionGroup[BaseException]) -> UserError | RunStopped | None:
    """Return the error that explains *group*: what users can fix first, then what ended a run."""
    for kind in (UserError, RunStopped):
        leaf: BaseException | None = group.subgroup(kind)
        while isinstance(leaf, BaseExceptionGroup):
            leaf = leaf.exceptions[0]
        if isinstance(leaf, kind):
            return leaf
    return None


def _report(error: UserError | RunStopped | OSError) -> ExitStatus:
    """Say in one line what *error* is, and return what it means for the exit status."""
    match error:
        case BrokenPipeError():
            _drop_output()  # the reader of our output has gone
            return ExitStatus.FAILED
        case OSError():
            where = f"{error.filename}: " if error.filename else "output: "
            if not error.filename:
                _drop_output()
            _print_error(f"{where}{error.strerror or error}")
            return ExitStatus.FAILED
        case UserError():
            _print_error(str(error))
            return ExitStatus.WRONG_INPUT
        case RunStopped():
            _print_error(str(error))
            return ExitStatus.FAILED
        case _:
            assert_never(error)


def _drop_output() -> None:
    """Keep Python from complaining again, at exit, about output that cannot be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


_WIDEST = 1000
"""Characters of a line of a message: a key of a megabyte is not repeated whole."""


def _shorten(message: str) -> str:
    lines = message.split("\n")
    return "\n".join(line if len(line) <= _WIDEST else f"{line[:_WIDEST]}…" for line in lines)


def _print_error(message: str) -> None:
    with suppress(OSError, ValueError):  # stderr may be closed, too
        print(f"codeclm: {printable(_shorten(message))}", file=sys.stderr)


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


def build_parser(verb_wanted: str | None) -> "_Parser":
    """Build the parser, with the arguments of one verb: those of the others need their modules."""
    parser = _Parser(
        prog="codeclm",
        usage="codeclm COMMAND [options]",
        description=_HELP.format(commands="".join(_task_lines())),
    )
    parser.add_argument(
        "--version", action=_PrintVersion, nargs=0, help="show the version number and exit"
    )
    verbs = parser.add_subparsers(
        dest="verb", metavar="COMMAND", prog="codeclm", help=argparse.SUPPRESS
    )
    for verb, summary in COMMANDS.items():
        description = f"{summary[0].upper()}{summary[1:]}."
        subparser = verbs.add_parser(verb, help=summary, description=description)
        if verb == verb_wanted:
            load(verb).add_arguments(subparser)
    parser.verbs = verbs.choices
    return parser


def _task_lines() -> Iterator[str]:
    width = max(map(len, COMMANDS))
    for task, verbs in TASKS.items():
        lines = (f"  {verb:<{width}}  {summary}" for verb, summary in verbs.items())
        yield "\n".join([task, *lines, "\n"])


class _Parser(argparse.ArgumentParser):
    """Suggests what may have been meant, and repeats what was typed as the terminal can bear it.

    Abbreviations are errors: a flag may gain a neighbour. Commands get parsers of this class, too.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_Formatter, **settings)
        self.verbs: Mapping[str, argparse.ArgumentParser] = {}
        self.set_defaults(parser=self)  # the innermost one wins: `codeclm cache prune`'s

    def error(self, message: str) -> NoReturn:
        super().error(printable(_shorten(message) + self._suggestion(message)))

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

        print(f"codeclm {version('codeclm')}")
        parser.exit()
