"""The fates of an exception, and no more.

CodeclmError
├── ItemError     this item is lost, said once; the line goes on
├── Stopping      a gentle stop: this item is left for the next time, nothing is lost
└── RunStopped    no item can go on: the run ends with exit status 1 and says what to do
    └── StorageError   a file of ours can't be read or written

Beside them, before the first call: `config.ConfigError`, `seeds.SeedError`, `folder.FolderError`.
Anything else is a bug and stops the run with its traceback.
"""


class CodeclmError(Exception):
    """What the engine raises on purpose."""


class ItemError(CodeclmError):
    """One item can't go on.

    Attributes:
        reason: One of few words, so that reasons can be counted: ``unreadable``, ``rejected``,
            ``unavailable``, ``content_filter``, ``empty``.
        passing: Whether another try at another time may well succeed: such an item is not final,
            and the next `resume` takes it up again.
    """

    def __init__(self, reason: str, detail: str = "", *, passing: bool = False) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.passing = passing


class Stopping(CodeclmError):  # noqa: N818  (a state, not a fault)
    """The run is being stopped; what was asked was not sent."""


class RunStopped(CodeclmError):  # noqa: N818  (what happened to the run)
    """The run can't go on. The message says why and what to do."""
