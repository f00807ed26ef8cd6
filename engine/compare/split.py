"""The seed split: which part of the seed file all recipes get (paper §5.3).

Metadata comes from the validation part alone; results are reported on the full test set. The split
is kept by position and id, so that the validation part can be excluded later.
"""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import msgspec
from msgspec import Struct

from ...providers import json_codec
from ..data import seeds
from ..data.files import read_input
from ..data.records import Seed
from ..data.seeds import SeedError
from ..data.seeds.selection import SeedSelection
from ..disk.atomic import replace_file
from ..store.folder import FolderError

SEEDS_FILE = "validation.jsonl"
"""The file of the seeds that all recipes share."""


STRATUM = "stratum"
"""The field of that file that holds a seed's value to stratify by, if the settings name one."""


class SeedRef(Struct, frozen=True):
    """A seed's position in its files, from 0, and its id, which comes from its text."""

    position: int
    id: str


class Split(Struct, frozen=True):
    """The two parts of the seed files, as in ``split.json``.

    Attributes:
        digest: of the seed files' bytes.
        seed: the random seed that chose the parts.
        share: of the seeds in the validation part.
        validation: the seeds that all recipes get.
        evaluation: the others.
    """

    digest: str
    seed: int
    share: float
    validation: tuple[SeedRef, ...]
    evaluation: tuple[SeedRef, ...]

    @property
    def total(self) -> int:
        return len(self.validation) + len(self.evaluation)


def split_seeds(
    selection: SeedSelection, share: float, *, random_seed: int
) -> tuple[Split, list[Seed]]:
    """Choose *share* of the seeds of *selection*, rounded half up, at random and evenly. Blocks.

    Returns the split and the seeds of its validation part, in the order of their files.

    Raises:
        SeedError: the files cannot be read, or hold no seed.
    """
    records = [record for record in selection.read() if isinstance(record, Seed)]
    if not records:
        raise SeedError(f"{', '.join(map(str, selection.source.paths))}: no seed can be read")
    size = max(1, int(share * len(records) + 0.5))
    readable = {seed.position for seed in records}
    order = (position for position in selection.order(size) if position in readable)
    positions = set(islice(order, size))
    validation = [seed for seed in records if seed.position in positions]
    others = (seed for seed in records if seed.position not in positions)
    digest = seeds.digest(selection.source)
    return Split(digest, random_seed, share, _refs(validation), _refs(others)), validation


def _refs(records: Iterable[Seed]) -> tuple[SeedRef, ...]:
    return tuple(SeedRef(seed.position, seed.id) for seed in records)


_split = msgspec.json.Decoder(Split)


def write_split(
    folder: Path, split: Split, validation: Iterable[Seed], *, allow_change: bool
) -> Path:
    """Write ``split.json`` and the validation part to *folder*; return the latter's path.

    Raises:
        FolderError: the folder holds another split.
    """
    path, seeds_path = folder / "split.json", folder / SEEDS_FILE
    if path.exists() and not allow_change and _read_split(path) != split:
        raise FolderError(
            f"{path}: this folder's comparison has a different split of the seeds: choose another"
            " folder (--out), or --allow-change to start over (paid answers are reused)"
        )
    lines = (json_codec.dumps(_record(seed)) + b"\n" for seed in validation)
    replace_file(path, msgspec.json.format(json_codec.dumps(split), indent=1) + b"\n")
    replace_file(seeds_path, b"".join(lines))
    return seeds_path


def _record(seed: Seed) -> dict[str, str]:
    own = {STRATUM: seed.stratum} if seed.stratum else {}
    return {"instruction": seed.instruction, **own}


def _read_split(path: Path) -> Split | None:
    try:
        return json_codec.loads(read_input(path), _split)
    except (OSError, msgspec.MsgspecError):
        return None
