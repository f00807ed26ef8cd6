"""The base of every prompt: the values of its template, parser, schema and priority."""

from abc import abstractmethod
from enum import IntEnum
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import fields

T = TypeVar("T")
JsonSchema = dict[str, Any]

_PARTS = ("name", "priority", "read", "schema", "typical")


class Priority(IntEnum):
    """The order of waiting calls.

    Calls closest to finishing an example go first: that keeps the fewest examples in memory and
    gives the most rows for the money if a run is stopped.
    """

    SCORE = 0
    ANSWER = 1
    REWRITE = 2
    WRITE = 3
    ENCODE = 4


class RawReply(Protocol):
    """The parts of a model's reply that a parser sees: an answer, without reasoning."""

    @property
    def text(self) -> str: ...

    @property
    def finish_reason(self) -> str:
        """Why the model stopped; ``length`` if it was cut off."""
        ...


class Sizes(NamedTuple):
    """Lengths that forecasts assume, in tokens of four characters."""

    seed: int
    answer: int
    instruction: int = 60
    number: int = 1
    """Instructions asked for in one call."""


class Prompt(Struct, Generic[T], frozen=True, kw_only=True):
    """One question to a model; *T* is the parsed reply. Subclass it once per prompt.

    The fields are the template's placeholders: a template must hold those without a default and may
    hold the others. Templates lie beside the subclass's module, in ``default/NAME.txt`` and, where
    another set has its own, in ``SET/NAME.txt``.

    Attributes:
        name: Names the templates, the stage in ledgers and reports, and the request's purpose.
        priority: Its place among waiting calls.
        template: The default template's text, for a prompt whose module has no files beside it.
    """

    name: ClassVar[str]
    priority: ClassVar[Priority]
    template: ClassVar[str | None] = None

    def __init_subclass__(cls) -> None:
        """Refuse a prompt without one of its parts, when its module is imported."""
        super().__init_subclass__()
        own = set[str]().union(*map(vars, cls.__mro__[: cls.__mro__.index(Prompt)]))
        missing = [part for part in _PARTS if part not in own]
        if missing:
            raise TypeError(f"prompt {cls.__name__}: define {', '.join(missing)}")

    @abstractmethod
    def read(self, reply: RawReply) -> T:
        """Return what *reply* says.

        Raises:
            ParseError: it cannot be read; asking again may help.
        """
        raise NotImplementedError

    @abstractmethod
    def schema(self) -> JsonSchema | None:
        """Return the JSON schema of a structured reply; None where replies are free text."""
        raise NotImplementedError

    @classmethod
    @abstractmethod
    def typical(cls, sizes: Sizes) -> "Typical":
        """Return a prompt and an answer of the usual lengths, for forecasts."""
        raise NotImplementedError

    @classmethod
    def required(cls) -> frozenset[str]:
        """Return the placeholders that every template must hold."""
        return frozenset(field.name for field in fields(cls) if field.required)

    @classmethod
    def placeholders(cls) -> frozenset[str]:
        """Return all placeholders that a template may hold."""
        return frozenset(cls.__struct_fields__)


AnyPrompt = type[Prompt[Any]]
"""A prompt's class: the row that lists, registries and recipes hold."""


class Typical(NamedTuple):
    """A call of the usual length."""

    prompt: Prompt[Any]
    answer: int
    """Tokens of the reply."""


TYPICAL_USE_CASE = "x" * 24
TYPICAL_SKILLS = ("x" * 16, "x" * 16)


def filler(tokens: int) -> str:
    """Return a text of about *tokens* tokens."""
    return "x" * 4 * tokens
