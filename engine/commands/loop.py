"""``codeclm loop``: rounds of making data, tuning the target on them and evaluating it."""

import argparse
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from msgspec import structs

from ..config import ConfigError, build_table, read_settings, to_toml
from ..disk import trust
from ..disk.atomic import replace_file
from ..evaluate.prepare import claim_folder, prepare_evaluation
from ..loop.record import (
    LOOP_FILE,
    LoopRecord,
    RoundRecord,
    evaluation_result,
    read_record,
    run_result,
    tuning_result,
    write_record,
)
from ..loop.settings import LoopConfig
from ..loop.steps import LoopPlan, prepare_loop
from ..loop.table import round_tables
from ..reporting import tables
from ..store.folder import Folder
from ..training.answering import write_answers
from ..training.tuning import MODEL_FILES, RECORD_FILE, tune
from .arguments import add_config, add_examples, add_force, add_no_preflight, add_progress
from .evaluations import run_evaluation
from .exit_status import ExitStatus
from .origin import add_trust, find_origin
from .output import print_json, print_message
from .sessions import (
    TRANSIENT,
    is_unfinished,
    progress_display,
    run_to_end,
)
from .settings import add_override, toml_string


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(
        parser,
        "configuration (TOML, YAML or JSON) with tables [run], [tune], [evaluate]",
        required=True,
    )
    parser.add_argument("--out", "-o", metavar="DIR", help="the loop's folder (default: runs/NAME)")
    parser.add_argument("--rounds", metavar="N", help="rounds in all; more continue a loop")
    add_override(parser)
    add_trust(parser)
    add_force(parser)
    add_no_preflight(parser)
    add_progress(parser)
    add_examples(
        parser,
        "# three rounds; the same command continues after a stop",
        "codeclm loop examples/loop/loop.toml",
        "# two more",
        "codeclm loop examples/loop/loop.toml --rounds 5",
    )


def run(args: argparse.Namespace) -> int:
    plan = _read_plan(args)
    plan.folder.make(force=args.force, results=(LOOP_FILE,))
    with plan.folder.locked():
        session = _Session(plan, args)
        if not plan.folder.config.exists():
            _write_config(plan)
        status = session.carry_out()
        if status == ExitStatus.DONE:  # no step has refused it: it may have more rounds
            _write_config(plan)
    if status not in {ExitStatus.DONE, ExitStatus.ROWS_MISSING}:
        print_message(f"to continue: {_same_command(args)}")
    if args.json:
        print_json(session.record)
    else:
        tables.show(round_tables(session.record), sys.stdout)
    return status


def _read_plan(args: argparse.Namespace) -> LoopPlan:
    where = str(args.config)
    tree = read_settings(args.config, remedy="a loop needs one, with tables [run] and [evaluate]")
    overrides = [*args.overrides]
    if args.out is not None:
        overrides.append(f"out={toml_string(args.out)}")
    if args.rounds is not None:
        overrides.append(f"rounds={args.rounds}")
    config = build_table(LoopConfig, tree, overrides, where=where)
    if config.out is None:
        config = structs.replace(config, out=str(Path("runs") / args.config.stem))
    roles = (*config.run.all_roles.values(), *config.evaluation.roles.values())
    origin = find_origin(args.config, overrides, roles, trusted=args.trust)
    return prepare_loop(config, where=where, origin=origin)


def _write_config(plan: LoopPlan) -> None:
    content = f"# as run by codeclm loop\n{to_toml(plan.config)}".encode()
    trust.remember(content)
    replace_file(plan.folder.config, content, private=True)


def _same_command(args: argparse.Namespace) -> str:
    words = ["codeclm", "loop", str(args.config)]
    words += ["--out", args.out] if args.out is not None else []
    words += ["--rounds", args.rounds] if args.rounds is not None else []
    words += [word for text in args.overrides for word in ("--set", text)]
    return shlex.join(words)


class _Session:
    """One execution of a loop. Each step continues where its folder says it was stopped.

    Attributes:
        record: the table of rounds so far; on disk, too.
    """

    def __init__(self, plan: LoopPlan, args: argparse.Namespace) -> None:
        """Continue the loop of *plan*.

        Raises:
            FolderError: its record cannot be read, or it began with another model.
        """
        self.record: LoopRecord = read_record(plan.folder.path, plan.first_digest())
        self._plan = plan
        self._args = args

    def carry_out(self) -> ExitStatus:
        """Carry out all rounds, or as many as can be."""
        for number in range(self._plan.config.rounds + 1):
            status = self._carry_out_round(number)
            if status != ExitStatus.DONE:
                return status
        short = [r.number for r in self.record.rounds if r.run is not None and r.run.is_short]
        if short:
            print_message(f"rows are missing in round {', '.join(map(str, short))}")
            return ExitStatus.ROWS_MISSING
        return ExitStatus.DONE

    def _carry_out_round(self, number: int) -> ExitStatus:
        if number:
            status = self._make(number)
            if status != ExitStatus.DONE:
                return status
            self._tune(number)
        self._answer(number)
        return self._evaluate(number)

    def _say(self, number: int, step: str) -> None:
        name = f"round {number} of {self._plan.config.rounds}" if number else "start"
        print_message(f"{name}: {step}")

    def _make(self, number: int) -> ExitStatus:
        self._say(number, "make")
        start = time.monotonic()
        plan = self._plan.prepare_run(number)
        summary, session = run_to_end(
            plan,
            progress_display(self._args),
            allow_change=False,
            force=self._args.force,
            tries_roles=self._args.preflight,
        )
        if session.spent_limit:
            print_message(f"{summary.reason}: raise it with --set run.budget.{session.spent_limit}")
            return ExitStatus.BUDGET_SPENT
        if is_unfinished(summary, session):
            print_message(TRANSIENT if summary.ending == "finished" else summary.reason)
            return ExitStatus.FAILED
        self._note(number, "make", start, run=run_result(summary))
        if not summary.rows:
            print_message(
                f"round {number}: no row was kept, so there is nothing to train on: lower"
                " run.filter.threshold, or add seeds"
            )
            return ExitStatus.ROWS_MISSING
        return ExitStatus.DONE

    def _tune(self, number: int) -> None:
        """Tune the model of the round.

        Raises:
            ConfigError: every row overlaps with the test set.
            TrainingError: it cannot be tuned.
        """
        self._say(number, "tune")
        start = time.monotonic()
        rows = self._plan.training_rows(number)
        if not rows.pairs:
            raise ConfigError(
                f"{self._plan.where}: evaluate.test: every row of round {number} overlaps with one"
                " of its prompts: use other seeds, or another test set"
            )
        folder = Folder(Path(self._plan.model(number)))
        is_ours = (folder.path / RECORD_FILE).is_file()
        folder.make(force=self._args.force, results=() if is_ours else MODEL_FILES)
        with folder.locked():
            result = tune(self._plan.tuning_job(number, rows), folder.path, print_message)
        self._note(number, "tune", start, tuning=tuning_result(result, rows))

    def _answer(self, number: int) -> None:
        self._say(number, "answer the test set")
        start = time.monotonic()
        path = self._plan.answers(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_answers(self._plan.questions, self._plan.answering(number), path)
        self._note(number, "answer", start)

    def _evaluate(self, number: int) -> ExitStatus:
        start = time.monotonic()
        self._say(number, "evaluate")
        where = f"{self._plan.where}: evaluate"
        config, origin = self._plan.evaluation(number), self._plan.origin
        plan = prepare_evaluation(config, where=where, origin=origin)
        if self.record.round(number).evaluation is not None and plan.comparisons.exists():
            claim_folder(plan)
            return ExitStatus.DONE
        outcome = run_evaluation(plan, force=self._args.force, tries_roles=self._args.preflight)
        if not outcome.finished or not outcome.counts.usable:
            print_message(outcome.reason or f"{outcome.counts}: see {plan.comparisons}")
            return ExitStatus.FAILED
        self._note(
            number, "evaluate", start, evaluation=evaluation_result(self._plan, number, outcome)
        )
        return ExitStatus.DONE

    def _note(self, number: int, step: str, start: float, **results: Any) -> None:
        """Write down that *step* has finished, its seconds and its *results*."""
        old = self.record.round(number)
        seconds = dict(old.seconds)
        if not _has_finished(old, step):
            seconds[step] = seconds.get(step, 0.0) + time.monotonic() - start
        new = structs.replace(old, seconds=seconds, **results)
        self.record = self.record.replaced(new)
        write_record(self._plan.folder.path, self.record)


def _has_finished(record: RoundRecord, step: str) -> bool:
    results = {"make": record.run, "tune": record.tuning}
    return results.get(step, record.evaluation) is not None
