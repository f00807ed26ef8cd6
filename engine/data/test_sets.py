"""Test sets and files of answers: what a comparison starts from.

Test sets are read as seeds are, with an id and a category beside each prompt. Test sets are for
evaluation only: their authors ask not to train on them.
"""

import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec import Struct

from ...providers import json_codec
from . import seeds
from .records import Answer, Unreadable
from .seeds import SeedError, SeedFormat, SeedSource

CHARACTERS_PER_TOKEN = 4
"""What English prose has on average; there is no tokenizer that fits every model."""


class Question(Struct, frozen=True):
    id: str
    prompt: str
    category: str = ""


class _Known(Struct, frozen=True):
    file: str
    id: str
    category: str = ""


KNOWN = {
    "evol-instruct": _Known("evol_instruct_testset.jsonl", "idx", "Skill"),
    "vicuna": _Known("vicuna_bench_question.jsonl", "question_id", "category"),
    "self-instruct": _Known("self_instruct_user_oriented.jsonl", "id"),
    "koala": _Known("koala_test_set.jsonl", "id"),
}
"""The paper's test sets, by the names of the files as their authors publish them."""

_IDS = ("id", "question_id", "idx")


class TestSource(Struct, frozen=True):
    """Where a test set is: ``test`` is one of `KNOWN`, found in ``folder``, or a file.

    Without ``id_field`` the usual names are tried, and records are numbered from 1 where there are
    none. Without ``category_field`` a file has no categories.
    """

    __test__ = False  # to pytest

    test: str
    folder: Path = Path()
    field: str | None = None
    template: str | None = None
    format: SeedFormat | None = None
    id_field: str | None = None
    category_field: str | None = None

    @property
    def path(self) -> Path:
        known = KNOWN.get(self.test)
        return Path(self.test).expanduser() if known is None else self.folder / known.file


def read(source: TestSource) -> list[Question]:
    """Read a whole test set. Blocks.

    Raises:
        SeedError: it can't be used; a prompt that can't be read is no reason to pass over it.
    """
    path = source.path
    if not path.exists():
        raise SeedError(_missing(source))
    known = KNOWN.get(source.test, _Known("", ""))
    prompts = _column(SeedSource((path,), source.field, source.template, source.format))
    ids = _ids(source, source.id_field or known.id)
    categories = [""] * len(prompts)
    if name := source.category_field or known.category:
        categories = _column(_named(source, name))
    questions = list(map(Question, ids, prompts, categories))
    if twice := _twice(question.id for question in questions):
        raise SeedError(f"{path}: the id {twice!r} is there twice; name another id field")
    return questions


def prompts(tests: Mapping[str, Sequence[Question]]) -> Iterator[tuple[str, str, str]]:
    """Yield test set, id and prompt of every question."""
    for name, questions in tests.items():
        for question in questions:
            yield name, question.id, question.prompt


def _missing(source: TestSource) -> str:
    names = ", ".join(KNOWN)
    if source.test in KNOWN:
        return f"{source.path}: no such file: name the folder of the test sets (--tests DIR)"
    return f"{source.test}: no such file, and no test set of this name; there are {names}"


def _named(source: TestSource, name: str) -> SeedSource:
    # A template takes numbers, which a field of seeds may not be.
    return SeedSource((source.path,), template=f"{{{name}}}", format=source.format)


def _column(source: SeedSource) -> list[str]:
    texts = list[str]()
    for record in seeds.read(source):
        if isinstance(record, Unreadable):
            raise SeedError(f"{record.where}: {record.reason}")
        texts.append(record.instruction)
    return texts


def _ids(source: TestSource, name: str) -> list[str]:
    if name:
        return _column(_named(source, name))
    for usual in _IDS:
        try:
            return _column(_named(source, usual))
        except SeedError:
            continue
    return [str(number) for number in range(1, seeds.count(SeedSource((source.path,))) + 1)]


def _twice(names: Iterator[str]) -> str | None:
    seen = set[str]()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def shorten(prompt: str, most_tokens: int) -> str:
    """Cut the middle out of a prompt that is too long: its head and its tail say what is asked.

    Tokens are reckoned at four characters each; 0 leaves every prompt whole.
    """
    most = CHARACTERS_PER_TOKEN * most_tokens
    if not most or len(prompt) <= most:
        return prompt
    gap = f"\n\n[{len(prompt) - most:,} characters or more are left out here]\n\n"
    kept = max(0, most - len(gap))
    tail = kept // 2
    return prompt[: kept - tail] + gap + prompt[len(prompt) - tail :]


# -- datasets ---------------------------------------------------------------------------------


def texts(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield place and all texts of each record, in whatever fields they are. Blocks.

    Raises:
        SeedError: naming a file that can't be used, or a record that can't be read.
    """
    for where, record in seeds.whole(path):
        yield where, list(_strings(record))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        held = cast("Any", value)
        for inner in held.values() if isinstance(value, dict) else held:
            yield from _strings(inner)


# -- answers ----------------------------------------------------------------------------------


class _Record(Struct):
    """One answer as tools write it; the first name that is there counts."""

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
    """As ``codeclm answer`` says it."""

    @property
    def of(self) -> str | None:
        names = (self.id, self.question_id, self.idx)
        return next((str(name) for name in names if name is not None), None)

    @property
    def says(self) -> str | None:
        texts = (self.text, self.output, self.answer, self.response)
        return next((text for text in texts if text is not None), None)

    @property
    def by(self) -> str:
        return self.model_id or self.model or self.generator or ""


_record = msgspec.json.Decoder(_Record)


def read_answers(path: Path, model: str = "") -> dict[str, Answer]:
    """Read JSON lines of answers, by the id of their question. Blocks.

    Where a file holds the answers of several models, *model* chooses; ``name`` stands for
    ``name:version``.

    Raises:
        SeedError: naming the line, or the models there are.
    """
    records = [(where, _decoded(line, where)) for where, line in _lines(path)]
    models = sorted({record.by for _, record in records})
    if len(models) > 1:
        chosen = _chosen(models, model, path)
        records = [(where, record) for where, record in records if record.by == chosen]
    answers: dict[str, Answer] = {}
    for where, record in records:
        if record.of is None or record.says is None:
            raise SeedError(f"{where}: an answer needs a question's id, and a text (text, output)")
        if record.of in answers:
            raise SeedError(f"{where}: a second answer to the question {record.of!r}")
        answers[record.of] = Answer(record.says, "length" if record.cut_off else "stop")
    return answers


def _chosen(models: list[str], model: str, path: Path) -> str:
    found = [name for name in models if name.split(":")[0] == model]
    if model in models:
        found = [model]
    if len(found) != 1:
        names = ", ".join(found or models)
        raise SeedError(f"{path}: it holds answers of several models; name one: {names}")
    return found[0]


def _decoded(line: bytes, where: str) -> _Record:
    try:
        return json_codec.loads(line, _record)
    except msgspec.MsgspecError as error:
        raise SeedError(f"{where}: {error}") from error


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    opened: Any = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield f"{path}:{number}", line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SeedError(f"{path}: damaged gzip file ({error})") from error
    except OSError as error:
        raise SeedError(f"{path}: {error.strerror or error}") from error
