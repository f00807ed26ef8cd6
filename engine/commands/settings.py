"""Flags that stand for settings: each becomes a ``KEY=VALUE`` override of the configuration."""

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ...prompts import SETS
from ..calls.gate import Origin
from ..config import Config, ConfigError, build_config, load_config
from ..data.formats import EXPORTS
from .arguments import Arguments, Groups, add_config, add_groups, is_number
from .origin import add_trust, find_origin
from .output import print_message


class Flag(NamedTuple):
    """A flag and the settings it stands for; ``*.name`` is the setting *name* of every role."""

    options: tuple[str, ...]
    settings: tuple[str, ...]
    metavar: str
    help: str

    @property
    def dest(self) -> str:
        return f"setting {self.options[0]}"

    def toml(self, value: str) -> str:
        """Write *value* as TOML; a folder may be called 2026, a field 3."""
        numeric = self.metavar in {"N", "POINTS"} and is_number(value)
        return value if numeric else toml_string(value)


ROLES = ("strong", "target", "judge")

DEFAULT_FILE = Path("codeclm.toml")
"""What ``codeclm init`` writes, and what is read where no file is named."""

PROMPTS_FLAG = Flag(
    ("--prompts",), ("prompts",), "SET", f"{', '.join(SETS)}, or a folder with your templates"
)

BUDGET_FLAGS = (
    Flag(
        ("--max-calls",),
        ("budget.calls",),
        "N",
        "stop after N paid answers; resume with a larger number",
    ),
    Flag(("--max-cost",), ("budget.money",), "N", "stop before more money than N is spent"),
    Flag(("--max-hours",), ("budget.hours",), "N", "stop after N hours of work"),
)

MAKE_FLAGS = (
    Flag(("--seed-field",), ("input.field",), "NAME", "field that holds a seed's instruction"),
    Flag(
        ("--seed-template",),
        ("input.template",),
        "TEXT",
        'how to join several fields, such as "{instruction}\\n{input}"',
    ),
    Flag(
        ("--stratify",),
        ("input.stratify",),
        "FIELD",
        "spread rows evenly over the values of this field of the seeds, and report them",
    ),
    Flag(("--metadata",), ("metadata.file",), "FILE", "start from this metadata, without seeds"),
    Flag(("--recipe",), ("recipe",), "NAME", "codeclm (default), an ablation or a baseline"),
    Flag(("--target-rows", "-n"), ("target_rows",), "N", "make exactly N rows"),
    Flag(("--limit",), ("limit",), "N", "use only N seeds: a sample drawn with --seed"),
    Flag(("--max-candidates",), ("max_candidates",), "N", "from at most N basic instructions"),
    Flag(
        ("--augment-to",), ("metadata.augment_to",), "N", "mix metadata up to N items (paper: 200)"
    ),
    Flag(
        ("--per-metadata",), ("decode.per_metadata",), "N", "basic instructions per metadata item"
    ),
    Flag(
        ("--threshold",),
        ("filter.threshold",),
        "POINTS",
        "θ, the quality gap above which a pair is selected (paper: 3)",
    ),
    Flag(
        ("--max-iterations",), ("filter.max_iterations",), "N", "rounds per instruction (paper: 4)"
    ),
    PROMPTS_FLAG,
    Flag(("--seed",), ("seed",), "N", "random seed of actions, mixing and samples"),
)

MODEL_FLAGS = (
    Flag(("--strong",), ("strong.model",), "P/MODEL", "strong model, as provider/model"),
    Flag(("--target",), ("target.model",), "P/MODEL", "target model, the one to be trained"),
    Flag(("--judge",), ("judge.model",), "P/MODEL", "model that scores (default: the strong one)"),
    Flag(("--base-url",), ("*.base_url",), "URL", "OpenAI-compatible server for all roles"),
    Flag(("--strong-base-url",), ("strong.base_url",), "URL", "server for the strong model only"),
    Flag(("--target-base-url",), ("target.base_url",), "URL", "server for the target model only"),
    Flag(("--max-tokens",), ("*.max_tokens",), "N", "length limit of an answer, for all roles"),
)

PACE_FLAGS = (
    Flag(("--max-concurrent",), ("*.max_concurrent",), "N", "calls in flight per endpoint"),
    Flag(("--rpm",), ("*.requests_per_minute",), "N", "limit of requests per minute per endpoint"),
    Flag(("--tpm",), ("*.tokens_per_minute",), "N", "limit of tokens per minute per endpoint"),
)

TRANSPORT_FLAG = Flag(
    ("--transport",), ("*.transport",), "NAME", "aiohttp, or lean: less CPU (codeclm[lean])"
)

CACHE_FLAG = Flag(("--cache",), ("cache.folder",), "DIR", "folder of the cache of paid answers")

FILE_FLAGS = (
    Flag(("--out", "-o"), ("out",), "DIR", "the run's folder (default: runs/NAME)"),
    CACHE_FLAG,
)

RUN_FLAGS = (
    *MAKE_FLAGS,
    *MODEL_FLAGS,
    TRANSPORT_FLAG,
    *PACE_FLAGS,
    *BUDGET_FLAGS,
    *FILE_FLAGS,
)


def add_run_settings(parser: argparse.ArgumentParser) -> Groups:
    """Add a configuration file, and the flags that override it; return their groups."""
    parser.usage = "%(prog)s [FILE] [options]"
    add_config(parser, f"configuration: TOML, YAML or JSON (default: {DEFAULT_FILE}, if it exists)")
    groups = add_groups(parser)
    add_seeds(groups.make)
    add_flags(groups.make, MAKE_FLAGS)
    groups.make.add_argument(
        "--head", action="store_true", help="with --limit: the first seeds instead of a sample"
    )
    add_flags(groups.models, (*MODEL_FLAGS, TRANSPORT_FLAG))
    add_flags(groups.limits, (*PACE_FLAGS, *BUDGET_FLAGS))
    add_flags(groups.files, FILE_FLAGS)
    groups.files.add_argument(
        "--export",
        nargs="+",
        metavar="FORMAT",
        help=f"formats to write when the run is finished: {', '.join(EXPORTS.names())}",
    )
    add_override(parser)
    add_trust(groups.files)
    return groups


def add_seeds(parser: Arguments) -> None:
    parser.add_argument("--seeds", nargs="+", metavar="FILE", help="seed files or folders")


def add_flags(parser: Arguments, flags: Iterable[Flag]) -> None:
    for flag in flags:
        parser.add_argument(*flag.options, dest=flag.dest, metavar=flag.metavar, help=flag.help)


def add_override(parser: Arguments) -> None:
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override any setting, such as --set filter.threshold=2.5; may be repeated",
    )


class RunSettings(NamedTuple):
    """A run's configuration, its name in error messages, and where it comes from."""

    config: Config
    where: str
    origin: Origin


def read_run_settings(args: argparse.Namespace) -> RunSettings:
    """Return the configuration from *args*: the file named there, else ``codeclm.toml`` here."""
    overrides = [*_run_overrides(args), *args.overrides]
    file = args.config or _file_here(overrides)
    where = "command line" if file is None else str(file)
    config = _build(file, overrides)
    origin = find_origin(file, overrides, config.all_roles.values(), trusted=args.trust)
    return RunSettings(config, where, origin)


def _file_here(overrides: Sequence[str]) -> Path | None:
    """Return ``codeclm.toml``, unless the command line says what to start from itself."""
    starts = ("seeds=", "metadata.file=", "metadata=")
    if any(override.startswith(starts) for override in overrides):
        return None
    if not DEFAULT_FILE.is_file():
        raise ConfigError(
            f"no {DEFAULT_FILE} here: write one with: codeclm init; or name seeds and models:"
            " --seeds FILE --strong P/MODEL --target P/MODEL"
        )
    print_message(f"settings from {DEFAULT_FILE}")
    return DEFAULT_FILE


def _build(file: Path | None, overrides: Sequence[str]) -> Config:
    if file is None:
        return build_config({}, overrides, where="command line")
    config = load_config(file, overrides)
    if config.out is None and file.stem not in {"codeclm", "config"}:
        out = f"out={toml_string(str(Path('runs') / file.stem))}"
        config = load_config(file, [*overrides, out])
    return config


def _run_overrides(args: argparse.Namespace) -> Iterator[str]:
    own_judge = vars(args)["setting --judge"] is not None
    for override in flag_overrides(args, RUN_FLAGS, ROLES):
        # A judge that is the strong model is called where the strong model is.
        if own_judge or not override.startswith("judge.base_url="):
            yield override
    if args.head:
        yield "head=true"
    yield from seed_overrides(args)
    yield from _list_override("export", args.export)


def seed_overrides(args: argparse.Namespace) -> Iterator[str]:
    """Yield the override that the flag of `add_seeds` stands for."""
    yield from _list_override("seeds", args.seeds)


def _list_override(name: str, values: Sequence[str] | None) -> Iterator[str]:
    if values:
        yield f"{name}=[{', '.join(map(toml_string, values))}]"


def flag_overrides(
    args: argparse.Namespace, flags: Iterable[Flag], roles: Sequence[str]
) -> Iterator[str]:
    """Yield the overrides that *flags* stand for; a later one wins over an earlier one."""
    values = vars(args)
    for flag in flags:
        value: str | None = values[flag.dest]
        if value is None:
            continue
        for setting in flag.settings:
            each_role = roles if setting.startswith("*.") else ("",)
            for role in each_role:
                yield f"{setting.replace('*', role, 1)}={flag.toml(value)}"


def toml_string(text: str) -> str:
    """Write *text* as a TOML string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
