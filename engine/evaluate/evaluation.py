"""One session of an evaluation: check everything, compare, write down what came of it.

The folder holds ``config.toml`` and ``manifest.json`` as a run's does, ``comparisons.jsonl`` (every
prompt with its answers and rulings, in the order of the test set) and ``summary.json``.
"""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from ...prompts import Judge, PromptSet, Respond
from ...providers import json_codec
from ..calls.clients import (
    CallSettings,
    cache_folder,
    endpoint_name,
    open_clients,
)
from ..calls.counters import Counters
from ..calls.gate import EndpointUse, Origin, pass_gate
from ..calls.model import Model
from ..calls.prompts import load_prompts
from ..config import Config, ConfigError, to_toml
from ..data.answers import read_answers
from ..data.records import identity
from ..data.seeds import SeedError
from ..data.test_sets import Question, read_questions, shorten
from ..disk.atomic import replace_file
from ..pipeline.background import background_tasks
from ..store.folder import Folder, FolderError
from ..store.manifest import Manifest, differences, new_manifest, role_settings
from . import settings
from .contest import Answers, Comparison, Contest, Session, hold
from .settings import EvaluationConfig, Side

events = structlog.get_logger()


class Shortened(Struct, frozen=True):
    """A prompt that lost its middle. Lengths are in characters."""

    id: str
    was: int
    now: int


class Plan(Struct, frozen=True):
    """A checked configuration, with everything that is read before the first call."""

    config: EvaluationConfig
    folder: Folder
    questions: tuple[Question, ...]
    shortened: tuple[Shortened, ...]
    answers: dict[Side, Answers]
    prompts: dict[str, PromptSet]
    manifest: Manifest
    endpoints: tuple[EndpointUse, ...]

    @property
    def comparisons(self) -> Path:
        return self.folder.path / "comparisons.jsonl"


# -- before the first call --------------------------------------------------------------------


def prepare(config: EvaluationConfig, *, where: str, origin: Origin = Origin()) -> Plan:  # noqa: B008
    """Check everything that can be checked without a call. Blocks: it reads the test set.

    Raises:
        ConfigError, SeedError, FolderError: naming the file, the key and the remedy.
    """
    settings.check(config, where)
    endpoints = pass_gate(config.roles, where, origin)
    as_run = Config(prompts=config.prompts)
    prompts = {
        name: load_prompts(as_run, role, (Judge,) if name == "judge" else (Respond,), where)
        for name, role in config.roles.items()
    }
    whole = read_questions(config.source)[: config.limit]
    questions = tuple(_shortened(question, config.max_prompt_tokens) for question in whole)
    cut = tuple(
        Shortened(before.id, len(before.prompt), len(after.prompt))
        for before, after in zip(whole, questions, strict=True)
        if before != after
    )
    answers = _read_answers(config, questions)
    manifest = _manifest(config, questions, answers, prompts)
    return Plan(
        config, Folder(_folder(config)), questions, cut, answers, prompts, manifest, endpoints
    )


def _shortened(question: Question, most_tokens: int) -> Question:
    prompt = shorten(question.prompt, most_tokens)
    return msgspec.structs.replace(question, prompt=prompt)


def _read_answers(config: EvaluationConfig, questions: Sequence[Question]) -> dict[Side, Answers]:
    found: dict[Side, Answers] = {}
    for side, each in config.contestants.items():
        if not each.answers:
            continue
        path = Path(each.answers).expanduser()
        answers = read_answers(path, each.model)
        missing = [question.id for question in questions if question.id not in answers]
        if missing:
            raise SeedError(
                f"{path}: no answer to {len(missing)} of {len(questions)} prompts, such as"
                f" {missing[0]!r}"
            )
        found[side] = answers
    return found


def _folder(config: EvaluationConfig) -> Path:
    if config.out:
        return Path(config.out).expanduser()
    words = Path(config.test).name.split(".")[0], config.candidate.name.replace(":", "-")
    return Path("runs") / "-".join(words).replace("/", "-")


def _manifest(
    config: EvaluationConfig,
    questions: Sequence[Question],
    answers: dict[Side, Answers],
    prompts: dict[str, PromptSet],
) -> Manifest:
    """Everything that can change a comparison; how verdicts are summed up may change freely."""
    settings: dict[str, Any] = {
        "test": identity(*(text for q in questions for text in (q.id, q.prompt))),
        "judge": role_settings(config.judge),
        "parse_attempts": config.parse_attempts,
    }
    for side, role in config.contestants.items():
        settings[side] = (
            _digest(answers[side], questions) if side in answers else role_settings(role)
        )
    return new_manifest(
        settings,
        seeds="",
        prompts={name: templates.digests for name, templates in prompts.items()},
        files={"test": str(config.source.path)},
    )


def _digest(answers: Answers, questions: Sequence[Question]) -> str:
    return "answers " + identity(*(answers[question.id].text for question in questions))


# -- the session ------------------------------------------------------------------------------


def settle(plan: Plan) -> None:
    """See that the folder's evaluation is this one, or begin it. Blocks.

    Raises:
        FolderError: it is another one; the message shows the differences.
    """
    old = plan.folder.read_manifest()
    changed = differences(old, plan.manifest) if old is not None else []
    if changed:
        raise FolderError(
            f"{plan.folder.path}: this folder holds something else:\n"
            + "".join(f"    {line}\n" for line in changed)
            + "choose another folder (--out); answers already paid for are reused"
        )
    calls_out = any(use.address for use in plan.endpoints)
    plan.folder.write_manifest(to_toml(plan.config), plan.manifest, calls_out=calls_out)


async def execute(plan: Plan) -> Session:
    """Compare all prompts, or as many as there are until someone stops it.

    Raises:
        StorageError: the cache can't be used.
    """
    config, session = plan.config, Session(plan.questions, Counters())
    call_settings = CallSettings(
        cache_folder(Config(cache=config.cache)), config.retry, config.parse_attempts
    )
    for cut in plan.shortened:
        events.warning("prompt.shortened", question=cut.id, was=cut.was, now=cut.now)
    async with open_clients(
        config.roles, plan.prompts, call_settings, counters=session.counters
    ) as clients:
        contestants: dict[Side, Model | Answers] = {
            side: plan.answers.get(side) or clients.models[side] for side in config.contestants
        }
        contest = Contest(contestants, clients.models["judge"])

        def stop() -> None:
            session.stopped_by = "stopped on request"
            clients.stop()
            _say("stopping: calls in flight will finish; press Ctrl-C again to stop at once")

        async with background_tasks(
            clients,
            event="evaluation.signalled",
            is_stopping=lambda: bool(session.stopped_by),
            stop=stop,
            tasks=(partial(_tell, session),),
        ):
            await hold(session, contest, clients, workers=_workers(plan))
    return session


def _workers(plan: Plan) -> int:
    shared = {endpoint_name(r): r.max_concurrent for r in plan.config.roles.values()}
    return max(1, min(len(plan.questions), sum(shared.values())))


async def _tell(session: Session) -> None:
    """Say now and then how far it is."""
    while True:
        await asyncio.sleep(10)
        total = session.counters.total()
        _say(
            f"{len(session.comparisons):,} of {len(session.questions):,} compared;"
            f" {total.paid:,} paid, {total.reused:,} reused"
        )


def _say(text: str) -> None:
    print(f"codeclm: {text}", file=sys.stderr, flush=True)  # noqa: T201  (for who waits)


# -- what was written down --------------------------------------------------------------------

_comparison = msgspec.json.Decoder(Comparison)


def write_comparisons(plan: Plan, session: Session) -> None:
    lines = b"".join(json_codec.dumps(comparison) + b"\n" for comparison in session.ordered)
    replace_file(plan.comparisons, lines, private=True)


def read_comparisons(folder: Path) -> Iterator[Comparison]:
    """Read what an evaluation has written.

    Raises:
        ConfigError: there is none in *folder*, or it is damaged.
    """
    path = folder / "comparisons.jsonl"
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}: is this an evaluation's folder?") from error
    for number, line in enumerate(lines, 1):
        try:
            yield json_codec.loads(line, _comparison)
        except msgspec.MsgspecError as error:
            raise ConfigError(f"{path}:{number}: {error}") from error
