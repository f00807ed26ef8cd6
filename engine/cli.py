"""The command line: argv → command → exit status.

Exit status: 0 done; 1 the run failed or was stopped and can be resumed; 2 the command, its
configuration or its seeds are wrong, and no call was made; 3 done, but rows are missing.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from .commands import bench, cache, compare, evaluate, look, prepare, quality, run, train
from .commands.status import FAILED, WRONG


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.command is None:
        parser.print_help()
        return WRONG
    try:
        done = int(args.do(args))
        sys.stdout.flush()  # here, so that a reader that has gone is noticed below
    except KeyboardInterrupt:  # while a run starts or closes; in between it heeds signals itself
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("codeclm: interrupted: the same command goes on from here", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        # Whoever read our output has gone: Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        status = _expected(error)
        if status is None:
            raise
        print(f"codeclm: {error}", file=sys.stderr)
        return status
    return done


def _expected(error: Exception) -> int | None:
    """Return the exit status of an error that is the user's to mend, None for a bug."""
    from .data.errors import RunStopped, UserError

    if isinstance(error, UserError):
        return WRONG
    return FAILED if isinstance(error, RunStopped) else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="codeclm",
        description="Make instruction data for your task and your model (CodecLM).",
        epilog="exit status: 0 done, 1 failed or stopped (resume), 2 wrong input, 3 rows missing",
    )
    parser.add_argument("--version", action=_PrintVersion, nargs=0, help="print it and exit")
    parser.set_defaults(command=None)
    verbs = parser.add_subparsers(metavar="COMMAND")
    for commands in (run, prepare, look, quality, evaluate, compare, train, cache, bench):
        commands.add(verbs)
    return parser


class _PrintVersion(argparse.Action):
    """Look the version up only when it is asked for: reading metadata costs 20 ms."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        from importlib.metadata import version

        print(f"codeclm {version('codeclm')}")
        parser.exit()
