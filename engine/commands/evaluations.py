"""Run one session of a prepared evaluation, for `evaluate` and `compare`."""

from functools import partial

from ..api.evaluations import evaluate_plan
from ..evaluate.difference import OtherCandidate
from ..evaluate.outcome import Outcome
from ..evaluate.prepare import EvaluationPlan
from ..pipeline.event_loop import run_async
from ..pipeline.signals import process_signals
from .origin import print_endpoints
from .output import print_message


def run_evaluation(
    plan: EvaluationPlan,
    other: OtherCandidate | None = None,
    *,
    force: bool = False,
    tries_roles: bool = True,
) -> Outcome:
    """Compare until all prompts are judged or something stops it, and write the results."""
    work = partial(
        evaluate_plan,
        plan,
        requests=process_signals,
        notify=print_message,
        on_start=partial(_print_plan, plan),
        other=other,
        force=force,
        tries_roles=tries_roles,
    )
    return run_async(work)


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
