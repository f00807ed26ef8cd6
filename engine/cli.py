"""The command line: argv → the module of the command → exit status.

Only the command that is run gets imported, so that ``codeclm --help`` costs no more than argparse.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from .commands import COMMANDS, load
from .commands.exit_status import ExitStatus
from .data.errors import RunStopped, UserError
from .reporting.terminal import printable


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its `ExitStatus`."""
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        status = _run_command(words)
        sys.stdout.flush()  # here, so that a closed pipe is noticed below
    except KeyboardInterrupt:  # before or after a session; a session handles signals itself
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _print_error("interrupted: run the same command again to continue")
        return ExitStatus.FAILED
    except BrokenPipeError:
        # The reader has closed the pipe: keep Python from complaining again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitStatus.FAILED
    except UserError as error:
        _print_error(str(error))
        return ExitStatus.WRONG_INPUT
    except RunStopped as error:
        _print_error(str(error))
        return ExitStatus.FAILED
    return status


def _run_command(words: Sequence[str]) -> int:
    parser = _parser(words)
    args = parser.parse_args(words)
    if args.verb is None:
        parser.print_help()
        return ExitStatus.WRONG_INPUT
    return load(args.verb).run(args)


def _print_error(message: str) -> None:
    print(f"codeclm: {printable(message)}", file=sys.stderr)


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Build the parser, with the arguments of the one command that *words* name."""
    parser = argparse.ArgumentParser(
        prog="codeclm",
        description="Make instruction data tailored to your task and your model (CodecLM).",
        epilog="exit status: 0 done; 1 failed or stopped (to be continued); 2 wrong input;"
        " 3 finished, but short of --target-rows",
        formatter_class=_Formatter,
    )
    parser.add_argument(
        "--version", action=_PrintVersion, nargs=0, help="show the version number and exit"
    )
    verbs = parser.add_subparsers(dest="verb", metavar="COMMAND")
    verb_named = next((word for word in words if not word.startswith("-")), None)
    for verb, summary in COMMANDS.items():
        description = f"{summary[0].upper()}{summary[1:]}."
        subparser = verbs.add_parser(verb, help=summary, description=description)
        if verb == verb_named:
            load(verb).add_arguments(subparser)
    return parser


class _Formatter(argparse.HelpFormatter):
    """Keep each command's summary on the line of its name."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=20)
        self._action_max_length = 17  # argparse forgets the indent of the longest command


class _PrintVersion(argparse.Action):
    """Look the version up only on demand: reading the package's metadata takes 20 ms."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        from importlib.metadata import version  # noqa: PLC0415  (see above)

        print(f"codeclm {version('codeclm')}")
        parser.exit()
