"""The provider of models that transformers runs in this process."""

import asyncio
from hashlib import blake2b
from typing import Any, Final

import anyio.to_thread

from ..base import Denied, ProviderError, Rejected, Reply, Request, ResponseFormat
from .location import digest_model, find_model
from .model import (
    Decoding,
    LocalModel,
    ModelError,
    generate,
    load_model,
    prompt_ids,
)
from .options import TransformersOptions

_DEFAULT_TOKENS: Final = 2048


class _PendingCall:
    """A request that waits for its batch; after that it has a reply or an error."""

    __slots__ = ("error", "reply", "request")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.reply: Reply | None = None
        self.error: ProviderError | None = None


async def open_transformers(model: str, options: TransformersOptions) -> "Transformers":
    """Open a provider of *model*, reading its files for their digest in a thread.

    Raises:
        FileNotFoundError: see `find_model`.
        ValueError: a file cannot be read.
    """
    path = await anyio.to_thread.run_sync(find_model, model)
    try:
        digest = await anyio.to_thread.run_sync(digest_model, path)
    except OSError as error:
        raise ValueError(f"{error.filename}: {error.strerror}") from error
    return Transformers(model, digest, options)


class Transformers:
    """Replies of a causal language model.

    Calls that wait are answered together, up to ``batch`` greedy ones at a time: whoever gets the
    lock answers for the others. The first call loads the model.
    """

    kind: str = "transformers"
    structured: ResponseFormat = "text"

    def __init__(self, model: str, digest: str, options: TransformersOptions) -> None:
        self.identity = f"transformers:{digest}"
        self._name = model
        self._options = options
        self._waiting: list[_PendingCall] = []
        self._lock = asyncio.Lock()
        self._local: LocalModel | None = None

    async def complete(self, request: Request, /) -> Reply:
        """Answer *request*, together with others that wait.

        Raises:
            Denied: the model cannot be loaded or run.
            Rejected: its chat template does not take these messages, or they are too long.
        """
        call = _PendingCall(request)
        self._waiting.append(call)
        try:
            async with self._lock:
                while call in self._waiting:
                    await anyio.to_thread.run_sync(self._answer, self._next_batch())
        finally:
            if call in self._waiting:
                self._waiting.remove(call)
        if call.reply is None:
            raise call.error or Denied(f"{self._name}: no reply")
        return call.reply

    async def aclose(self) -> None:
        """Forget the model."""
        async with self._lock:
            self._local = None

    def _next_batch(self) -> list[_PendingCall]:
        """Take the first call that waits, and what can be answered with it."""
        first = self._waiting[0].request
        batch = [call for call in self._waiting if _fits(call.request, first)]
        batch = batch[: self._options.batch] if not first.temperature else self._waiting[:1]
        self._waiting = [call for call in self._waiting if call not in batch]
        return batch

    def _answer(self, batch: list[_PendingCall]) -> None:
        """Answer *batch*. Blocks."""
        try:
            self._local = self._local or load_model(self._name)
            self._generate(self._local, batch)
        except Exception as error:  # noqa: BLE001  (torch raises anything)
            text = str(error) if isinstance(error, ModelError) else repr(error)
            for call in batch:
                call.error = call.error or Denied(f"{self._name}: {text}")

    def _generate(self, local: LocalModel, batch: list[_PendingCall]) -> None:
        """Answer those calls of *batch* whose prompt the model can read."""
        prompts: list[list[int]] = []
        calls: list[_PendingCall] = []
        for call in batch:
            try:
                prompts.append(_encode(local, call.request))
                calls.append(call)
            except Rejected as error:
                call.error = error
        if not calls:
            return
        room = _context(local) - max(map(len, prompts))
        answers = generate(local, prompts, _decoding(calls[0].request, room))
        for call, prompt, answer in zip(calls, prompts, answers, strict=True):
            call.reply = Reply(
                text=answer.text,
                finish_reason="length" if answer.cut_off else "stop",
                prompt_tokens=len(prompt),
                completion_tokens=answer.tokens,
                model=call.request.model,
            )


def _fits(request: Request, first: Request) -> bool:
    return not request.temperature and request.max_tokens == first.max_tokens


def _encode(local: LocalModel, request: Request) -> list[int]:
    """Return the tokens of *request*.

    Raises:
        Rejected: the template does not take its messages, or they leave no room for an answer.
    """
    messages = [{"role": m.role, "content": m.content} for m in request.messages]
    try:
        ids = prompt_ids(local.tokenizer, messages)
    except Exception as error:  # Jinja's and the template's own
        raise Rejected(f"the chat template refuses these messages: {error}") from error
    longest = _context(local)
    if len(ids) >= longest:
        raise Rejected(f"the prompt has {len(ids):,} tokens, and the model reads {longest:,}")
    return ids


def _context(local: LocalModel) -> int:
    config: Any = local.model.config
    return int(getattr(config, "max_position_embeddings", None) or 1 << 30)


def _decoding(request: Request, room: int) -> Decoding:
    """Return how to answer *request* where the model has *room* for so many tokens."""
    digest = blake2b(digest_size=6)
    for text in (request.sample, *(message.content for message in request.messages)):
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return Decoding(
        max_tokens=min(request.max_tokens or _DEFAULT_TOKENS, room),
        temperature=float(request.temperature or 0),
        top_p=request.top_p if request.top_p is not None else 1.0,
        seed=int.from_bytes(digest.digest(), "little") ^ (request.seed or 0),
    )
