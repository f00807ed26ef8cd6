"""Export formats: how a kept example becomes a row of a training file.

A format is one row of `EXPORTS`: its name, the struct of its rows, and the function that makes one.
Columns follow from the struct. A new row works in ``--format``, in ``export = […]`` and in every
kind of file.

Rows hold an id and what trainers read. Trainers drop further text columns, but a nested one that is
null or empty at first confuses loaders that infer types from JSON: metadata is only written on
request.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar

from msgspec import UNSET, Struct, UnsetType

from .columns import Column, columns_of
from .errors import UserError
from .records import Answer, Example, Iteration, Metadata, Origin, Winner, identity
from .registry import Registry


class ExportError(UserError):
    """A dataset cannot be exported. The message says why and what to do."""


class MissingAnswerError(ExportError):
    """A row needs both models' answers, and an example has only one."""


# -- what a row is made of --------------------------------------------------------------------


class Response(NamedTuple):
    """One of the two answers. ``rating`` is its mean score over both orders, 0 to 10."""

    text: str
    model: str
    rating: float | None


class Selection(Struct, frozen=True):
    """A kept example as the row function of a format reads it."""

    example: Example
    models: dict[Winner, str]

    @property
    def id(self) -> str:
        return self.example.id

    @property
    def instruction(self) -> str:
        return self.example.instruction

    @property
    def chosen(self) -> Response:
        """The winner's answer, or the strong model's if nothing was scored.

        Raises:
            ExportError: the example has no such answer.
        """
        return self._response(self.example.author)

    @property
    def rejected(self) -> Response:
        """The answer that was not chosen. A format that reads it says so: ``needs_both``.

        Raises:
            MissingAnswerError: the example has only one answer.
        """
        other: Winner = "target" if self.example.author == "strong" else "strong"
        try:
            return self._response(other)
        except ExportError as error:
            raise MissingAnswerError(str(error)) from error

    def _response(self, author: Winner) -> Response:
        answer = self.example.answer(author)
        if answer is None:
            raise ExportError(f"example {self.id}: no answer of the {author} model")
        return Response(answer.text, self.models[author], _rating(self.example, author))


def selections(
    examples: Iterable[Example], *, strong_model: str, target_model: str
) -> Iterator[Selection]:
    """Yield the kept ones of *examples*, in their order."""
    models: dict[Winner, str] = {"strong": strong_model, "target": target_model}
    return (Selection(example, models) for example in examples if example.fate == "kept")


def _rating(example: Example, author: Winner) -> float | None:
    judgements = example.iterations[-1].judgements if example.iterations else None
    if judgements is None:
        return None
    scores = [one.strong if author == "strong" else one.target for one in judgements]
    return sum(scores) / 2


# -- what a format is -------------------------------------------------------------------------


class Lineage(Struct, frozen=True):
    """A row's origin. ``iteration`` counts from 1; ``gap`` is None without scores."""

    use_case: str
    skills: tuple[str, ...]
    seed_ids: tuple[str, ...]
    iteration: int
    gap: float | None
    winner: Winner | None
    origin: Origin
    language: str = ""


class _Lineage(Struct, frozen=True, kw_only=True):
    metadata: Lineage | UnsetType = UNSET
    """Set by the writer. Keyword-only fields come last, also in files."""


class ExportRow(_Lineage, frozen=True):
    """Base of the rows of every format."""

    id: str
    """The example's id."""


Row = TypeVar("Row", bound=ExportRow)


RESERVED_NAMES: Final = frozenset(
    {
        *("comparisons", "config", "events", "ledger", "manifest", "metadata", "progress", "run"),
        "summary",
    }
)
"""What the other files of a run's folder are called, without their suffixes."""


class ExportFormat(Struct, Generic[Row], frozen=True, kw_only=True):
    """One export format.

    Raises:
        TypeError: at construction: the name is no file name or that of another file of a run,
            Parquet has no column for a field, or ``needs_both`` is missing.
    """

    name: str
    """In ``--format`` and ``export = […]``; exports of a run are called ``NAME.jsonl``."""
    row_type: type[Row]
    """Its fields are the columns, in this order."""
    make_row: Callable[[Selection], Row]
    needs_both: bool = False
    """Whether a row holds both models' answers."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", self.name):
            raise TypeError(f"export format {self.name!r}: write a lower-case word, as in 'alpaca'")
        if self.name in RESERVED_NAMES:
            raise TypeError(
                f"export format {self.name!r}: a run has a file of that name: rename it"
            )
        self.columns(with_metadata=True)
        if not self.needs_both:
            self._check_answers()

    def _check_answers(self) -> None:
        """Check that a row can be made of an example without the target model's answer."""
        try:
            self.make_row(_one_answer())
        except MissingAnswerError as error:
            raise TypeError(
                f"export format {self.name!r}: its rows hold both models' answers: add"
                " needs_both=True"
            ) from error

    def columns(self, *, with_metadata: bool) -> tuple[Column, ...]:
        """Return the columns of a table of rows."""
        columns = columns_of(self.row_type)
        return columns if with_metadata else columns[:-1]


def _one_answer() -> Selection:
    """Return an example that only the strong model has answered."""
    answered = Iteration(number=1, instruction="Explain rain.", strong=Answer("It falls."))
    example = Example(
        id=identity("example"),
        position=0,
        number=0,
        metadata=Metadata(0, identity("item"), "science", ("physics",), "seed", ("s1",)),
        basic_instruction=answered.instruction,
        iterations=(answered,),
        fate="kept",
        winner="strong",
    )
    return Selection(example, {"strong": "strong/model", "target": "target/model"})


def lineage(example: Example) -> Lineage:
    metadata = example.metadata
    return Lineage(
        use_case=metadata.use_case,
        skills=metadata.skills,
        seed_ids=metadata.seed_ids,
        iteration=example.iterations[-1].number if example.iterations else 1,
        gap=example.gap,
        winner=example.winner,
        origin=metadata.origin,
        language=metadata.language,
    )


# -- the formats ------------------------------------------------------------------------------


class AlpacaRow(ExportRow, frozen=True):
    """Stanford Alpaca's format; ``input`` is empty, as an instruction holds its input."""

    instruction: str
    input: str
    output: str


class Turn(Struct, frozen=True, rename={"speaker": "from"}):
    speaker: Literal["human", "gpt"]
    value: str


class ShareGPTRow(ExportRow, frozen=True):
    conversations: tuple[Turn, Turn]


class Message(Struct, frozen=True):
    role: Literal["user", "assistant"]
    content: str


class MessagesRow(ExportRow, frozen=True):
    """What chat APIs take, and TRL."""

    messages: tuple[Message, Message]


class PreferenceRow(ExportRow, frozen=True):
    """TRL's conversational preference format, for DPO."""

    prompt: tuple[Message]
    chosen: tuple[Message]
    rejected: tuple[Message]
    chosen_rating: float | None
    rejected_rating: float | None
    chosen_model: str
    rejected_model: str
    prompt_id: str


def _alpaca(selection: Selection) -> AlpacaRow:
    return AlpacaRow(selection.id, selection.instruction, "", selection.chosen.text)


def _sharegpt(selection: Selection) -> ShareGPTRow:
    turns = Turn("human", selection.instruction), Turn("gpt", selection.chosen.text)
    return ShareGPTRow(selection.id, turns)


def _messages(selection: Selection) -> MessagesRow:
    question = Message("user", selection.instruction)
    return MessagesRow(selection.id, (question, Message("assistant", selection.chosen.text)))


def _preference(selection: Selection) -> PreferenceRow:
    chosen, rejected = selection.chosen, selection.rejected
    return PreferenceRow(
        selection.id,
        prompt=(Message("user", selection.instruction),),
        chosen=(Message("assistant", chosen.text),),
        rejected=(Message("assistant", rejected.text),),
        chosen_rating=chosen.rating,
        rejected_rating=rejected.rating,
        chosen_model=chosen.model,
        rejected_model=rejected.model,
        prompt_id=identity("prompt", selection.instruction),
    )


ALPACA = ExportFormat(name="alpaca", row_type=AlpacaRow, make_row=_alpaca)
SHAREGPT = ExportFormat(name="sharegpt", row_type=ShareGPTRow, make_row=_sharegpt)
MESSAGES = ExportFormat(name="messages", row_type=MessagesRow, make_row=_messages)
PREFERENCE = ExportFormat(
    name="preference", row_type=PreferenceRow, make_row=_preference, needs_both=True
)

EXPORTS: Registry[ExportFormat[Any]] = Registry(
    "codeclm.exports",
    "export format",
    ExportFormat,
    (ALPACA, SHAREGPT, MESSAGES, PREFERENCE),
)
