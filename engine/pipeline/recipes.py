"""The recipes: CodecLM, its ablations, and the baselines of the paper. A table, and nothing else.

What a recipe is made of: where its orders come from, what writes basic instructions, what ends
them. `crew` makes the stages; specification §8 and the paper's §5.2 and A.2 say what each must do.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from msgspec import Struct

from ...prompts import (
    AnyPrompt,
    Broaden,
    Complicate,
    Decode,
    Deepen,
    Encode,
    Equal,
    Grow,
    Improve,
    Invent,
    Plausible,
    Rate,
    Respond,
    Score,
    WriteRubrics,
)
from ..config import Config, ConfigError, RoleConfig, RoleName, check_role
from ..data.formats import EXPORTS
from ..data.registry import PluginError, Registry, UnknownNameError

Start = Literal["metadata", "seeds", "pool"]
End = Literal["refine", "filter", "harden", "answer", "grow", "evolve", "rate"]


class Recipe(Struct, frozen=True):
    """How a seed becomes rows.

    ``start``: orders come from ``metadata`` (seeds encoded, perhaps augmented), from the ``seeds``
    as they are, or are requests that show some seeds of a ``pool``. ``end`` is the stage that
    follows the basic instruction. ``line`` says it all in words.
    """

    name: str
    start: Start
    end: End
    line: str
    source: str
    """Where it comes from: paper, or ours."""
    roles: tuple[RoleName, ...] = ("strong",)

    def prompts(self, role: str) -> tuple[AnyPrompt, ...]:
        """Return what *role* is asked."""
        prompts: list[AnyPrompt] = [*_STARTING[self.start], *_ENDING[self.end], Respond]
        return tuple(prompt for prompt in prompts if role in prompt.roles)

    def role_configs(self, config: Config) -> dict[str, RoleConfig]:
        """Return the settings of each role this recipe asks, in the order strong, target, judge."""
        return {name: config.role(name) for name in self.roles}

    def rows_per_draft(self, config: Config) -> int:
        """Return the most rows that one basic instruction can become.

        Where it is evolved, every round is a row.
        """
        return config.baseline.rounds if self.end == "evolve" else 1

    def check(self, config: Config, where: str) -> None:
        """Check that *config* has what this recipe needs.

        Raises:
            ConfigError: it does not; the message starts with *where* and names the key.
        """
        for name in self.roles:
            if name != "judge" and not config.role(name).model:
                raise ConfigError(f"{where}: {name}.model: missing: write provider/model")
        if config.metadata.file and self.start != "metadata":
            raise ConfigError(f"{where}: metadata.file: recipe {self.name} starts from seeds")
        if self.start == "pool" and not (config.target_rows or config.max_candidates):
            raise ConfigError(
                f"{where}: target_rows: recipe {self.name} never runs out of instructions: say how"
                " many rows"
            )
        self.check_exports(config.export, where)
        roles = self.role_configs(config)
        for role_name, role in roles.items():
            check_role(role, f"{where}: {role_name}")
        priced = any(role.price_input is not None for role in roles.values())
        if config.budget.money is not None and not priced:
            raise ConfigError(f"{where}: budget.money: needs prices: set strong.price_input, …")

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
                    " asks only the strong model"
                )


_STARTING: Final[Mapping[Start, tuple[AnyPrompt, ...]]] = {
    "metadata": (Encode, Plausible, Decode),
    "seeds": (),
    "pool": (Invent,),
}
_ENDING: Final[Mapping[End, tuple[AnyPrompt, ...]]] = {
    "refine": (WriteRubrics, Improve, Score),
    "filter": (Score,),
    "harden": (WriteRubrics, Improve),
    "answer": (),
    "grow": (Grow,),
    "evolve": (Deepen, Broaden, Complicate, Equal),
    "rate": (Rate,),
}

_BUILT_IN: Final = (
    Recipe(
        "codeclm",
        "metadata",
        "refine",
        "encode, decode + rubrics, refine",
        "paper §4",
        ("strong", "target", "judge"),
    ),
    Recipe(
        "codeclm-metadata", "metadata", "answer", "encode, decode, answer", "paper Table 3, row 2"
    ),
    Recipe(
        "codeclm-rubrics",
        "metadata",
        "harden",
        "encode, decode + rubrics, 3 rewrites, answer",
        "paper Table 3, row 3",
    ),
    Recipe(
        "codeclm-filter",
        "metadata",
        "filter",
        "encode, decode, filter once",
        "ours, not in the paper",
        ("strong", "target", "judge"),
    ),
    Recipe(
        "self-instruct",
        "pool",
        "answer",
        "invent from 3 seeds, answer",
        "paper A.2; Table 3, row 1",
    ),
    Recipe(
        "alpagasus",
        "pool",
        "rate",
        "invent from 3 seeds, answer, rate",
        "paper A.2",
        ("strong", "judge"),
    ),
    Recipe("tree-instruct", "seeds", "grow", "grow by 10 nodes, answer", "paper A.2"),
    Recipe("wizardlm", "seeds", "evolve", "4 rounds of evolve, compare, answer", "paper A.2"),
    Recipe(
        "wizardlm-plus",
        "metadata",
        "evolve",
        "encode, decode, 4 rounds of evolve, compare, answer",
        "paper §5.2",
    ),
)

RECIPES: Final = Registry(
    "codeclm.recipes", "recipe", Recipe, _BUILT_IN, aliases={"wizardlm+": "wizardlm-plus"}
)
"""Every recipe by name; installed packages may add more."""


def recipe_of(config: Config, where: str) -> Recipe:
    """Return the recipe that *config* names.

    Raises:
        ConfigError: no recipe has this name; the message starts with *where* and lists those that
            exist.
    """
    try:
        return RECIPES[config.recipe]
    except (UnknownNameError, PluginError) as error:
        raise ConfigError(f"{where}: recipe: {error}") from error
