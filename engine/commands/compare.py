"""``codeclm compare``: several recipes with one strong model, one size and one split of seeds."""

import argparse
import shlex
import sys
from pathlib import Path

from msgspec import Struct

from ..compare import plots, report
from ..compare.comparison import (
    RESULTS,
    ComparisonPlan,
    check_endpoints,
    conclude,
    measure_run,
    prepare_comparison,
)
from ..compare.dataset import Dataset
from ..compare.result import ComparisonResult
from ..compare.settings import ComparisonSettings, build_comparison_settings, parse_sweep
from ..compare.tables import comparison_tables
from ..config import RoleConfig, read_settings
from ..data.files import user_path
from ..reporting import tables
from ..reporting.forecast import Forecast, forecast_run
from ..store.folder import Folder
from .arguments import add_config, add_examples, add_force, add_pay_again, add_progress
from .evaluations import run_evaluation
from .exit_status import ExitStatus
from .origin import add_trust, find_origin
from .output import print_json, print_message, print_text
from .sessions import (
    TRANSIENT,
    is_unfinished,
    progress_display,
    run_to_end,
)
from .settings import add_override

ANSWER_TOKENS = 400
"""Length of an answer that ``--plan`` assumes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s FILE [options]"
    add_config(
        parser,
        "configuration (TOML, YAML or JSON) with a [compare] table",
        required=True,
    )
    parser.add_argument(
        "--out", "-o", type=Path, metavar="DIR", help="the comparison's folder (default: runs/NAME)"
    )
    parser.add_argument(
        "--sweep",
        action="append",
        default=[],
        metavar="KEY=V,V",
        help="repeat each recipe at these values, such as rows=500,1000 or metadata.share=0.2,0.6",
    )
    parser.add_argument(
        "--plan", action="store_true", help="only estimate the calls and the cost; makes no call"
    )
    add_override(parser)
    add_trust(parser)
    add_force(parser)
    add_pay_again(parser)
    add_progress(parser)
    parser.add_argument(
        "--allow-change",
        action="store_true",
        help="start runs over where their configuration has changed; paid answers are reused",
    )
    _add_examples(parser)


def _add_examples(parser: argparse.ArgumentParser) -> None:
    add_examples(
        parser,
        "# what it would take; then the comparison itself",
        "codeclm compare examples/compare.toml --plan",
        "codeclm compare examples/compare.toml",
        "codeclm compare -c compare.toml --sweep rows=500,1000,2000",
    )


def run(args: argparse.Namespace) -> int:
    where = str(args.config)
    tree = read_settings(args.config, remedy="a comparison needs one, with a [compare] table")
    settings = build_comparison_settings(tree, args.overrides, where=where)
    roles = _roles(settings, where)
    origin = find_origin(args.config, args.overrides, roles, trusted=args.trust)
    sweeps = [parse_sweep(text) for text in args.sweep]
    out = _folder(args, settings.base)
    check_endpoints(settings, sweeps, out, where=where, origin=origin)
    folder = Folder(out)
    folder.make(force=args.force, results=RESULTS)
    with folder.locked():
        plan = prepare_comparison(
            settings, sweeps, out, where=where, origin=origin, allow_change=args.allow_change
        )
        if args.plan:
            _print_forecasts(plan, as_json=args.json)
            return ExitStatus.DONE
        datasets = _make_datasets(plan, args)
        status = datasets if isinstance(datasets, ExitStatus) else _evaluate(plan, force=args.force)
        if isinstance(datasets, ExitStatus) or status is not ExitStatus.DONE:
            print_message(f"to continue: {_same_command(args)}")
            return status
        result = conclude(plan, datasets)
    _print_result(result, as_json=args.json)
    return _exit_status(datasets)


def _roles(settings: ComparisonSettings, where: str) -> list[RoleConfig]:
    """Return every model that a comparison may ask."""
    shared = settings.shared_config(where=where)
    return [*shared.all_roles.values(), *settings.judges.values()]


def _exit_status(datasets: list[Dataset]) -> ExitStatus:
    short = [dataset.name for dataset in datasets if dataset.rows < dataset.target_rows]
    if short:
        print_message(f"rows are missing: {', '.join(short)}")
        return ExitStatus.ROWS_MISSING
    return ExitStatus.DONE


def _folder(args: argparse.Namespace, base: dict[str, object]) -> Path:
    if args.out is not None:
        return user_path(args.out)
    out = base.get("out")
    return user_path(out) if isinstance(out, str) else Path("runs") / args.config.stem


def _same_command(args: argparse.Namespace) -> str:
    words = ["codeclm", "compare", str(args.config)]
    words += ["--out", str(args.out)] if args.out is not None else []
    words += [word for text in args.sweep for word in ("--sweep", text)]
    words += [word for text in args.overrides for word in ("--set", text)]
    return shlex.join(words)


class ComparisonForecast(Struct, frozen=True):
    """The calls of each run by itself, and the most that the evaluations take.

    Calls that runs share are paid only once.
    """

    runs: dict[str, Forecast]
    judging_calls: int


def _print_forecasts(plan: ComparisonPlan, *, as_json: bool) -> None:
    forecasts = {
        planned.variant.name: forecast_run(planned.plan, ANSWER_TOKENS) for planned in plan.runs
    }
    judging = _judging_calls(plan)
    if as_json:
        print_json(ComparisonForecast(forecasts, judging))
        return
    rows = list[tuple[str, ...]]()
    for name, forecast in forecasts.items():
        bounds = (forecast.low_money, forecast.high_money)
        money = [f"{bound:.2f}" for bound in bounds if bound is not None]
        rows.append((name, f"{forecast.low:,}", f"{forecast.high:,}", *money))
    head = ("recipe", "calls, at least", "at most", "money, at least", "at most")
    more = f"; judging takes up to {judging:,} more calls" if judging else ""
    note = f"each with an empty cache, assuming answers of {ANSWER_TOKENS} tokens{more}"
    table = tables.Table("Forecast", head[: len(rows[0])], tuple(rows), note)
    tables.show([table], sys.stdout)


def _judging_calls(plan: ComparisonPlan) -> int:
    """Return the most calls that the evaluations take: each prompt an answer and two scorings."""
    plans = [evaluation.plan for evaluation in plan.evaluations if evaluation.plan is not None]
    return sum(len(plan.questions) * (1 + len(plan.config.roles)) for plan in plans)


def _make_datasets(plan: ComparisonPlan, args: argparse.Namespace) -> list[Dataset] | ExitStatus:
    """Carry out every run; return the exit status if one was stopped or failed."""
    datasets = list[Dataset]()
    for number, planned in enumerate(plan.runs, 1):
        name = planned.variant.name
        print_message(f"{name}, {number} of {len(plan.runs)}")
        summary, session = run_to_end(
            planned.plan,
            progress_display(args),
            allow_change=args.allow_change,
            pay_again=args.pay_again,
            force=args.force,
        )
        if is_unfinished(summary, session):
            print_message(f"{name}: {summary.ending}: {summary.reason or TRANSIENT}")
            return _unfinished(summary.ending)
        datasets.append(measure_run(plan, planned, summary))
    return datasets


def _evaluate(plan: ComparisonPlan, *, force: bool) -> ExitStatus:
    """Carry out every evaluation; return whether all of them have finished."""
    for evaluation in plan.evaluations:
        if evaluation.plan is not None:
            outcome = run_evaluation(evaluation.plan, force=force)
            if not outcome.finished:
                return _unfinished(outcome.ending)
    return ExitStatus.DONE


def _unfinished(ending: str) -> ExitStatus:
    return ExitStatus.STOPPED if ending == "stopped" else ExitStatus.FAILED


def _print_result(result: ComparisonResult, *, as_json: bool) -> None:
    if as_json:
        print_json(result)
    else:
        print_text(report.headline(result) + "\n\n")
        tables.show(comparison_tables(result), sys.stdout)
        print_text(report.claims_text(result.claims))
        width = max(map(len, result.files))
        print_text("\n".join(f"{name:<{width}}  {path}" for name, path in result.files.items()))
    if not plots.available():
        print_message(plots.NOT_INSTALLED)
