"""Run one session of a prepared run: signals, progress, results, exit status."""

import argparse
import signal
import stat
from contextlib import suppress
from functools import partial
from pathlib import Path

from msgspec import structs

from ..api import runs
from ..data.errors import UserError
from ..pipeline.event_loop import run_async
from ..pipeline.prepare import Plan
from ..pipeline.session import Session
from ..pipeline.signals import process_signals
from ..reporting.display import watcher
from ..reporting.runs import resume_command
from ..reporting.summary import Summary, summary_text
from ..reporting.views import Display
from .exit_status import ExitStatus
from .origin import print_endpoints
from .output import print_json, print_message, print_text


def run_and_report(
    plan: Plan,
    args: argparse.Namespace,
    *,
    allow_change: bool = False,
    retry_failed: bool = False,
    force: bool = False,
) -> int:
    """Run a session, print its summary, and return the exit status."""
    summary, session = run_to_end(
        plan,
        progress_display(args),
        allow_change=allow_change,
        retry_failed=retry_failed,
        pay_again=args.pay_again,
        force=force,
        tries_roles=args.preflight,
    )
    if args.json:
        print_json(summary)
    else:
        print_text(summary_text(structs.replace(summary, reason="")))  # told last, by _exit_status
    # A late second Ctrl-C must not change the exit status.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return _exit_status(summary, plan, session)


def progress_display(args: argparse.Namespace) -> Display:
    """Return how to show progress, as the flags of `arguments.add_progress` say."""
    display: Display = "json" if args.json else args.display
    return display


def run_to_end(
    plan: Plan,
    display: Display,
    *,
    allow_change: bool,
    retry_failed: bool = False,
    pay_again: bool = False,
    force: bool = False,
    tries_roles: bool = True,
) -> tuple[Summary, Session]:
    """Work until the run finishes or stops, and write its results."""
    session = partial(
        runs.run_session,
        plan,
        watch=watcher(display),
        requests=process_signals,
        on_start=partial(_print_start, plan),
        allow_change=allow_change,
        retry_failed=retry_failed,
        pay_again=pay_again,
        force=force,
        tries_roles=tries_roles,
    )
    try:
        return run_async(session)
    except UserError:
        raise  # its message says what to do instead of continuing
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second must not cut off the last message
        raise KeyboardInterrupt(f"interrupted; {_how_to_continue(plan)}") from None
    except BaseException:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print_message(_how_to_continue(plan))
        raise


def _how_to_continue(plan: Plan, settings: str = "") -> str:
    """Say what to type next; *settings* are more of its arguments."""
    if plan.folder.config.exists():
        return f"to continue: {resume_command(plan.folder.path)}{settings}"
    return "to continue: run the same command again; paid answers are reused"


def _print_start(plan: Plan) -> None:
    print_message(str(plan.folder.path))
    print_endpoints(plan.endpoints)
    _warn_of_open_cache(plan.config.cache.path())


def _warn_of_open_cache(folder: Path) -> None:
    """Say so if anybody on this machine can put answers into the cache."""
    with suppress(OSError):
        if folder.stat().st_mode & stat.S_IWOTH:
            print_message(f"{folder}: every user of this machine can write this cache: chmod 700")


def is_unfinished(summary: Summary, session: Session) -> bool:
    """Whether the same command would continue: the run was stopped, or items are left."""
    short = not summary.target_rows or summary.rows < summary.target_rows
    unfinished = summary.seeds.unfinished or summary.instructions.unfinished
    # Metadata that the user wrote is neither a seed nor an instruction.
    return bool(summary.ending != "finished" or unfinished or (session.left_for_later and short))


TRANSIENT = "some items failed with transient errors"


def _exit_status(summary: Summary, plan: Plan, session: Session) -> ExitStatus:
    if session.spent_limit:
        print_message(summary.reason)
        print_message(_how_to_continue(plan, f" --set budget.{session.spent_limit}=N"))
        return ExitStatus.BUDGET_SPENT
    if summary.ending == "stopped":
        print_message(summary.reason)
        print_message(_how_to_continue(plan))
        return ExitStatus.STOPPED
    if is_unfinished(summary, session):
        print_message(TRANSIENT if summary.ending == "finished" else summary.reason)
        print_message(_how_to_continue(plan))
        return ExitStatus.FAILED
    if not summary.rows:
        print_message("the dataset is empty; the summary above says why")
        return ExitStatus.ROWS_MISSING
    if summary.target_rows and summary.rows < summary.target_rows:
        print_message(
            f"{summary.target_rows - summary.rows} rows are missing: raise size.max_expansion or"
            " max_candidates, lower filter.threshold, or add seeds"
        )
        return ExitStatus.ROWS_MISSING
    return ExitStatus.DONE
