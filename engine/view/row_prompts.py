"""The prompts that a row's calls may have sent, by stage."""

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from ...prompts import (
    METHODS,
    Broaden,
    Complicate,
    Decode,
    Deepen,
    Equal,
    Improve,
    InLanguage,
    Plausible,
    Prompt,
    Rate,
    Respond,
    Score,
    ScoreByLogprobs,
    WithText,
    WriteRubrics,
)
from ..config import Config
from ..data.records import Example, Iteration

AnyPrompts = Iterator[Prompt[Any]]


class RowPrompts(Struct, frozen=True):
    """What one stage may have asked for a row.

    Attributes:
        in_order: one prompt for each call, if no call was made in vain.
        others: further prompts that may have been sent.
    """

    in_order: Callable[[Example, Config], AnyPrompts]
    others: Callable[[Example, Config], AnyPrompts] | None = None


def _respond(example: Example, config: Config) -> AnyPrompts:
    del config
    for iteration in example.iterations:
        yield Respond(instruction=iteration.instruction)


def _score(example: Example, config: Config) -> AnyPrompts:
    return _scorings(Score, example, config)


def _score_by_logprobs(example: Example, config: Config) -> AnyPrompts:
    return _scorings(ScoreByLogprobs, example, config)


def _scorings(prompt: type[Score], example: Example, config: Config) -> AnyPrompts:
    for iteration in example.iterations:
        for first, second in _answers(iteration):
            for _ in range(config.filter.samples):
                yield prompt(instruction=iteration.instruction, first=first, second=second)


def _answers(iteration: Iteration) -> Iterator[tuple[str, str]]:
    if iteration.strong is not None and iteration.target is not None:
        yield iteration.strong.text, iteration.target.text
        yield iteration.target.text, iteration.strong.text


def _rate(example: Example, config: Config) -> AnyPrompts:
    del config
    answer = example.response
    if answer is not None:
        yield Rate(instruction=example.instruction, answer=answer.text)


def _improve(example: Example, config: Config) -> AnyPrompts:
    del config
    for before, after in zip(example.iterations, example.iterations[1:], strict=False):
        yield _improvement(example, before.instruction, after.action or "")


def _other_improvements(example: Example, config: Config) -> AnyPrompts:
    del config
    for text in _instructions(example):
        for action in example.actions:
            yield _improvement(example, text, action)


def _improvement(example: Example, instruction: str, action: str) -> Improve:
    metadata = example.metadata
    return Improve(
        instruction=instruction,
        action=action,
        use_case=metadata.use_case,
        skills=metadata.skills,
        language=InLanguage(metadata.language),
    )


def _rubrics(example: Example, config: Config) -> AnyPrompts:
    metadata = example.metadata
    yield WriteRubrics(
        number=config.decode.rubrics,
        use_case=metadata.use_case,
        skills=metadata.skills,
        language=InLanguage(metadata.language),
    )


def _decode(example: Example, config: Config) -> AnyPrompts:
    metadata = example.metadata
    for number in range(1, max(config.decode.chunk, example.number + 1) + 1):
        yield Decode(
            number=number,
            use_case=metadata.use_case,
            skills=metadata.skills,
            language=InLanguage(metadata.language),
            material=WithText(metadata.given_text),
        )


def _plausible(example: Example, config: Config) -> AnyPrompts:
    del config
    yield Plausible(use_case=example.metadata.use_case, skills=example.metadata.skills)


def _deepen(example: Example, config: Config) -> AnyPrompts:
    del config
    for text in _instructions(example):
        for method in METHODS:
            yield Deepen(instruction=text, method=method)


def _complicate(example: Example, config: Config) -> AnyPrompts:
    del config
    return (Complicate(instruction=text) for text in _instructions(example))


def _broaden(example: Example, config: Config) -> AnyPrompts:
    del config
    return (Broaden(instruction=text) for text in _instructions(example))


def _equal(example: Example, config: Config) -> AnyPrompts:
    del config
    texts = _instructions(example)
    for first in texts:
        for second in texts:
            yield Equal(first=first, second=second)


def _instructions(example: Example) -> list[str]:
    """Return the row's instruction as it was in each round, without repetition."""
    texts = (example.basic_instruction, *(one.instruction for one in example.iterations))
    return list(dict.fromkeys(texts))


def _nothing(example: Example, config: Config) -> AnyPrompts:
    del example, config
    return iter(())


ROW_PROMPTS: dict[str, RowPrompts] = {
    Respond.name: RowPrompts(_respond),
    Score.name: RowPrompts(_score, _score_by_logprobs),
    Rate.name: RowPrompts(_rate),
    Improve.name: RowPrompts(_improve, _other_improvements),
    WriteRubrics.name: RowPrompts(_rubrics),
    Plausible.name: RowPrompts(_plausible),
    Decode.name: RowPrompts(_nothing, _decode),
    Deepen.name: RowPrompts(_nothing, _deepen),
    Complicate.name: RowPrompts(_nothing, _complicate),
    Broaden.name: RowPrompts(_nothing, _broaden),
    Equal.name: RowPrompts(_nothing, _equal),
}
"""By stage. Another stage's prompts hold what a row does not, and are not rendered again."""
