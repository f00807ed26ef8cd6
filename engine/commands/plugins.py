"""``codeclm plugins``: every provider, recipe, export format and prompt, and its origin."""

import argparse
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from ..calls.prompts import PROMPTS
from ..data.formats import EXPORTS
from ..data.providers import PROVIDERS
from ..data.registry import Registry
from ..pipeline.recipes import RECIPES
from .arguments import add_examples, add_json
from .exit_status import ExitStatus
from .output import print_json, print_message, print_text

REGISTRIES: tuple[Registry[Any], ...] = (PROVIDERS, RECIPES, EXPORTS, PROMPTS)


class Extension(Struct, frozen=True):
    """One row of a registry."""

    kind: str
    """provider, recipe, export format or prompt."""
    name: str
    origin: str
    """``codeclm``, or the distribution that adds it and its version."""
    error: str | None
    """Why it cannot be used; None if it can."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_json(parser)
    add_examples(parser, "codeclm plugins", "codeclm plugins --json")


def run(args: argparse.Namespace) -> int:
    extensions = [extension for registry in REGISTRIES for extension in _extensions(registry)]
    if args.json:
        print_json(extensions)
    else:
        print_text("\n".join(_lines(extensions)))
    errors = dict.fromkeys(extension.error for extension in extensions if extension.error)
    for error in errors:
        print_message(error)
    return ExitStatus.WRONG_INPUT if errors else ExitStatus.DONE


def _extensions(registry: Registry[Any]) -> Iterator[Extension]:
    for name, origin, error in registry.entries():
        yield Extension(registry.noun, name, origin, None if error is None else str(error))


def _lines(extensions: list[Extension]) -> Iterator[str]:
    width = max(len(extension.name) for extension in extensions)
    kind = ""
    for extension in extensions:
        if extension.kind != kind:
            yield f"{extension.kind}s" if not kind else f"\n{extension.kind}s"
            kind = extension.kind
        broken = "" if extension.error is None else "  (cannot be used)"
        yield f"  {extension.name:<{width}}  {extension.origin}{broken}"
