"""Notice that a file was deleted, moved or replaced while it is open."""

from collections.abc import Iterable
from pathlib import Path

from .sqlite import StorageError


class Presence:
    """Databases in use, as they were when they were opened."""

    def __init__(self, databases: Iterable[Path]) -> None:
        """Note which files *databases* are now, with the logs beside them. Blocks."""
        files = [path for database in databases for path in (database, _log(database))]
        self._identities = {path: _identity(path) for path in files if path.exists()}

    def check(self) -> None:
        """Check that all of them are still there. Blocks.

        Raises:
            StorageError: what is written now would be lost.
        """
        for path, identity in self._identities.items():
            if _identity(path) != identity:
                raise StorageError(
                    f"{path}: deleted, moved or replaced while in use: put it back if you can, then"
                    " continue"
                )


def _log(database: Path) -> Path:
    """Return SQLite's write-ahead log, which exists as long as *database* is open."""
    return database.with_name(f"{database.name}-wal")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
