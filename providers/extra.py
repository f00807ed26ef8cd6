"""A role's ``extra``: fields of the user's own in the body of every request."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from . import json_codec


def encode_with_extra(body: Struct, extra: Mapping[str, Any], *, shared: str) -> bytes:
    """Return the JSON of *body* with the fields *extra*, which win.

    Of the table *shared* both have a part: a reasoning effort beside a schema, say, must not
    take the schema out of the request.
    """
    if not extra:
        return json_codec.dumps(body)
    fields: dict[str, Any] = msgspec.to_builtins(body)
    merged = {**fields, **extra}
    ours, theirs = fields.get(shared), extra.get(shared)
    if isinstance(ours, dict) and isinstance(theirs, Mapping):
        merged[shared] = {**ours, **theirs}
    return json_codec.dumps(merged)
