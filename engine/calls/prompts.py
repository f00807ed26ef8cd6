"""The registry of prompts, and the templates of each role's model."""

from collections.abc import Collection, Mapping
from typing import Final

from ...prompts import BUILT_IN, SETS, AnyPrompt, Prompt, PromptError, PromptSet
from ..config import Config, ConfigError, RoleConfig, hosted_model
from ..data.registry import Registry

PROMPTS: Final[Registry[AnyPrompt]] = Registry("codeclm.prompts", "prompt", Prompt, BUILT_IN)
"""Every prompt by name; installed packages may add more."""


def load_prompts(
    config: Config, name: str, role: RoleConfig, prompts: Collection[AnyPrompt], where: str
) -> PromptSet:
    """Load the templates of *prompts* for *role*, which is called *name*; runs nothing of it.

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
    try:
        fixed = hosted_model(role).host.kind.templates
        return PromptSet.load(source, prompts, names=names, fixed=fixed)
    except PromptError as error:
        raise ConfigError(f"{setting}: {error}") from error


def check_replies(name: str, role: RoleConfig, prompts: Collection[AnyPrompt], where: str) -> None:
    """Check that *role*, which is called *name*, can reply to *prompts*.

    A function of the user's is imported: pass the gate before, which tells whose choice it is.

    Raises:
        ConfigError: it cannot.
    """
    host, model = hosted_model(role)
    if host.kind.refusal is None:
        return
    for prompt in prompts:
        if reason := host.kind.refusal(model, prompt.name):
            raise ConfigError(
                f"{where}: {name}.model: {role.model}: {reason}, but the {name} is also asked to"
                f" {prompt.name}: choose another model"
            )


def check_repetition(judges: Mapping[str, RoleConfig], setting: str, where: str) -> None:
    """Check that *judges* can score otherwise when they are asked again, if all are programs.

    Beside others, a program may repeat itself. It is imported: pass the gate before.

    Args:
        judges: by the names of their roles.
        setting: the one of ``filter`` that asks again; empty: none does.
        where: names the configuration in messages.

    Raises:
        ConfigError: none of them can.
    """
    if not setting or any(_can_vary(role) for role in judges.values()):
        return
    for name, role in judges.items():
        raise ConfigError(
            f"{where}: filter.{setting}: {name}.model: {role.model} scores the same again: give the"
            " function a parameter `sample`, the random seed of each scoring"
        )


def _can_vary(role: RoleConfig) -> bool:
    host, model = hosted_model(role)
    return host.kind.takes_sample is None or host.kind.takes_sample(model)


def prompts_source(config: Config) -> str:
    """Say whose words the run's prompts are, for manifests and cards."""
    own = sorted({source for source in _sources(config) if source not in {"auto", *SETS}})
    if own:
        return f"templates of {', '.join(own)}; the others are codeclm's"
    return "codeclm's own wording, after the elements of the paper's prompts"


def _sources(config: Config) -> tuple[str, ...]:
    roles = (config.strong, config.target, config.judge, *config.judges.values())
    return (config.prompts, *(role.prompts for role in roles if role.prompts))
