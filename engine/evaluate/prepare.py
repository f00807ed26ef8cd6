"""Check an evaluation's settings and read everything they name, before the first call.

The folder holds ``config.toml`` and ``manifest.json`` as a run's does, ``comparisons.jsonl`` (every
prompt with its answers and rulings, in the order of the test set) and ``summary.json``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from ...prompts import Judge, PromptSet, Respond
from ..calls.clients import check_cache_folder
from ..calls.gate import EndpointUse, Origin, pass_gate
from ..calls.prompts import check_replies, load_prompts
from ..config import Config, to_toml
from ..data.answers import read_answers
from ..data.files import user_path
from ..data.records import identity
from ..data.seeds import SeedError
from ..data.test_sets import Question, read_questions, shorten
from ..store.folder import Folder, FolderError
from ..store.manifest import Manifest, all_settings, differences, new_manifest, role_settings
from .pairwise import Answers
from .settings import EvaluationConfig, Side, check_evaluation

COMPARISONS_FILE: Final = "comparisons.jsonl"


class ShortenedPrompt(Struct, frozen=True):
    """A prompt that lost its middle; lengths before and after, in characters."""

    id: str
    before: int
    after: int


class EvaluationPlan(Struct, frozen=True):
    """A checked configuration, with everything that is read before the first call.

    Attributes:
        config: the settings.
        folder: of the results.
        questions: the test set, as the models get it.
        shortened: its prompts that were too long.
        answers: of the sides whose answers come from a file.
        prompts: the templates of each role.
        manifest: what identifies this evaluation.
        endpoints: where its data go, and with which key.
    """

    config: EvaluationConfig
    folder: Folder
    questions: tuple[Question, ...]
    shortened: tuple[ShortenedPrompt, ...]
    answers: dict[Side, Answers]
    prompts: dict[str, PromptSet]
    manifest: Manifest
    endpoints: tuple[EndpointUse, ...]

    @property
    def comparisons(self) -> Path:
        return self.folder.path / COMPARISONS_FILE


def prepare_evaluation(
    config: EvaluationConfig,
    *,
    where: str,
    origin: Origin = Origin(),  # noqa: B008
) -> EvaluationPlan:
    """Check everything that can be checked without a call. Blocks: it reads the test set.

    Args:
        config: the settings.
        where: names them in messages.
        origin: who wrote them; by default the calling program.

    Raises:
        ConfigError, SeedError, FolderError: naming the file, the key and the remedy.
    """
    check_evaluation(config, where)
    endpoints, prompts = check_models(config, where, origin)
    originals = read_questions(config.source)[: config.limit]
    questions = tuple(_shortened(question, config.max_prompt_tokens) for question in originals)
    shortened = tuple(
        ShortenedPrompt(before.id, len(before.prompt), len(after.prompt))
        for before, after in zip(originals, questions, strict=True)
        if before != after
    )
    answers = _read_answers(config, questions)
    manifest = _manifest(config, questions, answers, prompts)
    folder = Folder(config.folder)
    check_cache_folder(config.cache, folder.path, where)
    return EvaluationPlan(
        config, folder, questions, shortened, answers, prompts, manifest, endpoints
    )


def check_models(
    config: EvaluationConfig, where: str, origin: Origin
) -> tuple[tuple[EndpointUse, ...], dict[str, PromptSet]]:
    """Check that all models can be called, and return where data go and each role's templates.

    Raises:
        ConfigError: one cannot be, or its templates cannot be used.
    """
    endpoints = pass_gate(config.roles, where, origin, config.files_in_prompts)
    as_run = Config(prompts=config.prompts)
    prompts: dict[str, PromptSet] = {}
    for name, role in config.roles.items():
        prompt_types = (Judge,) if name == "judge" else (Respond,)
        check_replies(name, role, prompt_types, where)
        prompts[name] = load_prompts(as_run, name, role, prompt_types, where)
    return endpoints, prompts


def _shortened(question: Question, max_tokens: int) -> Question:
    return msgspec.structs.replace(question, prompt=shorten(question.prompt, max_tokens))


def _read_answers(config: EvaluationConfig, questions: Sequence[Question]) -> dict[Side, Answers]:
    answers: dict[Side, Answers] = {}
    for side, answerer in config.answerers.items():
        if not answerer.answers:
            continue
        path = user_path(answerer.answers)
        answers[side] = read_answers(path, answerer.model)
        missing = [question.id for question in questions if question.id not in answers[side]]
        if missing:
            raise SeedError(
                f"{path}: no answer to {len(missing)} of {len(questions)} prompts, such as"
                f" {missing[0]!r}"
            )
    return answers


def _manifest(
    config: EvaluationConfig,
    questions: Sequence[Question],
    answers: Mapping[Side, Answers],
    prompts: Mapping[str, PromptSet],
) -> Manifest:
    """Record everything that can change a comparison; how verdicts are counted cannot."""
    settings: dict[str, Any] = {
        "test": identity(*(text for q in questions for text in (q.id, q.prompt))),
        "judge": role_settings(config.judge),
        "parse_attempts": config.parse_attempts,
    }
    for side, role in config.answerers.items():
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


def claim_folder(plan: EvaluationPlan) -> None:
    """Check that the folder holds this evaluation or none, and write its manifest. Blocks.

    Raises:
        FolderError: it holds another one; the message shows the differences.
    """
    old = plan.folder.read_manifest()
    defaults = {name: all_settings(type(role)()) for name, role in plan.config.roles.items()}
    changed = differences(old, plan.manifest, defaults) if old is not None else []
    if changed:
        raise FolderError(
            f"{plan.folder.path}: this folder holds another evaluation:\n"
            + "".join(f"    {line}\n" for line in changed)
            + "choose another folder (--out); paid answers are reused"
        )
    trusted = any(use.address for use in plan.endpoints)
    plan.folder.write_manifest(to_toml(plan.config), plan.manifest, trusted=trusted)
