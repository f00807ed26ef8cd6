"""A model's answers to a test set, as a file that `codeclm evaluate` reads; resumable.

Prompts are batched by the test set alone, so that an interrupted command produces the same file as
an undisturbed one: how a batch is padded can turn a close decision.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from ...providers import json_codec
from ...providers.transformers.model import LocalModel
from ..data.files import read_input
from ..data.records import identity
from ..data.test_sets import Question, shorten
from ..disk.atomic import replace_file
from .models import TrainingError, generate_answers, load_model


class AnsweringSettings(Struct, frozen=True):
    """Which model answers, and how. ``max_prompt_tokens`` is as for `codeclm evaluate`."""

    model: str
    max_tokens: int = 2048
    batch: int = 8
    max_prompt_tokens: int = 2048


class AnswerLine(Struct, frozen=True):
    """A line of the file. ``settings`` is a digest, so that no two settings are mixed."""

    id: str
    text: str
    model: str
    cut_off: bool
    settings: str


_answer_line = msgspec.json.Decoder(AnswerLine)


def write_answers(
    questions: Sequence[Question],
    settings: AnsweringSettings,
    path: Path,
    progress: Callable[[int, int], object] = lambda _done, _total: None,
) -> int:
    """Write the answers to *questions* to *path*, continuing where it ends.

    Returns how many answers were cut off at ``max_tokens``.

    Raises:
        TrainingError: the model cannot be loaded, or *path* holds something else.
    """
    prompts = (question.prompt for question in questions)
    digest = identity("answers", json_codec.dumps(settings).decode(), *prompts)
    lines = _finished_batches(path, questions, settings.batch, digest)
    replace_file(path, _encoded(lines))
    if len(lines) < len(questions):
        model = load_model(settings.model)
        with path.open("ab") as file:
            for start in range(len(lines), len(questions), settings.batch):
                batch = questions[start : start + settings.batch]
                new_lines = _answer_batch(model, batch, settings, digest)
                file.write(_encoded(new_lines))
                file.flush()
                lines += new_lines
                progress(len(lines), len(questions))
    return sum(line.cut_off for line in lines)


def _encoded(lines: Sequence[AnswerLine]) -> bytes:
    return b"".join(json_codec.dumps(line) + b"\n" for line in lines)


def _answer_batch(
    model: LocalModel, questions: Sequence[Question], settings: AnsweringSettings, digest: str
) -> list[AnswerLine]:
    prompts = [shorten(question.prompt, settings.max_prompt_tokens) for question in questions]
    answers = generate_answers(model, prompts, settings.max_tokens)
    return [
        AnswerLine(question.id, answer.text, settings.model, answer.cut_off, digest)
        for question, answer in zip(questions, answers, strict=True)
    ]


def _finished_batches(
    path: Path, questions: Sequence[Question], batch: int, digest: str
) -> list[AnswerLine]:
    """Read the lines of *path* that are whole batches in the order of the test set."""
    lines = _read_lines(path) if path.exists() else []
    if any(line.settings != digest for line in lines):
        raise TrainingError(
            f"{path}: it holds answers of another model, test set or setting: choose another file"
        )
    pairs = zip(lines, questions, strict=False)
    in_order = [line for line, question in pairs if line.id == question.id]
    if len(in_order) == len(questions):
        return in_order
    return in_order[: len(in_order) // batch * batch]


def _read_lines(path: Path) -> list[AnswerLine]:
    lines = list[AnswerLine]()
    for line in read_input(path).splitlines():
        try:
            lines.append(json_codec.loads(line, _answer_line))
        except msgspec.MsgspecError:
            if not lines:
                raise TrainingError(
                    f"{path}: it holds something other than answers: choose another file"
                ) from None
            break  # the last line of a killed process
    return lines
