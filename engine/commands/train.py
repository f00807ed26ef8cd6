"""tune and answer: train on the dataset here, and ask the model that comes out."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import Verbs, add_verb, open_run, positive
from .status import DONE

if TYPE_CHECKING:
    from ..training.pairs import Pair
    from ..training.recipe import Recipe
    from ..training.tuning import Tuning


def add(verbs: Verbs) -> None:
    _add_tune(verbs)
    _add_answer(verbs)


_RECIPE = (
    ("--epochs", "epochs", float, "times through the data (paper: 15)"),
    ("--lr", "learning_rate", float, "learning rate at the start (paper: 1e-5)"),
    ("--last-lr", "last_learning_rate", float, "reached linearly at the end (paper: 1e-6)"),
    ("--batch", "batch", int, "examples per optimiser step (paper: 64)"),
    ("--device-batch", "device_batch", int, "of these, at a time (8; fewer take less memory)"),
    ("--max-length", "max_length", int, "tokens; longer examples are cut on the right (2,048)"),
    ("--weight-decay", "weight_decay", float, "AdamW's (0.1)"),
    ("--seed", "seed", int, "of the order of examples (0)"),
)


def _add_tune(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "tune", _tune, "fine-tune a model on this machine, with the paper's settings"
    )
    parser.add_argument("data", type=Path, metavar="RUN|FILE", help="a run's folder, or JSON lines")
    parser.add_argument(
        "--model", required=True, metavar="DIR|NAME", help="folder, .gguf file, smollm2, or a name"
    )
    parser.add_argument("--out", "-o", type=Path, required=True, metavar="DIR", help="its folder")
    for flag, field, kind, text in _RECIPE:
        parser.add_argument(flag, dest=f"recipe:{field}", type=kind, metavar="N", help=text)
    parser.add_argument(
        "--template",
        choices=("alpaca", "chat"),
        default="alpaca",
        help="around an instruction: Alpaca's, or the model's own chat template",
    )
    parser.add_argument(
        "--precision", choices=("auto", "bf16", "fp32"), default="auto", help="auto: bf16 on a GPU"
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="only the first N rows")
    parser.add_argument(
        "--held-out", type=Path, metavar="FILE", help="pairs whose likelihood is measured instead"
    )
    parser.add_argument(
        "--save-steps", type=positive, metavar="N", help="a checkpoint every N steps (each epoch)"
    )
    parser.add_argument("--json", action="store_true", help="tuning.json on stdout")


def _add_answer(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "answer", _answer, "a model's answers to a test set, for evaluate, greedily"
    )
    parser.add_argument(
        "--model", required=True, metavar="DIR|NAME", help="folder, .gguf file, smollm2, or a name"
    )
    parser.add_argument(
        "--test", required=True, metavar="NAME|FILE", help="a test set, as evaluate takes it"
    )
    parser.add_argument(
        "--tests", type=Path, default=Path(), metavar="DIR", help="folder of those known by name"
    )
    parser.add_argument("--field", metavar="NAME", help="field of the test file: the prompt")
    parser.add_argument("--template", metavar="TEXT", help='joins fields, as "{a}\\n{b}"')
    parser.add_argument("--id-field", metavar="NAME", help="field that is a prompt's id")
    parser.add_argument("--to", type=Path, required=True, metavar="FILE", help="JSON lines")
    parser.add_argument(
        "--max-tokens", type=positive, default=2048, metavar="N", help="longest answer"
    )
    parser.add_argument("--batch", type=positive, default=8, metavar="N", help="prompts at a time")
    parser.add_argument("--limit", type=positive, metavar="N", help="only the first N prompts")


def _tune(args: argparse.Namespace) -> int:
    from ...providers import json_codec
    from ..store.folder import Folder
    from ..training import pairs, tuning

    job = tuning.Job(
        model=args.model,
        pairs=_pairs(args.data, args.limit),
        held_out=pairs.read(args.held_out) if args.held_out else (),
        recipe=_recipe(args),
        template=args.template,
        precision=args.precision,
        save_steps=args.save_steps,
    )
    folder = Folder(args.out)
    folder.make()
    with folder.locked():
        done = tuning.tune(job, args.out, _say)
    print(json_codec.dumps(done).decode() if args.json else "\n".join(_told(done, args.out)))
    return DONE


def _recipe(args: argparse.Namespace) -> "Recipe":
    import msgspec

    from ..config import ConfigError
    from ..training.recipe import Recipe

    given: dict[str, Any] = {
        name.removeprefix("recipe:"): value
        for name, value in vars(args).items()
        if name.startswith("recipe:") and value is not None
    }
    if "batch" in given and "device_batch" not in given:
        given["device_batch"] = min(given["batch"], Recipe().device_batch)
    try:
        recipe = msgspec.convert(given, Recipe)
        recipe.accumulation()
    except ValueError as error:
        raise ConfigError(f"command line: {error}") from error
    if recipe.last_learning_rate >= recipe.learning_rate:
        raise ConfigError("command line: --last-lr must be below --lr")
    return recipe


def _pairs(data: Path, limit: int | None) -> "list[Pair]":
    from itertools import islice

    from ..data.formats import ExportError
    from ..training import pairs

    if not data.is_dir():
        return pairs.read(data, limit)
    config, ledger = open_run(data)
    try:
        found = list(islice(pairs.of_run(ledger.kept(config.target_rows)), limit))
    finally:
        ledger.close()
    if not found:
        raise ExportError(f"{data}: the run has kept nothing yet")
    return found


def _say(line: str) -> None:
    print(f"codeclm: {line}", file=sys.stderr)


def _told(done: "Tuning", out: Path) -> "list[str]":
    first, last = done.steps[0], done.steps[-1]
    lines = [
        f"{done.trained:,} rows, {len(done.steps):,} steps, {done.seconds:,.0f} s on {done.device}",
        f"training loss: {first.loss:.3f} in the first step, {last.loss:.3f} in the last",
    ]
    if (held := done.held_out) and held.after is not None:
        lines.append(
            f"held out: {held.before:.3f} nats per token before, {held.after:.3f} after"
            f" ({held.rows:,} answers, {held.tokens:,} tokens)"
        )
    return [*lines, f"the model: {out}"]


def _answer(args: argparse.Namespace) -> int:
    from ..data import test_sets as testsets
    from ..training import answering

    source = testsets.TestSource(
        args.test, args.tests.expanduser(), args.field, args.template, None, args.id_field
    )
    questions = testsets.read(source)[: args.limit]
    wanted = answering.Wanted(args.model, args.max_tokens, args.batch)
    cut = answering.answer(questions, wanted, args.to, _progress)
    _say(f"{len(questions):,} answers in {args.to}; {cut:,} cut off at {args.max_tokens:,} tokens")
    return DONE


def _progress(done: int, whole: int) -> None:
    _say(f"{done:,} of {whole:,} answered")
