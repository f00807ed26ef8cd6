"""Draw progress as lines with bars, by rich, which is imported with this module alone."""

from collections.abc import Iterable, Mapping
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .progress import EndpointProgress, RunProgress
from .progress_text import amounts, endpoint_label, endpoint_text, is_held_up, speed, state_text
from .terminal import one_line


class BarRenderer:
    """Draws progress for a stream, in the colours that its terminal and NO_COLOR allow."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)

    def lines(self, progress: RunProgress, width: int) -> list[str]:
        """Return lines of at most *width* columns, the most important first."""
        console = self._console
        console.size = (width, console.size.height)
        with console.capture() as capture:
            console.print(_picture(progress))
        return [line.rstrip() for line in capture.get().splitlines()]


def _picture(progress: RunProgress) -> RenderableType:
    return Group(_head(progress), _bars(progress), _endpoints(progress), *_details(progress))


def _head(progress: RunProgress) -> Text:
    alert = progress.state not in {"starting", "working"}
    return _line(
        (state_text(progress), "bold yellow" if alert else "bold"),
        (f" · {one_line(progress.run)}", "dim"),
    )


def _bars(progress: RunProgress) -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(ratio=1)
    table.add_column(justify="right", no_wrap=True)
    for name, amount, share in amounts(progress):
        table.add_row(name, amount, *_bar(share))
    return table


def _bar(share: float | None) -> tuple[RenderableType, str]:
    if share is None:
        return "", ""
    return ProgressBar(total=1.0, completed=share), f"{int(100 * share)}%"


def _endpoints(progress: RunProgress) -> Table:
    table = Table.grid(padding=(0, 1))
    labels = [endpoint_label(endpoint) for endpoint in progress.endpoints]
    table.add_column(no_wrap=True, min_width=max(map(len, labels), default=0))
    table.add_column(no_wrap=True, overflow="ellipsis")
    for label, endpoint in zip(labels, progress.endpoints, strict=True):
        table.add_row(label, _endpoint(endpoint))
    return table


def _endpoint(endpoint: EndpointProgress) -> Text:
    return _line((endpoint_text(endpoint), "yellow" if is_held_up(endpoint) else ""))


def _details(progress: RunProgress) -> Iterable[Text]:
    activity = progress.activity
    under_way = [
        f"{name} {counts.entered - counts.finished:,}"
        for name, counts in activity.stages.items()
        if counts.entered > counts.finished
    ]
    lost = sum(counts.lost for counts in activity.stages.values())
    tokens = f"{activity.tokens_per_second:,.0f} tokens/s"
    parts = [f"{speed(activity.calls_per_second)}, {tokens}"]
    if progress.spending.reused:
        parts.append(f"{progress.spending.reused:,} from the cache")
    if lost:
        parts.append(f"{lost:,} failed")
    yield _line((" · ".join(parts), "dim"))
    if under_way:
        yield _line((f"in progress: {', '.join(under_way)}", "dim"))
    if activity.scored:
        rounds = _shares(activity.scored, activity.selected)
        yield _line((f"selected by round: {', '.join(rounds)}", "dim"))


def _shares(scored: Mapping[int, int], selected: Mapping[int, int]) -> Iterable[str]:
    return (f"{selected.get(number, 0) / count:.0%}" for number, count in sorted(scored.items()))


def _line(*parts: tuple[str, str]) -> Text:
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")
