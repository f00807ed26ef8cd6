"""``codeclm evaluate``: let a judge compare a candidate model with a reference on a test set."""

import argparse
import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from ...providers import json_codec
from ..calls.gate import Origin
from ..config import ConfigError, build_table, read_settings
from ..disk.atomic import replace_file
from ..evaluate import evaluation, outcome
from ..evaluate.contest import Comparison, Session
from ..evaluate.evaluation import Plan
from ..evaluate.outcome import Difference, Outcome
from ..evaluate.settings import EvaluationConfig
from ..pipeline.event_loop import run_async
from ..reporting import log
from .arguments import add_force, add_json
from .exit_status import ExitStatus
from .origin import add_trust, find_origin, print_endpoints
from .output import print_json, print_message, print_text
from .settings import Flag, add_flags, add_override, flag_overrides

ROLES = ("candidate", "reference", "judge")

_FLAGS = (
    Flag(
        ("--test",),
        ("test",),
        "NAME|FILE",
        "evol-instruct, vicuna, self-instruct, koala, or a file",
    ),
    Flag(("--tests",), ("tests",), "DIR", "folder of the named test sets"),
    Flag(("--candidate",), ("candidate.model",), "P/MODEL", "the model to evaluate"),
    Flag(
        ("--reference",),
        ("reference.model",),
        "P/MODEL",
        "the model to compare it with (paper: the strong model)",
    ),
    Flag(("--judge",), ("judge.model",), "P/MODEL", "scores both answers, in both orders"),
    Flag(("--candidate-answers",), ("candidate.answers",), "FILE", "answers instead of a model"),
    Flag(("--reference-answers",), ("reference.answers",), "FILE", "answers instead of a model"),
    Flag(("--base-url",), ("*.base_url",), "URL", "OpenAI-compatible server for all models"),
    Flag(
        ("--candidate-base-url",), ("candidate.base_url",), "URL", "server for the candidate only"
    ),
    Flag(
        ("--reference-base-url",), ("reference.base_url",), "URL", "server for the reference only"
    ),
    Flag(("--judge-base-url",), ("judge.base_url",), "URL", "server for the judge only"),
    Flag(
        ("--rule",), ("rule",), "RULE", "how two orders make a verdict: both (paper) or alpagasus"
    ),
    Flag(("--field",), ("input.field",), "NAME", "field that holds a test prompt"),
    Flag(
        ("--template",),
        ("input.template",),
        "TEXT",
        'how to join several fields, such as "{instruction}\\n{input}"',
    ),
    Flag(("--id-field",), ("id_field",), "NAME", "field that holds a prompt's id"),
    Flag(("--category-field",), ("category_field",), "NAME", "field for a table by category"),
    Flag(
        ("--max-prompt-tokens",),
        ("max_prompt_tokens",),
        "N",
        "cut longer prompts, leaving out their middle",
    ),
    Flag(
        ("--max-tokens",),
        ("candidate.max_tokens", "reference.max_tokens"),
        "N",
        "length limit of an answer",
    ),
    Flag(("--limit",), ("limit",), "N", "use only the first N prompts"),
    Flag(("--max-concurrent", "-c"), ("*.max_concurrent",), "N", "calls in flight per endpoint"),
    Flag(("--transport",), ("*.transport",), "NAME", "aiohttp, or lean: less CPU (codeclm[lean])"),
    Flag(("--rpm",), ("*.requests_per_minute",), "N", "limit of requests per minute per endpoint"),
    Flag(("--tpm",), ("*.tokens_per_minute",), "N", "limit of tokens per minute per endpoint"),
    Flag(("--prompts",), ("prompts",), "SET", "default, small, or a folder with your templates"),
    Flag(("--cache",), ("cache.folder",), "DIR", "folder of the cache of paid answers"),
    Flag(("--out", "-o"), ("out",), "DIR", "folder of the results (default: runs/TEST-CANDIDATE)"),
    Flag(("--seed",), ("seed",), "N", "random seed of the bootstrap"),
)


class Rival(NamedTuple):
    """Another candidate's results, and the folder they are in."""

    folder: str
    comparisons: list[Comparison]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "config", nargs="?", type=Path, help="configuration file: TOML, YAML or JSON"
    )
    add_flags(parser, _FLAGS)
    parser.add_argument(
        "--against",
        type=Path,
        metavar="DIR",
        help="another candidate's results, to test the difference of the two",
    )
    add_override(parser)
    add_trust(parser)
    add_force(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    config, where, origin = _read_settings(args)
    plan = evaluation.prepare(config, where=where, origin=origin)
    result = run_evaluation(plan, _read_rival(args.against, plan), force=args.force)
    if args.json:
        print_json(result)
    else:
        print_text(outcome.outcome_text(result))
    return _exit_status(result, plan)


def run_evaluation(plan: Plan, rival: Rival | None = None, *, force: bool = False) -> Outcome:
    """Compare until all prompts are judged or something stops it, and write the results."""
    plan.folder.make(force=force)
    with plan.folder.locked(), log.to_file(plan.folder.events):
        evaluation.settle(plan)
        _print_plan(plan)
        session = run_async(partial(evaluation.execute, plan))
        return _write_results(plan, session, rival)


def _read_settings(args: argparse.Namespace) -> tuple[EvaluationConfig, str, Origin]:
    overrides = [*flag_overrides(args, _FLAGS, ROLES), *args.overrides]
    where = str(args.config) if args.config is not None else "command line"
    tree = read_settings(args.config) if args.config is not None else {}
    config = build_table(EvaluationConfig, tree, overrides, where=where)
    origin = find_origin(args.config, overrides, config.roles.values(), trusted=args.trust)
    return config, where, origin


def _read_rival(folder: Path | None, plan: Plan) -> Rival | None:
    if folder is None:
        return None
    comparisons = list(evaluation.read_comparisons(folder))
    references = plan.answers.get("reference")
    outcome.check_other(plan.questions, comparisons, other=str(folder), references=references)
    return Rival(str(folder), comparisons)


def _print_plan(plan: Plan) -> None:
    prompts = len(plan.questions)
    models = len(plan.config.roles) - 1
    print_message(str(plan.folder.path))
    print_endpoints(plan.endpoints)
    print_message(
        f"{prompts:,} prompts take up to {prompts * (models + 2):,} calls; cached answers are free"
    )
    for prompt in plan.shortened:
        print_message(f"prompt {prompt.id}: cut from {prompt.was:,} to {prompt.now:,} characters")


def _write_results(plan: Plan, session: Session, rival: Rival | None) -> Outcome:
    config, comparisons = plan.config, session.ordered
    evaluation.write_comparisons(plan, session)
    difference, no_difference = _difference(plan, comparisons, rival)
    contestants = outcome.Contestants(
        config.test, config.candidate.name, config.reference.name, config.judge.model
    )
    result = outcome.summarise(
        comparisons,
        contestants,
        rule=config.rule,
        prompts=len(plan.questions),
        seed=config.seed,
        resamples=config.resamples,
        counters=session.counters,
        reason=session.stopped_by,
        unanswered=session.unanswered,
        shortened=len(plan.shortened),
        difference=difference,
        no_difference=no_difference,
        files={"comparisons": str(plan.comparisons), "summary": str(plan.folder.summary)},
    )
    pretty = msgspec.json.format(json_codec.dumps(result), indent=2)
    replace_file(plan.folder.summary, pretty, private=True)
    return result


def _difference(
    plan: Plan, comparisons: Sequence[Comparison], rival: Rival | None
) -> tuple[Difference | None, str]:
    """Compare with the rival, or return why that is impossible: our own result is paid for."""
    if rival is None or not comparisons:
        return None, ""
    try:
        difference = outcome.difference(
            comparisons,
            rival.comparisons,
            other=rival.folder,
            rule=plan.config.rule,
            seed=plan.config.seed,
            resamples=plan.config.resamples,
        )
    except ConfigError as error:
        return None, str(error)
    return difference, ""


def _exit_status(result: Outcome, plan: Plan) -> ExitStatus:
    if not result.finished:
        folder = shlex.quote(str(plan.folder.path))
        print_message(
            "to continue: the same command,"
            f" or codeclm evaluate {folder}/config.toml --out {folder}"
        )
        return ExitStatus.FAILED
    if not result.counts.usable:
        print_message(f"{result.counts}: see {plan.comparisons}")
        return ExitStatus.FAILED
    if result.no_difference:
        print_message(result.no_difference)
        return ExitStatus.FAILED
    return ExitStatus.DONE
