"""Prompts as files, and parsers for what comes back: data and pure functions.

Imports nothing of ours outside itself.
"""

from .improved import copies_action, read_improved
from .instructions import read_instructions
from .metadata import read_metadata
from .reading import ParseError
from .rubrics import RubricsRead, read_rubrics
from .schemas import schema_for
from .scores import read_scores, read_verdict, read_yes
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
    "STAGES",
    "Messages",
    "ParseError",
    "PromptError",
    "Prompts",
    "Role",
    "RubricsRead",
    "Stage",
    "Value",
    "copies_action",
    "read_improved",
    "read_instructions",
    "read_metadata",
    "read_rubrics",
    "read_scores",
    "read_verdict",
    "read_yes",
    "schema_for",
    "vocabulary",
]
