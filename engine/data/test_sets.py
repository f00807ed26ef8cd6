"""Test sets: the prompts that models are compared on, each with an id and a category.

They are for evaluation only; their authors ask not to train on them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from msgspec import Struct

from . import seeds
from .files import user_path
from .records import Unreadable, identity
from .seeds import SeedError, SeedFormat, SeedSource

CHARACTERS_PER_TOKEN: Final = 4
"""The average of English prose; no tokenizer fits every model."""


class Question(Struct, frozen=True):
    id: str
    prompt: str
    category: str = ""


class _Published(Struct, frozen=True):
    file: str
    id_field: str
    category_field: str = ""


TEST_SETS: Final = {
    "evol-instruct": _Published("evol_instruct_testset.jsonl", "idx", "Skill"),
    "vicuna": _Published("vicuna_bench_question.jsonl", "question_id", "category"),
    "self-instruct": _Published("self_instruct_user_oriented.jsonl", "id"),
    "koala": _Published("koala_test_set.jsonl", "id"),
}
"""The paper's test sets, as their authors publish them."""

_USUAL_ID_FIELDS: Final = ("id", "question_id", "idx")


class TestSource(Struct, frozen=True):
    """Where a test set is, and which parts of a record to use.

    Attributes:
        test: One of `TEST_SETS`, or a file.
        folder: Where the files of `TEST_SETS` are.
        field: As in a `SeedSource`, like ``template`` and ``format``.
        id_field: None: the usual names are tried; without any, records are numbered from 1.
        category_field: None: as published; other files have no categories.
    """

    __test__ = False  # for pytest

    test: str
    folder: Path = Path()
    field: str | None = None
    template: str | None = None
    format: SeedFormat | None = None
    id_field: str | None = None
    category_field: str | None = None

    @property
    def path(self) -> Path:
        published = TEST_SETS.get(self.test)
        return user_path(self.test) if published is None else self.folder / published.file


def questions_digest(questions: Iterable[Question]) -> str:
    """Return a digest of what is asked."""
    return identity(*(question.prompt for question in questions))


def read_questions(source: TestSource) -> list[Question]:
    """Read a test set. Blocks.

    Raises:
        SeedError: it cannot be used, or one of its records cannot be read: none may be skipped.
    """
    path = source.path
    if not path.exists():
        raise SeedError(_not_found(source))
    published = TEST_SETS.get(source.test, _Published("", ""))
    prompts = _column(SeedSource((path,), source.field, source.template, source.format))
    ids = _ids(source, source.id_field or published.id_field)
    categories = [""] * len(prompts)
    if name := source.category_field or published.category_field:
        categories = _column(_field(source, name))
    questions = list(map(Question, ids, prompts, categories))
    if repeated := _first_repeated(question.id for question in questions):
        raise SeedError(f"{path}: two questions have the id {repeated!r}: choose another id field")
    return questions


def prompts_of(tests: Mapping[str, Sequence[Question]]) -> Iterator[tuple[str, str, str]]:
    """Yield the test set, id and prompt of every question."""
    for name, questions in tests.items():
        for question in questions:
            yield name, question.id, question.prompt


def shorten(prompt: str, max_tokens: int) -> str:
    """Cut the middle out of a long prompt: its head and tail say what is asked.

    A token counts as four characters; ``max_tokens`` of 0 leaves every prompt as it is.
    """
    limit = CHARACTERS_PER_TOKEN * max_tokens
    if not limit or len(prompt) <= limit:
        return prompt
    gap = f"\n\n[{len(prompt) - limit:,} characters or more are left out here]\n\n"
    remaining = max(0, limit - len(gap))
    tail = remaining // 2
    return prompt[: remaining - tail] + gap + prompt[len(prompt) - tail :]


def texts_of(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the location and all texts of each record of a dataset, in whatever fields. Blocks.

    Raises:
        SeedError: the file cannot be used, or a record cannot be read; the message names it.
    """
    for place, record in seeds.records(path):
        yield place, list(_strings(record))


def _not_found(source: TestSource) -> str:
    if source.test in TEST_SETS:
        return (
            f"{source.test}: no {source.path.name} in {source.folder}; name its folder:"
            " --tests DIR, or in a configuration quality.tests or compare.testsets"
        )
    names = ", ".join(TEST_SETS)
    return f"{source.test}: no such file, and no test set of this name; available: {names}"


def _field(source: TestSource, name: str) -> SeedSource:
    # As a template, because a seed's field must be text, and ids may be numbers.
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
        return _column(_field(source, name))
    for usual in _USUAL_ID_FIELDS:
        try:
            return _column(_field(source, usual))
        except SeedError:
            continue
    return [str(number) for number in range(1, seeds.count(SeedSource((source.path,))) + 1)]


def _first_repeated(names: Iterable[str]) -> str | None:
    earlier = set[str]()
    for name in names:
        if name in earlier:
            return name
        earlier.add(name)
    return None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _strings(list(cast("dict[str, Any]", value).values()))
    elif isinstance(value, list):
        for item in cast("Sequence[Any]", value):
            yield from _strings(item)
