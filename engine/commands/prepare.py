"""init, check, plan: before the first call."""

import argparse
import shlex
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import Verbs, add_settings, add_verb, positive, read_settings
from .status import DONE

if TYPE_CHECKING:
    from ..config import Config
    from ..data.seeds import SeedSource
    from ..pipeline.session import Plan
    from ..reporting.forecast import Forecast


def add(verbs: Verbs) -> None:
    _add_init(verbs)
    _add_check(verbs)
    _add_plan(verbs)


def _add_init(verbs: Verbs) -> None:
    parser = add_verb(verbs, "init", _init, "write a commented configuration to start from")
    parser.add_argument("config", nargs="?", type=Path, default=Path("codeclm.toml"))
    parser.add_argument("--force", action="store_true", help="overwrite the file")


def _add_check(verbs: Verbs) -> None:
    parser = add_verb(verbs, "check", _check, "see whether a run could start, without any call")
    add_settings(parser)


def _add_plan(verbs: Verbs) -> None:
    parser = add_verb(verbs, "plan", _plan, "what a run will ask and cost, without any call")
    add_settings(parser)
    parser.add_argument(
        "--answer-tokens",
        type=positive,
        default=400,
        metavar="N",
        help="length of an answer, assumed (default: 400)",
    )


def _plan(args: argparse.Namespace) -> int:
    from ..pipeline.session import prepare
    from ..reporting import forecast

    config, where = read_settings(args)
    found, start = predicted(prepare(config, where=where), args.answer_tokens)
    print(f"from {start}; answers of {args.answer_tokens} tokens assumed")
    print(forecast.text(found))
    return DONE


def predicted(plan: "Plan", answer_tokens: int) -> "tuple[Forecast, str]":
    """Foretell a run's calls; and say what it starts from."""
    from ..data import seeds
    from ..data.records import Seed
    from ..reporting import forecast

    count, length = 0, 0
    if plan.source is not None:
        count = seeds.count(plan.source)
        first = [r for r in islice(seeds.read(plan.source), _LOOKED_AT) if isinstance(r, Seed)]
        length = sum(len(seed.instruction) for seed in first) // (4 * max(len(first), 1))
    found = forecast.forecast(
        plan.config,
        plan.prompts,
        seeds=count,
        metadata=len(plan.metadata),
        seed_tokens=length,
        answer_tokens=answer_tokens,
    )
    if not count:
        return found, f"{len(plan.metadata):,} items"
    return found, f"{_taken(count, plan.config.limit)} seeds of about {length} tokens"


def _taken(count: int, limit: int | None) -> str:
    """How many seeds a run takes of those there are."""
    return f"{count:,}" if limit is None or limit >= count else f"{limit:,} of {count:,}"


def _check(args: argparse.Namespace) -> int:
    from ..calls.clients import cache_folder
    from ..data import seeds
    from ..pipeline.session import prepare

    config, where = read_settings(args)
    plan = prepare(config, where=where)
    plan.folder.make()
    if plan.source is not None:
        print(f"seeds    {_taken(seeds.count(plan.source), config.limit)}")
        print(_unreadable(plan.source, config.limit), end="")
    else:
        print(f"metadata {len(plan.metadata):,}")
    print(f"recipe   {plan.recipe.name}: {plan.recipe.line}")
    print(f"rows     {_rows_wanted(config)}")
    print(f"quality  {_rules(config)}")
    for name, role in plan.roles.items():
        print(f"{name:<8} {role.model} at temperature {role.temperature}")
    print(f"folder   {plan.folder.path}")
    print(f"cache    {cache_folder(config)}")
    print("everything is in place; no call was made")
    return DONE


_LOOKED_AT = 1000
"""Seeds that are parsed before a run: enough to see what is wrong with a file."""


def _unreadable(source: "SeedSource", limit: int | None) -> str:
    """Say how many of the first records are no seeds, and why the first three are not."""
    from ..data import seeds
    from ..data.records import Unreadable
    from ..reporting.transcript import printable

    first = list(islice(seeds.read(source), min(_LOOKED_AT, limit or _LOOKED_AT)))
    bad = [record for record in first if isinstance(record, Unreadable)]
    if not bad:
        return ""
    share = f"{len(bad):,} of the first {len(first):,} ({len(bad) / len(first):.1%})"
    lines = [f"         {share} can't be read and will be left out:"]
    lines += [f"           {record.where}: {printable(record.reason)}" for record in bad[:3]]
    return "\n".join(lines) + "\n"


def _rows_wanted(config: "Config") -> str:
    if config.target_rows is not None:
        return f"exactly {config.target_rows:,}, if they can be had"
    return "as many as there will be (target_rows says how many)"


def _rules(config: "Config") -> str:
    from ..config import dump

    return "; ".join(dump(config.quality).splitlines()) or "no rule is in force"


def _init(args: argparse.Namespace) -> int:
    from ..config import ConfigError
    from ..disk.atomic import replace_file

    if args.config.exists() and not args.force:
        raise ConfigError(f"{args.config}: it is there already (--force overwrites it)")
    if args.config.suffix != ".toml":
        raise ConfigError(
            f"{args.config}: what init writes is TOML: name it {args.config.stem}.toml"
        )
    replace_file(args.config, (Path(__file__).parents[1] / "template.toml").read_bytes())
    print(f"wrote {args.config}; next: codeclm check {shlex.quote(str(args.config))}")
    return DONE
