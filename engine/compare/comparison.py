"""A comparison from its file to its result: check everything, and sum up what was made.

The folder holds ``split.json`` and ``validation.jsonl``, an ordinary run in ``runs/NAME`` for every
recipe, ``evaluations/JUDGE/TEST/NAME``, and what came of it: ``comparison.json``, ``report.md`` and
plots. Carrying out runs and evaluations is the caller's.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from ...providers import json_codec
from ..config import Config, ConfigError
from ..data import seeds
from ..data.test_sets import TestSource, read_questions
from ..disk.atomic import replace_file
from ..pipeline import session as run
from ..reporting.summary import Summary
from ..store.folder import Folder, FolderError
from ..store.reader import LedgerReader
from . import dataset, judging, plots, report
from . import split as splits
from .claims import claims
from .dataset import Dataset
from .judging import Evaluation, label
from .report import Comparison
from .settings import PLAIN, Asked, CompareConfig, Sweep, Variant, variants
from .split import Split


class Job(Struct, frozen=True):
    """One run of the comparison, checked."""

    variant: Variant
    plan: run.Plan


class Plan(Struct, frozen=True):
    """A checked comparison, with everything that is read before the first call."""

    folder: Folder
    compare: CompareConfig
    common: Config
    split: Split | None
    jobs: tuple[Job, ...]
    evaluations: tuple[Evaluation, ...]
    tests: dict[str, list[str]]
    """Prompts by test set."""


# -- before the first call --------------------------------------------------------------------


def prepare(
    asked: Asked, sweeps: Sequence[Sweep], out: Path, *, where: str, allow_change: bool = False
) -> Plan:
    """Check everything that can be checked without a call; write the split. Blocks.

    Raises:
        ConfigError, SeedError, FolderError: naming the file, the key and the remedy.
    """
    tests = _read_tests(asked.compare, where)
    folder = Folder(out)
    folder.make()
    common = asked.common(where=where)
    split, common_seeds = _split(common, asked.compare.validation, out, allow_change=allow_change)
    made = variants(asked, sweeps, common_seeds, folder=str(out), where=where)
    jobs = tuple(
        Job(each, run.prepare(each.config, where=f"{where}: {each.name}")) for each in made
    )
    names = [each.name for each in made]
    evaluations = judging.prepare(asked, common, names, folder=str(out), where=where)
    return Plan(folder, asked.compare, common, split, jobs, tuple(evaluations), tests)


def _split(
    common: Config, validation: float, out: Path, *, allow_change: bool
) -> tuple[Split | None, str | None]:
    if not common.seeds:
        return None, None
    source = run.seed_source(common)
    if (out / splits.SEEDS).resolve() in [path.resolve() for path in source.paths]:
        raise FolderError(f"{out}: its {splits.SEEDS} would be overwritten: choose another folder")
    drawn, chosen = splits.draw(source, validation, run_seed=common.seed, limit=common.limit)
    return drawn, str(splits.keep(out, drawn, chosen, allow_change=allow_change))


def _read_tests(compare: CompareConfig, where: str) -> dict[str, list[str]]:
    """Read the prompts of every test set that is named anywhere."""
    named = [*compare.tests, *(test for tests in compare.answers.values() for test in tests)]
    found: dict[str, list[str]] = {}
    for test in dict.fromkeys(named):
        if label(test) in found:
            raise ConfigError(f"{where}: compare: two test sets are called {label(test)!r}")
        source = TestSource(test, Path(compare.testsets).expanduser())
        found[label(test)] = [question.prompt for question in read_questions(source)]
    return found


# -- afterwards -------------------------------------------------------------------------------


def measure(plan: Plan, job: Job, summary: Summary) -> Dataset:
    """Measure a run that has ended. Blocks."""
    ledger = LedgerReader(job.plan.folder.ledger)
    try:
        return dataset.measure(
            job.variant,
            ledger,
            summary,
            plan.tests,
            seeds=_given(job.plan),
            folder=str(job.plan.folder.path),
        )
    finally:
        ledger.close()


def _given(plan: run.Plan) -> int:
    whole = seeds.count(plan.source) if plan.source is not None else 0
    return min(whole, plan.config.limit or whole)


def conclude(plan: Plan, datasets: Sequence[Dataset]) -> Comparison:
    """Lay everything side by side and write it down. Blocks.

    Raises:
        ConfigError, FolderError: an evaluation that was made before, or a file of ours, can't be
            used.
    """
    baseline = plan.compare.against
    seed_ids = {place.id for place in plan.split.validation} if plan.split else set[str]()
    cells = judging.cells(
        plan.evaluations,
        baseline=baseline,
        rule=plan.compare.rule,
        seed=plan.common.seed,
        seed_ids=seed_ids,
    )
    own = {each.name: each for each in datasets if not each.swept}
    rounds = {n: found.rows for n, found in own[PLAIN].rounds.items()} if PLAIN in own else {}
    path = plan.folder.path
    result = Comparison(
        folder=str(path),
        strong=plan.common.strong.model,
        target=plan.common.target.model,
        seeds=plan.split.total if plan.split else 0,
        validation=len(plan.split.validation) if plan.split else 0,
        datasets=tuple(datasets),
        baseline=baseline,
        cells=tuple(cells),
        claims=claims(judging.tables(cells, own), rounds),
        files={"comparison": str(path / "comparison.json"), "report": str(path / "report.md")},
    )
    drawn = plots.draw(result, path)
    result = msgspec.structs.replace(result, files=result.files | _files(path, drawn))
    replace_file(path / "comparison.json", msgspec.json.format(json_codec.dumps(result), indent=1))
    replace_file(path / "report.md", report.document(result, drawn).encode())
    return result


def _files(path: Path, names: Sequence[str]) -> dict[str, str]:
    return {Path(name).stem: str(path / name) for name in names}
