"""Running a model file with llama.cpp, in dedicated threads, shared by roles."""

import asyncio
import os
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar, cast

from ..base import Denied, Rejected, Reply, Unavailable
from .chat import read_reply
from .options import LocalOptions

T = TypeVar("T")


class _Server(Protocol):
    """The part of ``xllamacpp.Server`` that is used."""

    def handle_chat_completions(self, body: bytes, on_chunk: Callable[[bytes], bool], /) -> None:
        """Pass the chunks of a reply to *on_chunk* until it returns True."""
        ...


class Runtime:
    """One model and the threads that wait for its replies, one for each slot.

    The threads are an executor's because the interpreter waits for those before it exits: one that
    is still inside llama.cpp by then is a crash.
    """

    def __init__(self, path: Path, options: LocalOptions) -> None:
        self.path = path
        self.options = options
        self.shares = 0
        self._loading = threading.Lock()
        self._server: _Server | None = None
        self._threads = ThreadPoolExecutor(options.slots, thread_name_prefix="codeclm-local")

    async def run(self, work: Callable[[threading.Event], T]) -> T:
        """Run *work* in a thread; its argument is set when the caller no longer waits."""
        is_abandoned = threading.Event()
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, work, is_abandoned)
        finally:
            is_abandoned.set()

    def load(self) -> _Server:
        """Load the model unless it is loaded already.

        Raises:
            Denied: llama.cpp cannot load the file.
        """
        with self._loading:
            if self._server is None:
                self._server = _load(self.path, self.options)
            return self._server

    def complete(self, body: bytes, is_abandoned: threading.Event, model: str) -> Reply:
        """Reply to *body*; stop after the next token once *is_abandoned* is set.

        Raises:
            ProviderError: the model cannot be loaded or gives no reply.
        """
        server = self.load()
        chunks: list[bytes] = []

        def on_chunk(chunk: bytes) -> bool:
            chunks.append(chunk)
            return is_abandoned.is_set()

        try:
            server.handle_chat_completions(body, on_chunk)
        except ValueError as error:
            raise Rejected(f"{self.path.name}: {error}") from error
        except RuntimeError as error:
            raise Unavailable(f"{self.path.name}: {error}") from error
        return read_reply(chunks, model or self.path.stem, self.path.name)

    def close(self) -> None:
        self._threads.shutdown(wait=False)
        self._server = None  # freed by the last thread that uses it


_runtimes: Final[dict[tuple[Path, LocalOptions], Runtime]] = {}
_sharing: Final = threading.Lock()


def share_runtime(path: Path, options: LocalOptions) -> Runtime:
    """Return the runtime of *path* and *options*; give it back with `release_runtime`."""
    with _sharing:
        runtime = _runtimes.get((path, options))
        if runtime is None:
            runtime = _runtimes[path, options] = Runtime(path, options)
        runtime.shares += 1
        return runtime


def release_runtime(runtime: Runtime) -> None:
    """Give back a share; the last one unloads the model."""
    with _sharing:
        runtime.shares -= 1
        if not runtime.shares:
            del _runtimes[runtime.path, runtime.options]
            runtime.close()


_SMALL_FILE: Final = 500_000_000  # bytes
_PROMPT_CACHE_MIB: Final = 512


def _load(path: Path, options: LocalOptions) -> _Server:
    import xllamacpp  # noqa: PLC0415  (an extra)

    write_threads, read_threads = _thread_counts(path.stat().st_size, options.threads)
    params = cast("Any", xllamacpp).CommonParams()
    params.model.path = str(path)
    params.n_ctx = options.context * options.slots
    params.n_parallel = options.slots
    params.cpuparams.n_threads = write_threads
    params.cpuparams_batch.n_threads = read_threads
    params.cache_prompt = options.prompt_cache
    params.cache_ram_mib = _PROMPT_CACHE_MIB if options.prompt_cache else 0
    params.fit_params = False
    params.warmup = False
    params.verbosity = 0  # it writes to file descriptor 2, past Python
    params.ui = False
    params.n_threads_http = 1
    params.api_keys = [secrets.token_hex()]  # it also listens on loopback: keep others out
    try:
        return cast("_Server", cast("Any", xllamacpp).Server(params))
    except RuntimeError as error:
        raise Denied(f"{path}: llama.cpp cannot load this file as a model: {error}") from error


def _thread_counts(size: int, threads: int | None) -> tuple[int, int]:
    """Return how many threads write and how many read prompts, for a file of *size* bytes.

    More threads only busy-wait for each other, above all beside other programs.
    """
    if threads:
        return threads, threads
    cores = os.cpu_count() or 1
    return (1, min(cores, 4)) if size < _SMALL_FILE else (cores, cores)
