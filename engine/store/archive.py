"""The file that `codeclm pack` makes: a gzipped tar of regular files with names of ours.

It is read block by block with the standard library's parser of headers alone: nothing is extracted
by name, no link or device is made, and what would unpack to more than a limit is refused.
"""

import gzip
import re
import tarfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, NamedTuple, cast

from ..data.errors import UserError
from ..data.files import CONFIGURATION, open_input
from ..disk.atomic import replacing

PACK: Final = "pack.json"
CONFIG: Final = "run/config.toml"
MANIFEST: Final = "run/manifest.json"
LEDGER: Final = "run/ledger.sqlite"
SUMMARY: Final = "run/summary.json"
METADATA: Final = "metadata.jsonl"
KEYS: Final = "answers/keys"
"""The keys of all answers that the run used, one behind the other, whether they follow or not."""

_NAME: Final = re.compile(
    rf"{PACK}|{CONFIG}|{MANIFEST}|{LEDGER}|{SUMMARY}|{METADATA}"
    r"|(?:seeds|tests)/[A-Za-z0-9_-][A-Za-z0-9._-]{0,79}"
    rf"|prompts/(?:all|strong|target|judge)/[a-z0-9_-]{{1,40}}\.txt|{KEYS}|answers/\d{{6}}\.jsonl"
)
_SMALL: Final = re.compile(rf"{PACK}|{CONFIG}|{MANIFEST}|{SUMMARY}|prompts/.*")
"""Files that are read whole."""

_BLOCK: Final = tarfile.BLOCKSIZE
_CHUNK: Final = 1 << 20
_MOST_MEMBERS: Final = 1_000_000


class ArchiveError(UserError):
    """A file is not a pack that can be used. The message says why, and what to do."""


class Member(NamedTuple):
    """A file of the archive, and its content as chunks, to be read before the next member."""

    name: str
    chunks: Iterator[bytes]

    def read(self) -> bytes:
        """Return the content of a small file."""
        return b"".join(self.chunks)


class ArchiveWriter:
    """Adds files to an archive that is being written. The same files give the same bytes."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar

    def add(self, name: str, size: int, content: IO[bytes]) -> None:
        """Add *size* bytes of *content* as *name*.

        Raises:
            OSError: the content is shorter.
        """
        assert _NAME.fullmatch(name), name
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, 0o600
        self._tar.addfile(info, content)


@contextmanager
def writing(path: Path) -> Generator[ArchiveWriter]:
    """Write the archive *path*; it appears when the block ends without an exception.

    Raises:
        WriteError: it cannot be written.
    """
    with (
        replacing(path, private=True) as file,
        gzip.GzipFile("", "wb", 6, fileobj=file, mtime=0) as packed,
        tarfile.open(
            fileobj=cast("IO[bytes]", packed), mode="w|", format=tarfile.GNU_FORMAT
        ) as tar,
    ):
        yield ArchiveWriter(tar)


def read_members(path: Path, most_bytes: int) -> Iterator[Member]:
    """Yield the files of the archive *path*, in its order. Blocks.

    Args:
        path: the archive, which may be anybody's.
        most_bytes: that it may unpack to, in all.

    Raises:
        ArchiveError: it is damaged, holds something else, or unpacks to more.
    """
    names = set[str]()
    try:
        with open_input(path) as file, gzip.GzipFile(fileobj=file) as packed:
            stream = cast("IO[bytes]", packed)
            while (header := _read(path, stream, _BLOCK)) != bytes(_BLOCK):
                info = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
                most_bytes -= info.size
                _check(path, info, most_bytes, names)
                names.add(info.name)
                chunks = _chunks(path, stream, info.size)
                yield Member(info.name, chunks)
                for _ in chunks:  # what the caller has not read
                    pass
                _read(path, stream, -info.size % _BLOCK)
    except (tarfile.TarError, UnicodeError, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ArchiveError:
    problem = getattr(error, "strerror", None) or error
    return ArchiveError(f"{path}: not a pack, or damaged ({problem})")


def _check(path: Path, info: tarfile.TarInfo, rest: int, names: set[str]) -> None:
    """Check that *info* is a file of ours that fits.

    Raises:
        ArchiveError: it is something else.
    """
    if info.type not in {tarfile.REGTYPE, tarfile.AREGTYPE} or not _NAME.fullmatch(info.name):
        raise ArchiveError(f"{path}: not a pack of codeclm: it holds {info.name[:80]!r}")
    if info.name in names or len(names) == _MOST_MEMBERS:
        raise ArchiveError(f"{path}: not a pack of codeclm: too many files, or {info.name!r} twice")
    if info.size < 0 or (_SMALL.fullmatch(info.name) and info.size > CONFIGURATION):
        raise ArchiveError(f"{path}: {info.name}: larger than {CONFIGURATION:,} bytes")
    if rest < 0:
        raise ArchiveError(
            f"{path}: unpacks to more than the limit: raise it with --max-size if you trust the"
            " file"
        )


def _chunks(path: Path, stream: IO[bytes], size: int) -> Iterator[bytes]:
    while size:
        chunk = _read(path, stream, min(size, _CHUNK))
        size -= len(chunk)
        yield chunk


def _read(path: Path, stream: IO[bytes], size: int) -> bytes:
    try:
        content = stream.read(size) if size else b""
    except (EOFError, zlib.error, OSError) as error:
        raise _damaged(path, error) from error
    if len(content) < size:
        raise ArchiveError(f"{path}: not a pack, or cut off")
    return content
