"""What is known of the models that vendors sell: ``models.json``, made by scripts/make_models.py.

A row says what a request may ask of a model and what its tokens cost, as of the table's date. It
decides defaults only: what the user sets wins, and a model without a row is called as ever.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

import msgspec
from msgspec import Struct, structs

Temperature = Literal["takes", "refuses", "without_effort", "ignores"]
"""What a model does with ``temperature`` and ``top_p``.

``refuses``: 400 for any but its default, 1; ``without_effort``: the same unless its reasoning
effort is none; ``ignores``: without a word.
"""


class ModelFacts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One model, or with a name that ends in ``*``, all of a family that have no row of their own.

    Attributes:
        provider: The name of its vendor's `hosts.Host`.
        name: What its vendor calls it.
        price_input: US dollars per million prompt tokens, as all prices; None: not known.
        price_cached: Of prompt tokens that the vendor's prompt cache holds.
        price_written: Of prompt tokens that are written to that cache.
        price_output: Of completion tokens, those of hidden thoughts included.
        batch_factor: What a batch call costs, as a share of these prices.
        context: The most prompt tokens.
        longest_output: The most completion tokens.
        temperature: What it does with sampling parameters.
        effort: Its reasoning effort where a request names none.
        thinks: Whether it thinks before it answers, unless it is told not to.
        api: ``responses``: it has no chat completions.
        retires: The day from which its vendor serves it no more.
    """

    provider: str
    name: str
    price_input: float | None = None
    price_cached: float | None = None
    price_written: float | None = None
    price_output: float | None = None
    batch_factor: float | None = None
    context: int | None = None
    longest_output: int | None = None
    temperature: Temperature = "takes"
    effort: str | None = None
    thinks: bool = False
    api: Literal["chat", "responses"] = "chat"
    retires: date | None = None

    def takes_sampling(self, extra: Mapping[str, Any]) -> bool:
        """Whether the model takes any temperature and top_p beside the body's fields *extra*."""
        if self.temperature == "without_effort":
            return (_effort(extra) or self.effort) == "none"
        return self.temperature == "takes" and not _has_thinking(extra)

    def thinks_with(self, extra: Mapping[str, Any]) -> bool:
        """Whether the model thinks before it answers a request with the body's fields *extra*."""
        effort = _effort(extra)
        return _has_thinking(extra) or (self.thinks if effort is None else effort != "none")

    @property
    def takes_both(self) -> bool:
        """Whether one request may hold both temperature and top_p: Claude refuses that."""
        return self.provider != "anthropic"

    @property
    def is_family(self) -> bool:
        return self.name.endswith("*")


def _effort(extra: Mapping[str, Any]) -> object:
    """Return the reasoning effort that a body asks for: OpenAI's two APIs, Anthropic's."""
    for table in ("reasoning", "output_config"):
        if isinstance(inner := extra.get(table), Mapping) and "effort" in inner:
            return cast("Mapping[str, Any]", inner)["effort"]
    return extra.get("reasoning_effort")


def _has_thinking(extra: Mapping[str, Any]) -> bool:
    """Whether a body turns Claude's thinking on: then no temperature but 1 is taken."""
    thinking = extra.get("thinking")
    if not isinstance(thinking, Mapping):
        return False
    return cast("Mapping[str, Any]", thinking).get("type") in {"enabled", "adaptive"}


class ModelTable(Struct, frozen=True):
    """The table, the day it was made, and what it was made from."""

    date: date
    sources: tuple[str, ...]
    models: tuple[ModelFacts, ...]


@cache
def model_table() -> ModelTable:
    """Return the table; it is read once."""
    return msgspec.json.decode(
        Path(__file__).with_name("models.json").read_bytes(), type=ModelTable
    )


@cache
def find_model(provider: str, name: str) -> ModelFacts | None:
    """Return what is known of the model *name* at *provider*; None: nothing.

    A dated snapshot has its alias's row, a fine-tuned model its base model's, without the prices.
    So has a vendor's model at another provider, where prices may differ.
    """
    rows = model_table().models
    plain = _plain_name(name)
    own = _row([row for row in rows if row.provider == provider], plain)
    if own is not None:
        return _without_prices(own) if plain.startswith("ft:") else own
    others = [row for row in rows if row.provider != provider]
    row = _row(others, _VENDOR.sub("", plain.rpartition("/")[2]))
    return None if row is None else _without_prices(row)


_SNAPSHOT = re.compile(r"[-@](?:\d{4}-\d{2}-\d{2}|\d{8}|latest|default)$|-v\d+(?::\d+)?$|:[a-z]+$")
_VENDOR = re.compile(r"(?:(?:us|eu|apac|jp|au|global)\.)?[a-z]+\.(?=[a-z])")
"""What Bedrock puts before a model's name: a region, its vendor."""


def _plain_name(name: str) -> str:
    name = name.strip().lower().removeprefix("models/")
    return name.replace(".", "-") if name.rpartition("/")[2].startswith("claude-") else name


def _spellings(name: str) -> Iterator[str]:
    """Yield *name*, then without what vendors add to it: a fine-tuned model's own part, a date."""
    yield name
    if name.startswith("ft:"):
        name = name.split(":")[1]
        yield name
    while (shorter := _SNAPSHOT.sub("", name)) != name:
        name = shorter
        yield name


def _row(rows: list[ModelFacts], name: str) -> ModelFacts | None:
    """Return the row of *name*, else that of its narrowest family."""
    by_name = {row.name.lower(): row for row in reversed(rows)}
    spellings = list(_spellings(name))
    exact = next((by_name[spelling] for spelling in spellings if spelling in by_name), None)
    families = [row for row in rows if row.is_family and _is_of(spellings[-1], row.name[:-1])]
    return exact or max(families, key=lambda row: len(row.name), default=None)


def _is_of(name: str, family: str) -> bool:
    return name == family or name.startswith(tuple(f"{family}{end}" for end in "-.@:"))


def _without_prices(row: ModelFacts) -> ModelFacts:
    return structs.replace(
        row,
        price_input=None,
        price_cached=None,
        price_written=None,
        price_output=None,
        batch_factor=None,
    )
