"""Builds a recipe's steps before anything is opened, which shows the roles that they ask."""

from collections.abc import Mapping
from typing import Any, NoReturn

from ...prompts import Prompt, PromptSet
from ..calls.counters import Counters
from ..calls.model import Model
from ..calls.sampling import Sampling
from ..config import Config, ConfigError, RoleConfig
from .stages.invent import Pool
from .steps import Finishing, Tools, Writing


class _UnopenedModel(Model):
    """Stands for a role's model while steps are built; it cannot be asked."""

    def __init__(self, name: str, role: RoleConfig) -> None:
        self.role = name
        self.sampling = Sampling(role.model)
        self.prompts = PromptSet({})

    def begin(
        self, prompt: Prompt[Any], *, item: str, sample: str = "", stage: str = ""
    ) -> NoReturn:
        del sample, stage
        raise ConfigError(
            f"{prompt.name} is asked for {item} while the step is built: ask in its call"
        )


def rehearse(
    writing: Writing,
    finishing: Finishing,
    roles: Mapping[str, RoleConfig],
    config: Config,
    rows: int,
) -> None:
    """Build both steps with models of *roles* that cannot be asked.

    Raises:
        ConfigError: a step asks a role that is not among *roles*.
    """
    models: dict[str, Model] = {name: _UnopenedModel(name, role) for name, role in roles.items()}
    tools = Tools(config, models, Counters(), rows, Pool((), config.seed))
    writing.build(tools)
    finishing.build(tools)
