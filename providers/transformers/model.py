"""A causal language model on this machine: load it, prompt it, generate.

torch and transformers are imported when a function needs them. Nothing is downloaded: a name must
already be in the Hub's cache. Weights are read from safetensors or GGUF, never unpickled.
"""

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple

from .alpaca import ALPACA_CHAT
from .location import REMEDY, find_model

Template = Literal["alpaca", "chat"]

_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",  # nothing is downloaded, even if a library tries
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",  # progress bars of libraries
}


class ModelError(Exception):
    """A model cannot be loaded. The message says why and what to do."""


class LocalModel(NamedTuple):
    """A model and its tokenizer, of transformers' own types."""

    model: Any
    tokenizer: Any


class GeneratedAnswer(NamedTuple):
    """An answer, its length in tokens, and whether it was cut off at the length limit."""

    text: str
    tokens: int
    cut_off: bool


class Decoding(NamedTuple):
    """How to choose tokens.

    Attributes:
        max_tokens: of an answer.
        temperature: 0: greedily.
        top_p: nucleus sampling; 1: all of the probability mass.
        seed: of sampling.
    """

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


def library(name: str) -> Any:
    """Import one of the libraries of the extra ``train``.

    Raises:
        ModelError: it is not installed.
    """
    for setting, value in _ENVIRONMENT.items():
        os.environ.setdefault(setting, value)
    try:
        return import_module(name)
    except ImportError as error:
        raise ModelError(f"{name.partition('.')[0]} is not installed: {REMEDY}") from error


def device() -> str:
    return "cuda" if library("torch").cuda.is_available() else "cpu"


def load_model(name: str, template: Template | None = None) -> LocalModel:
    """Load a folder, a GGUF file, ``smollm2`` (the embedded model), or a name in the Hub's cache.

    With *template* ``alpaca`` the tokenizer gets Alpaca's; else it keeps its own, and gets Alpaca's
    only if it has none.

    Raises:
        ModelError: the model is not found, or cannot be loaded.
    """
    transformers = library("transformers")
    transformers.utils.logging.disable_progress_bar()
    try:
        path = find_model(name)
        location, options = _arguments(path)
        tokenizer = transformers.AutoTokenizer.from_pretrained(location, **options)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            location, dtype=library("torch").float32, **_safe(options)
        )
    except FileNotFoundError as error:
        raise ModelError(str(error)) from error
    except ModelError:
        raise
    except Exception as error:  # each library below it has its own
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"{name}: cannot be loaded: {first_line} (a folder with config.json and *.safetensors,"
            " a .gguf file, or a name that is in the Hub's cache; nothing is downloaded)"
        ) from error
    _set_template(name, tokenizer, template)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return LocalModel(_without_quantization(model).to(device()), tokenizer)


def _arguments(path: Path) -> tuple[str, dict[str, Any]]:
    """Return where transformers finds the model, and the options to load it with."""
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    if path.is_dir():
        return str(path), options
    library("gguf")
    return str(path.parent), {**options, "gguf_file": path.name}


def _safe(options: dict[str, Any]) -> dict[str, Any]:
    return options if "gguf_file" in options else {**options, "use_safetensors": True}


def _set_template(name: str, tokenizer: Any, template: Template | None) -> None:
    if template != "alpaca" and tokenizer.chat_template:
        return
    if template == "chat":
        raise ModelError(f"{name}: it has no chat template: use --template alpaca")
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


def prompt_ids(tokenizer: Any, messages: Sequence[Mapping[str, str]]) -> list[int]:
    """Return the tokens before the response to *messages*, by the tokenizer's chat template."""
    text = tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, tokenize=False)
    ids: list[int] = tokenizer(text, add_special_tokens=False).input_ids
    return ids


def pad_rows(rows: Sequence[Sequence[int]], fill: int, *, pad_left: bool = False) -> Any:
    """Return *rows* as a tensor, as wide as the longest."""
    width = max(map(len, rows))
    fills = [[fill] * (width - len(row)) for row in rows]
    table = [[*f, *r] if pad_left else [*r, *f] for r, f in zip(rows, fills, strict=True)]
    return library("torch").tensor(table, device=device())


def generate(
    local: LocalModel, prompts: Sequence[Sequence[int]], decoding: Decoding
) -> list[GeneratedAnswer]:
    """Answer all *prompts*, which are tokens, in one batch."""
    torch, tokenizer = library("torch"), local.tokenizer
    ids = pad_rows(prompts, tokenizer.pad_token_id, pad_left=True)
    mask = pad_rows([[1] * len(prompt) for prompt in prompts], 0, pad_left=True)
    settings = _generation_config(tokenizer, decoding)
    local.model.eval()
    with torch.inference_mode(), torch.random.fork_rng():
        torch.manual_seed(decoding.seed)
        output = local.model.generate(
            input_ids=ids, attention_mask=mask, generation_config=settings
        )
    answers: list[list[int]] = output[:, ids.shape[1] :].tolist()
    return [_read_answer(tokenizer, tokens) for tokens in answers]


def _generation_config(tokenizer: Any, decoding: Decoding) -> Any:
    sampling: dict[str, Any] = {"do_sample": False}
    if decoding.temperature > 0:
        sampling = {
            "do_sample": True,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "top_k": 0,  # transformers' own default would cut the distribution at 50 tokens
        }
    return library("transformers").GenerationConfig(
        max_new_tokens=decoding.max_tokens,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **sampling,
    )


def _read_answer(tokenizer: Any, tokens: list[int]) -> GeneratedAnswer:
    has_end = tokenizer.eos_token_id in tokens
    length = tokens.index(tokenizer.eos_token_id) + 1 if has_end else len(tokens)
    text: str = tokenizer.decode(tokens[:length], skip_special_tokens=True)
    return GeneratedAnswer(text.strip(), length, not has_end)
