"""Make instruction data from Python, as the command line does; extend it from other packages.

A run is a configuration, checked by `prepare` and carried out by `make_dataset`:

    import asyncio

    from codeclm.engine import build_config, make_dataset, prepare

    config = build_config(
        {
            "seeds": "seeds.jsonl",
            "strong": {"model": "scripted/strong"},
            "target": {"model": "scripted/target"},
            "out": "runs/first",
        }
    )
    summary = asyncio.run(make_dataset(prepare(config)))
    print(f"{summary.rows} rows in {summary.files['alpaca']}")

Another distribution adds a provider (`Host`), a recipe (`Recipe`), an export format
(`ExportFormat`) or a prompt (`Prompt`) by an entry point in the group of its `Registry`:
``codeclm.providers``, ``codeclm.recipes``, ``codeclm.exports`` or ``codeclm.prompts``. The names
below are the ones to rely on, in plugins too. They are imported on first use, so that
``codeclm --help`` is fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..prompts import ParseError, Priority, Prompt, Typical
    from ..providers.base import Provider, Reply, Request
    from ..providers.hosts import Host
    from ..providers.kinds import NoOptions, ProviderKind, ProviderSettings
    from .api.runs import make_dataset, prepare
    from .calls.model import Model
    from .calls.prompts import PROMPTS
    from .config import Config, ConfigError, build_config, load_config
    from .data.errors import CodeclmError, ItemError, RunStopped, UserError
    from .data.formats import EXPORTS, ExportFormat, ExportRow, Selection
    from .data.providers import PROVIDERS
    from .data.registry import Registry
    from .pipeline.modes import FROM_METADATA, FROM_POOL, FROM_SEEDS
    from .pipeline.prepare import Plan
    from .pipeline.recipe import Recipe
    from .pipeline.recipes import RECIPES
    from .pipeline.session import Session, Watcher
    from .pipeline.stages.answer import Answerer
    from .pipeline.stages.refinement import Refinement
    from .pipeline.steps import Finishing, Tools, Writing
    from .pipeline.writing import DECODE, TAKE_SEEDS
    from .reporting.summary import Summary

__all__ = [
    "DECODE",
    "EXPORTS",
    "FROM_METADATA",
    "FROM_POOL",
    "FROM_SEEDS",
    "PROMPTS",
    "PROVIDERS",
    "RECIPES",
    "TAKE_SEEDS",
    "Answerer",
    "CodeclmError",
    "Config",
    "ConfigError",
    "ExportFormat",
    "ExportRow",
    "Finishing",
    "Host",
    "ItemError",
    "Model",
    "NoOptions",
    "ParseError",
    "Plan",
    "Priority",
    "Prompt",
    "Provider",
    "ProviderKind",
    "ProviderSettings",
    "Recipe",
    "Refinement",
    "Registry",
    "Reply",
    "Request",
    "RunStopped",
    "Selection",
    "Session",
    "Summary",
    "Tools",
    "Typical",
    "UserError",
    "Watcher",
    "Writing",
    "build_config",
    "load_config",
    "make_dataset",
    "prepare",
]

_MODULES = {
    "..prompts": ("ParseError", "Priority", "Prompt", "Typical"),
    "..providers.base": ("Provider", "Reply", "Request"),
    "..providers.hosts": ("Host",),
    "..providers.kinds": ("NoOptions", "ProviderKind", "ProviderSettings"),
    ".api.runs": ("make_dataset", "prepare"),
    ".calls.model": ("Model",),
    ".calls.prompts": ("PROMPTS",),
    ".config": ("Config", "ConfigError", "build_config", "load_config"),
    ".data.errors": ("CodeclmError", "ItemError", "RunStopped", "UserError"),
    ".data.formats": ("EXPORTS", "ExportFormat", "ExportRow", "Selection"),
    ".data.providers": ("PROVIDERS",),
    ".data.registry": ("Registry",),
    ".pipeline.modes": ("FROM_METADATA", "FROM_POOL", "FROM_SEEDS"),
    ".pipeline.prepare": ("Plan",),
    ".pipeline.recipe": ("Recipe",),
    ".pipeline.recipes": ("RECIPES",),
    ".pipeline.session": ("Session", "Watcher"),
    ".pipeline.stages.answer": ("Answerer",),
    ".pipeline.stages.refinement": ("Refinement",),
    ".pipeline.steps": ("Finishing", "Tools", "Writing"),
    ".pipeline.writing": ("DECODE", "TAKE_SEEDS"),
    ".reporting.summary": ("Summary",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


if not TYPE_CHECKING:  # a checker must know which names there are

    def __getattr__(name: str) -> Any:
        """Import a public name on first use (PEP 562)."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_HOMES[name], __name__), name)
