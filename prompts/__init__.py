"""Prompts: one module for each, beside its templates; the parsers of their replies."""

from .broaden import Broaden
from .complicate import Complicate
from .decode import Decode
from .deepen import METHODS, Deepen
from .encode import Description, Encode, Vocabulary
from .equal import Equal
from .evolved import STOP_WORDS, apologises, copies_frame, says_nothing
from .grow import Grow
from .improve import Improve
from .invent import Invent, Task, demonstrations, unsuitable
from .judge import Judge
from .plausible import Plausible
from .prompt import AnyPrompt, JsonSchema, Priority, Prompt, RawReply, Sizes, Typical
from .rate import Rate
from .reading import ParseError
from .reasoning import SplitReply, split_reasoning
from .respond import Respond, reads_like_refusal
from .rubrics import RubricsAndActions, WriteRubrics
from .score import Score
from .score_logprobs import NoLogprobsError, ScoreByLogprobs
from .templates import SETS, Messages, PromptError, PromptSet, template_text
from .traits import InLanguage, Traits, WithText

BUILT_IN: tuple[AnyPrompt, ...] = (
    Encode,
    Plausible,
    Decode,
    WriteRubrics,
    Improve,
    Respond,
    Score,
    Judge,
    Invent,
    Rate,
    Grow,
    Deepen,
    Complicate,
    Broaden,
    Equal,
)

__all__ = [
    "BUILT_IN",
    "METHODS",
    "SETS",
    "STOP_WORDS",
    "AnyPrompt",
    "Broaden",
    "Complicate",
    "Decode",
    "Deepen",
    "Description",
    "Encode",
    "Equal",
    "Grow",
    "Improve",
    "InLanguage",
    "Invent",
    "JsonSchema",
    "Judge",
    "Messages",
    "NoLogprobsError",
    "ParseError",
    "Plausible",
    "Priority",
    "Prompt",
    "PromptError",
    "PromptSet",
    "Rate",
    "RawReply",
    "Respond",
    "RubricsAndActions",
    "Score",
    "ScoreByLogprobs",
    "Sizes",
    "SplitReply",
    "Task",
    "Traits",
    "Typical",
    "Vocabulary",
    "WithText",
    "WriteRubrics",
    "apologises",
    "copies_frame",
    "demonstrations",
    "reads_like_refusal",
    "says_nothing",
    "split_reasoning",
    "template_text",
    "unsuitable",
]
