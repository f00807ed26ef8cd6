"""The command line: argv → the module of the command → exit status.

Only the command that is run gets imported, so that ``codeclm --help`` costs no more than argparse.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple, assert_never

from .commands import load
from .commands.exit_status import ExitStatus
from .commands.parser import UsageError, build_parser
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
        failure = _failure(error)
    except KeyboardInterrupt as interrupt:  # a session that has begun handles signals itself
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        message = str(interrupt) or "interrupted: run the same command again to continue"
        failure = _Failure(ExitStatus.STOPPED, message)
    except (UserError, RunStopped, OSError) as error:
        failure = _failure(error)
        if isinstance(error, OSError) and not error.filename:
            _drop_output()
    return _report(failure, as_json="--json" in words)


def _treat_sigterm_like_sigint() -> None:
    """Let SIGTERM end the process with a message; a running session handles both itself."""
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def _run(words: Sequence[str]) -> int:
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]  (closed: `>&-`)
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    if words[:1] == ["help"]:
        words = [*words[1:2], "--help"]
    parser = build_parser([word for word in words if not word.startswith("-")][:1])
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


class _Failure(NamedTuple):
    """Why a command ends without its result."""

    status: ExitStatus
    message: str
    heading: str = "codeclm: "
    """Stands before the message on stderr."""


def _failure(error: UserError | RunStopped | OSError) -> _Failure | None:
    """Return what *error* means; None if the reader of our output has gone."""
    match error:
        case BrokenPipeError():
            return None
        case OSError():
            where = error.filename or "output"
            return _Failure(ExitStatus.FAILED, f"{where}: {error.strerror or error}")
        case UsageError():
            heading = f"{error.usage}{error.command}: error: "
            return _Failure(ExitStatus.WRONG_INPUT, str(error), heading)
        case UserError():
            return _Failure(ExitStatus.WRONG_INPUT, str(error))
        case RunStopped():
            return _Failure(ExitStatus.FAILED, str(error))
        case _:
            assert_never(error)


def _report(failure: _Failure | None, *, as_json: bool) -> ExitStatus:
    """Print *failure* on stderr and, for programs, on stdout; return the exit status."""
    if failure is None:
        return ExitStatus.FAILED
    with suppress(OSError, ValueError):  # stderr may be closed, too
        text = printable(failure.heading + _shorten(failure.message))
        print(text, file=sys.stderr)
    if as_json:
        with suppress(OSError, ValueError):
            error = {"status": failure.status, "message": failure.message}
            print(json.dumps({"error": error}), flush=True)
    return failure.status


def _drop_output() -> None:
    """Keep Python from complaining again, at exit, about output that cannot be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


_WIDEST = 1000
"""Characters of a line of a message: a key of a megabyte is not repeated whole."""


def _shorten(message: str) -> str:
    lines = message.split("\n")
    return "\n".join(line if len(line) <= _WIDEST else f"{line[:_WIDEST]}…" for line in lines)
