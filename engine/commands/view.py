"""``codeclm view``: runs in the browser, while they work and after."""

import argparse
import os
import signal
import sys
import tempfile
import webbrowser
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
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
    with (
        tempfile.TemporaryDirectory(prefix="codeclm-") as folder,
        anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals,
    ):
        async with anyio.create_task_group() as tasks:

            def ready(address: str) -> None:
                _print_address(address, as_json=args.json)
                if args.browser and _has_browser():
                    tasks.start_soon(anyio.to_thread.run_sync, _open, address, Path(folder))

            tasks.start_soon(partial(serve, args.folders, port=args.port, ready=ready))
            async for _ in signals:
                tasks.cancel_scope.cancel()
                return


class Serving(Struct, frozen=True):
    """Where the page is, until the server is stopped; the address holds its key."""

    address: str


def _print_address(address: str, *, as_json: bool) -> None:
    if as_json:
        print_json(Serving(address))
        sys.stdout.flush()
    print_message(f"{address} (Ctrl-C stops the server)")


def _has_browser() -> bool:
    """Whether a browser would open in a window, and not in this terminal."""
    displays = ("DISPLAY", "WAYLAND_DISPLAY")
    return sys.platform == "darwin" or any(os.environ.get(name) for name in displays)


def _open(address: str, folder: Path) -> None:
    """Open *address* by a file that only the user can read: arguments of processes are public."""
    page = folder / "open.html"
    page.write_text(f'<meta http-equiv="refresh" content="0;url={address}">', "utf-8")
    webbrowser.open(page.as_uri())
