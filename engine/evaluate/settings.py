"""The settings of an evaluation, from flags or a file."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, field

from ..config import (
    CacheConfig,
    ConfigError,
    Count,
    InputConfig,
    JudgeConfig,
    RetryPolicy,
    RoleConfig,
    SettingsTable,
    check_role,
    scores_by_logprobs,
)
from ..data.files import user_path
from ..data.test_sets import TEST_SETS, TestSource
from .verdicts import Rule

Side = Literal["candidate", "reference"]


class AnswererConfig(RoleConfig, frozen=True):
    """A model that answers a test set, greedily by default, or a file of its answers."""

    default_temperature: ClassVar[float] = 0.0
    answers: str | None = None
    """JSON lines of {"id": …, "text": …}. With them ``model`` is only a name; if the file holds
    answers of several models, it says whose to read."""

    @property
    def name(self) -> str:
        return self.model or Path(self.answers or "").name


class EvaluationConfig(SettingsTable, frozen=True):
    """A comparison of two models on a test set."""

    test: str = ""
    """``evol-instruct``, ``vicuna``, ``self-instruct``, ``koala``, or a file in a seed format."""
    tests: str = "."
    """The folder of the named test sets."""
    candidate: AnswererConfig = field(default_factory=AnswererConfig)
    reference: AnswererConfig = field(default_factory=AnswererConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    rule: Rule = "both"
    """How two orders become a verdict; see `pairwise_verdict`."""
    input: InputConfig = field(default_factory=InputConfig)
    id_field: str | None = None
    category_field: str | None = None
    """None: that of the named test set; a file has none."""
    max_prompt_tokens: Annotated[int, Meta(ge=0)] = 2048
    """Longer prompts are shortened in their middle, for both models and the judge; estimated at
    four characters per token; 0: never."""
    limit: Count | None = None
    """Use only the first prompts, up to this number."""
    seed: int = 0
    """Random seed of the bootstrap; changes no call."""
    resamples: Annotated[int, Meta(ge=100)] = 10_000
    """Of the bootstrap."""
    prompts: str = "auto"
    """As for a run: a set of `codeclm.prompts.SETS`, or a folder of templates. auto: small for the
    embedded model, else default."""
    parse_attempts: Annotated[int, Meta(ge=1, le=20)] = 3
    """How often to ask the judge until its scores can be read."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    cache: CacheConfig = field(default_factory=CacheConfig)
    out: str | None = None
    """Folder of the results; None: runs/TEST-CANDIDATE."""

    @property
    def answerers(self) -> dict[Side, AnswererConfig]:
        return {"candidate": self.candidate, "reference": self.reference}

    @property
    def roles(self) -> dict[str, RoleConfig]:
        """The roles answered by a model, not a file."""
        models: dict[str, RoleConfig] = {
            side: answerer for side, answerer in self.answerers.items() if not answerer.answers
        }
        return {**models, "judge": self.judge}

    @property
    def files_in_prompts(self) -> tuple[tuple[str, str], ...]:
        """Return what becomes part of prompts, as pairs of a setting and the path it names."""
        answers = (
            (f"{side}.answers", answerer.answers) for side, answerer in self.answerers.items()
        )
        is_published = self.test in TEST_SETS
        return (
            *(() if is_published else (("test", self.test),)),
            *((name, path) for name, path in answers if path),
        )

    @property
    def source(self) -> TestSource:
        return TestSource(
            self.test,
            user_path(self.tests),
            self.input.field,
            self.input.template,
            self.input.format,
            self.id_field,
            self.category_field,
        )

    @property
    def folder(self) -> Path:
        """Where the results go."""
        if self.out:
            return user_path(self.out)
        words = Path(self.test).name.split(".")[0], self.candidate.name.replace(":", "-")
        return Path("runs") / "-".join(words).replace("/", "-")


def check_evaluation(config: EvaluationConfig, where: str) -> None:
    """Check what types cannot express.

    Raises:
        ConfigError: naming the key at fault.
    """
    if not config.test:
        raise ConfigError(f"{where}: test: missing: name a test set or a file")
    for side, answerer in config.answerers.items():
        if not answerer.model and not answerer.answers:
            raise ConfigError(
                f"{where}: {side}.model: missing: write provider/model, or name a file of answers"
                f" (--{side}-answers)"
            )
    if not config.judge.model:
        raise ConfigError(f"{where}: judge.model: missing: write provider/model")
    if scores_by_logprobs(config.judge):
        raise ConfigError(
            f"{where}: judge.score: verdicts compare the scores that the judge writes: remove it"
        )
    for name, role in config.roles.items():
        check_role(role, f"{where}: {name}")
