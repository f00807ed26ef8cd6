"""Read and export the dataset of a run."""

from collections.abc import Callable, Iterator
from pathlib import Path

from ..data.formats import EXPORTS, Selection, selections
from ..disk.atomic import WriteError
from ..pipeline.recipes import RECIPES
from ..reporting.runs import open_run
from ..store.export import export_dataset


def read_rows(folder: Path | str) -> Iterator[Selection]:
    """Yield the rows of the run in *folder*, in seed order. Blocks; the run may be working.

    Args:
        folder: a run's, finished or not.

    Raises:
        UserError: there is no run in *folder*, or it cannot be read.
    """
    with open_run(Path(folder)) as reader:
        config = reader.config
        yield from selections(
            reader.rows(), strong_model=config.strong.model, target_model=config.target.model
        )


def export(
    folder: Path | str,
    to: Path | str,
    *,
    format: str = "alpaca",  # noqa: A002  (what the flag is called)
    with_metadata: bool = False,
    force: bool = False,
    on_replacement: Callable[[str], object] = lambda _id: None,
) -> int:
    """Write the dataset of the run in *folder* to the file *to*; return the number of rows.

    Args:
        folder: a run's, finished or not.
        to: a file; its suffix says how: .jsonl, .json, .parquet, .jsonl.gz.
        format: the name of an export format; ``codeclm plugins`` lists them.
        with_metadata: add use case, skills, gap and origin to each row.
        force: whether an existing file may be replaced.
        on_replacement: called with the id of each row in which Parquet cannot store half a
            surrogate pair.

    Raises:
        UserError: there is no run in *folder*, or its rows cannot be written so.
        WriteError: *to* cannot be written.
    """
    export_format, path = EXPORTS[format], Path(to)
    if path.is_file() and not force:
        raise WriteError(f"{path}: already exists (force=True overwrites it)")
    with open_run(Path(folder)) as reader:
        config = reader.config
        RECIPES[config.recipe].check_exports((format,), str(folder))
        return export_dataset(
            reader.ledger,
            config,
            path,
            export_format,
            with_metadata=with_metadata,
            on_replacement=on_replacement,
        )
