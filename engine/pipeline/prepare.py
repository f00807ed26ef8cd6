"""Check a configuration and read everything it names, before the first call."""

from array import array
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct, structs

from ...prompts import PromptSet
from ..calls.clients import check_cache_folder
from ..calls.gate import EndpointUse, Origin, pass_gate
from ..calls.prompts import check_repetition, check_replies, load_prompts
from ..config import Config, RoleConfig
from ..config.metadata_file import metadata_digest, read_metadata
from ..data import seeds
from ..data.files import user_path
from ..data.records import Metadata, Seed, Unreadable
from ..data.seeds import SeedError
from ..data.seeds.selection import SeedSelection
from ..data.test_sets import questions_digest
from ..disk.network import check_local
from ..store.coverage import SelectedSeeds
from ..store.folder import Folder
from ..store.manifest import Manifest, run_manifest
from .quality_rules import QualityRules, quality_rules, read_test_sets
from .recipe import Recipe
from .recipes import recipe_of


class Plan(Struct, frozen=True):
    """A checked configuration, with everything that is read before the first call.

    Attributes:
        config: the run's settings.
        recipe: the one that the settings name.
        roles: the settings of each role that it asks.
        folder: the run's.
        seeds: those that the run uses; None where the user wrote metadata instead.
        metadata: what the user wrote, else empty.
        prompts: the templates of each role.
        manifest: what identifies this run.
        rules: the quality rules.
        endpoints: where its data go, and with which key.
        is_foreign: whether a stranger wrote the configuration.
    """

    config: Config
    recipe: Recipe
    roles: dict[str, RoleConfig]
    folder: Folder
    seeds: SeedSelection | None
    metadata: tuple[Metadata, ...]
    prompts: dict[str, PromptSet]
    manifest: Manifest
    rules: QualityRules
    endpoints: tuple[EndpointUse, ...]
    is_foreign: bool

    def read_seeds(self, done: bytearray) -> Iterator[Seed | Unreadable]:
        """Yield the seeds, except those whose byte in *done* is not zero. Blocks."""
        return iter(()) if self.seeds is None else self.seeds.read(done)

    def count_seeds(self) -> int:
        """Count the records that the run uses, unreadable ones included. Blocks."""
        return 0 if self.seeds is None else len(self.seeds)

    def describe_seeds(self) -> SelectedSeeds | None:
        """Return the number of seeds and the values to stratify by; None without seeds. Blocks."""
        if self.seeds is None:
            return None
        return SelectedSeeds(len(self.seeds), self.config.input.stratify or "", self.seeds.strata())

    def seed_order(self, first: int) -> "array[int]":
        """Return the seeds' positions in the order in which rows are shared among them. Blocks.

        The *first* ones spread as evenly as can be.
        """
        return array("I") if self.seeds is None else self.seeds.order(first)


def prepare(config: Config, *, where: str, origin: Origin = Origin()) -> Plan:  # noqa: B008
    """Check everything that can be checked without a call. Blocks: it reads the seed files.

    Args:
        config: the run's settings.
        where: names them in messages.
        origin: who wrote them; by default the calling program.

    Raises:
        ConfigError, SeedError, FolderError: naming the file, the key and the remedy.
    """
    recipe = recipe_of(config, where)
    config = structs.replace(config, recipe=recipe.name)  # it may have been an alias
    recipe.check(config, where)
    roles = recipe.role_configs(config)
    prompts: dict[str, PromptSet] = {
        role: load_prompts(config, role, roles[role], used, where)
        for role, used in recipe.prompts(config).items()
    }
    endpoints = pass_gate(roles, where, origin, config.files_in_prompts)
    for role, used in recipe.prompts(config).items():
        check_replies(role, roles[role], used, where)
    judges = {name: roles[name] for name in config.judge_roles if name in roles}
    check_repetition(judges, config.filter.repetition, where)
    config.fetch_seeds()
    selection = _select_seeds(config)
    metadata = read_metadata(Path(config.metadata.file)) if config.metadata.file else ()
    tests = read_test_sets(config.quality, where)
    digest, seed_files = _digests(config, selection)
    manifest = run_manifest(
        config,
        roles,
        seeds=digest,
        seed_files=seed_files,
        prompts={role: templates.digests for role, templates in prompts.items()},
        tests={name: questions_digest(questions) for name, questions in tests.items()},
    )
    rules = quality_rules(config.quality, tests, prompts.values(), where)
    folder = Folder(_folder(config))
    check_cache_folder(config.cache, folder.path, where)
    check_local(folder.ledger)
    check_local(config.cache.database())
    return Plan(
        config,
        recipe,
        roles,
        folder,
        selection,
        metadata,
        prompts,
        manifest,
        rules,
        endpoints,
        origin.is_foreign,
    )


def _select_seeds(config: Config) -> SeedSelection | None:
    """Return the seeds, after checking that one can be read."""
    if config.metadata.file:
        return None
    selection = config.select_seeds()
    reasons = list[str]()
    for record in selection.read():
        if not isinstance(record, Unreadable):
            return selection
        reasons.append(f"{record.where}: {record.reason}")
        if len(reasons) == 1000:
            break
    why = "; ".join(reasons[:3]) or "it is empty"
    raise SeedError(f"{', '.join(map(str, config.seed_files))}: no seed can be read: {why}")


def _digests(
    config: Config, selection: SeedSelection | None
) -> tuple[str, tuple[seeds.SeedFileDigest, ...]]:
    """Return a digest of what the run starts from, and those of its seed files."""
    if config.metadata.file:
        return metadata_digest(Path(config.metadata.file)), ()
    return ("", ()) if selection is None else seeds.digests(selection.source)


def _folder(config: Config) -> Path:
    if config.out:
        return user_path(config.out)
    files = config.seed_files or (Path(config.metadata.file or ""),)
    return Path("runs") / (files[0].name.split(".")[0] or "run")
