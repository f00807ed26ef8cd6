"""Run one session of a prepared evaluation, for `evaluate` and `compare`."""

from functools import partial

from ..evaluate.difference import OtherCandidate
from ..evaluate.outcome import Outcome
from ..evaluate.prepare import COMPARISONS_FILE, EvaluationPlan, claim_folder
from ..evaluate.results import write_evaluation
from ..evaluate.session import execute_evaluation
from ..pipeline.event_loop import run_async
from ..reporting import log
from .origin import print_endpoints
from .output import print_message


def run_evaluation(
    plan: EvaluationPlan, other: OtherCandidate | None = None, *, force: bool = False
) -> Outcome:
    """Compare until all prompts are judged or something stops it, and write the results."""
    plan.folder.make(force=force, results=(COMPARISONS_FILE,))
    with plan.folder.locked(), log.to_file(plan.folder.events):
        claim_folder(plan)
        _print_plan(plan)
        session = run_async(partial(execute_evaluation, plan, print_message))
        return write_evaluation(plan, session, other)


def _print_plan(plan: EvaluationPlan) -> None:
    prompts = len(plan.questions)
    models = len(plan.config.roles) - 1
    print_message(str(plan.folder.path))
    print_endpoints(plan.endpoints)
    print_message(
        f"{prompts:,} prompts take up to {prompts * (models + 2):,} calls; cached answers are free"
    )
    for prompt in plan.shortened:
        print_message(
            f"prompt {prompt.id}: shortened from {prompt.before:,} to {prompt.after:,} characters"
        )
