"""Pictures in the manner of the paper's Figures 3 to 5; they need the extra ``plots``."""

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .dataset import Dataset
from .report import Comparison, shares
from .settings import PLAIN

WANTED = 'no plots: they need matplotlib: pip install "codeclm[plots]"'


def available() -> bool:
    return find_spec("matplotlib") is not None


def draw(result: Comparison, folder: Path) -> list[str]:
    """Draw what there is to draw and return the files' names; none without matplotlib. Blocks."""
    if not available():
        return []
    import_module("matplotlib").use("agg")
    drawn = list[str]()
    filtered = [each for each in result.plain if each.rounds]
    if filtered:
        drawn.append(_rounds(filtered, folder / "rounds.png"))
    for key, swept in result.sweeps.items():
        drawn.append(_sweep(key, swept, result, folder / f"sweep-{key}.png"))
    return drawn


def _rounds(whole: Sequence[Dataset], path: Path) -> str:
    """Shares of rows by round: the bars of Figure 3."""
    figure, axes = _figure(1)
    rounds = sorted({n for each in whole for n in each.rounds})
    _bars(axes[0], [(each.name, shares(each, rounds)) for each in whole], rounds)
    return _save(figure, path)


def _bars(axes: Any, series: Sequence[tuple[str, Sequence[float]]], rounds: Sequence[int]) -> None:
    width = 0.8 / len(series)
    for n, (name, heights) in enumerate(series):
        places = [number - 0.4 + (n + 0.5) * width for number in rounds]
        axes.bar(places, [100 * height for height in heights], width, label=name)
    axes.set(xlabel="round", ylabel="share of the data, %", xticks=list(rounds), ylim=(0, 100))
    axes.legend(fontsize="small")


def _sweep(key: str, swept: Sequence[Dataset], result: Comparison, path: Path) -> str:
    """CRR over the setting where it was judged (Figures 3 to 5), and what the data is like."""
    crr = {(cell.judge, cell.test, cell.recipe): cell.crr for cell in result.cells}
    names = {each.name for each in swept}
    judged = list(dict.fromkeys((judge, test) for judge, test, name in crr if name in names))
    by_recipe: dict[str, list[Dataset]] = {}
    for each in swept:
        by_recipe.setdefault(each.recipe, []).append(each)
    rounds = sorted({n for each in swept for n in each.rounds})
    figure, axes = _figure(len(judged) + 2 + bool(rounds))
    panels = iter(axes)
    for judge, test in judged:
        _lines(next(panels), key, f"CRR on {test} ({judge}), %", {
            name: [(each.value, crr.get((judge, test, each.name))) for each in runs]
            for name, runs in by_recipe.items()
        })  # fmt: skip
    _lines(next(panels), key, "calls per row", {
        name: [(each.value, each.alone.calls / each.rows if each.rows else None) for each in runs]
        for name, runs in by_recipe.items()
    })  # fmt: skip
    _lines(next(panels), key, "self-similarity", {
        name: [(each.value, each.diversity.self_similarity) for each in runs]
        for name, runs in by_recipe.items()
    })  # fmt: skip
    if rounds:
        first = next(each.recipe for each in swept if each.rounds)
        runs = by_recipe.get(PLAIN, by_recipe[first])
        _bars(next(panels), [(f"{e.recipe}, {e.value}", shares(e, rounds)) for e in runs], rounds)
    return _save(figure, path)


def _lines(axes: Any, x: str, y: str, lines: dict[str, list[tuple[Any, float | None]]]) -> None:
    for name, points in lines.items():
        if known := [(_place(at), value) for at, value in points if value is not None]:
            axes.plot(*zip(*known, strict=True), marker="o", markersize=4, label=name)
    places = {_place(at) for points in lines.values() for at, _ in points}
    if not any(isinstance(place, str) for place in places):
        axes.set_xticks(sorted(places))
    axes.set(xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(fontsize="small")


def _place(value: Any) -> Any:
    """Numbers stand where they belong, words side by side."""
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
