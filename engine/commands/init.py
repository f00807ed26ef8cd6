"""``codeclm init``: write a configuration with every setting, or a set of prompts, to edit."""

import argparse
import shlex
from pathlib import Path

from ...prompts import SETS, PromptError, template_text
from ..calls.prompts import PROMPTS
from ..config import TEMPLATE, ConfigError
from ..disk.atomic import check_replaceable, replace_file
from .arguments import add_config, add_examples
from .exit_status import ExitStatus
from .output import print_text
from .settings import DEFAULT_FILE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser, f"file to write (default: {DEFAULT_FILE})")
    parser.add_argument(
        "--prompts",
        type=Path,
        metavar="DIR",
        help="write the templates of the prompts to this folder instead (docs/own-prompts.md)",
    )
    parser.add_argument(
        "--prompt-set",
        choices=SETS,
        default="default",
        help="with --prompts: which templates to start from (default: default)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite existing files")
    add_examples(
        parser,
        "codeclm init",
        "# templates of the prompts, to edit",
        "codeclm init --prompts prompts",
        "codeclm init --prompts prompts --prompt-set small",
    )


def run(args: argparse.Namespace) -> int:
    if args.prompts is None:
        _write_config(args.config or DEFAULT_FILE, force=args.force)
    elif args.config is not None:
        raise ConfigError("init writes a configuration or, with --prompts, templates: not both")
    else:
        _write_prompts(args.prompts, args.prompt_set, force=args.force)
    return ExitStatus.DONE


def _write_config(path: Path, *, force: bool) -> None:
    if path.suffix != ".toml":
        raise ConfigError(f"{path}: init writes TOML: name it {path.stem}.toml")
    check_replaceable(path, force=force)
    replace_file(path, TEMPLATE.read_bytes())
    print_text(f"wrote {path}; next: codeclm check {shlex.quote(str(path))}")


def _write_prompts(folder: Path, prompt_set: str, *, force: bool) -> None:
    """Write the template of every prompt to *folder*, or none where one exists already."""
    try:
        texts = {
            folder / f"{prompt.name}.txt": template_text(prompt, prompt_set) for prompt in PROMPTS
        }
    except PromptError as error:
        raise ConfigError(f"{folder}: {error}") from error
    for path in texts:
        check_replaceable(path, force=force)
    for path, text in texts.items():
        replace_file(path, text.encode("utf-8", "surrogatepass"))
    print_text(
        f"wrote {len(texts)} templates to {folder}; edit them, delete those you leave as they are,"
        f" and run with --prompts {shlex.quote(str(folder))}"
    )
