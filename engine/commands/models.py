"""``codeclm models``: what is known of the models that vendors sell, and as of when."""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime

from msgspec import structs

from ...providers.models import ModelFacts, find_model, model_table
from ..data.errors import UserError
from ..data.providers import PROVIDERS, resolve_model
from .arguments import add_examples, add_json
from .exit_status import ExitStatus
from .output import print_json, print_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="provider/model, a model's name, or a provider's (default: every model)",
    )
    add_json(parser)
    add_examples(
        parser,
        "codeclm models",
        "codeclm models anthropic",
        "codeclm models openai/gpt-5-mini --json",
    )


def run(args: argparse.Namespace) -> int:
    rows = _matching(args.name)
    if not rows:
        raise UserError(
            f"{args.name}: not in the table of {model_table().date}: it is called with the usual"
            " settings, and has a price only if you set price_input and price_output"
        )
    if args.json:
        print_json(structs.replace(model_table(), models=tuple(rows)))
        return ExitStatus.DONE
    lines = _card(rows[0]) if len(rows) == 1 else _lines(rows)
    print_text("\n".join((*lines, f"as of {model_table().date}; US dollars per million tokens")))
    return ExitStatus.DONE


def _matching(name: str | None) -> list[ModelFacts]:
    """Return the rows that *name* means: a provider's, one model's, or all of that name."""
    rows = [row for row in model_table().models if not row.is_family]
    if name is None:
        return rows
    if (provider := name.lower().rstrip("/")) in {row.provider for row in rows}:
        return [row for row in rows if row.provider == provider]
    if same := [row for row in rows if row.name == name.lower()]:
        return same
    try:
        host, model = resolve_model(name)
    except UserError:
        matches = (find_model(host, name) for host in PROVIDERS.names())
        return [row for row in matches if row is not None][:1]
    row = find_model(host.name, model)
    return [] if row is None else [row]


def _card(row: ModelFacts) -> Iterator[str]:
    yield f"{row.provider}/{row.name}"
    facts = {
        "price": _prices(row) or "not known: set price_input and price_output",
        "batch": f"{row.batch_factor:.0%} of that" if row.batch_factor else None,
        "temperature": _TEMPERATURE[row.temperature],
        "thinks": _thinking(row),
        "context": f"{row.context:,} tokens" if row.context else None,
        "answer": f"at most {row.longest_output:,} tokens" if row.longest_output else None,
        "API": "Responses only" if row.api == "responses" else None,
        "retires": _retirement(row),
    }
    yield from (f"  {name:<12} {value}" for name, value in facts.items() if value)


_TEMPERATURE = {
    "takes": "taken",
    "refuses": "not sent: the model takes its own only",
    "without_effort": "taken at reasoning effort none only",
    "ignores": "not sent: the model ignores it",
}

_SHORT_TEMPERATURE = {
    "refuses": "no temperature",
    "without_effort": "temperature at effort none only",
    "ignores": "no temperature",
}


def _prices(row: ModelFacts) -> str:
    prices = {
        "input": row.price_input,
        "cached": row.price_cached,
        "written": row.price_written,
        "output": row.price_output,
    }
    return ", ".join(f"{name} {price:g}" for name, price in prices.items() if price is not None)


def _thinking(row: ModelFacts) -> str:
    effort = f" (effort {row.effort})" if row.effort else ""
    return f"{'before it answers' if row.thinks else 'only if told to'}{effort}"


def _retirement(row: ModelFacts) -> str:
    if row.retires is None:
        return ""
    return f"{row.retires}{' (past)' if row.retires <= datetime.now(UTC).date() else ''}"


def _lines(rows: list[ModelFacts]) -> Iterator[str]:
    names = [f"{row.provider}/{row.name}" for row in rows]
    width = max(map(len, names))
    for name, row in zip(names, rows, strict=True):
        remarks = [_prices(row)]
        remarks += [] if row.temperature == "takes" else [_SHORT_TEMPERATURE[row.temperature]]
        remarks += [f"retires {_retirement(row)}"] if row.retires else []
        yield f"{name:<{width}}  {'; '.join(filter(None, remarks))}"
