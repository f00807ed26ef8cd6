"""The provider of models that run in this process."""

import asyncio
from typing import Any

from ..base import Reply, Request, ResponseFormat
from .chat import render_request
from .options import LocalOptions
from .runtime import release_runtime, share_runtime
from .weights import check_release, digest_of, find_weights


async def open_local(model: str, options: LocalOptions | None = None) -> "Local":
    """Open a `Local` without blocking the loop while its file is read.

    Raises:
        FileNotFoundError: see `find_weights`.
        ValueError: the weights of ``smollm2`` are not the released ones.
    """
    return await asyncio.to_thread(Local, model, options or LocalOptions())


class Local:
    """Reply from a model file.

    Reads the whole file for its digest, so that cached answers of other weights are not reused;
    `open_local` does that in a thread. The model itself is loaded by the first call.

    Attributes:
        runtime: The loaded model, shared by all that run the same file with the same options.
    """

    kind: str = "local"
    identity: str
    structured: ResponseFormat = "json_schema"

    def __init__(self, model: str, options: LocalOptions | None = None, **settings: Any) -> None:
        """Take a share in *model*; *settings* are the fields of `LocalOptions`.

        Raises:
            FileNotFoundError: see `find_weights`.
            ValueError: the weights of ``smollm2`` are not the released ones.
        """
        path = find_weights(model)
        digest = digest_of(path)
        check_release(model, path, digest)
        options = options or LocalOptions(**settings)
        self.identity = f"local:{digest}?context={options.context}"
        self.runtime = share_runtime(path, options)
        self._is_open = True

    async def start(self) -> None:
        """Load the model now.

        Raises:
            Denied: llama.cpp cannot load the file.
        """
        await self.runtime.run(lambda _: self.runtime.load())

    async def complete(self, request: Request, /) -> Reply:
        runtime = self.runtime
        body = render_request(request, prompt_cache=runtime.options.prompt_cache)
        return await runtime.run(
            lambda is_abandoned: runtime.complete(body, is_abandoned, request.model)
        )

    async def aclose(self) -> None:
        """Give back the share; the last one unloads the model."""
        if self._is_open:
            self._is_open = False
            release_runtime(self.runtime)
