"""The model to tune: encoded pairs, their likelihood, and greedy answers.

Only this module and `sft` touch torch and transformers, both through
`providers.transformers.model`, which imports them when a function needs them.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from ...providers.transformers import model
from ...providers.transformers.model import (
    Decoding,
    GeneratedAnswer,
    LocalModel,
    ModelError,
    Template,
    generate,
    pad_rows,
    prompt_ids,
)
from ..data.errors import UserError
from .pairs import Pair

Precision = Literal["auto", "bf16", "fp32"]

IGNORED = -100
"""The label of a token that torch and transformers exclude from the loss."""


class TrainingError(UserError):
    """A model cannot be loaded, tuned or asked. The message says why and what to do."""


class EncodedPair(NamedTuple):
    """Token ids of a pair; ``labels`` hold the response's, and `IGNORED` for the prompt."""

    ids: list[int]
    labels: list[int]
    truncated: bool


class Likelihood(NamedTuple):
    """Mean negative log-likelihood per response token, in nats, over ``tokens`` tokens."""

    nll: float
    tokens: int


def library(name: str) -> Any:
    """Import one of the libraries of the extra ``train``.

    Raises:
        TrainingError: it is not installed.
    """
    try:
        return model.library(name)
    except ModelError as error:
        raise TrainingError(str(error)) from error


def resolve_precision(precision: Precision) -> Literal["bf16", "fp32"]:
    """Resolve ``auto``: bf16 where a GPU has it; on most CPUs it is slower than fp32."""
    if precision != "auto":
        return precision
    cuda = library("torch").cuda
    return "bf16" if cuda.is_available() and cuda.is_bf16_supported() else "fp32"


def load_model(name: str, template: Template | None = None) -> LocalModel:
    """Load a model, as `providers.transformers.model.load_model` does.

    Raises:
        TrainingError: the model is not found, or cannot be loaded.
    """
    try:
        return model.load_model(name.removeprefix("local/"), template)
    except ModelError as error:
        raise TrainingError(str(error)) from error


def encode_pair(tokenizer: Any, pair: Pair, max_length: int) -> EncodedPair:
    """Encode *pair*, the end-of-text token last, truncated on the right to *max_length* tokens."""
    prompt = _instruction_ids(tokenizer, pair.instruction)
    answer: list[int] = tokenizer(pair.answer, add_special_tokens=False).input_ids
    ids = [*prompt, *answer, tokenizer.eos_token_id]
    labels = [*([IGNORED] * len(prompt)), *ids[len(prompt) :]]
    return EncodedPair(ids[:max_length], labels[:max_length], len(ids) > max_length)


def _instruction_ids(tokenizer: Any, instruction: str) -> list[int]:
    return prompt_ids(tokenizer, [{"role": "user", "content": instruction}])


def measure_likelihood(
    local: LocalModel, pairs: Sequence[EncodedPair], batch: int = 8
) -> Likelihood:
    """Measure how likely the model finds the responses; every token weighs the same."""
    torch = library("torch")
    total, tokens = 0.0, 0
    local.model.eval()
    with torch.inference_mode():
        for group in _batches(sorted(pairs, key=lambda pair: len(pair.ids)), batch):
            ids = pad_rows([pair.ids for pair in group], local.tokenizer.pad_token_id)
            labels = pad_rows([pair.labels for pair in group], IGNORED)[:, 1:]
            mask = pad_rows([[1] * len(pair.ids) for pair in group], 0)
            logits = local.model(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
            total += torch.nn.functional.cross_entropy(
                logits.reshape(-1, logits.shape[-1]),
                labels.reshape(-1),
                ignore_index=IGNORED,
                reduction="sum",
            ).item()
            tokens += int((labels != IGNORED).sum())
    return Likelihood(total / max(tokens, 1), tokens)


def generate_answers(
    local: LocalModel, instructions: Sequence[str], max_tokens: int
) -> list[GeneratedAnswer]:
    """Answer all *instructions* in one batch, greedily."""
    prompts = [_instruction_ids(local.tokenizer, instruction) for instruction in instructions]
    return generate(local, prompts, Decoding(max_tokens))


def _batches(pairs: Sequence[EncodedPair], size: int) -> Iterator[Sequence[EncodedPair]]:
    for start in range(0, len(pairs), size):
        yield pairs[start : start + size]
