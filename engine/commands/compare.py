"""compare: several recipes with one strong model, one N and one split, side by side."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import Verbs, add_display, add_override, add_verb, display_of, read_dotenv
from .status import DONE, FAILED, SHORT

if TYPE_CHECKING:
    from ..compare.comparison import Plan
    from ..compare.dataset import Dataset
    from ..compare.report import Comparison


ANSWER_TOKENS = 400
"""Length of an answer that a plan assumes."""


def add(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "compare", _compare, "make datasets by several recipes and lay them side by side"
    )
    parser.add_argument("config", type=Path, help="TOML, YAML or JSON file with a [compare] table")
    parser.add_argument(
        "--out", "-o", type=Path, metavar="DIR", help="the comparison's folder (default: runs/NAME)"
    )
    parser.add_argument(
        "--sweep",
        action="append",
        default=[],
        metavar="KEY=V,V",
        help="each recipe also at these values, as rows=500,1000 or metadata.share=0.2,0.6",
    )
    parser.add_argument(
        "--plan", action="store_true", help="what it will ask and cost at most; makes no call"
    )
    add_override(parser)
    add_display(parser)
    parser.add_argument(
        "--allow-change",
        action="store_true",
        help="start the folder's runs anew where their configuration has changed",
    )


def _compare(args: argparse.Namespace) -> int:
    from ..compare import comparison, settings
    from ..config import read_settings
    from ..store.folder import Folder

    read_dotenv()
    where = str(args.config)
    asked = settings.read(read_settings(args.config), args.overrides, where=where)
    sweeps = [settings.sweep(text) for text in args.sweep]
    out = _folder(args, asked.base)
    Folder(out).make()
    with Folder(out).locked():
        plan = comparison.prepare(asked, sweeps, out, where=where, allow_change=args.allow_change)
        if args.plan:
            _foretell(plan)
            return DONE
        datasets = _make(plan, args)
        if datasets is None or not _judge(plan):
            print(f"codeclm: go on with: {_again(args)}", file=sys.stderr)
            return FAILED
        result = comparison.conclude(plan, datasets)
    _show(result, as_json=args.json)
    short = [each.name for each in datasets if each.rows < each.wanted]
    if short:
        print(f"codeclm: rows are missing: {', '.join(short)}", file=sys.stderr)
    return SHORT if short else DONE


def _folder(args: argparse.Namespace, base: dict[str, object]) -> Path:
    if args.out is not None:
        return Path(args.out).expanduser()
    named = base.get("out")
    return Path(named).expanduser() if isinstance(named, str) else Path("runs") / args.config.stem


def _again(args: argparse.Namespace) -> str:
    """The command that goes on from here."""
    words = ["codeclm", "compare", str(args.config)]
    words += ["--out", str(args.out)] if args.out is not None else []
    words += [word for text in args.sweep for word in ("--sweep", text)]
    words += [word for text in args.overrides for word in ("--set", text)]
    return shlex.join(words)


def _foretell(plan: "Plan") -> None:
    """Print what each run takes by itself; what they share is paid once and so comes off."""
    from ..reporting import tables as layout
    from .prepare import predicted

    rows = list[tuple[str, ...]]()
    for job in plan.jobs:
        found, _ = predicted(job.plan, ANSWER_TOKENS)
        bounds = [bound for bound in (found.low_money, found.high_money) if bound is not None]
        money = [f"{bound:.2f}" for bound in bounds]
        rows.append((job.variant.name, f"{found.low:,}", f"{found.high:,}", *money))
    head = ("recipe", "calls, at least", "at most", "money, at least", "at most")
    judging = _judging(plan)
    more = f"; judging takes up to {judging:,} calls more" if judging else ""
    note = f"each on an empty cache, answers of {ANSWER_TOKENS} tokens assumed{more}"
    table = layout.Table("What it will take", head[: len(rows[0])], tuple(rows), note)
    layout.show([table], sys.stdout)


def _judging(plan: "Plan") -> int:
    """Most calls that the evaluations take: an answer of the reference and two rulings each."""
    fresh = [each.plan for each in plan.evaluations if each.plan is not None]
    return sum(len(each.questions) * (1 + len(each.config.roles)) for each in fresh)


def _make(plan: "Plan", args: argparse.Namespace) -> "list[Dataset] | None":
    """Carry out every run; None where one was stopped or failed."""
    from ..compare import comparison
    from . import run

    made = list["Dataset"]()
    for number, job in enumerate(plan.jobs, 1):
        print(f"codeclm: {job.variant.name}, {number} of {len(plan.jobs)}", file=sys.stderr)
        summary, ended = run.carry_out(job.plan, display_of(args), allow_change=args.allow_change)
        if run.unfinished(summary, ended):
            why = summary.reason or "some items failed for a passing reason"
            print(f"codeclm: {job.variant.name}: {summary.ending}: {why}", file=sys.stderr)
            return None
        made.append(comparison.measure(plan, job, summary))
    return made


def _judge(plan: "Plan") -> bool:
    """Carry out every evaluation; whether all of them have finished."""
    from . import evaluate

    for each in plan.evaluations:
        if each.plan is not None and not evaluate.carry_out(each.plan).finished:
            return False
    return True


def _show(result: "Comparison", *, as_json: bool) -> None:
    from ...providers import json_codec
    from ..compare import plots, report
    from ..reporting import tables as layout

    if as_json:
        print(json_codec.dumps(result).decode())
    else:
        print(report.headline(result) + "\n")
        layout.show(report.tables(result), sys.stdout)
        print(report.claims(result.claims))
        print("\n".join(f"{name:<12} {path}" for name, path in result.files.items()))
    if not plots.available():
        print(f"codeclm: {plots.WANTED}", file=sys.stderr)
