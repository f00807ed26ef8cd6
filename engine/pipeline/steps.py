"""The two steps of every recipe: writing basic instructions, and turning them into rows."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Literal, NamedTuple

from msgspec import Struct

from ...prompts import AnyPrompt, Vocabulary
from ..calls.counters import Counters
from ..calls.model import Model
from ..config import Config, ConfigError, RoleName
from ..data.records import Example, InstructionRequest
from .stages.draft import Draft
from .stages.encode import Encoder
from .stages.invent import Pool

Material = Literal["metadata", "instruction", "demonstrations"]
"""What a request gives the writing step to work with."""

Write = Callable[[InstructionRequest], Awaitable[list[Draft]]]
Finish = Callable[[Draft], Awaitable[list[Example]]]
Prompts = Mapping[RoleName, tuple[AnyPrompt, ...]]
"""The prompts that each role is asked."""


class Bounds(NamedTuple):
    """The least and the most of something."""

    low: int
    high: int

    def times(self, factor: int) -> "Bounds":
        """Multiply both bounds."""
        return Bounds(self.low * factor, self.high * factor)


Calls = Mapping[AnyPrompt, Bounds]
"""Calls by prompt."""

NONE = Bounds(0, 0)


class Volume(Struct, frozen=True):
    """How much a run makes, as far as its configuration tells.

    Attributes:
        instructions: basic instructions.
        requests: calls that ask for basic instructions.
        per_call: basic instructions asked for in one of them.
        encoded: seeds that are encoded.
        items: metadata items that instructions are asked of.
    """

    instructions: Bounds
    requests: Bounds = NONE
    per_call: int = 1
    encoded: Bounds = NONE
    items: Bounds = NONE


class Tools(Struct, frozen=True):
    """What a recipe's steps are built from.

    Attributes:
        config: the run's settings.
        models: the models by role.
        counters: the session's.
        rows_per_draft: the most rows that one basic instruction becomes.
        pool: the seeds that demonstrations are sampled from; None outside of the pooled mode.
    """

    config: Config
    models: Mapping[str, Model]
    counters: Counters
    rows_per_draft: int = 1
    pool: Pool | None = None

    @property
    def strong(self) -> Model:
        """The strong model, which every recipe asks."""
        return self.model("strong")

    def model(self, role: Literal["strong", "target"]) -> Model:
        """Return the model of *role*.

        Raises:
            ConfigError: the recipe's finishing step does not declare that it asks this role.
        """
        [model] = self._models(role)
        return model

    def judges(self) -> tuple[Model, ...]:
        """Return the judges, one or several.

        Raises:
            ConfigError: the recipe's finishing step does not declare that it asks them.
        """
        return self._models("judge")

    def _models(self, role: RoleName) -> tuple[Model, ...]:
        names = self.config.roles_named(role)
        if not names.keys() <= self.models.keys():
            raise ConfigError(
                f"recipe {self.config.recipe}: a step asks the {role} model, which it does not"
                f" declare: add {role!r} to the prompts of the finishing step"
            )
        return tuple(self.models[name] for name in names)

    def encoder(self) -> Encoder:
        """Build the stage that encodes seeds."""
        metadata = self.config.metadata
        return Encoder(self.strong, Vocabulary(metadata.use_cases, metadata.skills))


def _no_calls(_config: Config, _volume: Volume) -> Calls:
    return {}


def _every_instruction(_config: Config, instructions: int) -> int:
    return instructions


class Writing(Struct, frozen=True, kw_only=True):
    """How basic instructions are written.

    Attributes:
        stage: its name in the progress display.
        material: what its requests must hold. Where that is an instruction, the user's own becomes
            the basic instruction: it is not a row itself, and the quality rules do not apply to
            it.
        build: builds the step: a request in, drafts out.
        prompts: the prompts it asks the strong model.
        calls: forecasts its calls by prompt: all of *prompts* but the *uncounted*.
        uncounted: the prompts that the forecast leaves out.
        drafts: how many drafts it makes of a number of instructions.
    """

    stage: str
    material: Material
    build: Callable[[Tools], Write]
    prompts: tuple[AnyPrompt, ...] = ()
    calls: Callable[[Config, Volume], Calls] = _no_calls
    uncounted: tuple[AnyPrompt, ...] = ()
    drafts: Callable[[Config, int], int] = _every_instruction


def _one(_config: Config) -> int:
    return 1


def _none(_config: Config) -> int:
    return 0


def _no_settings(_config: Config) -> Iterator[tuple[str, str]]:
    return iter(())


class Finishing(Struct, frozen=True, kw_only=True):
    """Turns basic instructions into rows.

    Attributes:
        stage: its name in the progress display.
        build: builds the step: a draft in, its examples out.
        prompts: the prompts it asks each role; a role that is missing is not asked.
        calls: forecasts its calls by prompt for a number of drafts: all of *prompts* but the
            *uncounted*.
        rewrites: whether it rewrites the instruction, so that a short one may grow long enough.
            Only such a step makes rows of seeds that are the basic instructions themselves.
        uncounted: the prompts that the forecast leaves out, such as those that share the calls of
            another.
        rows_per_draft: the most rows that one basic instruction becomes.
        scored_rounds: the most rounds in which the judge compares both models' answers
            (Contrastive Filtering); 0: it never does.
        settings: yields the settings that shape its rows as (name, value), for display.
    """

    stage: str
    build: Callable[[Tools], Finish]
    prompts: Prompts
    calls: Callable[[Config, Bounds], Calls]
    rewrites: bool
    uncounted: tuple[AnyPrompt, ...] = ()
    rows_per_draft: Callable[[Config], int] = _one
    scored_rounds: Callable[[Config], int] = _none
    settings: Callable[[Config], Iterator[tuple[str, str]]] = _no_settings
