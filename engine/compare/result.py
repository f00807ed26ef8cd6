"""The result of a comparison."""

from collections.abc import Iterable

from msgspec import Struct

from .claims import Claim
from .dataset import Dataset
from .judging import Cell


class ComparisonResult(Struct, frozen=True, kw_only=True):
    """The results of a comparison, as in ``comparison.json``.

    Attributes:
        folder: the comparison's.
        strong: the strong model of all recipes.
        target: the target model, if any recipe asks it.
        seeds: in the seed file that recipes share; 0 if each has its own.
        validation: seeds that the recipes got.
        datasets: one per recipe, then those of the sweeps.
        baseline: the recipe that differences refer to.
        cells: the verdicts on the tuned models' answers.
        claims: the paper's.
        files: by name.
    """

    folder: str
    strong: str
    target: str
    seeds: int
    validation: int
    datasets: tuple[Dataset, ...]
    baseline: str
    cells: tuple[Cell, ...]
    claims: tuple[Claim, ...]
    files: dict[str, str]

    @property
    def plain_datasets(self) -> list[Dataset]:
        """The datasets that belong to no sweep."""
        return [dataset for dataset in self.datasets if not dataset.sweep_key]

    @property
    def sweeps(self) -> dict[str, list[Dataset]]:
        """The datasets of each sweep, by the setting that is varied."""
        sweeps: dict[str, list[Dataset]] = {}
        for dataset in self.datasets:
            if dataset.sweep_key:
                sweeps.setdefault(dataset.sweep_key, []).append(dataset)
        return sweeps

    def judge_tests(self, datasets: Iterable[Dataset]) -> list[tuple[str, str]]:
        """Return every (judge, test set) with answers of a model tuned on one of *datasets*."""
        names = {dataset.name for dataset in datasets}
        return list(
            dict.fromkeys((cell.judge, cell.test) for cell in self.cells if cell.recipe in names)
        )

    def find_cell(self, judge: str, test: str, recipe: str) -> Cell | None:
        """Return *judge*'s result of *recipe*'s answers to *test*, if there is one."""
        key = (judge, test, recipe)
        return next((c for c in self.cells if (c.judge, c.test, c.recipe) == key), None)
