"""JSON schemas as vendors take them."""

from collections.abc import Iterator
from typing import Any

import pytest

from codeclm.prompts import BUILT_IN
from codeclm.prompts.prompt import Sizes
from codeclm.providers.anthropic import Anthropic
from codeclm.providers.base import Rejected
from codeclm.providers.http.exchange import HttpSession
from codeclm.providers.structured import CLAUDE_DROPS, GEMINI_DROPS, is_strict, without_keywords

from . import vendors
from .servers import Server, request

SCHEMAS = [
    pytest.param(schema, id=prompt.name)
    for prompt in BUILT_IN
    if (schema := prompt.typical(Sizes(seed=60, answer=400)).prompt.schema()) is not None
]


def keywords(schema: Any) -> Iterator[tuple[str, Any]]:
    """Yield each keyword of *schema* and of those within it, without names of properties."""
    for name, value in schema.items():
        yield name, value
        if name == "properties":
            for inner in value.values():
                yield from keywords(inner)
        elif name == "items":
            yield from keywords(value)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_claude_gets_no_keyword_that_it_refuses(schema: dict[str, Any]) -> None:
    sent = dict(keywords(without_keywords(schema, CLAUDE_DROPS)))

    assert not CLAUDE_DROPS & sent.keys()
    assert sent.get("minItems", 0) <= 1


@pytest.mark.parametrize("schema", SCHEMAS)
def test_gemini_keeps_the_bounds_of_lists(schema: dict[str, Any]) -> None:
    sent = dict(keywords(without_keywords(schema, GEMINI_DROPS)))

    assert not GEMINI_DROPS & sent.keys()
    assert sent.get("maxItems") == dict(keywords(schema)).get("maxItems")


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_schema_of_ours_is_strict(schema: dict[str, Any]) -> None:
    assert is_strict(schema)


@pytest.mark.parametrize("schema", SCHEMAS)
async def test_claude_s_stand_in_takes_every_schema_of_ours(
    server: Server, session: HttpSession, schema: dict[str, Any]
) -> None:
    server.always = vendors.serve(vendors.anthropic)
    claude = Anthropic(session, base_url=server.url, api_key=vendors.KEY)
    asked = request(response_format="json_schema", schema=schema)

    await claude.complete(asked)

    with pytest.raises(Rejected, match="is not supported"):
        await claude.complete(
            request(extra={"output_config": {"format": {"schema": {"maxItems": 3}}}})
        )


def test_what_is_dropped_is_told_instead() -> None:
    items = {"type": "string", "minLength": 1, "maxLength": 9}
    schema = {"type": "array", "description": "Tasks.", "items": items, "minItems": 4}

    assert without_keywords(schema, CLAUDE_DROPS) == {
        "type": "array",
        "description": "Tasks. {minItems: 4}",
        "items": {"type": "string", "description": "{minLength: 1, maxLength: 9}"},
    }


def test_a_property_that_is_called_like_a_keyword_stays() -> None:
    schema = {"type": "object", "properties": {"maxItems": {"type": "string"}}}

    assert without_keywords(schema, CLAUDE_DROPS) == schema
