"""What several commands share: flags that stand for settings, folders, how progress is shown."""

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..config import Config
    from ..reporting.progress import Display
    from ..reporting.summary import Summary
    from ..store.reader import LedgerReader

Verbs = Any  # argparse's own type is private


def add_verb(
    verbs: Verbs, name: str, do: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    """Add the command *name*, carried out by *do*, which returns the exit status."""
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text)
    parser.set_defaults(command=name, do=do)
    return parser


def positive(text: str) -> int:
    """Read a whole number from 1, for argparse."""
    return _whole(text, 1)


def natural(text: str) -> int:
    """Read a whole number from 0, for argparse."""
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} up")
    return number


def duration(text: str) -> float:
    """Read a finite number that is not negative, for argparse."""
    if not _is_number(text) or not 0 <= (number := float(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 up")
    return number


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Flags stand for settings; a flag wins over the file."""
    parser.add_argument("config", nargs="?", type=Path, help="TOML, YAML or JSON file")
    for flags, setting, meta, text in _FLAGS:
        parser.add_argument(*flags, dest=f"set:{setting}", metavar=meta, help=text)
    parser.add_argument(
        "--seeds", dest="seeds", nargs="+", metavar="FILE", help="seed files or folders"
    )
    parser.add_argument(
        "--export", dest="export", nargs="+", metavar="FORMAT", help="formats written at the end"
    )
    add_override(parser)


_FLAGS = (
    (("--strong",), "strong.model", "P/MODEL", "strong model, as provider/model"),
    (("--target",), "target.model", "P/MODEL", "target model: the one to be trained"),
    (("--judge",), "judge.model", "P/MODEL", "scorer (default: the strong model)"),
    (("--recipe",), "recipe", "NAME", "codeclm (default), an ablation or a baseline"),
    (("--out", "-o"), "out", "DIR", "the run's folder (default: runs/NAME)"),
    (("--base-url",), "base_url", "URL", "OpenAI-compatible server of all roles"),
    (("--strong-base-url",), "strong.base_url", "URL", "of the strong model only"),
    (("--target-base-url",), "target.base_url", "URL", "of the target model only"),
    (("--seed-field",), "input.field", "NAME", "field of the seed file that is the instruction"),
    (("--seed-template",), "input.template", "TEXT", 'joins fields, as "{instruction}\\n{input}"'),
    (("--metadata",), "metadata.file", "FILE", "start from metadata instead of seeds"),
    (("--augment-to",), "metadata.augment_to", "N", "mix metadata up to N items (paper: 200)"),
    (("--per-metadata",), "decode.per_metadata", "N", "basic instructions per metadata item"),
    (("--target-rows", "-n"), "target_rows", "N", "exactly this many rows"),
    (("--max-candidates",), "max_candidates", "N", "most basic instructions for them"),
    (("--limit",), "limit", "N", "only the first N seeds"),
    (("--threshold",), "filter.threshold", "POINTS", "θ, the gap that selects (paper: 3)"),
    (("--max-iterations",), "filter.max_iterations", "N", "rounds per instruction (paper: 4)"),
    (("--max-concurrent", "-c"), "max_concurrent", "N", "most calls in flight per endpoint"),
    (("--transport",), "transport", "NAME", "aiohttp, or lean: less CPU (codeclm[lean])"),
    (("--rpm",), "requests_per_minute", "N", "requests per minute of every endpoint"),
    (("--tpm",), "tokens_per_minute", "N", "tokens per minute of every endpoint"),
    (("--max-tokens",), "max_tokens", "N", "longest answer, of every role"),
    (("--prompts",), "prompts", "SET", "default, small, or a folder of yours"),
    (("--max-calls",), "budget.calls", "N", "stop after so many paid answers; resume with more"),
    (("--cache",), "cache.folder", "DIR", "where paid answers are kept"),
    (("--seed",), "seed", "N", "chooses actions, mixing and samples"),
)

_NUMBERS = {setting for _, setting, meta, _ in _FLAGS if meta in {"N", "POINTS"}}
"""A folder may be called 2026, a field 3."""

_EVERY_ROLE = {
    "base_url",
    "max_concurrent",
    "transport",
    "requests_per_minute",
    "tokens_per_minute",
    "max_tokens",
}


def add_override(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any setting, as in --set filter.threshold=2.5",
    )


def add_display(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--display",
        choices=("auto", "full", "plain", "none"),
        default="auto",
        help="progress on stderr: a live table, plain lines, or nothing",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="progress as JSON lines on stderr, the summary as JSON on stdout",
    )


def display_of(args: argparse.Namespace) -> "Display":
    """How progress is to be shown, as `add_display`'s flags say."""
    chosen: Display = "json" if args.json else args.display
    return chosen


def add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="the run's folder, as runs/NAME")


def read_settings(args: argparse.Namespace) -> "tuple[Config, str]":
    """Return the configuration that *args* ask for, and what to call it in complaints."""
    from .. import config

    read_dotenv()
    overrides = [*_flag_overrides(args), *args.overrides]
    if args.config is not None:
        settings = config.load(args.config, overrides)
        if settings.out is None and args.config.stem not in {"codeclm", "config"}:
            named = f"out={quoted(str(Path('runs') / args.config.stem))}"
            settings = config.load(args.config, [*overrides, named])
        return settings, str(args.config)
    return config.build({}, overrides, where="command line"), "command line"


def _flag_overrides(args: argparse.Namespace) -> list[str]:
    found = list[str]()
    for name, value in vars(args).items():
        if not name.startswith("set:") or value is None:
            continue
        setting = name.removeprefix("set:")
        text = value if setting in _NUMBERS and _is_number(value) else quoted(value)
        roles: tuple[str, ...] = ("strong", "target", "judge") if setting in _EVERY_ROLE else ("",)
        if args.__dict__.get("set:judge.model") is None and setting == "base_url":
            roles = ("strong", "target")
        found += [f"{role}.{setting}={text}" if role else f"{setting}={text}" for role in roles]
    for listed in ("seeds", "export"):
        texts: list[str] | None = getattr(args, listed)
        if texts:
            found.append(f"{listed}=[{', '.join(map(quoted, texts))}]")
    return found


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.strip() == text and text.lower() not in {"nan", "inf", "infinity"}


def quoted(text: str) -> str:
    """Write *text* as a TOML string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def read_dotenv() -> None:
    """Read ./.env; what is set already wins."""
    from dotenv import load_dotenv

    load_dotenv(Path(".env"))


def open_run(path: Path) -> "tuple[Config, LedgerReader]":
    """Open the run in *path* for reading."""
    from .. import config
    from ..store.folder import Folder, FolderError
    from ..store.reader import LedgerReader

    folder = Folder(path)
    if not folder.config.exists():
        raise FolderError(f"{path}: there is no run in this folder")
    return config.load(folder.config, keys=False), LedgerReader(folder.ledger)


def show(summary: "Summary", *, as_json: bool) -> None:
    """Print a summary on stdout."""
    from ...providers import json_codec
    from ..reporting import summary as report

    if as_json:
        print(json_codec.dumps(summary).decode())
    else:
        print(report.text(summary), end="")
