"""Training data: pairs of an instruction and its answer, from a run or a file."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from ...providers import json_codec
from ..data.files import open_input
from ..data.formats import ExportError, selections
from ..data.records import Example
from ..data.seeds import SeedError


class Pair(NamedTuple):
    instruction: str
    answer: str


class Preference(NamedTuple):
    """An instruction with the better answer and the other one."""

    instruction: str
    answer: str
    rejected: str


Sample = Pair | Preference
"""What a model is trained on."""


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


def pairs_of_run(examples: Iterable[Example]) -> Iterator[Pair]:
    """Yield the pair of each kept example, in their order."""
    for selection in selections(examples, strong_model="", target_model=""):
        yield Pair(selection.instruction, selection.chosen.text)


def preferences_of_run(examples: Iterable[Example]) -> Iterator[Preference]:
    """Yield both answers of each kept example, in their order; equal ones teach nothing.

    Raises:
        MissingAnswerError: an example has one answer only.
    """
    for selection in selections(examples, strong_model="", target_model=""):
        chosen, rejected = selection.chosen.text, selection.rejected.text
        if chosen != rejected:
            yield Preference(selection.instruction, chosen, rejected)


def read_pairs(path: Path, limit: int | None = None) -> list[Pair]:
    """Read the first *limit* pairs of JSON lines, as ``codeclm export`` writes them. Blocks.

    Raises:
        SeedError: the file or one of its lines cannot be read.
        ExportError: the file holds no pair.
    """
    pairs = list[Pair]()
    try:
        with open_input(path) as file:
            for number, line in enumerate(file, 1):
                if limit is not None and len(pairs) == limit:
                    break
                if line.strip():
                    pairs.append(_read_pair(line, f"{path}:{number}"))
    except OSError as error:
        raise SeedError(f"{path}: {error.strerror or error}") from error
    if not pairs:
        raise ExportError(f"{path}: empty: nothing to train on")
    return pairs


def _read_pair(line: bytes, where: str) -> Pair:
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
