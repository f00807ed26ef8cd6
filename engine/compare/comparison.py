"""Prepare a comparison and compute its result; the caller carries out runs and evaluations.

The folder holds ``split.json`` and ``validation.jsonl``, an ordinary run in ``runs/NAME`` for every
recipe, ``evaluations/JUDGE/TEST/NAME``, and the result: ``comparison.json``, ``report.md`` and
plots.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from ...providers import json_codec
from ..calls.clients import check_cache_folder
from ..calls.gate import Origin, pass_gate
from ..config import Config, ConfigError
from ..data.files import user_path
from ..data.test_sets import TestSource, read_questions
from ..disk.atomic import replace_file
from ..evaluate.scoring import Scoring
from ..pipeline.prepare import Plan as RunPlan
from ..pipeline.prepare import prepare as prepare_run
from ..pipeline.recipes import recipe_of
from ..reporting.summary import Summary
from ..store.folder import Folder, FolderError
from ..store.reader import LedgerReader
from .claims import CODECLM, check_claims
from .dataset import Dataset, measure_dataset
from .judging import Evaluation, Judging, crr_tables, prepare_evaluations, test_label
from .plots import draw_plots
from .report import markdown_report
from .result import ComparisonResult
from .settings import CompareConfig, ComparisonSettings, Sweep
from .split import SEEDS_FILE, Split, split_seeds, write_split
from .variants import Variant, build_variants


class PlannedRun(Struct, frozen=True):
    """One run of the comparison, checked."""

    variant: Variant
    plan: RunPlan


class ComparisonPlan(Struct, frozen=True):
    """A checked comparison, with everything that is read before the first call.

    Attributes:
        folder: the comparison's.
        compare: its settings.
        shared: what all runs share.
        split: of the seeds; None if the runs share none.
        runs: one per recipe and value of a sweep.
        evaluations: of the answers.
        tests: prompts by test set.
    """

    folder: Folder
    compare: CompareConfig
    shared: Config
    split: Split | None
    runs: tuple[PlannedRun, ...]
    evaluations: tuple[Evaluation, ...]
    tests: dict[str, list[str]]


# -- before the first call --------------------------------------------------------------------


RESULTS: Final = ("comparison.json", "report.md", "split.json", SEEDS_FILE)
"""Files of a comparison's folder."""


def check_endpoints(
    settings: ComparisonSettings, sweeps: Sequence[Sweep], out: Path, *, where: str, origin: Origin
) -> None:
    """Check every endpoint that a comparison may call, before anything is written.

    Raises:
        ConfigError: one cannot be called, or a stranger's configuration chose it.
    """
    shared = settings.shared_config(where=where)
    pass_gate(
        {f"compare.judges.{name}": judge for name, judge in settings.judges.items()}, where, origin
    )
    seeds_file = str(out / SEEDS_FILE) if shared.seeds else None
    for variant in build_variants(settings, sweeps, seeds_file, folder=str(out), where=where):
        label = f"{where}: {variant.name}"
        roles = recipe_of(variant.config, label).role_configs(variant.config)
        pass_gate(roles, label, origin, shared.files_in_prompts)


def prepare_comparison(
    settings: ComparisonSettings,
    sweeps: Sequence[Sweep],
    out: Path,
    *,
    where: str,
    origin: Origin,
    allow_change: bool = False,
) -> ComparisonPlan:
    """Check everything that can be checked without a call; write the split. Blocks.

    Raises:
        ConfigError, SeedError, FolderError: naming the file, the key and the remedy.
    """
    tests = _read_tests(settings.compare, where)
    folder = Folder(out)
    folder.make()
    shared = settings.shared_config(where=where)
    check_cache_folder(shared.cache, out, where)
    split, seeds_file = _split(shared, settings.compare.validation, out, allow_change=allow_change)
    variants = build_variants(settings, sweeps, seeds_file, folder=str(out), where=where)
    runs = tuple(
        PlannedRun(
            variant,
            prepare_run(variant.config, where=f"{where}: {variant.name}", origin=origin),
        )
        for variant in variants
    )
    names = [variant.name for variant in variants]
    evaluations = prepare_evaluations(
        settings, shared, names, folder=str(out), where=where, origin=origin
    )
    return ComparisonPlan(folder, settings.compare, shared, split, runs, tuple(evaluations), tests)


def _split(
    shared: Config, validation: float, out: Path, *, allow_change: bool
) -> tuple[Split | None, str | None]:
    """Split the seeds that runs share; return the split and the file of the validation part."""
    if not shared.seeds:
        return None, None
    shared.fetch_seeds()
    source = shared.seed_source
    if (out / SEEDS_FILE).resolve() in [path.resolve() for path in source.paths]:
        raise FolderError(f"{out}: its {SEEDS_FILE} would be overwritten: choose another folder")
    split, kept = split_seeds(shared.select_seeds(), validation, random_seed=shared.seed)
    return split, str(write_split(out, split, kept, allow_change=allow_change))


def _read_tests(compare: CompareConfig, where: str) -> dict[str, list[str]]:
    """Read the prompts of every test set that the settings name."""
    names = [*compare.tests, *(test for tests in compare.answers.values() for test in tests)]
    prompts: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        label = test_label(name)
        if label in prompts:
            raise ConfigError(f"{where}: compare: two test sets are called {label!r}")
        source = TestSource(name, user_path(compare.testsets))
        prompts[label] = [question.prompt for question in read_questions(source)]
    return prompts


# -- afterwards -------------------------------------------------------------------------------


def measure_run(plan: ComparisonPlan, run: PlannedRun, summary: Summary) -> Dataset:
    """Measure the dataset of a finished run. Blocks."""
    folder = run.plan.folder
    with LedgerReader(folder.ledger) as ledger:
        return measure_dataset(
            run.variant,
            ledger,
            summary,
            plan.tests,
            seeds=_available_seeds(run.plan),
            folder=str(folder.path),
        )


def _available_seeds(plan: RunPlan) -> int:
    return 0 if plan.seeds is None else len(plan.seeds)


def conclude(plan: ComparisonPlan, datasets: Sequence[Dataset]) -> ComparisonResult:
    """Compare the datasets and the evaluations, and write the result to the folder. Blocks.

    Raises:
        ConfigError: an existing evaluation cannot be read.
        WriteError: the folder cannot be written.
    """
    result = _result(plan, datasets)
    path = plan.folder.path
    plots = draw_plots(result, path)
    files = {Path(name).stem: str(path / name) for name in plots}
    result = msgspec.structs.replace(result, files=result.files | files)
    pretty = msgspec.json.format(json_codec.dumps(result), indent=1)
    replace_file(path / "comparison.json", pretty)
    replace_file(path / "report.md", markdown_report(result, plots).encode())
    return result


def _result(plan: ComparisonPlan, datasets: Sequence[Dataset]) -> ComparisonResult:
    compare, split, path = plan.compare, plan.split, plan.folder.path
    seed_ids = {seed.id for seed in split.validation} if split else set[str]()
    judging = Judging(compare.baseline_recipe, Scoring(compare.rule, plan.shared.seed), seed_ids)
    cells = judging.cells(plan.evaluations)
    plain = {dataset.name: dataset for dataset in datasets if not dataset.sweep_key}
    rounds = plain[CODECLM].rounds if CODECLM in plain else {}
    claims = check_claims(
        crr_tables(cells, plain), {number: counts.rows for number, counts in rounds.items()}
    )
    return ComparisonResult(
        folder=str(path),
        strong=plan.shared.strong.model,
        target=plan.shared.target.model,
        seeds=split.total if split else 0,
        validation=len(split.validation) if split else 0,
        datasets=tuple(datasets),
        baseline=compare.baseline_recipe,
        cells=tuple(cells),
        claims=claims,
        files={"comparison": str(path / "comparison.json"), "report": str(path / "report.md")},
    )
