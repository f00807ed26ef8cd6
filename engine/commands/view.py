"""``codeclm view``: runs in the browser, while they work and after."""

import argparse
import signal
import sys
import webbrowser
from functools import partial
from pathlib import Path

import anyio
from msgspec import Struct

from ..reporting.runs import existing_run
from ..view.page_file import NO_PLOTTING, plotting
from ..view.server import serve
from .arguments import add_examples, add_json, natural_number
from .exit_status import ExitStatus
from .output import print_json, print_message


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folders",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="the run's folder, such as runs/NAME; several are compared",
    )
    parser.add_argument(
        "--port",
        type=natural_number,
        default=0,
        metavar="N",
        help="port to listen on, on this machine alone (default: any that is free)",
    )
    parser.add_argument(
        "--no-browser", action="store_false", dest="browser", help="only print the address"
    )
    add_json(parser)
    add_examples(parser, "codeclm view runs/big", "codeclm view runs/a runs/b --port 8000")


def run(args: argparse.Namespace) -> int:
    for folder in args.folders:
        existing_run(folder)
    if plotting() is None:
        print_message(NO_PLOTTING)
    anyio.run(_serve_until_signalled, args)
    return ExitStatus.DONE


async def _serve_until_signalled(args: argparse.Namespace) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(serve, args.folders, port=args.port, ready=_Opener(args)))
            async for _ in signals:
                tasks.cancel_scope.cancel()
                return


class Serving(Struct, frozen=True):
    """Where the page is, until the server is stopped; the address holds its key."""

    address: str


class _Opener:
    """Tells the user where the page is, and opens it."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._browser: bool = args.browser
        self._as_json: bool = args.json

    def __call__(self, address: str) -> None:
        if self._as_json:
            print_json(Serving(address))
            sys.stdout.flush()
        print_message(f"{address} (Ctrl-C stops the server)")
        if self._browser:
            webbrowser.open(address)
