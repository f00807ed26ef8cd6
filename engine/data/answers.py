"""Files of answers to a test set, as `codeclm answer` and other tools write them."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from ...providers import json_codec
from .files import open_input
from .records import Answer
from .seeds import SeedError


class _Record(Struct):
    """One answer; tools name the fields differently; the first one set is used."""

    id: str | int | None = None
    question_id: str | int | None = None
    idx: str | int | None = None
    text: str | None = None
    output: str | None = None
    answer: str | None = None
    response: str | None = None
    model_id: str | None = None
    model: str | None = None
    generator: str | None = None
    cut_off: bool = False
    """Only `codeclm answer` writes it."""

    @property
    def question(self) -> str | None:
        names = (self.id, self.question_id, self.idx)
        return next((str(name) for name in names if name is not None), None)

    @property
    def content(self) -> str | None:
        texts = (self.text, self.output, self.answer, self.response)
        return next((text for text in texts if text is not None), None)

    @property
    def author(self) -> str:
        return self.model_id or self.model or self.generator or ""


_record = msgspec.json.Decoder(_Record)


def read_answers(path: Path, model: str = "") -> dict[str, Answer]:
    """Read JSON lines of answers, by the id of their question. Blocks.

    Args:
        path: The file, which may be gzipped.
        model: The model whose answers to read if the file holds several models'; ``name`` stands
            for ``name:version``.

    Raises:
        SeedError: the file cannot be used; the message names the line, or the models in it.
    """
    records = [(place, _decode(line, place)) for place, line in _lines(path)]
    models = sorted({record.author for _, record in records})
    if len(models) > 1:
        author = _resolve(models, model, path)
        records = [(place, record) for place, record in records if record.author == author]
    answers: dict[str, Answer] = {}
    for place, record in records:
        if record.question is None or record.content is None:
            raise SeedError(f"{place}: an answer needs a question's id, and a text (text, output)")
        if record.question in answers:
            raise SeedError(f"{place}: a second answer to the question {record.question!r}")
        finish_reason = "length" if record.cut_off else "stop"
        answers[record.question] = Answer(record.content, finish_reason)
    return answers


def _resolve(models: list[str], name: str, path: Path) -> str:
    if name in models:
        return name
    versions = [model for model in models if model.split(":")[0] == name]
    if len(versions) != 1:
        names = ", ".join(versions or models)
        raise SeedError(f"{path}: has answers of several models; name one: {names}")
    return versions[0]


def _decode(line: bytes, place: str) -> _Record:
    try:
        return json_codec.loads(line, _record)
    except msgspec.MsgspecError as error:
        raise SeedError(f"{place}: {error}") from error


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with open_input(path) as file:
            lines = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield f"{path}:{number}", line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SeedError(f"{path}: damaged gzip file ({error})") from error
    except OSError as error:
        raise SeedError(f"{path}: {error.strerror or error}") from error
