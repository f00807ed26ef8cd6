"""Evaluate models."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio.to_thread

from ..config import build_table
from ..disk.event_log import logging_to
from ..evaluate.difference import OtherCandidate
from ..evaluate.outcome import Outcome
from ..evaluate.prepare import (
    COMPARISONS_FILE,
    EvaluationPlan,
    claim_folder,
    prepare_evaluation,
)
from ..evaluate.results import write_evaluation
from ..evaluate.session import Notify, execute_evaluation
from ..evaluate.settings import EvaluationConfig
from ..pipeline.signals import StopRequests, no_requests
from .blocking import wait_for


def build_evaluation(tree: Mapping[str, Any], overrides: Sequence[str] = ()) -> EvaluationConfig:
    """Build an evaluation's configuration from *tree* and ``key=value`` overrides.

    Raises:
        UserError: naming the key at fault.
    """
    return build_table(EvaluationConfig, tree, overrides, where="settings")


def evaluate(config: EvaluationConfig) -> Outcome:
    """Let a judge compare two models on a test set. Blocks until it is done.

    Works where `run` works; replies already paid for are reused.

    Raises:
        UserError: the settings cannot be used, or the folder holds another evaluation.
        RunStopped: a file cannot be read or written.
    """
    plan = prepare_evaluation(config, where="configuration")
    return wait_for(lambda requests: evaluate_plan(plan, requests=requests))


async def evaluate_plan(
    plan: EvaluationPlan,
    *,
    requests: StopRequests = no_requests,
    notify: Notify = lambda _line: None,
    on_start: Callable[[], object] = lambda: None,
    other: OtherCandidate | None = None,
    force: bool = False,
    tries_roles: bool = True,
) -> Outcome:
    """Compare until all prompts are judged or something stops it, and write the results.

    Args:
        plan: a prepared evaluation.
        requests: where requests to stop come from.
        notify: shows a line of progress.
        on_start: called once the folder is this process's.
        other: another candidate, to test the difference of the two.
        force: whether files in the folder that codeclm did not write may be replaced.
        tries_roles: make one small call per role first, and stop if one cannot be used.

    Raises:
        UserError, RunStopped: as `evaluate`.
    """
    plan.folder.make(force=force, results=(COMPARISONS_FILE,))
    with plan.folder.locked(), logging_to(plan.folder.events):
        claim_folder(plan)
        on_start()
        session = await execute_evaluation(plan, notify, requests=requests, tries_roles=tries_roles)
        return await anyio.to_thread.run_sync(write_evaluation, plan, session, other)
