"""What a model is trained on: pairs of an instruction and its answer, from a run or a file."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from ...providers import json_codec
from ..data.formats import ExportError, selections
from ..data.records import Example
from ..data.seeds import SeedError


class Pair(NamedTuple):
    instruction: str
    answer: str


class _Turn(Struct):
    role: str
    content: str


class _Record(Struct):
    """A row in one of the formats that `codeclm export` writes, or prompt and completion."""

    instruction: str | None = None
    input: str = ""
    output: str | None = None
    prompt: str | None = None
    completion: str | None = None
    messages: tuple[_Turn, ...] = ()

    @property
    def pair(self) -> Pair | None:
        if self.instruction is not None and self.output is not None:
            return Pair("\n\n".join(filter(None, (self.instruction, self.input))), self.output)
        if self.prompt is not None and self.completion is not None:
            return Pair(self.prompt, self.completion)
        if [turn.role for turn in self.messages] == ["user", "assistant"]:
            return Pair(*(turn.content for turn in self.messages))
        return None


_record = msgspec.json.Decoder(_Record)


def of_run(examples: Iterable[Example]) -> Iterator[Pair]:
    """Give the pair of each kept example, in their order."""
    for selection in selections(examples, strong_model="", target_model=""):
        yield Pair(selection.instruction, selection.chosen.text)


def read(path: Path, limit: int | None = None) -> list[Pair]:
    """Read JSON lines of pairs, as ``codeclm export`` writes them. Blocks.

    Raises:
        SeedError: naming the file and the line.
        ExportError: there is no pair.
    """
    found = list[Pair]()
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if limit is not None and len(found) == limit:
                    break
                if line.strip():
                    found.append(_read(line, f"{path}:{number}"))
    except OSError as error:
        raise SeedError(f"{path}: {error.strerror or error}") from error
    if not found:
        raise ExportError(f"{path}: there is nothing in it to train on")
    return found


def _read(line: bytes, where: str) -> Pair:
    try:
        pair = json_codec.loads(line, _record).pair
    except msgspec.MsgspecError as error:
        raise SeedError(f"{where}: {error}") from error
    if pair is None:
        raise SeedError(
            f"{where}: a pair needs instruction and output, prompt and completion, or messages of"
            " one user and one assistant turn"
        )
    return pair
