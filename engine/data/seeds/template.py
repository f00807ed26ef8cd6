r"""Templates that join several fields of a record, such as ``"{instruction}\n{input}"``."""

import re
from typing import Any

from msgspec import Struct

from .source import SeedError, UnusableRecordError
from .values import fields_of, list_names, text_of, value_at

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class Placeholder(Struct, frozen=True):
    """A field to be filled in. An optional one stands alone on its line and may be empty."""

    field: str
    optional: bool


class Template(Struct, frozen=True):
    """Literal text and placeholders in turn; both ends are literals, which may be empty."""

    pieces: tuple[str | Placeholder, ...]

    @property
    def placeholders(self) -> list[Placeholder]:
        return [piece for piece in self.pieces if isinstance(piece, Placeholder)]

    def fill(self, record: Any) -> str:
        """Return the text for *record*.

        Raises:
            UnusableRecordError: a field that is not optional is missing or empty.
        """
        fields = fields_of(record)
        texts = [p if isinstance(p, str) else _filling(fields, p) for p in self.pieces]
        end = len(texts)
        # From the end, drop optional fields left empty, with the line break before each.
        while end > 2 and not texts[end - 1] and not texts[end - 2] and self._is_optional(end - 2):
            end -= 2
            texts[end - 1] = texts[end - 1].rstrip("\r\n")
        return "".join(texts[:end])

    def _is_optional(self, number: int) -> bool:
        piece = self.pieces[number]
        return isinstance(piece, Placeholder) and piece.optional


def parse_template(text: str) -> Template:
    """Parse a template. Line breaks at its end, which TOML adds, are dropped.

    Raises:
        SeedError: a brace stands alone, or no field is named.
    """
    text = text.rstrip("\r\n")
    pieces: list[str | Placeholder] = []
    literal, start = "", 0
    for token in _TOKEN.finditer(text):
        literal += text[start : token.start()]
        start = token.end()
        field = token[1]
        if field is None and len(token[0]) == 1:
            raise SeedError(
                f"seed template: a single {token[0]} at character {token.start()}: double it"
            )
        if field is None:
            literal += token[0][0]
            continue
        if not field.strip():
            raise SeedError(f"seed template: no field name in {token[0]} at {token.start()}")
        alone = literal.endswith("\n") and text[start : start + 1] in {"", "\n", "\r"}
        pieces += [literal, Placeholder(field.strip(), optional=bool(pieces) and alone)]
        literal = ""
    if not pieces:
        raise SeedError("seed template: no field: write one as {instruction}")
    return Template((*pieces, literal))


def _filling(fields: dict[str, Any], placeholder: Placeholder) -> str:
    field = placeholder.field
    value = value_at(fields, field)
    if value is None and not placeholder.optional:
        raise UnusableRecordError(f"no field {field!r}; it has {list_names(fields)}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    text = "" if value is None else text_of(value, field)
    if text and not text.isspace():
        return text
    if not placeholder.optional:
        raise UnusableRecordError(f"field {field!r} is empty")
    return ""
