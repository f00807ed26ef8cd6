"""Before a run is packed: whether its files are those it was started with, and the user's choice.

A stranger's configuration could name any file of the user's, for whoever unpacks it to read.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from ...prompts import SETS
from ..calls.gate import Origin
from ..calls.prompts import PROMPTS, load_prompts
from ..config import Config
from ..config.metadata_file import metadata_digest
from ..data import seeds
from ..data.files import user_path
from ..data.test_sets import TEST_SETS, TestSource, questions_digest, read_questions
from .folder import Folder, FolderError
from .manifest import Manifest

ROLES: Final = ("strong", "target", "judge")


class PackError(FolderError):
    """A run cannot be packed. The message says why, and what to do."""


def own_prompts(config: Config) -> Iterator[tuple[str, str]]:
    """Yield the folders of templates that *config* names, and what a pack calls them."""
    sources = {"all": config.prompts} | {role: getattr(config, role).prompts for role in ROLES}
    for name, source in sources.items():
        if source and source not in {"auto", *SETS}:
            yield name, source


def prompt_files(source: str) -> Iterator[Path]:
    """Yield the templates in the folder *source*."""
    for prompt in PROMPTS.names():
        path = user_path(source) / f"{prompt}.txt"
        if path.is_file():
            yield path


def published_tests(config: Config) -> Iterator[TestSource]:
    """Yield the test sets of *config* that are known by name."""
    for name in config.quality.decontaminate:
        if name in TEST_SETS:
            yield TestSource(name, user_path(config.quality.tests))


def check_origin(config: Config, seed_files: Iterable[Path], origin: Origin) -> None:
    """Check that no stranger chose to pack a file outside of the run's folder. Reads none.

    Raises:
        PackError: naming the first.
    """
    for setting, value, paths in _chosen_files(config, seed_files):
        for path in paths if origin.is_suspect(value) else ():
            if origin.is_suspect_file(str(path)):
                raise PackError(
                    f"{origin.file}: this run was not begun by you on this machine, and {setting}"
                    f" names {path}: if you trust whoever wrote it, run the same command with"
                    " --trust, once"
                )


def _chosen_files(
    config: Config, seed_files: Iterable[Path]
) -> Iterator[tuple[str, str, Iterable[Path]]]:
    """Yield settings, their values, and the files that a pack would hold because of them."""
    if metadata := config.metadata.file:
        yield "metadata.file", metadata, (user_path(metadata),)
    else:
        yield "seeds", ", ".join(config.seed_names), seed_files
    for name, source in own_prompts(config):
        setting = "prompts" if name == "all" else f"{name}.prompts"
        yield setting, source, prompt_files(source)
    tests = config.quality.tests
    yield "quality.tests", tests, (test.path for test in published_tests(config))


def check_unchanged(folder: Folder, config: Config, manifest: Manifest) -> None:
    """Check the files that *config* names against the digests in *manifest*. Blocks.

    Raises:
        PackError: some have changed.
        UserError: some cannot be read.
    """
    metadata = config.metadata.file
    digest = metadata_digest(user_path(metadata)) if metadata else seeds.digest(config.seed_source)
    if digest != manifest.seeds:
        if metadata:
            raise _changed(folder, "metadata")
        raise _changed(folder, "seed files", ", or name those that it used with --seeds")
    if any(own_prompts(config)):
        _check_prompts(folder, config, manifest)
    digests = manifest.settings.get("quality", {}).get("test_sets", {})
    for test in published_tests(config):
        if questions_digest(read_questions(test)) != digests.get(test.test):
            raise _changed(folder, f"questions of {test.path}")


def _check_prompts(folder: Folder, config: Config, manifest: Manifest) -> None:
    roles = config.all_roles
    for name, digests in manifest.prompts.items():
        prompts = [PROMPTS[prompt] for prompt in digests]
        templates = load_prompts(config, name, roles[name], prompts, str(folder.config))
        if templates.digests != digests:
            raise _changed(folder, f"{name}'s prompts")


def _changed(folder: Folder, what: str, remedy: str = "") -> PackError:
    return PackError(
        f"{folder.path}: the {what} have changed since the run was started: restore them{remedy}"
    )
