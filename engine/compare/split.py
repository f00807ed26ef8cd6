"""The seed split: which part of the seed file all recipes get (paper §5.3, spec §3.0).

Metadata comes from the validation part alone; results are told for the whole test set. The split is
kept by place and id, so that anyone can leave the validation part out.
"""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from random import Random

import msgspec
from msgspec import Struct

from ...providers import json_codec
from ..data import seeds
from ..data.records import Seed
from ..data.seeds import SeedError, SeedSource
from ..disk.atomic import replace_file
from ..store.folder import FolderError

SEEDS = "validation.jsonl"
"""The file of the seeds that all recipes have in common."""


class Place(Struct, frozen=True):
    """A seed's place in its files, from 0, and its id, which comes from its text."""

    position: int
    id: str


class Split(Struct, frozen=True):
    digest: str
    """Of the seed files' bytes."""
    seed: int
    share: float
    validation: tuple[Place, ...]
    evaluation: tuple[Place, ...]

    @property
    def total(self) -> int:
        return len(self.validation) + len(self.evaluation)


def draw(
    source: SeedSource, share: float, *, run_seed: int, limit: int | None = None
) -> tuple[Split, list[Seed]]:
    """Shuffle the first *limit* seeds and take *share* of them, rounded half up. Blocks.

    The seeds are returned in the order of their files.

    Raises:
        SeedError: the files can't be read, or hold no seed.
    """
    whole = [record for record in islice(seeds.read(source), limit) if isinstance(record, Seed)]
    if not whole:
        raise SeedError(f"{', '.join(map(str, source.paths))}: no seed can be read")
    size = max(1, int(share * len(whole) + 0.5))
    chosen = set(Random(f"{run_seed}/split").sample(range(len(whole)), size))
    kept = [seed for n, seed in enumerate(whole) if n in chosen]
    others = (seed for n, seed in enumerate(whole) if n not in chosen)
    return Split(seeds.digest(source), run_seed, share, _places(kept), _places(others)), kept


def _places(whole: Iterable[Seed]) -> tuple[Place, ...]:
    return tuple(Place(seed.position, seed.id) for seed in whole)


_split = msgspec.json.Decoder(Split)


def keep(folder: Path, fresh: Split, chosen: Iterable[Seed], *, allow_change: bool) -> Path:
    """Write ``split.json`` and ``validation.jsonl``, and return where the seeds are.

    Raises:
        FolderError: the folder holds another split.
    """
    path, texts = folder / "split.json", folder / SEEDS
    if path.exists() and not allow_change and _read(path) != fresh:
        raise FolderError(
            f"{path}: this comparison's seeds were another choice: name another folder (--out), or"
            " --allow-change to begin anew (answers already paid for are reused)"
        )
    lines = b"".join(json_codec.dumps({"instruction": seed.instruction}) + b"\n" for seed in chosen)
    replace_file(path, msgspec.json.format(json_codec.dumps(fresh), indent=1) + b"\n")
    replace_file(texts, lines)
    return texts


def _read(path: Path) -> Split | None:
    try:
        return json_codec.loads(path.read_bytes(), _split)
    except (OSError, msgspec.MsgspecError):
        return None
