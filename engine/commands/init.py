"""``codeclm init``: write a configuration file with every setting and its meaning."""

import argparse
import shlex
from pathlib import Path

from ..config import TEMPLATE, ConfigError
from ..disk.atomic import replace_file
from .exit_status import ExitStatus
from .output import print_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "config",
        nargs="?",
        type=Path,
        default=Path("codeclm.toml"),
        help="file to write (default: codeclm.toml)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite an existing file")


def run(args: argparse.Namespace) -> int:
    path: Path = args.config
    if path.suffix != ".toml":
        raise ConfigError(f"{path}: init writes TOML: name it {path.stem}.toml")
    if path.exists() and not args.force:
        raise ConfigError(f"{path}: already exists (overwrite it with --force)")
    replace_file(path, TEMPLATE.read_bytes())
    print_text(f"wrote {path}; next: codeclm check {shlex.quote(str(path))}")
    return ExitStatus.DONE
