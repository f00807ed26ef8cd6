"""``codeclm init``: write a configuration with every setting, or a set of prompts, to edit."""

import argparse
import shlex
from pathlib import Path

from ...prompts import SETS, PromptError, template_text
from ..calls.prompts import PROMPTS
from ..config import TEMPLATE, ConfigError
from ..disk.atomic import check_replaceable, replace_file
from .arguments import add_config, add_examples, add_force, add_json
from .documents import Written
from .exit_status import ExitStatus
from .output import print_json, print_text
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
    add_force(parser)
    add_json(parser)
    add_examples(
        parser,
        "codeclm init",
        "# templates of the prompts, to edit",
        "codeclm init --prompts prompts",
        "codeclm init --prompts prompts --prompt-set small",
    )


def run(args: argparse.Namespace) -> int:
    if args.prompts is None:
        path = args.config or DEFAULT_FILE
        count, remark = 1, _write_config(path, force=args.force)
    elif args.config is not None:
        raise ConfigError("init writes a configuration or, with --prompts, templates: not both")
    else:
        path = args.prompts
        count, remark = _write_prompts(path, args.prompt_set, force=args.force)
    if args.json:
        print_json(Written(str(path), count))
    else:
        print_text(remark)
    return ExitStatus.DONE


def _write_config(path: Path, *, force: bool) -> str:
    """Write the template of a configuration; return what to say of it."""
    if path.suffix != ".toml":
        raise ConfigError(f"{path}: init writes TOML: name it {path.stem}.toml")
    check_replaceable(path, force=force)
    replace_file(path, TEMPLATE.read_bytes())
    return f"wrote {path}; edit seeds and models in it; then: codeclm check{_named(path)}"


def _named(path: Path) -> str:
    return "" if path == DEFAULT_FILE else f" {shlex.quote(str(path))}"


def _write_prompts(folder: Path, prompt_set: str, *, force: bool) -> tuple[int, str]:
    """Write the template of every prompt to *folder*, or none where one exists already.

    Return how many there are, and what to say of them.
    """
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
    return len(texts), (
        f"wrote {len(texts)} templates to {folder}; edit them, delete those you leave as they are,"
        f" and run with --prompts {shlex.quote(str(folder))}"
    )
