"""A causal language model on this machine: load it, ask it, see how well it knows an answer.

The only place, with `tuning`, that touches torch and transformers; both are imported when a
function needs them. Nothing is downloaded: a name stands for what is in the Hub's cache already.
Weights are read from safetensors or GGUF, never unpickled.
"""

import os
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ...providers.local.weights import find_weights
from ..data.errors import UserError
from .pairs import Pair
from .recipe import ALPACA_CHAT

Precision = Literal["auto", "bf16", "fp32"]
Template = Literal["alpaca", "chat"]

IGNORED = -100
"""The label of a token that the loss leaves out, to torch and transformers."""


_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",  # nothing is downloaded, whatever a library would like to look up
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",  # their bars are not for our users
}


class TrainingError(UserError):
    """A model can't be loaded, tuned or asked. The message says why and what to do."""


class Local(NamedTuple):
    """A model and its tokenizer, of transformers' own types."""

    model: Any
    tokenizer: Any


class Encoded(NamedTuple):
    """Token ids of an example; ``labels`` hold the response's, and `IGNORED` for the prompt."""

    ids: list[int]
    labels: list[int]
    cut: bool


class Likelihood(NamedTuple):
    """Mean negative log-likelihood of a response's token, in nats, and of how many tokens."""

    nll: float
    tokens: int


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
            f'{name.partition(".")[0]} is missing: pip install "codeclm[train]"'
        ) from error


def device() -> str:
    return "cuda" if library("torch").cuda.is_available() else "cpu"


def precision(wanted: Precision) -> Literal["bf16", "fp32"]:
    """Choose bf16 where a GPU has it: on most CPUs it is slower than fp32."""
    if wanted != "auto":
        return wanted
    cuda = library("torch").cuda
    return "bf16" if cuda.is_available() and cuda.is_bf16_supported() else "fp32"


def load(name: str, template: Template | None = None) -> Local:
    """Load a folder, a GGUF file, ``smollm2`` (the embedded model), or a name in the Hub's cache.

    With *template* ``alpaca`` the tokenizer is given Alpaca's; otherwise it keeps its own, and gets
    Alpaca's only if it has none.

    Raises:
        TrainingError: there is no such model here, or it is not one that can be loaded.
    """
    transformers = library("transformers")
    transformers.utils.logging.disable_progress_bar()
    place, options = _place(name)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(place, **options)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            place, dtype=library("torch").float32, **_safe(options)
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TrainingError(
            f"{name}: cannot be loaded: {first} (a folder with config.json and *.safetensors, a"
            " .gguf file, or a name that is in the Hub's cache; nothing is downloaded)"
        ) from error
    if template == "alpaca" or not tokenizer.chat_template:
        if template == "chat":
            raise TrainingError(f"{name}: it has no chat template: use --template alpaca")
        tokenizer.chat_template = _with_bos(tokenizer) + ALPACA_CHAT
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return Local(_plain(model).to(device()), tokenizer)


def _place(name: str) -> tuple[str, dict[str, Any]]:
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    path = Path(name).expanduser()
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


def _with_bos(tokenizer: Any) -> str:
    ids: list[int] = tokenizer("x").input_ids
    return "{{ bos_token }}" if ids and ids[0] == tokenizer.bos_token_id else ""


def _plain(model: Any) -> Any:
    """Forget that weights came from GGUF: they are plain floats now, and can be saved."""
    if getattr(model, "hf_quantizer", None) is not None:
        model.hf_quantizer = None
        model.is_quantized = False
        del model.config.quantization_config
    return model


# -- what goes in -----------------------------------------------------------------------------


def prompt_ids(tokenizer: Any, instruction: str) -> list[int]:
    """Return the tokens up to where the response begins, by the tokenizer's chat template."""
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": instruction}], add_generation_prompt=True, tokenize=False
    )
    ids: list[int] = tokenizer(text, add_special_tokens=False).input_ids
    return ids


def encode(tokenizer: Any, pair: Pair, max_length: int) -> Encoded:
    """Turn *pair* into at most *max_length* tokens, the end-of-text last, cut on the right."""
    prompt = prompt_ids(tokenizer, pair.instruction)
    answer: list[int] = tokenizer(pair.answer, add_special_tokens=False).input_ids
    ids = [*prompt, *answer, tokenizer.eos_token_id]
    labels = [*([IGNORED] * len(prompt)), *ids[len(prompt) :]]
    return Encoded(ids[:max_length], labels[:max_length], len(ids) > max_length)


def _padded(rows: Sequence[Sequence[int]], fill: int, *, left: bool = False) -> Any:
    width = max(map(len, rows))
    fills = [[fill] * (width - len(row)) for row in rows]
    table = [[*f, *r] if left else [*r, *f] for r, f in zip(rows, fills, strict=True)]
    return library("torch").tensor(table, device=device())


# -- what comes out ---------------------------------------------------------------------------


def likelihood(local: Local, examples: Sequence[Encoded], batch: int = 8) -> Likelihood:
    """Measure how well the model knows the responses; every token weighs the same."""
    torch = library("torch")
    total, tokens = 0.0, 0
    local.model.eval()
    with torch.inference_mode():
        for group in _groups(sorted(examples, key=lambda e: len(e.ids)), batch):
            ids = _padded([e.ids for e in group], local.tokenizer.pad_token_id)
            labels = _padded([e.labels for e in group], IGNORED)[:, 1:]
            mask = _padded([[1] * len(e.ids) for e in group], 0)
            logits = local.model(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
            total += torch.nn.functional.cross_entropy(
                logits.reshape(-1, logits.shape[-1]),
                labels.reshape(-1),
                ignore_index=IGNORED,
                reduction="sum",
            ).item()
            tokens += int((labels != IGNORED).sum())
    return Likelihood(total / max(tokens, 1), tokens)


def answers(local: Local, instructions: Sequence[str], max_tokens: int) -> list[tuple[str, bool]]:
    """Answer all *instructions* in one batch, greedily; and say which answers were cut off."""
    torch, tokenizer = library("torch"), local.tokenizer
    prompts = [prompt_ids(tokenizer, each) for each in instructions]
    ids = _padded(prompts, tokenizer.pad_token_id, left=True)
    mask = _padded([[1] * len(prompt) for prompt in prompts], 0, left=True)
    greedy = library("transformers").GenerationConfig(
        do_sample=False,
        max_new_tokens=max_tokens,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    local.model.eval()
    with torch.inference_mode():
        made = local.model.generate(input_ids=ids, attention_mask=mask, generation_config=greedy)
    tails: list[list[int]] = made[:, ids.shape[1] :].tolist()
    return [
        (
            tokenizer.decode(tail, skip_special_tokens=True).strip(),
            tokenizer.eos_token_id not in tail,
        )
        for tail in tails
    ]


def _groups(examples: Sequence[Encoded], size: int) -> Iterator[Sequence[Encoded]]:
    for start in range(0, len(examples), size):
        yield examples[start : start + size]
