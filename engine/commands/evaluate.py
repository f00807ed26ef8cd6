"""``codeclm evaluate``: let a judge compare a candidate model with a reference on a test set."""

import argparse
import shlex
from pathlib import Path

from ..calls.gate import Origin
from ..config import build_table, read_settings
from ..evaluate.difference import OtherCandidate, check_pairable
from ..evaluate.outcome import Outcome
from ..evaluate.prepare import EvaluationPlan, prepare_evaluation
from ..evaluate.report import outcome_text
from ..evaluate.results import read_comparisons
from ..evaluate.settings import EvaluationConfig
from .arguments import (
    add_config,
    add_examples,
    add_force,
    add_groups,
    add_json,
    add_no_preflight,
)
from .evaluations import run_evaluation
from .exit_status import ExitStatus
from .origin import add_trust, find_origin
from .output import print_json, print_message, print_text
from .settings import (
    PACE_FLAGS,
    PROMPTS_FLAG,
    TRANSPORT_FLAG,
    Flag,
    add_flags,
    add_override,
    flag_overrides,
)

ROLES = ("candidate", "reference", "judge")

_TEST_FLAGS = (
    Flag(
        ("--test",),
        ("test",),
        "NAME|FILE",
        "evol-instruct, vicuna, self-instruct, koala, or a file",
    ),
    Flag(("--tests",), ("tests",), "DIR", "folder of the named test sets"),
    Flag(("--field",), ("input.field",), "NAME", "field that holds a test prompt"),
    Flag(
        ("--template",),
        ("input.template",),
        "TEXT",
        'how to join several fields, such as "{instruction}\\n{input}"',
    ),
    Flag(("--id-field",), ("id_field",), "NAME", "field that holds a prompt's id"),
    Flag(("--category-field",), ("category_field",), "NAME", "field for a table by category"),
    Flag(("--limit",), ("limit",), "N", "use only the first N prompts"),
    Flag(
        ("--max-prompt-tokens",),
        ("max_prompt_tokens",),
        "N",
        "cut longer prompts, leaving out their middle",
    ),
    Flag(
        ("--rule",), ("rule",), "RULE", "how two orders become a verdict: both (paper) or alpagasus"
    ),
    PROMPTS_FLAG,
    Flag(("--seed",), ("seed",), "N", "random seed of the bootstrap"),
)

_MODEL_FLAGS = (
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
        ("--max-tokens",),
        ("candidate.max_tokens", "reference.max_tokens"),
        "N",
        "length limit of an answer",
    ),
    TRANSPORT_FLAG,
)

_FILE_FLAGS = (
    Flag(("--out", "-o"), ("out",), "DIR", "folder of the results (default: runs/TEST-CANDIDATE)"),
    Flag(("--cache",), ("cache.folder",), "DIR", "folder of the cache of paid answers"),
)

_FLAGS = (*_TEST_FLAGS, *_MODEL_FLAGS, *PACE_FLAGS, *_FILE_FLAGS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s [FILE] [options]"
    add_config(parser, "configuration: TOML, YAML or JSON")
    add_override(parser)
    groups = add_groups(parser, "what to compare")
    add_flags(groups.make, _TEST_FLAGS)
    groups.make.add_argument(
        "--against",
        type=Path,
        metavar="DIR",
        help="another candidate's results, to test the difference of the two",
    )
    add_flags(groups.models, _MODEL_FLAGS)
    add_no_preflight(groups.models)
    add_flags(groups.limits, PACE_FLAGS)
    add_flags(groups.files, _FILE_FLAGS)
    add_trust(groups.files)
    add_force(groups.files)
    add_json(groups.output)
    add_examples(
        parser,
        "codeclm evaluate --test questions.jsonl --candidate-answers tuned.jsonl \\",
        "    --reference openai/gpt-5.2 --judge openai/gpt-5-mini",
        "# is one candidate better than another?",
        "codeclm evaluate -c evaluation.toml --against runs/vicuna-before",
    )


def run(args: argparse.Namespace) -> int:
    config, where, origin = _read_settings(args)
    plan = prepare_evaluation(config, where=where, origin=origin)
    result = run_evaluation(
        plan, _read_other(args.against, plan), force=args.force, tries_roles=args.preflight
    )
    if args.json:
        print_json(result)
    else:
        print_text(outcome_text(result))
    return _exit_status(result, plan)


def _read_settings(args: argparse.Namespace) -> tuple[EvaluationConfig, str, Origin]:
    overrides = [*flag_overrides(args, _FLAGS, ROLES), *args.overrides]
    where = str(args.config) if args.config is not None else "command line"
    tree = read_settings(args.config) if args.config is not None else {}
    config = build_table(EvaluationConfig, tree, overrides, where=where)
    origin = find_origin(args.config, overrides, config.roles.values(), trusted=args.trust)
    return config, where, origin


def _read_other(folder: Path | None, plan: EvaluationPlan) -> OtherCandidate | None:
    if folder is None:
        return None
    other = OtherCandidate(str(folder), tuple(read_comparisons(folder)))
    check_pairable(plan.questions, other, plan.answers.get("reference"))
    return other


def _exit_status(result: Outcome, plan: EvaluationPlan) -> ExitStatus:
    if not result.finished:
        folder = shlex.quote(str(plan.folder.path))
        print_message(
            "to continue: the same command,"
            f" or codeclm evaluate {folder}/config.toml --out {folder}"
        )
        return ExitStatus.STOPPED if result.ending == "stopped" else ExitStatus.FAILED
    if not result.counts.usable:
        print_message(f"{result.counts}: see {plan.comparisons}")
        return ExitStatus.FAILED
    if result.no_difference:
        print_message(result.no_difference)
        return ExitStatus.FAILED
    return ExitStatus.DONE
