"""What ``--json`` prints for several verbs; the others have theirs in their own module."""

from msgspec import Struct


class Written(Struct, frozen=True):
    """A file or folder that a command wrote, and how many rows, files or answers it holds."""

    path: str
    count: int
