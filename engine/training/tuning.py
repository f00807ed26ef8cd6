"""Tune a model on this machine with TRL: seeded, resumable, with a record of what was done.

The folder holds the tuned model as transformers saves it, its tokenizer with the chat template it
was trained with, and ``tuning.json``. Until the end it also holds ``checkpoints/``, from which the
same command goes on.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, structs

from ...providers import json_codec
from ..data.records import identity
from ..disk.atomic import replace_file
from . import models
from .models import Encoded, Likelihood, Local, Precision, Template, TrainingError
from .pairs import Pair
from .recipe import Recipe
from .trainers import transformers_arguments

RECORD = "tuning.json"
_LIBRARIES = ("torch", "transformers", "trl")


class Settings(Struct, frozen=True, kw_only=True):
    """All that decides what comes out."""

    model: str
    recipe: Recipe
    template: Template
    precision: Precision
    data: str
    """Digest of the pairs, and of the held-out ones."""
    rows: int


class Step(Struct, frozen=True):
    """An optimiser step. ``loss`` is the mean over the step's response tokens, in nats."""

    number: int
    loss: float
    learning_rate: float


class HeldOut(Struct, frozen=True):
    """Mean negative log-likelihood per response token, in nats, of pairs not trained on."""

    rows: int
    tokens: int
    before: float
    after: float | None = None


class Tuning(Struct, frozen=True, kw_only=True):
    """``tuning.json``: what was done and what came of it."""

    settings: Settings
    trained: int
    """Rows trained on: those left out have no response within ``max_length``."""
    cut: int
    """Rows that lost their right end."""
    left_out: int
    device: str
    precision: str
    versions: dict[str, str]
    held_out: HeldOut | None = None
    steps: tuple[Step, ...] = ()
    seconds: float = 0.0
    """Of the last session, without loading."""
    finished: bool = False


_record = msgspec.json.Decoder(Tuning)


class Job(Struct, frozen=True, kw_only=True):
    """What is asked for. ``save_steps`` None: a checkpoint at the end of each epoch."""

    model: str
    pairs: Sequence[Pair]
    held_out: Sequence[Pair] = ()
    recipe: Recipe
    template: Template = "alpaca"
    precision: Precision = "auto"
    save_steps: int | None = None

    @property
    def settings(self) -> Settings:
        digest = identity(
            json_codec.dumps(list(self.pairs)).decode(), json_codec.dumps(self.held_out).decode()
        )
        return Settings(
            model=self.model,
            recipe=self.recipe,
            template=self.template,
            precision=self.precision,
            data=digest,
            rows=len(self.pairs),
        )


def tune(job: Job, out: Path, told: Callable[[str], object] = lambda _: None) -> Tuning:
    """Train, from the start or from where the folder *out* is, and save the model there.

    Raises:
        TrainingError: the model can't be loaded, *out* holds another tuning, or nothing fits.
    """
    record = out / RECORD
    found = _read(record)
    if found and found.settings != job.settings:
        raise TrainingError(f"{record}: it is of another tuning: {_difference(found, job)}")
    if found and found.finished:
        return found
    local = models.load(job.model, job.template)
    examples = [models.encode(local.tokenizer, p, job.recipe.max_length) for p in job.pairs]
    held = [models.encode(local.tokenizer, p, job.recipe.max_length) for p in job.held_out]
    usable = [example for example in examples if any(x != models.IGNORED for x in example.labels)]
    if not usable:
        raise TrainingError(
            f"no response begins within {job.recipe.max_length} tokens: raise --max-length"
        )
    if not found:
        before = models.likelihood(local, held) if held else None
        found = _begun(job, examples, usable, before)
        replace_file(record, _written(found))
    told(_start(found))
    done = _train(job, local, usable, out, found, told)
    done = _measured(done, local, held)
    local.model.save_pretrained(out)
    local.tokenizer.save_pretrained(out)
    replace_file(record, _written(done))
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    return done


def _begun(
    job: Job, examples: Sequence[Encoded], usable: Sequence[Encoded], before: Likelihood | None
) -> Tuning:
    return Tuning(
        settings=job.settings,
        trained=len(usable),
        cut=sum(example.cut for example in usable),
        left_out=len(examples) - len(usable),
        device=models.device(),
        precision=models.precision(job.precision),
        versions={name: version(name) for name in _LIBRARIES},
        held_out=HeldOut(len(job.held_out), before.tokens, before.nll) if before else None,
    )


def _start(tuning: Tuning) -> str:
    return (
        f"{tuning.trained:,} rows to train on ({tuning.cut:,} cut at"
        f" {tuning.settings.recipe.max_length:,} tokens, {tuning.left_out:,} left out),"
        f" {tuning.device}, {tuning.precision}"
    )


def _measured(tuning: Tuning, local: Local, held: Sequence[Encoded]) -> Tuning:
    if tuning.held_out is None:
        return tuning
    after = models.likelihood(local, held).nll
    return structs.replace(tuning, held_out=structs.replace(tuning.held_out, after=after))


def _read(path: Path) -> Tuning | None:
    try:
        return json_codec.loads(path.read_bytes(), _record)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise TrainingError(f"{path}: it can't be read ({error}): choose another --out") from error


def _difference(found: Tuning, job: Job) -> str:
    before, now = structs.asdict(found.settings), structs.asdict(job.settings)
    names = ", ".join(name for name in now if before[name] != now[name])
    return f"{names} differ; give the same settings to go on, or choose another --out"


def _written(tuning: Tuning) -> bytes:
    return msgspec.json.format(json_codec.dumps(tuning), indent=2)


# -- TRL --------------------------------------------------------------------------------------


def _train(
    job: Job,
    local: Local,
    examples: Sequence[Encoded],
    out: Path,
    tuning: Tuning,
    told: Callable[[str], object],
) -> Tuning:
    trl, datasets = models.library("trl"), models.library("datasets")
    datasets.disable_progress_bars()
    models.library("transformers").set_seed(job.recipe.seed)
    table = {"input_ids": [e.ids for e in examples], "labels": [e.labels for e in examples]}
    trainer = trl.SFTTrainer(
        model=local.model,
        args=trl.SFTConfig(**_arguments(job, out / "checkpoints", tuning)),
        train_dataset=datasets.Dataset.from_dict(table),
        processing_class=local.tokenizer,
        callbacks=[_reporter(told)],
    )
    trainer.remove_callback(models.library("transformers").PrinterCallback)
    begun = time.monotonic()
    trainer.train(resume_from_checkpoint=_last_checkpoint(out / "checkpoints"))
    steps = tuple(
        Step(entry["step"], entry["loss"], entry["learning_rate"])
        for entry in trainer.state.log_history
        if "loss" in entry
    )
    return structs.replace(
        tuning, steps=steps, seconds=round(time.monotonic() - begun, 1), finished=True
    )


def _arguments(job: Job, checkpoints: Path, tuning: Tuning) -> dict[str, Any]:
    every: dict[str, Any] = {"save_strategy": "epoch"}
    if job.save_steps:
        every = {"save_strategy": "steps", "save_steps": job.save_steps}
    return {
        **transformers_arguments(job.recipe),
        **every,
        "output_dir": str(checkpoints),
        "max_length": job.recipe.max_length,
        "bf16": tuning.precision == "bf16",
        "use_cpu": tuning.device == "cpu",
        **({_activations(): False} if tuning.device == "cpu" else {}),  # TRL's default: on
        "dataloader_pin_memory": tuning.device != "cpu",
        "save_total_limit": 1,
        "logging_steps": 1,
        "disable_tqdm": True,
        "report_to": "none",
    }


def _activations() -> str:
    """Return what transformers calls recomputing activations: renamed in its version 5."""
    known = models.library("trl").SFTConfig.__dataclass_fields__
    return (
        "activation_checkpointing"
        if "activation_checkpointing" in known
        else "gradient_checkpointing"
    )


def _last_checkpoint(folder: Path) -> str | None:
    """Find the last whole checkpoint, and remove those that were being written."""
    whole = list[tuple[int, Path]]()
    for path in folder.glob("checkpoint-*"):
        # the last thing transformers writes into one
        if (path / "trainer_state.json").exists():
            whole.append((int(path.name.rpartition("-")[2]), path))
        else:
            shutil.rmtree(path)
    return str(max(whole)[1]) if whole else None


def _reporter(told: Callable[[str], object]) -> Any:
    """Make a callback of transformers' that tells of about twenty steps."""
    base: Any = models.library("transformers").TrainerCallback

    def on_log(_self: Any, _args: Any, state: Any, _control: Any, **more: Any) -> None:
        logs, every = more["logs"], max(1, state.max_steps // 20)
        if "loss" in logs and (state.global_step % every == 0 or state.global_step == 1):
            told(
                f"step {state.global_step:,} of {state.max_steps:,}: loss {logs['loss']:.3f},"
                f" learning rate {logs['learning_rate']:.2e}"
            )

    return type("Reporter", (base,), {"on_log": on_log})()
