"""The scripted provider: latency and failures as its options say, replies from `writers`."""

import asyncio
from hashlib import blake2b
from typing import Any, Final

from ..base import FinishReason, RateLimited, Reply, Request, ResponseFormat, Unavailable
from .options import ScriptedOptions
from .writers import write


class Scripted:
    """Reply from a script. Settings are the fields of `ScriptedOptions`."""

    kind: str = "scripted"
    identity: str = "scripted"
    structured: ResponseFormat = "text"

    def __init__(self, options: ScriptedOptions | None = None, **settings: Any) -> None:
        self.options = options or ScriptedOptions(**settings)
        seed = self.options.model_seed.encode("utf-8", "surrogatepass")
        self._seeded = blake2b(seed, digest_size=32)
        self._failed: set[bytes] = set()

    async def complete(self, request: Request, /) -> Reply:
        options = self.options
        digest = self._digest(request)
        if options.latency or options.jitter:
            share = int.from_bytes(digest[0:4], "little") / 2**31 - 1
            wait = options.latency + options.jitter * share
            if wait > 0:
                await asyncio.sleep(wait)
        if options.error_rate or options.rate_limit_rate:
            self._fail_once(digest)

        text = self._write(request, digest)
        finish_reason: FinishReason = "stop"
        if request.max_tokens is not None and len(text) > 4 * request.max_tokens:
            text, finish_reason = text[: 4 * request.max_tokens], "length"
        return Reply(
            text=text,
            finish_reason=finish_reason,
            prompt_tokens=sum(len(message.content) for message in request.messages) // 4 + 1,
            completion_tokens=len(text) // 4 + 1,
            model=request.model,
        )

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""

    def _digest(self, request: Request) -> bytes:
        parts = [request.model, request.sample]
        for message in request.messages:
            parts += (message.role, message.content)
        digest = self._seeded.copy()
        digest.update("\0".join(parts).encode("utf-8", "surrogatepass"))
        return digest.digest()

    def _fail_once(self, digest: bytes) -> None:
        """Fail the first attempt of a share of the requests; later attempts pass.

        Raises:
            Unavailable: this is one of ``error_rate``.
            RateLimited: this is one of ``rate_limit_rate``.
        """
        options = self.options
        share = int.from_bytes(digest[4:8], "little") / 2**32
        if share >= options.error_rate + options.rate_limit_rate:
            return
        if digest in self._failed:
            self._failed.discard(digest)
            return
        if len(self._failed) >= _MAX_REMEMBERED:
            self._failed.clear()
        self._failed.add(digest)
        if share < options.error_rate:
            raise Unavailable("scripted: a simulated failure")
        raise RateLimited("scripted: a simulated rate limit", retry_after=options.retry_after)

    def _write(self, request: Request, digest: bytes) -> str:
        share = int.from_bytes(digest[8:12], "little") / 2**32
        if share < self.options.unreadable_rate:
            return "I'm sorry, but I cannot help with that request."
        fixed = self.options.replies.get(request.purpose)
        return write(request, digest[16:32]) if fixed is None else fixed


_MAX_REMEMBERED: Final = 100_000
