"""Arguments that several commands share, and the types of their values."""

import argparse
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

Subparsers = Any  # argparse's own type is private
Action = Callable[[argparse.Namespace], int]


class Arguments(Protocol):
    """What arguments are added to: a parser, or a group of its help."""

    def add_argument(self, *names: str, **settings: Any) -> argparse.Action:
        """Add one argument."""
        ...


class Groups(NamedTuple):
    """The groups of a long list of flags, in the order of the help."""

    make: Arguments
    models: Arguments
    limits: Arguments
    files: Arguments
    output: Arguments


def add_groups(parser: argparse.ArgumentParser, first: str = "what to make") -> Groups:
    """Add the groups to *parser*; *first* is the title of the first."""
    titles = (first, "models", "limits", "files", "output")
    return Groups(*map(parser.add_argument_group, titles))


def add_examples(parser: argparse.ArgumentParser, *examples: str) -> None:
    """End the help with commands to copy; a line that begins with # explains the next."""
    parser.epilog = "\n".join(["examples:", *(f"  {line}" for line in examples)])


def add_config(parser: argparse.ArgumentParser, summary: str, *, required: bool = False) -> None:
    """Add the configuration file, as the first argument or as ``--config``, but not as both."""
    ways = parser.add_mutually_exclusive_group(required=required)
    ways.add_argument(
        "config",
        nargs="?",
        type=_config_file,
        default=argparse.SUPPRESS,  # or its absence would undo --config
        metavar="FILE",
        help=summary,
    )
    ways.add_argument("--config", "-c", type=Path, metavar="FILE", help="the same, by name")


def _config_file(text: str) -> Path | str:
    """Read a path; argparse hands its own mark of absence in, too, and wants it back."""
    return text if text is argparse.SUPPRESS else Path(text)


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
    parser.add_argument(
        "folder", type=Path, metavar="RUN", help="the run's folder, such as runs/NAME"
    )


def add_json(parser: Arguments) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def add_progress(parser: Arguments) -> None:
    """Add ``--display`` and ``--json``, which `progress_display` reads."""
    parser.add_argument(
        "--display",
        choices=("auto", "full", "plain", "none"),
        default="auto",
        help="progress on stderr: bars, plain lines, or nothing (default: auto, which is bars on a"
        " terminal)",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print progress as JSON lines on stderr and the result as JSON on stdout",
    )


def add_no_preflight(parser: Arguments) -> None:
    parser.add_argument(
        "--no-preflight",
        action="store_false",
        dest="preflight",
        help="do not try each role with one small call before the first stage",
    )


def add_pay_again(parser: Arguments) -> None:
    parser.add_argument(
        "--pay-again",
        action="store_true",
        help="go on although the cache lacks answers that this run has paid for",
    )


def add_force(parser: Arguments) -> None:
    parser.add_argument("--force", action="store_true", help="overwrite existing files")


def add_tests_folder(parser: Arguments) -> None:
    parser.add_argument(
        "--tests",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="folder of the named test sets (default: the current one)",
    )


def add_limit(parser: Arguments, items: str) -> None:
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


def add_model(parser: Arguments) -> None:
    """Add ``--model``: a model on this machine."""
    parser.add_argument(
        "--model",
        required=True,
        metavar="DIR|NAME",
        help="a folder, a .gguf file, smollm2, or a name on the Hugging Face Hub",
    )


def language(text: str) -> str:
    """Read a language tag (RFC 5646), for argparse: it goes into the card's front matter."""
    if not re.fullmatch(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*", text):
        raise argparse.ArgumentTypeError(f"must be a language code such as en, got {text[:40]!r}")
    return text


def license_id(text: str) -> str:
    """Read a license's id as on the Hub, for argparse: it goes into the card's front matter."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,60}", text):
        raise argparse.ArgumentTypeError(f"must be an id such as cc-by-4.0, got {text[:40]!r}")
    return text
