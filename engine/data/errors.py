"""Every exception that the engine raises on purpose.

CodeclmError
├── UserError             the user can fix it: exit status 2, one line, no traceback
│   ├── UsageError        arguments that a command does not take         commands.parser
│   ├── ConfigError       a setting                                      config.values
│   ├── SeedError         a seed file, test set or file of answers       data.seeds.source
│   ├── ExportError       a dataset cannot be exported                   data.formats
│   ├── UnknownNameError  no provider, recipe, format or prompt          data.registry
│   ├── PluginError       an installed package's row cannot be used      data.registry
│   ├── ModelNameError    a model is not given as provider/model         data.providers
│   ├── WriteError        a file cannot be written                       disk.atomic
│   ├── FolderError       a run's folder cannot be used                  store.folder
│   ├── LedgerError       a run's ledger cannot be used                  store.connection
│   ├── ReviewError       a file of decisions cannot be used             quality.review
│   └── TrainingError     a model cannot be trained                      training.models
├── ItemError             this item is lost and counted; the run goes on
├── Stopping              a graceful stop: this item is left for the next session
└── RunStopped            no item can continue: exit status 1; says how to resume
    ├── BudgetSpent       the run's budget allows no further call: exit status 4
    └── StorageError      the cache or the ledger failed                 disk.sqlite

Anything else is a bug and ends the run with its traceback.
"""

REFUSED = "rejected"
"""The reason of an item whose request a server refused for good."""


class CodeclmError(Exception):
    """Base of every exception that the engine raises on purpose."""


class UserError(CodeclmError):
    """Something that the user can fix. The message names the file or key and the remedy.

    The command line prints the message without a traceback and exits with status 2.
    """


class ItemError(CodeclmError):
    """One item cannot continue.

    Attributes:
        reason: One of a few words, so that reasons can be counted: ``rejected``, ``unavailable``,
            or why a reply is no answer (`calls.unusable.Reason`).
        transient: Whether another attempt at another time may succeed. Such an item is not final:
            the next `resume` tries it again.
    """

    def __init__(self, reason: str, detail: str = "", *, transient: bool = False) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.transient = transient

    @property
    def is_refused(self) -> bool:
        """Whether the server refused the request for good: its failure, not the model's."""
        return self.reason == REFUSED


class Stopping(CodeclmError):  # noqa: N818  (a state, not a fault)
    """The run is being stopped; the call was not sent."""


class RunStopped(CodeclmError):  # noqa: N818  (what happened to the run)
    """The run cannot continue. The message says why and what to do."""


class BudgetSpent(RunStopped):
    """The budget allows no further call.

    Attributes:
        limit: The setting in ``[budget]`` that does not.
    """

    def __init__(self, limit: str, message: str) -> None:
        super().__init__(message)
        self.limit = limit
