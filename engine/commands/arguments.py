"""Arguments that several commands share, and the types of their values."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

Subparsers = Any  # argparse's own type is private
Action = Callable[[argparse.Namespace], int]


def add_action(
    actions: Subparsers, name: str, action: Action, summary: str
) -> argparse.ArgumentParser:
    """Add a second verb, such as the ``stats`` of ``codeclm cache stats``."""
    description = f"{summary[0].upper()}{summary[1:]}."
    parser: argparse.ArgumentParser = actions.add_parser(
        name, help=summary, description=description
    )
    parser.set_defaults(action=action)
    return parser


def add_run_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="the run's folder, such as runs/NAME")


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def add_progress(parser: argparse.ArgumentParser) -> None:
    """Add ``--display`` and ``--json``, which `progress_display` reads."""
    parser.add_argument(
        "--display",
        choices=("auto", "full", "plain", "none"),
        default="auto",
        help="progress on stderr: a live table, plain lines, or nothing (default: auto)",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print progress as JSON lines on stderr and the result as JSON on stdout",
    )


def add_no_preflight(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-preflight",
        action="store_false",
        dest="preflight",
        help="do not try each role with one small call before the first stage",
    )


def add_pay_again(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--pay-again",
        action="store_true",
        help="go on although the cache lacks answers that this run has paid for",
    )


def add_force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="overwrite existing files")


def add_tests_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tests",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="folder of the named test sets (default: the current one)",
    )


def add_limit(parser: argparse.ArgumentParser, items: str) -> None:
    parser.add_argument(
        "--limit", type=positive_integer, metavar="N", help=f"use only the first N {items}"
    )


def positive_integer(text: str) -> int:
    """Read an integer from 1, for argparse."""
    return _integer(text, 1)


def natural_number(text: str) -> int:
    """Read an integer from 0, for argparse."""
    return _integer(text, 0)


def _integer(text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"must be an integer ≥ {least}, got {text!r}")
    return number


def non_negative(text: str) -> float:
    """Read a finite number that is not negative, for argparse."""
    if not is_number(text) or not 0 <= (number := float(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number ≥ 0, got {text!r}")
    return number


def share(text: str) -> float:
    """Read a number above 0 and at most 1, for argparse."""
    if not is_number(text) or not 0 < (number := float(text)) <= 1:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most 1, got {text!r}")
    return number


def is_number(text: str) -> bool:
    """Whether *text* is a number without spaces around it; NaN and infinities are not."""
    try:
        float(text)
    except ValueError:
        return False
    return text.strip() == text and text.lower().lstrip("+-") not in {"nan", "inf", "infinity"}


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add ``--model``: a model on this machine."""
    parser.add_argument(
        "--model",
        required=True,
        metavar="DIR|NAME",
        help="a folder, a .gguf file, smollm2, or a name on the Hugging Face Hub",
    )
