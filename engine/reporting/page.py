"""A run as one HTML page: its summary and the transcripts of some examples.

The page has no scripts, loads nothing, and escapes every text from models and data, so that it can
be kept beside the dataset and sent around.
"""

from collections.abc import Iterable, Iterator, Mapping
from html import escape

from ..config import Config, describe_temperature
from ..data.judge import judge_warnings
from ..data.records import Example
from ..pipeline.recipes import RECIPES
from ..store.manifest import Manifest
from .costs import COST_HEADER, cost_rows
from .judge import panel_lines
from .selection import selection_lines
from .summary import Gaps, Summary
from .terminal import printable
from .transcript import transcript

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.6em } h2 { font-size: 1.1em; margin-top: 2em }
table { border-collapse: collapse } td, th { padding: .15em .9em .15em 0; text-align: left }
td.number { text-align: right; font-variant-numeric: tabular-nums }
.bar { display: inline-block; height: .8em; background: #4a78b5 }
details { margin: .4em 0 } summary { cursor: pointer }
pre { white-space: pre-wrap; background: #8881; padding: 1em; overflow-wrap: anywhere }
@media (prefers-color-scheme: dark) { body { background: #111; color: #ddd } }
"""

Cell = str | int | float | None


def html(
    name: str,
    config: Config,
    summary: Summary,
    examples: Iterable[Example],
    seeds: Mapping[str, str],
    manifest: Manifest | None = None,
) -> str:
    """Return the page of the run *name*; *seeds* holds the texts of its seeds by id."""
    parts = [
        f"<h1>{_safe(name)}</h1>",
        f"<p>{_safe(summary.ending)}: {summary.rows:,} rows. {_safe(summary.reason)}</p>",
        _section("Run", _table(_run(config, summary, manifest))),
        _section("Models", _table(_models(config))),
        _section("Fates", _table(_totals(summary), "", "seeds", "instructions")),
        _section("Rounds", _rounds(summary)),
        _section("Rows against seeds", _table(_coverage(summary), *_COVERAGE_HEADER)),
        _section("Quality gap", _histogram(summary.gaps)),
        _section("Overlap with test sets", _table(_overlaps(summary), "", "rows", "dropped")),
        _section(
            "Cost of all sessions", _table(cost_rows(summary.costs), "role", "stage", *COST_HEADER)
        ),
        _section("Calls of this session", _table(_calls(summary), *_CALL_HEADER)),
        _section("First failures", _table(_failures(summary), "item", "reason", "detail")),
        _section("Examples", "".join(_details(example, seeds) for example in examples)),
    ]
    return (
        "<!doctype html>\n<html lang=en><meta charset=utf-8>"
        "<meta http-equiv=Content-Security-Policy"
        " content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{_safe(name)}</title><style>{_STYLE}</style>\n" + "\n".join(parts) + "\n</html>\n"
    )


def _safe(text: str) -> str:
    return escape(printable(text))


def _section(title: str, body: str) -> str:
    return f"<h2>{title}</h2>\n{body}" if body else ""


def _table(rows: Iterable[tuple[Cell, ...]], *header: str) -> str:
    lines = [f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows]
    if not lines:
        return ""
    top = f"<tr>{''.join(f'<th>{name}</th>' for name in header)}</tr>" if header else ""
    return f"<table>{top}{''.join(lines)}</table>"


def _cell(value: Cell) -> str:
    if value is None:
        return "<td></td>"
    if isinstance(value, str):
        return f"<td>{_safe(value)}</td>"
    figure = f"{value:,}" if isinstance(value, int) else f"{value:.1%}"
    return f"<td class=number>{figure}</td>"


def _run(config: Config, summary: Summary, manifest: Manifest | None) -> Iterator[tuple[Cell, ...]]:
    recipe = RECIPES[config.recipe]
    yield "recipe", f"{recipe.name} ({recipe.source}): {recipe.summary}"
    if manifest:
        yield "started", f"{manifest.started}, with codeclm {manifest.codeclm}"
    yield "target rows", summary.target_rows or "none: as many as the seeds give"
    yield "paid answers, all sessions", summary.calls_in_all
    if summary.money_in_all is not None:
        yield "cost, all sessions", f"{summary.money_in_all:.4f}"
    for name, value in config.quality.in_force():
        yield f"quality: {name}", value


_COVERAGE_HEADER = ("", "distance", "values with a row")


def _coverage(summary: Summary) -> Iterator[tuple[Cell, ...]]:
    coverage = summary.coverage
    if coverage is None:
        return
    if coverage.with_row is not None:
        yield "seeds with a row", "", f"{coverage.with_row:,} of {coverage.seeds:,}"
    for name, distance in coverage.distance.items():
        values = coverage.values.get(name)
        yield name, f"{distance:.2f}", "" if values is None else f"{values[0]:,} of {values[1]:,}"


def _overlaps(summary: Summary) -> Iterator[tuple[Cell, ...]]:
    for test, overlap in summary.overlaps.items():
        yield test, len(overlap.rows), len(overlap.dropped)


def _models(config: Config) -> Iterator[tuple[Cell, ...]]:
    recipe = RECIPES[config.recipe]
    for name, role in recipe.role_configs(config).items():
        yield name, role.model, f"temperature {describe_temperature(role)}"
    if recipe.scores_gaps(config):
        yield "threshold", f"θ = {config.filter.threshold:g}", ""
    yield "seed", str(config.seed), ""


def _totals(summary: Summary) -> Iterator[tuple[Cell, ...]]:
    seeds, instructions = summary.seeds, summary.instructions
    yield "input", seeds.input, instructions.input
    yield "kept", seeds.kept, instructions.kept
    for kind in ("filtered", "failed"):
        of_seeds, of_instructions = getattr(seeds, kind), getattr(instructions, kind)
        for reason in dict.fromkeys([*of_seeds, *of_instructions]):
            label = f"{kind}: {reason.replace('_', ' ')}"
            yield label, of_seeds.get(reason), of_instructions.get(reason)
    if seeds.unfinished or instructions.unfinished:
        yield "unfinished", seeds.unfinished, instructions.unfinished


def _rounds(summary: Summary) -> str:
    gaps = summary.gaps
    rows = [
        (number, scored, selected, None if gaps.selection.unfinished else selected / scored)
        for number, scored in gaps.scored.items()
        for selected in [gaps.selected.get(number, 0)]
    ]
    table = _table(rows, "round", "scored", "selected", "rate")
    text = " ".join(selection_lines(gaps.selection)) if rows else ""
    return f"{table}<p>{_safe(text)}.</p>" if rows else ""


def _histogram(gaps: Gaps) -> str:
    if not gaps.histogram:
        return ""
    most = max(gaps.histogram.values())
    lines = [
        f"<tr><td>{low} to {int(low) + 1}</td><td class=number>{count:,}</td>"
        f'<td><span class=bar style="width:{20 * count / most:.2f}em"></span></td></tr>'
        for low, count in gaps.histogram.items()
    ]
    pairs = _table([tuple(gaps.pairs_at.values())], *(f"θ = {theta}" for theta in gaps.pairs_at))
    bias = ""
    if gaps.bias is not None:
        bias = f"<p>Position bias: {gaps.bias.describe('rounds')}.</p>"
    if gaps.judge is not None:
        bias += f"<p>Judge: {gaps.judge.describe()}.</p>"
        bias += "".join(f"<p>{_safe(line.strip())}.</p>" for line in panel_lines(gaps.panel))
        bias += "".join(f"<p>Warning: {_safe(text)}.</p>" for text in judge_warnings(gaps.judge))
    return (
        f"<table><tr><th>gap<th>rounds<th></tr>{''.join(lines)}</table><p>Pairs:</p>{pairs}{bias}"
    )


_CALL_HEADER = ("stage", "paid", "reused", "unreadable", "prompt tokens", "answer tokens")


def _calls(summary: Summary) -> Iterator[tuple[Cell, ...]]:
    names = ("paid", "reused", "unreadable", "prompt_tokens", "completion_tokens")
    for stage, counts in summary.calls.items():
        yield (stage, *(counts[name] for name in names))


def _failures(summary: Summary) -> Iterator[tuple[Cell, ...]]:
    for failure in summary.failures:
        yield failure.item, failure.reason.replace("_", " "), failure.detail[:300]


def _details(example: Example, seeds: Mapping[str, str]) -> str:
    title = printable(example.instruction)[:120].replace("\n", " ")
    fate = f"{example.fate}, gap {example.gap:+g}" if example.gap is not None else example.fate
    body = escape(transcript(example, seeds))
    return f"<details><summary>{escape(title)} ({fate})</summary><pre>{body}</pre></details>\n"
