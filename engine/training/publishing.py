"""Publish a dataset on the Hugging Face Hub, by the Hub's own client.

The same command continues what was interrupted: files that the Hub has are not uploaded again, and
a commit that changes nothing is not made.
"""

import os
import re
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct

from ...providers.optional import install_command
from ..calls.counters import Counters
from ..data.errors import RunStopped, UserError
from ..data.formats import EXPORTS
from ..disk.atomic import replace_file
from ..pipeline.recipes import RECIPES
from ..reporting.runs import RunReader
from ..reporting.summary import summarise
from ..store.export import export_dataset
from .card import CardFacts, card_text, read_contents
from .trainers import CARD_FILE, DATA_FILE

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


class PublishError(UserError):
    """A dataset cannot be published. The message says why, and what to do."""


class HubError(RunStopped):
    """The Hub cannot be reached, or refuses. The same command continues."""


class Publication(NamedTuple):
    """A request to publish a run's dataset.

    Attributes:
        repository: OWNER/NAME.
        format_name: of the rows.
        is_public: whether everybody may read it.
        branch: to commit to.
        message: the commit's; None: one that counts the rows.
        language: of the data, for the card.
        license: its id on the Hub, for the card.
        token_variable: the name of the environment variable that holds the token.
    """

    repository: str
    format_name: str = "alpaca"
    is_public: bool = False
    branch: str = "main"
    message: str | None = None
    language: str = "en"
    license: str | None = None
    token_variable: str = "HF_TOKEN"  # noqa: S105  (a name)


class Published(Struct, frozen=True):
    """What is on the Hub now: rows, the commit's address, and whether only some may read it."""

    rows: int
    address: str
    is_private: bool


def publish(run: RunReader, request: Publication) -> Published:
    """Commit the dataset of *run* and its card to a repository, which is made if it is missing.

    Blocks.

    Raises:
        PublishError: huggingface_hub or the token is missing, or the repository is public.
        HubError: the Hub cannot be reached, or refuses.
    """
    if not _REPOSITORY.fullmatch(request.repository):
        raise PublishError(f"{request.repository}: write OWNER/NAME")
    token = os.environ.get(request.token_variable, "").strip()
    if not token:
        raise PublishError(
            f"{request.token_variable} is not set: put a token that may write there"
            " (https://huggingface.co/settings/tokens)"
        )
    RECIPES[run.config.recipe].check_exports((request.format_name,), str(run.folder.path))
    hub = _library()
    with tempfile.TemporaryDirectory(prefix="codeclm-push-") as folder:
        rows = _write_files(run, request, Path(folder))
        try:
            return _commit(hub.HfApi(token=token), request, Path(folder), rows)
        except (PublishError, HubError):
            raise
        except Exception as error:  # its transport's errors come through, and differ by version
            problem = " ".join(str(error).split()).replace(token, "***")[:400]
            raise HubError(
                f"{request.repository}: {problem}; the same command continues"
            ) from error


def _write_files(run: RunReader, request: Publication, folder: Path) -> int:
    """Write the rows and the card; return the number of rows."""
    export_format = EXPORTS[request.format_name]
    rows = export_dataset(run.ledger, run.config, folder / DATA_FILE, export_format)
    if not rows:
        raise PublishError(f"{run.folder.path}: the dataset is empty")
    facts = CardFacts(
        config=run.config,
        manifest=run.folder.read_manifest(),
        summary=summarise(run.config, run.ledger, Counters(), ending="so far", reason=""),
        contents=read_contents(run.rows()),
        language=request.language,
        files=((DATA_FILE, f"the rows, in the format `{request.format_name}`"),),
        license=request.license,
    )
    replace_file(folder / CARD_FILE, card_text(facts).encode("utf-8", "backslashreplace"))
    return rows


def _commit(api: Any, request: Publication, folder: Path, rows: int) -> Published:
    name = request.repository
    api.create_repo(name, repo_type="dataset", private=not request.is_public, exist_ok=True)
    is_private = bool(api.dataset_info(name).private)
    if not is_private and not request.is_public:
        raise PublishError(f"{name}: this repository is public: say --public if it may be read")
    if request.branch != "main":
        api.create_branch(name, repo_type="dataset", branch=request.branch, exist_ok=True)
    commit = api.upload_folder(
        repo_id=name,
        repo_type="dataset",
        folder_path=folder,
        revision=request.branch,
        allow_patterns=[DATA_FILE, CARD_FILE],
        commit_message=request.message or f"{rows:,} rows, made with codeclm",
    )
    return Published(rows, str(commit.commit_url), is_private)


def _library() -> Any:
    try:
        import_module("huggingface_hub.utils").disable_progress_bars()
        return import_module("huggingface_hub")
    except ImportError as error:
        raise PublishError(f"publishing needs huggingface_hub: {install_command('hub')}") from error
