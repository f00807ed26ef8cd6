"""A recipe: one row that says how seeds become rows of a dataset."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain

from msgspec import Struct, structs

from ...prompts import AnyPrompt
from ..calls.prices import check_prices
from ..config import Config, ConfigError, RoleConfig, RoleName, check_role
from ..data.formats import EXPORTS
from ..store.totals import DatasetCounts
from .modes import Input, Mode
from .rehearsal import rehearse
from .steps import Bounds, Calls, Finishing, Writing

ROLES: tuple[RoleName, ...] = ("strong", "target", "judge")


class CallForecast(Struct, frozen=True):
    """The calls of a run by prompt, at least and at most.

    Attributes:
        calls: by prompt.
        per_call: basic instructions asked for in one call.
        note: what is assumed, where nothing bounds the calls.
    """

    calls: Calls
    per_call: int
    note: str = ""


class Recipe(Struct, frozen=True, kw_only=True):
    """How seeds become rows: a mode, and two steps.

    Attributes:
        name: what configurations call it.
        summary: its steps in a line, for display.
        source: the section of the paper it comes from, or its author.
        mode: where its requests for instructions come from.
        writing: how basic instructions are written.
        finishing: how they become rows.
        assumed_yield: the share of instructions assumed to be kept where nothing bounds the calls.
        forecast_note: what a forecast says about that.
        calls_without_retries: counts the calls of a run without retries from what its ledger holds;
            None where no formula is known.
    """

    name: str
    summary: str
    source: str
    mode: Mode
    writing: Writing
    finishing: Finishing
    assumed_yield: float = 1.0
    forecast_note: str = ""
    calls_without_retries: Callable[[DatasetCounts, Config], int] | None = None

    def __post_init__(self) -> None:
        """Reject a mode and steps that do not fit.

        Raises:
            ValueError: the mode's requests do not hold what the writing step needs, the finishing
                step leaves seeds as they are, or both steps have the same stage name.
        """
        if self.mode.material != self.writing.material:
            raise ValueError(
                f"recipe {self.name}: {self.writing.stage} needs requests with"
                f" {self.writing.material}, and those of {type(self.mode).__name__} hold"
                f" {self.mode.material}"
            )
        if self.writing.stage == self.finishing.stage:
            raise ValueError(
                f"recipe {self.name}: both steps have the stage name {self.writing.stage!r}"
            )
        if self.mode.material == "instruction" and not self.finishing.rewrites:
            raise ValueError(
                f"recipe {self.name}: {self.finishing.stage} does not rewrite the seeds, and a seed"
                " is never a row: use a finishing step that rewrites"
            )

    # -- what it asks -------------------------------------------------------------------------

    @property
    def roles(self) -> tuple[RoleName, ...]:
        """The roles it asks, in the order strong, target, judge."""
        return tuple(role for role in ROLES if role == "strong" or role in self.finishing.prompts)

    def role_configs(self, config: Config) -> dict[str, RoleConfig]:
        """Return the settings of each role it asks, in the order strong, target, judge."""
        return {
            name: role for kind in self.roles for name, role in config.roles_named(kind).items()
        }

    def prompts(self, config: Config) -> Mapping[str, tuple[AnyPrompt, ...]]:
        """Return the prompts that each role is asked, by the names of `role_configs`."""
        before = (*self.mode.prompts(config), *self.writing.prompts)
        return {
            name: (*(before if kind == "strong" else ()), *self.finishing.prompts.get(kind, ()))
            for kind in self.roles
            for name in config.roles_named(kind)
        }

    # -- what it makes ------------------------------------------------------------------------

    def rows_per_draft(self, config: Config) -> int:
        """Return the most rows that one basic instruction becomes."""
        return self.finishing.rows_per_draft(config)

    def scores_gaps(self, config: Config) -> bool:
        """Whether the judge compares the strong and the target model's answers."""
        return self.finishing.scored_rounds(config) > 0

    def settings(self, config: Config) -> Iterator[tuple[str, str]]:
        """Yield the settings that shape its rows as (name, value), for display."""
        yield from self.finishing.settings(config)
        yield from self.mode.settings(config)

    def forecast(self, config: Config, *, seeds: int, metadata: int = 0) -> CallForecast:
        """Forecast the calls of a run (docs/algorithm.md §3.7).

        Args:
            config: the run's settings.
            seeds: how many seeds it uses.
            metadata: how many items the user wrote instead of seeds, else 0.
        """
        start = Input(seeds, metadata, self.rows_per_draft(config), self.assumed_yield)
        volume = self.mode.volume(config, start)
        drafts = Bounds(*(self.writing.drafts(config, count) for count in volume.instructions))
        calls = {
            **self.mode.calls(volume),
            **self.writing.calls(config, volume),
            **self.finishing.calls(config, drafts),
        }
        return CallForecast(calls, volume.per_call, self.forecast_note)

    def preview(self, config: Config, seeds: int) -> Config:
        """Return *config* for a preview: one instruction from each of the first *seeds* seeds."""
        return structs.replace(
            config,
            limit=seeds,
            target_rows=None,
            max_candidates=1 if self.mode.endless else None,
            metadata=structs.replace(config.metadata, augment_to=None),
            decode=structs.replace(config.decode, per_metadata=1),
        )

    # -- what it needs ------------------------------------------------------------------------

    def check(self, config: Config, where: str) -> None:
        """Check that *config* has what this recipe needs.

        Raises:
            ConfigError: it does not; the message starts with *where* and names the key.
        """
        roles = self.role_configs(config)
        for name, role in roles.items():
            if not role.model:
                raise ConfigError(f"{where}: {name}.model: missing: write provider/model")
            check_role(role, f"{where}: {name}")
        if config.metadata.file and self.mode.material != "metadata":
            raise ConfigError(f"{where}: metadata.file: recipe {self.name} starts from seeds")
        if self.mode.endless and not (config.target_rows or config.max_candidates):
            raise ConfigError(
                f"{where}: target_rows: recipe {self.name} never runs out of instructions: say how"
                " many rows"
            )
        self.check_exports(config.export, where)
        if config.budget.money is not None:
            check_prices(roles, f"{where}: budget.money")
        self._check_prompts(config, where)
        self._check_steps(config, where)

    def _check_prompts(self, config: Config, where: str) -> None:
        """Check that each step's forecast counts the prompts that it declares, and no others."""
        mode, writing, finishing = self.mode, self.writing, self.finishing
        volume = mode.volume(config, Input(1, rows_per_draft=self.rows_per_draft(config)))
        finishing_prompts = chain.from_iterable(finishing.prompts.values())
        steps: tuple[tuple[str, Iterable[AnyPrompt], Iterable[AnyPrompt], Iterable[AnyPrompt]], ...]
        steps = (
            ("mode", mode.prompts(config), mode.calls(volume), mode.uncounted),
            (
                f"step {writing.stage}",
                writing.prompts,
                writing.calls(config, volume),
                writing.uncounted,
            ),
            (
                f"step {finishing.stage}",
                finishing_prompts,
                finishing.calls(config, volume.instructions),
                finishing.uncounted,
            ),
        )
        for step, declared, forecast, uncounted in steps:
            problem = _forecast_problem(set(declared), set(forecast), set(uncounted))
            if problem:
                raise ConfigError(f"{where}: recipe {self.name}: {step}: {problem}")

    def _check_steps(self, config: Config, where: str) -> None:
        """Check that the steps can be built, and ask no role that they do not declare."""
        rows = self.rows_per_draft(config)
        try:
            rehearse(self.writing, self.finishing, self.role_configs(config), config, rows)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error

    def check_exports(self, formats: Iterable[str], where: str) -> None:
        """Check that this recipe's rows hold what *formats* need.

        Raises:
            ConfigError: they do not; the message starts with *where*.
        """
        if "target" in self.roles:
            return
        for name in formats:
            if EXPORTS[name].needs_both:
                raise ConfigError(
                    f"{where}: export: {name} needs two answers per row, and recipe {self.name}"
                    " does not ask the target model"
                )


def _forecast_problem(
    declared: set[AnyPrompt], forecast: set[AnyPrompt], uncounted: set[AnyPrompt]
) -> str:
    """Say how a step's forecast and its prompts differ; empty if they do not."""
    if undeclared := _names(forecast - declared):
        return f"calls forecasts {undeclared}: add {undeclared} to the prompts of its step"
    if twice := _names(forecast & uncounted):
        return f"calls forecasts {twice}: remove {twice} from uncounted"
    if missing := _names(declared - forecast - uncounted):
        return f"calls leaves out {missing}: add {missing} to calls, or to uncounted"
    return ""


def _names(prompts: Iterable[AnyPrompt]) -> str:
    return ", ".join(sorted(prompt.__name__ for prompt in prompts))
