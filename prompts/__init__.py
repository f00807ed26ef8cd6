"""Prompts as files, and parsers for what comes back: data and pure functions.

Imports nothing of ours outside itself.
"""

from .evolution import (
    METHODS,
    apologises,
    copies_marks,
    read_equal,
    read_evolved,
    read_grown,
    says_nothing,
)
from .improved import copies_action, read_improved
from .instructions import read_instructions
from .metadata import read_metadata
from .reading import ParseError
from .rubrics import RubricsRead, read_rubrics
from .schemas import schema_for
from .scores import read_rating, read_scores, read_verdict, read_yes
from .tasks import Task, demonstrations, read_tasks, unsuitable
from .templates import (
    BUILT_IN,
    STAGES,
    Messages,
    PromptError,
    Prompts,
    Role,
    Stage,
    Value,
    vocabulary,
)

__all__ = [
    "BUILT_IN",
    "METHODS",
    "STAGES",
    "Messages",
    "ParseError",
    "PromptError",
    "Prompts",
    "Role",
    "RubricsRead",
    "Stage",
    "Task",
    "Value",
    "apologises",
    "copies_action",
    "copies_marks",
    "demonstrations",
    "read_equal",
    "read_evolved",
    "read_grown",
    "read_improved",
    "read_instructions",
    "read_metadata",
    "read_rating",
    "read_rubrics",
    "read_scores",
    "read_tasks",
    "read_verdict",
    "read_yes",
    "says_nothing",
    "schema_for",
    "unsuitable",
    "vocabulary",
]
