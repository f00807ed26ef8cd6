"""Metadata that the user wrote: JSON lines of a use case and skills (paper §3, scenario 2)."""

from pathlib import Path

import msgspec
from msgspec import Struct

from ...providers import json_codec
from ..data.files import read_bounded
from ..data.records import Metadata, identity
from .values import ConfigError

_LARGEST = 256 << 20
"""Bytes of a file of metadata: a million items."""


class _Line(Struct, forbid_unknown_fields=False):
    use_case: str
    skills: tuple[str, ...] = ()
    language: str = ""
    given_text: bool | None = None


_decoder = msgspec.json.Decoder(_Line)


def read_metadata(path: Path) -> tuple[Metadata, ...]:
    """Read *path*. Blocks.

    Raises:
        ConfigError: it cannot be read, a line is not metadata, or it is empty.
    """
    items = list[Metadata]()
    for number, line in enumerate(_read(path).splitlines(), 1):
        if line.strip():
            items.append(_item(line, len(items), f"{path}:{number}"))
    if not items:
        raise ConfigError(f"{path}: contains no metadata")
    return tuple(items)


def metadata_digest(path: Path) -> str:
    """Return a digest of the file's text."""
    return identity(_read(path).decode("utf-8", "replace"))


def _read(path: Path) -> bytes:
    try:
        return read_bounded(path, _LARGEST)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error


def _item(line: bytes, position: int, where: str) -> Metadata:
    try:
        parsed = json_codec.loads(line, _decoder)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{where}: {error}") from error
    if not parsed.use_case.strip():
        raise ConfigError(f"{where}: use_case: must not be empty")
    return Metadata(
        position=position,
        id=identity("metadata", "user", str(position), parsed.use_case, *parsed.skills),
        use_case=parsed.use_case.strip(),
        skills=tuple(skill.strip() for skill in parsed.skills if skill.strip()),
        origin="user",
        language=parsed.language.strip(),
        given_text=parsed.given_text,
    )
