"""A causal language model on this machine: load it, generate answers, measure their likelihood.

Only this module and `sft` touch torch and transformers; both are imported when a function needs
them. Nothing is downloaded: a name must already be in the Hub's cache. Weights are read
from safetensors or GGUF, never unpickled.
"""

import os
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, Literal, NamedTuple

from ...providers.local.weights import find_weights
from ..data.errors import UserError
from ..data.files import user_path
from .alpaca import ALPACA_CHAT
from .pairs import Pair

Precision = Literal["auto", "bf16", "fp32"]
Template = Literal["alpaca", "chat"]

IGNORED = -100
"""The label of a token that torch and transformers exclude from the loss."""


_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",  # nothing is downloaded, even if a library tries
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",  # progress bars of libraries
}


class TrainingError(UserError):
    """A model cannot be loaded, tuned or asked. The message says why and what to do."""


class LocalModel(NamedTuple):
    """A model and its tokenizer, of transformers' own types."""

    model: Any
    tokenizer: Any


class EncodedPair(NamedTuple):
    """Token ids of a pair; ``labels`` hold the response's, and `IGNORED` for the prompt."""

    ids: list[int]
    labels: list[int]
    truncated: bool


class Likelihood(NamedTuple):
    """Mean negative log-likelihood per response token, in nats, over ``tokens`` tokens."""

    nll: float
    tokens: int


class GeneratedAnswer(NamedTuple):
    """An answer, and whether it was cut off at the length limit."""

    text: str
    cut_off: bool


def library(name: str) -> Any:
    """Import one of the libraries of the extra ``train``.

    Raises:
        TrainingError: it is not installed.
    """
    for setting, value in _ENVIRONMENT.items():
        os.environ.setdefault(setting, value)
    try:
        return import_module(name)
    except ImportError as error:
        raise TrainingError(
            f'{name.partition(".")[0]} is not installed: pip install "codeclm[train]"'
        ) from error


def device() -> str:
    return "cuda" if library("torch").cuda.is_available() else "cpu"


def resolve_precision(precision: Precision) -> Literal["bf16", "fp32"]:
    """Resolve ``auto``: bf16 where a GPU has it; on most CPUs it is slower than fp32."""
    if precision != "auto":
        return precision
    cuda = library("torch").cuda
    return "bf16" if cuda.is_available() and cuda.is_bf16_supported() else "fp32"


def load_model(name: str, template: Template | None = None) -> LocalModel:
    """Load a folder, a GGUF file, ``smollm2`` (the embedded model), or a name in the Hub's cache.

    With *template* ``alpaca`` the tokenizer gets Alpaca's; else it keeps its own, and gets Alpaca's
    only if it has none.

    Raises:
        TrainingError: the model is not found, or cannot be loaded.
    """
    transformers = library("transformers")
    transformers.utils.logging.disable_progress_bar()
    location, options = _location(name)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(location, **options)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            location, dtype=library("torch").float32, **_safe(options)
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TrainingError(
            f"{name}: cannot be loaded: {first_line} (a folder with config.json and *.safetensors,"
            " a .gguf file, or a name that is in the Hub's cache; nothing is downloaded)"
        ) from error
    _set_template(name, tokenizer, template)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return LocalModel(_without_quantization(model).to(device()), tokenizer)


def _location(name: str) -> tuple[str, dict[str, Any]]:
    """Return the model's path for transformers, and the options to load it with."""
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    path = user_path(name)
    if path.suffix == ".gguf" or name in {"smollm2", "local/smollm2"}:
        library("gguf")
        try:
            file = find_weights(name.removeprefix("local/"))
        except FileNotFoundError as error:
            raise TrainingError(str(error)) from error
        return str(file.parent), {**options, "gguf_file": file.name}
    return str(path) if path.is_dir() else name, options


def _safe(options: dict[str, Any]) -> dict[str, Any]:
    return options if "gguf_file" in options else {**options, "use_safetensors": True}


def _set_template(name: str, tokenizer: Any, template: Template | None) -> None:
    if template != "alpaca" and tokenizer.chat_template:
        return
    if template == "chat":
        raise TrainingError(f"{name}: it has no chat template: use --template alpaca")
    ids: list[int] = tokenizer("x").input_ids
    bos = "{{ bos_token }}" if ids and ids[0] == tokenizer.bos_token_id else ""
    tokenizer.chat_template = bos + ALPACA_CHAT


def _without_quantization(model: Any) -> Any:
    """Forget that weights came from GGUF: they are plain floats now, and can be saved."""
    if getattr(model, "hf_quantizer", None) is not None:
        model.hf_quantizer = None
        model.is_quantized = False
        del model.config.quantization_config
    return model


# -- encoding ---------------------------------------------------------------------------------


def _prompt_ids(tokenizer: Any, instruction: str) -> list[int]:
    """Return the tokens before the response, by the tokenizer's chat template."""
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": instruction}], add_generation_prompt=True, tokenize=False
    )
    ids: list[int] = tokenizer(text, add_special_tokens=False).input_ids
    return ids


def encode_pair(tokenizer: Any, pair: Pair, max_length: int) -> EncodedPair:
    """Encode *pair*, the end-of-text token last, truncated on the right to *max_length* tokens."""
    prompt = _prompt_ids(tokenizer, pair.instruction)
    answer: list[int] = tokenizer(pair.answer, add_special_tokens=False).input_ids
    ids = [*prompt, *answer, tokenizer.eos_token_id]
    labels = [*([IGNORED] * len(prompt)), *ids[len(prompt) :]]
    return EncodedPair(ids[:max_length], labels[:max_length], len(ids) > max_length)


def _padded(rows: Sequence[Sequence[int]], fill: int, *, pad_left: bool = False) -> Any:
    width = max(map(len, rows))
    fills = [[fill] * (width - len(row)) for row in rows]
    table = [[*f, *r] if pad_left else [*r, *f] for r, f in zip(rows, fills, strict=True)]
    return library("torch").tensor(table, device=device())


# -- measuring and answering ------------------------------------------------------------------


def measure_likelihood(
    local: LocalModel, pairs: Sequence[EncodedPair], batch: int = 8
) -> Likelihood:
    """Measure how likely the model finds the responses; every token weighs the same."""
    torch = library("torch")
    total, tokens = 0.0, 0
    local.model.eval()
    with torch.inference_mode():
        for group in _batches(sorted(pairs, key=lambda pair: len(pair.ids)), batch):
            ids = _padded([pair.ids for pair in group], local.tokenizer.pad_token_id)
            labels = _padded([pair.labels for pair in group], IGNORED)[:, 1:]
            mask = _padded([[1] * len(pair.ids) for pair in group], 0)
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
    torch, tokenizer = library("torch"), local.tokenizer
    prompts = [_prompt_ids(tokenizer, instruction) for instruction in instructions]
    ids = _padded(prompts, tokenizer.pad_token_id, pad_left=True)
    mask = _padded([[1] * len(prompt) for prompt in prompts], 0, pad_left=True)
    greedy = library("transformers").GenerationConfig(
        do_sample=False,
        max_new_tokens=max_tokens,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    local.model.eval()
    with torch.inference_mode():
        output = local.model.generate(input_ids=ids, attention_mask=mask, generation_config=greedy)
    answers: list[list[int]] = output[:, ids.shape[1] :].tolist()
    return [
        GeneratedAnswer(
            tokenizer.decode(tokens, skip_special_tokens=True).strip(),
            tokenizer.eos_token_id not in tokens,
        )
        for tokens in answers
    ]


def _batches(pairs: Sequence[EncodedPair], size: int) -> Iterator[Sequence[EncodedPair]]:
    for start in range(0, len(pairs), size):
        yield pairs[start : start + size]
