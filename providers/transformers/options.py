"""The options of models that transformers runs."""

from typing import Annotated

from msgspec import Meta, Struct


class TransformersOptions(Struct, frozen=True, kw_only=True):
    """Options for running a model with transformers."""

    batch: Annotated[int, Meta(ge=1, le=10_000)] = 1
    """Greedy calls answered at once. With one, the same request has the same reply. With more,
    padding sometimes turns a close decision between two tokens. Sampled calls go one by one."""
