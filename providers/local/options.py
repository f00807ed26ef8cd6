"""The options of local models."""

from typing import Annotated

from msgspec import Meta, Struct

_Count = Annotated[int, Meta(ge=1)]


class LocalOptions(Struct, frozen=True, kw_only=True):
    """Options for running a model. Roles with the same file and the same options share one."""

    slots: _Count = 1
    """Calls answered at once. With one, the same request has the same reply. With more, a sampled
    text sometimes depends on its neighbours (measured: 1 in 40)."""
    context: Annotated[int, Meta(ge=64)] = 2048
    """Tokens of a prompt and its reply together, for each slot."""
    threads: _Count | None = None
    """Cores to use; None: all of them, but for a file below 500 MB one to generate and up to four
    to read prompts: more slow it down."""
    prompt_cache: bool = False
    """Cache common prefixes of prompts between calls: faster, but a sampled text may then depend on
    earlier calls."""
