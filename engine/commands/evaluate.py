"""evaluate and calibrate: how good a model has become, and how high the bar should be."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import Verbs, add_override, add_verb, quoted, read_dotenv
from .status import DONE, FAILED

if TYPE_CHECKING:
    from ..evaluate.contest import Comparison, Session
    from ..evaluate.evaluation import Plan
    from ..evaluate.outcome import Difference, Outcome
    from ..evaluate.settings import EvaluationConfig

    Other = tuple[str, list[Comparison]]
    """Another candidate's results, and where they are."""


def add(verbs: Verbs) -> None:
    _add_evaluate(verbs)
    _add_calibrate(verbs)


_FLAGS = (
    (("--test",), ("test",), "NAME|FILE", "evol-instruct, vicuna, self-instruct, koala, or a file"),
    (("--tests",), ("tests",), "DIR", "folder of the test sets known by name"),
    (("--candidate",), ("candidate.model",), "P/MODEL", "the model in question"),
    (("--reference",), ("reference.model",), "P/MODEL", "the other one (paper: the strong model)"),
    (("--judge",), ("judge.model",), "P/MODEL", "scores both answers, in both orders"),
    (("--candidate-answers",), ("candidate.answers",), "FILE", "answers instead of a model"),
    (("--reference-answers",), ("reference.answers",), "FILE", "answers instead of a model"),
    (("--base-url",), ("*.base_url",), "URL", "OpenAI-compatible server of all models"),
    (("--candidate-base-url",), ("candidate.base_url",), "URL", "of the candidate only"),
    (("--reference-base-url",), ("reference.base_url",), "URL", "of the reference only"),
    (("--judge-base-url",), ("judge.base_url",), "URL", "of the judge only"),
    (("--rule",), ("rule",), "RULE", "both (paper) or alpagasus"),
    (("--field",), ("input.field",), "NAME", "field of the test file that is the prompt"),
    (("--template",), ("input.template",), "TEXT", 'joins fields, as "{instruction}\\n{input}"'),
    (("--id-field",), ("id_field",), "NAME", "field that is a prompt's id"),
    (("--category-field",), ("category_field",), "NAME", "field for a table by category"),
    (("--max-prompt-tokens",), ("max_prompt_tokens",), "N", "longer prompts lose their middle"),
    (("--max-tokens",), ("candidate.max_tokens", "reference.max_tokens"), "N", "longest answer"),
    (("--limit",), ("limit",), "N", "only the first N prompts"),
    (("--max-concurrent", "-c"), ("*.max_concurrent",), "N", "most calls in flight per endpoint"),
    (("--transport",), ("*.transport",), "NAME", "aiohttp, or lean: less CPU (codeclm[lean])"),
    (("--rpm",), ("*.requests_per_minute",), "N", "requests per minute of every endpoint"),
    (("--tpm",), ("*.tokens_per_minute",), "N", "tokens per minute of every endpoint"),
    (("--prompts",), ("prompts",), "SET", "default, small, or a folder of yours"),
    (("--cache",), ("cache.folder",), "DIR", "where paid answers are kept"),
    (("--out", "-o"), ("out",), "DIR", "folder of the results (default: runs/TEST-CANDIDATE)"),
    (("--seed",), ("seed",), "N", "draws the bootstrap's samples"),
)


def _add_evaluate(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "evaluate", _evaluate, "compare a model with another on a test set: wins, ties, CRR"
    )
    parser.add_argument("config", nargs="?", type=Path, help="TOML, YAML or JSON file")
    for flags, settings, meta, text in _FLAGS:
        parser.add_argument(*flags, dest=f"set:{' '.join(settings)}", metavar=meta, help=text)
    parser.add_argument(
        "--against", type=Path, metavar="DIR", help="another candidate's results to compare with"
    )
    add_override(parser)
    parser.add_argument("--json", action="store_true", help="the summary as JSON on stdout")


def _add_calibrate(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "calibrate", _calibrate, "choose θ from a pilot run: gaps, yields, cost per pair"
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="pilots, as runs/NAME")
    parser.add_argument(
        "--yield",
        dest="wanted",
        type=_share,
        default=0.5,
        metavar="SHARE",
        help="pairs wanted per basic instruction, 0 to 1 (default: 0.5)",
    )
    parser.add_argument("--json", action="store_true", help="as JSON")


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError("it is a share, above 0 and at most 1")
    return share


# -- evaluate ---------------------------------------------------------------------------------


def _evaluate(args: argparse.Namespace) -> int:
    from ..evaluate import evaluation

    config, where = _settings(args)
    plan = evaluation.prepare(config, where=where)
    outcome = carry_out(plan, _read_other(args.against, plan))
    _show(outcome, as_json=args.json)
    return _status_of(outcome, plan)


def carry_out(plan: "Plan", other: "Other | None" = None) -> "Outcome":
    """Compare until all prompts are judged or something stops it, sum it up, write its files."""
    from importlib.util import find_spec

    import anyio

    from ..evaluate import evaluation
    from ..reporting import log

    plan.folder.make()
    with plan.folder.locked(), log.to_file(plan.folder.events):
        evaluation.settle(plan)
        _say_what_it_takes(plan)
        loop = {"use_uvloop": find_spec("uvloop") is not None}
        session = anyio.run(evaluation.execute, plan, backend_options=loop)
        outcome = _sum_up(plan, session, other)
        log.to_nowhere()
    return outcome


def _settings(args: argparse.Namespace) -> "tuple[EvaluationConfig, str]":
    from ..config import build_table, read_settings
    from ..evaluate.settings import EvaluationConfig

    read_dotenv()
    overrides = [*_flag_overrides(args), *args.overrides]
    where = str(args.config) if args.config is not None else "command line"
    tree = read_settings(args.config) if args.config is not None else {}
    return build_table(EvaluationConfig, tree, overrides, where=where), where


def _flag_overrides(args: argparse.Namespace) -> list[str]:
    found = list[str]()
    numbers = {" ".join(settings) for _, settings, meta, _ in _FLAGS if meta == "N"}
    for name, value in vars(args).items():
        if not name.startswith("set:") or value is None:
            continue
        settings = name.removeprefix("set:")
        text = value if settings in numbers else quoted(value)
        for setting in settings.split():
            roles = ("candidate", "reference", "judge") if setting.startswith("*.") else ("*",)
            found += [f"{setting.replace('*', role, 1)}={text}" for role in roles]
    return found


def _read_other(folder: Path | None, plan: "Plan") -> "Other | None":
    from ..evaluate import evaluation, outcome

    if folder is None:
        return None
    theirs = list(evaluation.read_comparisons(folder))
    references = plan.answers.get("reference")
    outcome.check_other(plan.questions, theirs, other=str(folder), references=references)
    return str(folder), theirs


def _say_what_it_takes(plan: "Plan") -> None:
    prompts = len(plan.questions)
    models = len(plan.config.roles) - 1
    print(f"codeclm: {plan.folder.path}", file=sys.stderr)
    print(
        f"codeclm: {prompts:,} prompts take {prompts * (models + 2):,} calls, fewer where answers"
        " are in the cache",
        file=sys.stderr,
    )
    for cut in plan.shortened:
        print(
            f"codeclm: prompt {cut.id}: cut from {cut.was:,} to {cut.now:,} characters",
            file=sys.stderr,
        )


def _sum_up(plan: "Plan", session: "Session", other: "Other | None") -> "Outcome":
    import msgspec

    from ...providers import json_codec
    from ..disk.atomic import replace_file
    from ..evaluate import evaluation, outcome

    config, made = plan.config, session.ordered
    evaluation.write_comparisons(plan, session)
    difference, why_none = _difference(plan, session, other)
    who = outcome.Contestants(
        config.test, config.candidate.name, config.reference.name, config.judge.model
    )
    result = outcome.summarise(
        made,
        who,
        rule=config.rule,
        prompts=len(plan.questions),
        seed=config.seed,
        resamples=config.resamples,
        counters=session.counters,
        reason=session.stopped_by,
        unanswered=session.unanswered,
        shortened=len(plan.shortened),
        difference=difference,
        no_difference=why_none,
        files={"comparisons": str(plan.comparisons), "summary": str(plan.folder.summary)},
    )
    replace_file(plan.folder.summary, msgspec.json.format(json_codec.dumps(result), indent=2))
    return result


def _difference(
    plan: "Plan", session: "Session", other: "Other | None"
) -> "tuple[Difference | None, str]":
    """Compare with the other candidate, or say why that can't be: our own result is paid for."""
    from ..config import ConfigError
    from ..evaluate import outcome

    if other is None or not session.comparisons:
        return None, ""
    name, theirs = other
    config = plan.config
    try:
        found = outcome.difference(
            session.ordered,
            theirs,
            other=name,
            rule=config.rule,
            seed=config.seed,
            resamples=config.resamples,
        )
    except ConfigError as error:
        return None, str(error)
    return found, ""


def _show(outcome: "Outcome", *, as_json: bool) -> None:
    from ...providers import json_codec
    from ..evaluate.outcome import text

    print(
        json_codec.dumps(outcome).decode() if as_json else text(outcome),
        end="\n" if as_json else "",
    )


def _status_of(outcome: "Outcome", plan: "Plan") -> int:
    if not outcome.finished:
        folder = shlex.quote(str(plan.folder.path))
        print(
            f"codeclm: go on with the same command, or: codeclm evaluate {folder}/config.toml"
            f" --out {folder}",
            file=sys.stderr,
        )
        return FAILED
    if not outcome.counts.usable:
        print(f"codeclm: {outcome.counts}: see {plan.comparisons}", file=sys.stderr)
        return FAILED
    if outcome.no_difference:
        print(f"codeclm: {outcome.no_difference}", file=sys.stderr)
        return FAILED
    return DONE


# -- calibrate --------------------------------------------------------------------------------


def _calibrate(args: argparse.Namespace) -> int:
    from ...providers import json_codec
    from ..evaluate import calibration

    found = [calibration.read(folder, wanted=args.wanted) for folder in args.folders]
    if args.json:
        print(json_codec.dumps(found).decode())
    else:
        print("\n".join(map(calibration.text, found)), end="")
    return DONE
