"""A model's answers to a test set, as a file that `codeclm evaluate` reads; resumable.

Prompts go in batches that depend on the test set alone, so that an interrupted command gives the
file an undisturbed one gives: how a batch is padded can turn a close decision.
"""

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import msgspec
from msgspec import Struct

from ...providers import json_codec
from ..data.records import identity
from ..data.test_sets import Question, shorten
from ..disk.atomic import replace_file
from . import models
from .models import TrainingError


class Wanted(Struct, frozen=True):
    """Whose answers, and how long. ``max_prompt_tokens`` is `codeclm evaluate`'s."""

    model: str
    max_tokens: int = 2048
    batch: int = 8
    max_prompt_tokens: int = 2048


class Answered(Struct, frozen=True):
    """A line of the file. ``made`` names the settings, so that no two are mixed."""

    id: str
    text: str
    model: str
    cut_off: bool
    made: str


_answered = msgspec.json.Decoder(Answered)


def answer(
    questions: Sequence[Question],
    wanted: Wanted,
    path: Path,
    told: Callable[[int, int], object] = lambda _done, _all: None,
) -> int:
    """Write the answers to all *questions* to *path*, going on where it ends; count the cut off.

    Raises:
        TrainingError: the model can't be loaded, or *path* holds something else.
    """
    made = identity("answers", json_codec.dumps(wanted).decode(), *(q.prompt for q in questions))
    done = _whole_batches(path, questions, wanted.batch, made)
    replace_file(path, b"".join(json_codec.dumps(line) + b"\n" for line in done))
    if len(done) < len(questions):
        local = models.load(wanted.model)
        with path.open("ab") as file:
            for start in range(len(done), len(questions), wanted.batch):
                group = questions[start : start + wanted.batch]
                lines = _ask(local, group, wanted, made)
                file.write(b"".join(json_codec.dumps(line) + b"\n" for line in lines))
                file.flush()
                done += lines
                told(len(done), len(questions))
    return sum(line.cut_off for line in done)


def _ask(
    local: models.Local, group: Sequence[Question], wanted: Wanted, made: str
) -> list[Answered]:
    prompts = [shorten(question.prompt, wanted.max_prompt_tokens) for question in group]
    given = models.answers(local, prompts, wanted.max_tokens)
    return [
        Answered(question.id, text, wanted.model, cut, made)
        for question, (text, cut) in zip(group, given, strict=True)
    ]


def _whole_batches(
    path: Path, questions: Sequence[Question], batch: int, made: str
) -> list[Answered]:
    """Read what is there already, as far as it is whole batches in the order of the test set."""
    if not path.exists():
        return []
    found = list[Answered]()
    for line in path.read_bytes().splitlines():
        try:
            found.append(json_codec.loads(line, _answered))
        except msgspec.MsgspecError:
            if not found:
                raise TrainingError(f"{path}: it holds no answers: name another file") from None
            break  # the last line of a process that was killed
    if any(line.made != made for line in found):
        raise TrainingError(
            f"{path}: it holds answers of another model, test set or setting: name another file"
        )
    in_order = [line for line, asked in zip(found, questions, strict=False) if line.id == asked.id]
    whole = len(in_order) if len(in_order) == len(questions) else len(in_order) // batch * batch
    return list(islice(in_order, whole))
