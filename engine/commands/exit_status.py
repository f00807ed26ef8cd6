"""The exit status of every command."""

from enum import IntEnum


class ExitStatus(IntEnum):
    """Scripts may rely on these values."""

    DONE = 0
    FAILED = 1
    """The run failed; it can be resumed."""
    WRONG_INPUT = 2
    """The command, its configuration or its seeds are wrong; no call was made."""
    ROWS_MISSING = 3
    """The run has finished with fewer rows than its target."""
    BUDGET_SPENT = 4
    """The run has stopped at its budget; the exports hold the rows so far. It can be resumed."""
    STOPPED = 5
    """Ctrl-C or SIGTERM has stopped it; the exports hold the rows so far. It can be resumed."""
