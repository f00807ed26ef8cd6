"""The registry of prompts, and the templates of each role's model."""

from collections.abc import Collection
from typing import Final

from ...prompts import BUILT_IN, SETS, AnyPrompt, Prompt, PromptError, PromptSet
from ..config import Config, ConfigError, RoleConfig, hosted_model
from ..data.registry import Registry

PROMPTS: Final[Registry[AnyPrompt]] = Registry("codeclm.prompts", "prompt", Prompt, BUILT_IN)
"""Every prompt by name; installed packages may add more."""


def load_prompts(
    config: Config, name: str, role: RoleConfig, prompts: Collection[AnyPrompt], where: str
) -> PromptSet:
    """Load the templates of *prompts* for *role*, which is called *name*.

    Raises:
        ConfigError: a prompt is not registered, or a template cannot be used.
    """
    source = role.prompts or config.prompts
    setting = f"{where}: {name}.prompts" if role.prompts else f"{where}: prompts"
    if "\0" in source:
        raise ConfigError(f"{setting}: a path cannot hold a NUL character")
    if source == "auto":
        is_small = hosted_model(role).host.kind.small_models
        source = "small" if is_small and role is not config.target else "default"
    names = PROMPTS.names()
    for prompt in prompts:
        if prompt.name not in names:
            raise ConfigError(
                f"{where}: prompt {prompt.name!r} is not registered: add {prompt.__name__} to"
                f" BUILT_IN in prompts/__init__.py, or an entry point in {PROMPTS.group}"
            )
    host, model = hosted_model(role)
    for prompt in prompts:
        if host.kind.refusal is not None and (reason := host.kind.refusal(model, prompt.name)):
            raise ConfigError(
                f"{where}: {name}.model: {role.model}: {reason}, but the {name} is also asked to"
                f" {prompt.name}: choose another model"
            )
    fixed = host.kind.templates
    try:
        return PromptSet.load(source, prompts, names=names, fixed=fixed)
    except PromptError as error:
        raise ConfigError(f"{setting}: {error}") from error


def prompts_source(config: Config) -> str:
    """Say whose words the run's prompts are, for manifests and cards."""
    own = sorted({source for source in _sources(config) if source not in {"auto", *SETS}})
    if own:
        return f"templates of {', '.join(own)}; the others are codeclm's"
    return "codeclm's own wording, after the elements of the paper's prompts"


def _sources(config: Config) -> tuple[str, ...]:
    roles = (config.strong, config.target, config.judge, *config.judges.values())
    return (config.prompts, *(role.prompts for role in roles if role.prompts))
