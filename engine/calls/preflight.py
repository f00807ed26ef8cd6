"""Preflight: one small call per role, with its own settings and form, before anything else is paid.

A wrong judge is first asked at the end of a chain of stages: without this, hundreds of calls are
paid for before anybody notices.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

import anyio
from msgspec import Struct

from ...prompts import Encode, Judge, Prompt, PromptSet, Rate, Respond, Score, ScoreByLogprobs
from ..config import RoleConfig, hosted_model, key_variable
from ..data.errors import BudgetSpent, ItemError, RunStopped, Stopping
from .clients import Clients, endpoint_name
from .dispatcher import Dispatcher
from .model import Model, ParsedReply, PendingCall
from .remedies import TrialFailure, remedy
from .replies import StoredReply
from .unusable import UnusableReplyError

STAGE: Final = "preflight"
"""What the calls are counted as."""

PATIENCE: Final = 60.0
"""Seconds to wait for an endpoint that answers nobody: nothing has been paid for yet."""

_POLL: Final = 0.5
"""Seconds between two looks at an endpoint that does not answer."""

_INSTRUCTION: Final = "Name the capital of France."
_ANSWER: Final = "The capital of France is Paris."
_PAIR: Final = {"first": _ANSWER, "second": "I do not know."}
_BY_LOGPROBS: Final = ScoreByLogprobs(instruction=_INSTRUCTION, **_PAIR)
_QUESTIONS: Final[tuple[Prompt[Any], ...]] = (
    Score(instruction=_INSTRUCTION, **_PAIR),
    Judge(instruction=_INSTRUCTION, **_PAIR),
    Rate(instruction=_INSTRUCTION, answer=_ANSWER),
    Encode(instruction=_INSTRUCTION),
    Respond(instruction=_INSTRUCTION),
)
"""What may be asked: forms first, since a role that can fill in a form can also answer."""


class RoleCheck(Struct, frozen=True):
    """The outcome of one role's call.

    Attributes:
        role: its name.
        problem: what is wrong, and what to write instead; empty if nothing is.
        tokens: of the reply, where there is one.
    """

    role: str
    problem: str = ""
    tokens: int = 0


async def preflight(
    clients: Clients,
    roles: Mapping[str, RoleConfig],
    *,
    sample: str = "",
    patience: float = PATIENCE,
) -> list[RoleCheck]:
    """Make one call for each of *roles* whose model is called over HTTP.

    Args:
        clients: with the roles' models.
        roles: their settings.
        sample: the same one finds the replies in the cache; empty: those of any run.
        patience: seconds to wait for an endpoint that answers nobody.

    Raises:
        Stopping, BudgetSpent: the run is being stopped.
    """
    pending: dict[str, PendingCall[Any]] = {}
    for name, role in roles.items():
        model = clients.models[name]
        question = _question(model.prompts, logprobs=model.sampling.logprobs)
        if question is not None and hosted_model(role).host.kind.over_http:
            pending[name] = model.begin(question, item=STAGE, sample=sample, stage=STAGE)
    return [
        await _check(clients, name, roles[name], call, patience) for name, call in pending.items()
    ]


def problems(checks: Collection[RoleCheck]) -> list[str]:
    """Return one line for each problem: the first role's, where several share it.

    A judge without settings of its own is the strong model, and has all of its problems.
    """
    lines: dict[str, str] = {}
    for check in checks:
        if check.problem:
            lines.setdefault(
                re.sub(rf"\b{re.escape(check.role)}\b", "", check.problem), check.problem
            )
    return list(lines.values())


def raise_problems(checks: Collection[RoleCheck]) -> None:
    """Stop the run if a role cannot be used.

    Raises:
        RunStopped: one line for each of `problems`.
    """
    if lines := problems(checks):
        raise RunStopped("\n".join(lines))


def _question(templates: PromptSet, *, logprobs: bool) -> Prompt[Any] | None:
    questions = (_BY_LOGPROBS, *_QUESTIONS) if logprobs else _QUESTIONS
    return next((question for question in questions if question.name in templates.digests), None)


async def _check(
    clients: Clients, name: str, role: RoleConfig, call: PendingCall[Any], patience: float
) -> RoleCheck:
    model = clients.models[name]
    try:
        parsed = await _finish(model, call, clients.dispatchers[endpoint_name(role)], patience)
    except ItemError as error:
        if isinstance(call.answer, StoredReply):  # the server may have been fixed since it came
            return await _check(clients, name, role, model.ask_anew(call), patience)
        return RoleCheck(name, f"{name}: {role.model}: {_describe(error, name, model)}")
    except BudgetSpent:
        raise
    except RunStopped as error:
        return RoleCheck(name, f"{name}: {role.model}: {_advise(str(error), name, role)}")
    return RoleCheck(name, tokens=parsed.reply.completion_tokens)


async def _finish(
    model: Model, call: PendingCall[Any], dispatcher: Dispatcher, patience: float
) -> ParsedReply[Any]:
    """Wait for *call*, and no longer than *patience* while nothing answers.

    Raises:
        RunStopped, Stopping: the endpoint cannot be used, or the run is being stopped.
        ItemError: the reply cannot be used.
    """
    outcome: ParsedReply[Any] | ItemError | RunStopped | Stopping | None = None
    async with anyio.create_task_group() as group:
        group.start_soon(_give_up, dispatcher, patience, group.cancel_scope)
        try:
            outcome = await model.finish(call)
        except (ItemError, RunStopped, Stopping) as error:
            outcome = error  # raised here, it would be wrapped in a group
        group.cancel_scope.cancel()
    if isinstance(outcome, ParsedReply):
        return outcome
    raise outcome or RunStopped(
        f"nothing answers: {dispatcher.statistics().last_error}; start the server or check the"
        " address, then run the same command again (--no-preflight waits for it)"
    )


async def _give_up(dispatcher: Dispatcher, patience: float, scope: anyio.CancelScope) -> None:
    """Cancel *scope* once the endpoint has answered nobody for *patience* seconds."""
    while True:
        await anyio.sleep(min(_POLL, patience))
        if dispatcher.statistics().outage >= patience:
            scope.cancel()
            return


def _describe(error: ItemError, role: str, model: Model) -> str:
    """Say what is wrong with the reply, and what to write instead."""
    cause = error.__cause__
    if isinstance(cause, UnusableReplyError):
        failure = TrialFailure.of_reply(cause, model.sampling)
    else:
        failure = TrialFailure(error.reason, error.detail)
    return f"{failure.detail}; {remedy(failure, role, model.sampling)}"


def _advise(error: str, name: str, role: RoleConfig) -> str:
    """Say why no call to the endpoint can succeed, and which setting the status blames."""
    problem = error.removesuffix("; fix that, then run the same command again")
    status = re.search(r"\b(401|402|403|404)\b", problem)
    variable = key_variable(role)
    match status and status[1]:
        case "401" | "403" if variable is None:
            remedy = f'name the variable that holds your key: {name}.api_key = "NAME"'
        case "401" | "403":
            remedy = f"put a valid key into {variable}, or name another in {name}.api_key"
        case "404":
            remedy = f"check {name}.model and {name}.base_url"
        case _:
            return problem
    return f"{problem}; {remedy}"
