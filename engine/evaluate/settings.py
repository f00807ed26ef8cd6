"""What an evaluation is asked for: flags or a file as frozen structs, as `config` is for a run."""

from pathlib import Path
from typing import Annotated, Literal

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
)
from ..data.test_sets import TestSource
from .verdicts import Rule

Side = Literal["candidate", "reference"]


class ContestantConfig(RoleConfig, frozen=True):
    """A model that answers, greedily unless told otherwise, or a file of its answers."""

    temperature: Annotated[float, Meta(ge=0, le=2)] | None = 0.0
    answers: str | None = None
    """JSON lines of {"id": …, "text": …}; then ``model`` is only a name, and chooses where a file
    holds several models' answers."""

    @property
    def name(self) -> str:
        return self.model or Path(self.answers or "").name


class EvaluationConfig(SettingsTable, frozen=True):
    """A comparison of two models on a test set."""

    test: str = ""
    """``evol-instruct``, ``vicuna``, ``self-instruct``, ``koala``, or a file as seeds are."""
    tests: str = "."
    """The folder of the test sets known by name."""
    candidate: ContestantConfig = field(default_factory=ContestantConfig)
    reference: ContestantConfig = field(default_factory=ContestantConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    rule: Rule = "both"
    """both (the paper): better only where it wins both orders. alpagasus: a draw and a win win."""
    input: InputConfig = field(default_factory=InputConfig)
    id_field: str | None = None
    category_field: str | None = None
    """None: as the test set known by name has it; a file has none."""
    max_prompt_tokens: Annotated[int, Meta(ge=0)] = 2048
    """Longer prompts lose their middle, for both models and the judge alike; reckoned at four
    characters a token; 0: never."""
    limit: Count | None = None
    """Only the first so many prompts."""
    seed: int = 0
    """Draws the bootstrap's samples; changes no call."""
    resamples: Annotated[int, Meta(ge=100)] = 10_000
    prompts: str = "auto"
    """As a run's: default, small, a folder of yours; auto: small for the embedded model."""
    parse_attempts: Annotated[int, Meta(ge=1, le=20)] = 3
    """How often to ask the judge until its scores can be read."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    cache: CacheConfig = field(default_factory=CacheConfig)
    out: str | None = None
    """Folder of the results; None: runs/TEST-CANDIDATE."""

    @property
    def contestants(self) -> dict[Side, ContestantConfig]:
        return {"candidate": self.candidate, "reference": self.reference}

    @property
    def roles(self) -> dict[str, RoleConfig]:
        """The models that are asked."""
        sides = {str(side): each for side, each in self.contestants.items() if not each.answers}
        return {**sides, "judge": self.judge}

    @property
    def source(self) -> TestSource:
        return TestSource(
            self.test,
            Path(self.tests).expanduser(),
            self.input.field,
            self.input.template,
            self.input.format,
            self.id_field,
            self.category_field,
        )


def check(config: EvaluationConfig, where: str) -> None:
    """See what types can't say.

    Raises:
        ConfigError: naming the key at fault.
    """
    if not config.test:
        raise ConfigError(f"{where}: test: it is missing: name a test set or a file")
    for side, each in config.contestants.items():
        if not each.model and not each.answers:
            raise ConfigError(f"{where}: {side}: name a model (--{side} provider/model) or answers")
    if not config.judge.model:
        raise ConfigError(f"{where}: judge.model: it is missing: write provider/model")
    for name, role in config.roles.items():
        check_role(role, f"{where}: {name}")
