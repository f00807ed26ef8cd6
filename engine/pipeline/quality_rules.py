"""Build the quality rules of a configuration, before the first call."""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from ...prompts import PromptSet
from ...providers.optional import install_command
from ..config import ConfigError, QualityConfig
from ..data import seeds
from ..data.files import user_path
from ..data.test_sets import Question, TestSource, prompts_of, read_questions
from ..quality.absent_text import AbsentTextCheck
from ..quality.checks import Check, LanguageCheck, LengthCheck, Part
from ..quality.contamination import ContaminationCheck, PromptIndex
from ..quality.copied_examples import CopiedExampleCheck
from ..quality.similarity import SimilarityIndex, similarity_index


class QualityRules(Struct, frozen=True):
    """The parts of `Acceptance` that do not need the run's ledger."""

    checks: tuple[Check, ...] = ()
    overlap: PromptIndex | None = None
    similarity: SimilarityIndex | None = None


def read_test_sets(quality: QualityConfig, where: str) -> dict[str, list[Question]]:
    """Read the test sets that rows are compared with. Blocks.

    Raises:
        ConfigError: one cannot be read; the message starts with *where*.
    """
    folder = user_path(quality.tests)
    try:
        return {name: read_questions(TestSource(name, folder)) for name in quality.decontaminate}
    except seeds.SeedError as error:
        raise ConfigError(f"{where}: quality.decontaminate: {error}") from error


def quality_rules(
    quality: QualityConfig,
    tests: dict[str, list[Question]],
    prompts: Iterable[PromptSet],
    where: str,
) -> QualityRules:
    """Build the rules of *quality*, and the one that keeps the examples of *prompts* out of rows.

    Raises:
        ConfigError: an extra is missing, or a language is unknown; the message starts with *where*.
    """
    checks: list[Check] = list(_length_checks(quality))
    if examples := sorted({text for templates in prompts for text in templates.examples}):
        checks.append(CopiedExampleCheck(examples))
    if quality.absent_text == "drop":
        checks.append(AbsentTextCheck())
    overlap = PromptIndex(prompts_of(tests), quality.ngram) if tests else None
    if overlap is not None and quality.on_overlap == "drop":
        checks.append(ContaminationCheck(overlap))
    try:
        if quality.languages:
            checks.append(LanguageCheck(quality.languages))
        kind = quality.near_duplicates
        similarity = None if kind == "off" else similarity_index(kind, quality.near_threshold)
    except ImportError as error:
        raise ConfigError(
            f"{where}: quality: needs an extra: {install_command('quality')} ({error})"
        ) from error
    except ValueError as error:
        raise ConfigError(f"{where}: quality.languages: {error}") from error
    return QualityRules(tuple(checks), overlap, similarity)


def _length_checks(quality: QualityConfig) -> Iterator[LengthCheck]:
    """Yield a check for each part that has a bound: counting the words of every text takes time."""
    bounds: tuple[tuple[Part, int | None, int | None], ...] = (
        ("instruction", quality.min_instruction_words, quality.max_instruction_words),
        ("response", quality.min_response_words, quality.max_response_words),
    )
    for part, minimum, maximum in bounds:
        if minimum is not None or maximum is not None:
            yield LengthCheck(part, minimum, maximum)
