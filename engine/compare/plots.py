"""Plots like the paper's Figures 3 to 5; they need the extra ``plots``."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...providers.optional import install_command
from .claims import CODECLM
from .dataset import Dataset
from .result import ComparisonResult

NOT_INSTALLED = f"no plots: matplotlib is not installed: {install_command('plots')}"

Point = tuple[Any, float | None]
"""A value of the setting that a sweep varies, and a figure, None if there is none."""


def available() -> bool:
    return find_spec("matplotlib") is not None


def draw_plots(result: ComparisonResult, folder: Path) -> list[str]:
    """Draw the plots for which there is data and return the files' names. Blocks.

    Without matplotlib, draw nothing.
    """
    if not available():
        return []
    import_module("matplotlib").use("agg")
    names = list[str]()
    filtered = [dataset for dataset in result.plain_datasets if dataset.rounds]
    if filtered:
        names.append(_draw_rounds(filtered, folder / "rounds.png"))
    for key, swept in result.sweeps.items():
        names.append(_draw_sweep(result, key, swept, folder / f"sweep-{key}.png"))
    return names


def _draw_rounds(datasets: Sequence[Dataset], path: Path) -> str:
    """Draw the shares of rows by round: the bars of Figure 3."""
    figure, axes = _figure(1)
    rounds = _rounds(datasets)
    _bars(axes[0], [(d.name, d.shares_by_round(rounds)) for d in datasets], rounds)
    return _save(figure, path)


def _rounds(datasets: Sequence[Dataset]) -> list[int]:
    return sorted({number for dataset in datasets for number in dataset.rounds})


def _bars(axes: Any, series: Sequence[tuple[str, Sequence[float]]], rounds: Sequence[int]) -> None:
    width = 0.8 / len(series)
    for n, (name, shares) in enumerate(series):
        positions = [number - 0.4 + (n + 0.5) * width for number in rounds]
        axes.bar(positions, [100 * share for share in shares], width, label=name)
    axes.set(xlabel="round", ylabel="share of the data, %", xticks=list(rounds), ylim=(0, 100))
    axes.legend(fontsize="small")


def _draw_sweep(result: ComparisonResult, key: str, datasets: Sequence[Dataset], path: Path) -> str:
    """Draw CRR over the setting where it was judged (Figures 3 to 5), and figures of the data."""
    by_recipe: dict[str, list[Dataset]] = {}
    for dataset in datasets:
        by_recipe.setdefault(dataset.recipe, []).append(dataset)
    judge_tests, rounds = result.judge_tests(datasets), _rounds(datasets)
    figure, axes = _figure(len(judge_tests) + 2 + bool(rounds))
    panels = iter(axes)
    for judge, test in judge_tests:
        figures = _figures(by_recipe, partial(_crr, result, judge, test))
        _draw_lines(next(panels), key, f"CRR on {test} ({judge}), %", figures)
    _draw_lines(next(panels), key, "calls per row", _figures(by_recipe, _calls_per_row))
    _draw_lines(next(panels), key, "self-similarity", _figures(by_recipe, _self_similarity))
    if rounds:
        first = next(dataset.recipe for dataset in datasets if dataset.rounds)
        runs = by_recipe.get(CODECLM, by_recipe[first])
        bars = [(f"{d.recipe}, {d.sweep_value}", d.shares_by_round(rounds)) for d in runs]
        _bars(next(panels), bars, rounds)
    return _save(figure, path)


def _crr(result: ComparisonResult, judge: str, test: str, dataset: Dataset) -> float | None:
    cell = result.find_cell(judge, test, dataset.name)
    return None if cell is None else cell.crr


def _calls_per_row(dataset: Dataset) -> float | None:
    return dataset.standalone.calls / dataset.rows if dataset.rows else None


def _self_similarity(dataset: Dataset) -> float | None:
    return dataset.diversity.self_similarity


def _figures(
    by_recipe: Mapping[str, Sequence[Dataset]], figure: Callable[[Dataset], float | None]
) -> dict[str, list[Point]]:
    return {
        name: [(dataset.sweep_value, figure(dataset)) for dataset in datasets]
        for name, datasets in by_recipe.items()
    }


def _draw_lines(axes: Any, x: str, y: str, lines: Mapping[str, Sequence[Point]]) -> None:
    for name, points in lines.items():
        if pairs := [(_tick(value), figure) for value, figure in points if figure is not None]:
            axes.plot(*zip(*pairs, strict=True), marker="o", markersize=4, label=name)
    ticks = {_tick(value) for points in lines.values() for value, _ in points}
    if not any(isinstance(tick, str) for tick in ticks):
        axes.set_xticks(sorted(ticks))
    axes.set(xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(fontsize="small")


def _tick(value: Any) -> Any:
    """Keep numbers as numbers, so that they are to scale; make a label of anything else."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _figure(panels: int) -> tuple[Any, Any]:
    pyplot: Any = import_module("matplotlib.pyplot")
    figure, axes = pyplot.subplots(1, panels, figsize=(5 * panels + 1, 4), dpi=120, squeeze=False)
    return figure, axes[0]


def _save(figure: Any, path: Path) -> str:
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": None})
    import_module("matplotlib.pyplot").close(figure)
    return path.name
