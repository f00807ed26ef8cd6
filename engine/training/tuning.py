"""Tune a model on this machine: seeded, resumable, with a record of it.

The folder holds the tuned model as transformers saves it, its tokenizer with the chat template it
was trained with, and ``tuning.json``. Until the end it also holds ``checkpoints/``, from which the
same command continues.
"""

import shutil
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, structs

from ...providers import json_codec
from ...providers.transformers.model import LocalModel, Template, device
from ..data.files import read_input
from ..data.records import identity
from ..disk.atomic import replace_file
from . import models
from .hyperparameters import Hyperparameters
from .models import EncodedPair, Likelihood, Precision, TrainingError
from .pairs import Pair
from .sft import SFTSettings, TrainingStep, train

RECORD_FILE: Final = "tuning.json"
_LIBRARIES = ("torch", "transformers", "trl")


class TuningSettings(Struct, frozen=True, kw_only=True):
    """Everything that decides the result. ``data`` is a digest of all pairs, also held-out ones."""

    model: str
    hyperparameters: Hyperparameters
    template: Template | None
    precision: Precision
    data: str
    rows: int


class HeldOut(Struct, frozen=True):
    """Mean negative log-likelihood per response token, in nats, of pairs not trained on."""

    rows: int
    tokens: int
    before: float
    after: float | None = None


MODEL_FILES: Final = (
    *("config.json", "generation_config.json", "model.safetensors", "model.safetensors.index.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"),
    "pytorch_model.bin",
)
"""What a model's folder holds; saving a model replaces some of it."""


class TuningRecord(Struct, frozen=True, kw_only=True):
    """``tuning.json``: the settings and the result.

    Attributes:
        settings: of the tuning.
        trained: rows trained on.
        truncated: rows that lost their right end.
        left_out: rows without a response within ``max_length``, not trained on.
        device: cuda or cpu.
        precision: bf16 or fp32.
        versions: of the libraries.
        held_out: likelihood of the held-out pairs, if there are any.
        steps: all optimiser steps.
        seconds: that the last session trained, without loading.
        finished: whether the model is saved.
    """

    settings: TuningSettings
    trained: int
    truncated: int
    left_out: int
    device: str
    precision: str
    versions: dict[str, str]
    held_out: HeldOut | None = None
    steps: tuple[TrainingStep, ...] = ()
    seconds: float = 0.0
    finished: bool = False


_record = msgspec.json.Decoder(TuningRecord)


class TuningJob(Struct, frozen=True, kw_only=True):
    """A model, what to train it on, and how.

    Attributes:
        model: a folder, a GGUF file, ``smollm2``, or a name in the Hub's cache.
        pairs: to train on.
        held_out: pairs whose likelihood is measured before and after.
        hyperparameters: of the training.
        template: of the prompt; None: the model's own, Alpaca's if it has none.
        precision: of the training.
        save_steps: steps between checkpoints; None: one at the end of each epoch.
    """

    model: str
    pairs: Sequence[Pair]
    held_out: Sequence[Pair] = ()
    hyperparameters: Hyperparameters
    template: Template | None = "alpaca"
    precision: Precision = "auto"
    save_steps: int | None = None

    @property
    def settings(self) -> TuningSettings:
        digest = identity(
            json_codec.dumps(list(self.pairs)).decode(), json_codec.dumps(self.held_out).decode()
        )
        return TuningSettings(
            model=self.model,
            hyperparameters=self.hyperparameters,
            template=self.template,
            precision=self.precision,
            data=digest,
            rows=len(self.pairs),
        )


def tune(
    job: TuningJob, folder: Path, report: Callable[[str], object] = lambda _: None
) -> TuningRecord:
    """Train, from the start or from the state in *folder*, and save the model there.

    Raises:
        TrainingError: the model cannot be loaded, *folder* holds another tuning, or no response
            fits.
    """
    path = folder / RECORD_FILE
    record = _earlier_record(path, job)
    if record is not None and record.finished:
        return record
    local = models.load_model(job.model, job.template)
    max_length = job.hyperparameters.max_length
    pairs = [models.encode_pair(local.tokenizer, pair, max_length) for pair in job.pairs]
    held_out = [models.encode_pair(local.tokenizer, pair, max_length) for pair in job.held_out]
    usable = [pair for pair in pairs if any(label != models.IGNORED for label in pair.labels)]
    if not usable:
        raise TrainingError(f"no response begins within {max_length} tokens: raise --max-length")
    if record is None:
        before = models.measure_likelihood(local, held_out) if held_out else None
        record = _new_record(job, pairs, usable, before)
        replace_file(path, _encode(record))
    report(_start_text(record))
    settings = SFTSettings(job.hyperparameters, record.precision, record.device, job.save_steps)
    result = train(local, usable, settings, folder / "checkpoints", report)
    record = structs.replace(record, steps=result.steps, seconds=result.seconds, finished=True)
    record = _with_likelihood(record, local, held_out)
    _save(local, folder, record)
    return record


def _new_record(
    job: TuningJob,
    pairs: Sequence[EncodedPair],
    usable: Sequence[EncodedPair],
    before: Likelihood | None,
) -> TuningRecord:
    return TuningRecord(
        settings=job.settings,
        trained=len(usable),
        truncated=sum(pair.truncated for pair in pairs),
        left_out=len(pairs) - len(usable),
        device=device(),
        precision=models.resolve_precision(job.precision),
        versions={name: version(name) for name in _LIBRARIES},
        held_out=HeldOut(len(job.held_out), before.tokens, before.nll) if before else None,
    )


def _start_text(record: TuningRecord) -> str:
    max_length = record.settings.hyperparameters.max_length
    return (
        f"training on {record.trained:,} rows ({record.truncated:,} truncated at"
        f" {max_length:,} tokens, {record.left_out:,} left out), {record.device},"
        f" {record.precision}"
    )


def _with_likelihood(
    record: TuningRecord, local: LocalModel, held_out: Sequence[EncodedPair]
) -> TuningRecord:
    if record.held_out is None:
        return record
    after = models.measure_likelihood(local, held_out).nll
    return structs.replace(record, held_out=structs.replace(record.held_out, after=after))


def _save(local: LocalModel, folder: Path, record: TuningRecord) -> None:
    local.model.save_pretrained(folder)
    local.tokenizer.save_pretrained(folder)
    replace_file(folder / RECORD_FILE, _encode(record))
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def _earlier_record(path: Path, job: TuningJob) -> TuningRecord | None:
    """Return the record of an earlier session of *job*, if there was one.

    Raises:
        TrainingError: the record cannot be read, or is of another tuning.
    """
    try:
        record = json_codec.loads(read_input(path), _record)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise TrainingError(f"{path}: cannot be read ({error}): choose another --out") from error
    if record.settings != job.settings:
        raise TrainingError(f"{path}: it is of another tuning: {_difference(record, job)}")
    return record


def _difference(record: TuningRecord, job: TuningJob) -> str:
    before, now = structs.asdict(record.settings), structs.asdict(job.settings)
    names = ", ".join(name for name in now if before[name] != now[name])
    return f"{names} differ: to continue, use the same settings; else choose another --out"


def _encode(record: TuningRecord) -> bytes:
    return msgspec.json.format(json_codec.dumps(record), indent=2)
