"""What makes two sessions the same run: a record of everything that can change the dataset."""

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, cast

from msgspec import Struct

from ...providers import json_codec
from ..calls.prompts import prompts_source
from ..config import Config, RoleConfig, reply_options, response_format, sampling_settings
from ..data.seeds import SeedFileDigest

FORMAT = 2
"""Of a run's folder; raise it whenever an older one can no longer be read."""


_MOST_NAMED = 1000
"""Seed files that a manifest names: it stays below what is read of one."""


class Manifest(Struct, frozen=True):
    """What a run was started with, as ``manifest.json`` holds it."""

    format: int
    codeclm: str
    """Version of codeclm."""
    python: str
    started: str
    """ISO 8601, UTC."""
    seeds: str
    """Digest of the seed files' bytes."""
    settings: dict[str, Any]
    """All settings that can change the dataset."""
    prompts: dict[str, dict[str, str]]
    """Digest of each template by name, by role."""
    files: dict[str, str] = {}
    """Where seeds and prompts came from, for display; not compared."""
    seed_files: tuple[SeedFileDigest, ...] = ()
    """The first thousand seed files, as they were read; not compared."""
    cache: str = ""
    """The folder of the cache that holds the answers; not compared."""


# Settings that may differ between two sessions of a run, because they cannot change its dataset.
_OPERATIONAL = frozenset({"seeds", "out", "cache", "retry", "export", "prompts", "limit", "budget"})
_ROLE_OPERATIONAL = frozenset(
    {
        "api_key",
        "stream",
        "timeout",
        "deadline",
        "transport",
        "max_concurrent",
        "requests_per_minute",
        "tokens_per_minute",
        "quota",
        "price_input",
        "price_cached",
        "price_written",
        "price_output",
        "prompts",
        "headers",
    }
)


def new_manifest(
    settings: dict[str, Any],
    *,
    seeds: str,
    prompts: dict[str, dict[str, str]],
    files: dict[str, str],
    seed_files: tuple[SeedFileDigest, ...] = (),
    cache: str = "",
) -> Manifest:
    """Build a manifest that starts now, by this version of codeclm."""
    return Manifest(
        format=FORMAT,
        codeclm=version("codeclm"),
        python=sys.version.split()[0],
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        seeds=seeds,
        settings=settings,
        prompts=prompts,
        files=files,
        seed_files=seed_files[:_MOST_NAMED],
        cache=cache,
    )


def run_manifest(
    config: Config,
    roles: Mapping[str, RoleConfig],
    *,
    seeds: str,
    prompts: Mapping[str, dict[str, str]],
    tests: Mapping[str, str],
    seed_files: tuple[SeedFileDigest, ...] = (),
) -> Manifest:
    """Build the manifest of a run that starts now.

    Args:
        config: The run's settings.
        roles: The settings of the models that it calls.
        seeds: Digest of the seed files.
        prompts: Digest of each template by name, by role.
        tests: Digests of the test sets by name.
        seed_files: The seed files.
    """
    return new_manifest(
        _run_settings(config, roles, tests),
        seeds=seeds,
        prompts=dict(prompts),
        files={
            "seeds": ", ".join(config.seed_names),
            "prompts": prompts_source(config),
        },
        seed_files=seed_files,
        cache=str(config.cache.path().absolute()),
    )


def _run_settings(
    config: Config, roles: Mapping[str, RoleConfig], tests: Mapping[str, str]
) -> dict[str, Any]:
    settings = {
        key: value for key, value in all_settings(config).items() if key not in _OPERATIONAL
    }
    if config.limit is not None:
        settings["limit"] = config.limit
    for uncalled in {"strong", "target", "judge", "judges"} - roles.keys():
        del settings[uncalled]
    del settings["quality"]["tests"]  # the folder they are in; what they contain counts
    settings["quality"]["test_sets"] = dict(tests)
    return settings | {name: role_settings(role) for name, role in roles.items()}


def role_settings(role: RoleConfig) -> dict[str, Any]:
    """Return the settings of *role* that can change a reply."""
    sampling = all_settings(sampling_settings(role))
    settings = all_settings(role) | {
        "structured_output": response_format(role),
        "options": reply_options(role),
        **{name: sampling.get(name, "default") for name in ("temperature", "max_tokens")},
    }
    for name in ("top_p", "seed"):
        if settings.get(name) == "default":  # as if it were not set
            del settings[name]
    if role.identity is not None:  # the server may move
        settings.pop("base_url", None)
    return {key: value for key, value in settings.items() if key not in _ROLE_OPERATIONAL}


def all_settings(table: Struct) -> dict[str, Any]:
    """Return *table*'s settings, defaults included: another version may have other defaults."""
    settings: dict[str, Any] = {}
    for name in table.__struct_fields__:
        value = getattr(table, name)
        if isinstance(value, Struct):
            settings[name] = all_settings(value)
        elif value is not None:
            settings[name] = json.loads(json_codec.dumps(value))  # as it will be read back
    return settings


def default_settings() -> dict[str, Any]:
    """Return a run's settings where nothing is configured."""
    settings = all_settings(Config())
    settings["quality"]["test_sets"] = {}
    return settings


def differences(old: Manifest, new: Manifest, defaults: Mapping[str, Any]) -> list[str]:
    """Return a line for each respect in which *new* is not the same run as *old*.

    A setting that *old* does not know had not been invented then: it counts as what *defaults* say.
    """
    lines = _settings_differences("", old.settings, new.settings, defaults)
    if old.seeds != new.seeds:
        lines.append("the seed files have changed")
    for role, digests in new.prompts.items():
        before = old.prompts.get(role, {})
        changed = [name for name, digest in digests.items() if before.get(name) != digest]
        if changed:
            lines.append(f"{role}'s prompts have changed: {', '.join(changed)}")
    return lines


def _settings_differences(
    table: str, old: Mapping[str, Any], new: Mapping[str, Any], defaults: Mapping[str, Any]
) -> list[str]:
    lines = list[str]()
    for key in sorted(old.keys() | new.keys()):
        before, now, default = old.get(key), new.get(key), defaults.get(key)
        if isinstance(before, dict) and isinstance(now, dict):
            tables = cast("tuple[dict[str, Any], dict[str, Any]]", (before, now))
            lines += _settings_differences(f"{table}{key}.", *tables, _table(default))
        elif before != now and not (key not in old and now == default):
            lines.append(f"{table}{key}: {_display(before)} → {_display(now)}")
    return lines


def _table(value: Any) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _display(value: Any) -> str:
    return "not set when the run started" if value is None else repr(value)
