"""What settings are made of: a table of them, and the types that bound their values."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from ..data.errors import UserError

MOST: Final = 10_000_000
"""Upper bound of whatever is counted: rows, seeds, calls in flight."""
LONGEST: Final = 31_536_000
"""Upper bound of seconds: a year."""
EXACT: Final = 2**53
"""Integers up to here survive JSON in every program (RFC 8259 §6)."""

Count = Annotated[int, Meta(ge=1, le=MOST)]
RandomSeed = Annotated[int, Meta(ge=-EXACT, le=EXACT)]
Points = Annotated[float, Meta(ge=0, le=10)]
Positive = Annotated[float, Meta(gt=0, le=1e12)]
Seconds = Annotated[float, Meta(ge=0, le=LONGEST)]
Money = Annotated[float, Meta(ge=0, le=1e12)]
NotSent = Literal["default"]
"""A parameter that requests leave to the server."""
RoleName = Literal["strong", "target", "judge"]


class ConfigError(UserError):
    """The configuration cannot be used. The message names the file, the key and the remedy."""


class SettingsTable(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """A table of settings. Unknown keys are errors: a misspelt setting must not be ignored."""
