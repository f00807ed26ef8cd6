"""The page's server: on this machine alone, for whoever has its address."""

import logging
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import anyio
import anyio.to_thread
import msgspec
from aiohttp import web
from aiohttp.http import HttpProcessingError
from msgspec import Meta, Struct

from ...providers import json_codec
from ..data.errors import RunStopped, UserError
from ..store.listing import Filters, Key, Page
from .guard import Guard
from .live_run import LiveRun
from .page_file import NO_PLOTTING, plotting, served_page
from .snapshot import Snapshot
from .transcripts import Transcript

HOST = "127.0.0.1"

LARGEST_PAGE = 200
"""Entries that one request may ask for."""

LONGEST_LINE = 2**16
"""Bytes of a request's first line, which holds the search: nine for each Chinese character."""

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PortError(UserError):
    """The server cannot listen. The message names the port and what to do."""


class PageQuery(Struct, frozen=True):
    """Which page of entries: behind which key, and how long."""

    after: Key = -1
    size: Annotated[int, Meta(ge=1)] = 50


async def serve(paths: Sequence[Path], *, port: int, ready: Callable[[str], object]) -> None:
    """Show the runs in *paths* until cancelled.

    Args:
        paths: the runs' folders.
        port: to listen on; 0: any that is free.
        ready: called with the page's address.

    Raises:
        PortError: the port cannot be used.
    """
    with _listen(port) as listener:
        guard = Guard(listener.getsockname()[1])
        runs = [LiveRun(path) for path in paths]
        runner = web.AppRunner(
            await _application(guard, runs),
            access_log=None,
            logger=_logger,
            max_line_size=LONGEST_LINE,
        )
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            ready(f"http://{HOST}:{guard.port}/?token={guard.token}")
            async with anyio.create_task_group() as tasks:
                for run in runs:
                    tasks.start_soon(run.watch)
        finally:
            with anyio.CancelScope(shield=True):
                await runner.cleanup()


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether *record* is about a fault of the server's; a malformed request is the client's.

    aiohttp answers such a request with 400 before it reaches the guard.
    """
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | web.RequestPayloadError)


_logger = logging.getLogger(__name__)
_logger.addFilter(_is_ours)


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise PortError(_PORT.format(port, os.strerror(error.errno or 0))) from error
    except OverflowError as error:
        raise PortError(_PORT.format(port, "it is above 65535")) from error


_PORT = "port {}: cannot be used ({}): choose another with --port, or none"


async def _application(guard: Guard, runs: Sequence[LiveRun]) -> web.Application:
    document, policy = await anyio.to_thread.run_sync(served_page)
    site = _Site(runs, document, policy)
    application = web.Application(middlewares=[_guarded(guard)])
    application.add_routes(
        [
            web.get("/", site.page),
            web.get("/plotly.js", site.plotly),
            web.get("/api/runs", site.states),
            web.get("/api/runs/{run}/figures", site.figures),
            web.get("/api/runs/{run}/entries", site.entries),
            web.get("/api/runs/{run}/entries/{key}", site.transcript),
        ]
    )
    return application


def _guarded(guard: Guard) -> Any:
    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        token = credentials if scheme == "Bearer" else request.query.get("token", "")
        if reason := guard.refusal(request.headers, token):
            response: web.StreamResponse = web.Response(status=403, text=f"{reason}\n")
        else:
            response = await _answer(request, handler)
        response.headers.update(_HEADERS)
        return response

    return check


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let *handler* answer; what goes wrong is an answer, too."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return web.Response(status=error.status, text=f"{error.text or error.reason}\n")
    except msgspec.ValidationError as error:
        return web.Response(status=400, text=f"{error}\n")
    except RunStopped as error:  # a file cannot be read
        return web.Response(status=503, text=f"{error}\n")


class _Site:
    """Answers the page's requests."""

    def __init__(self, runs: Sequence[LiveRun], document: str, policy: str) -> None:
        self._runs = runs
        self._document = document
        self._policy = policy

    async def page(self, request: web.Request) -> web.Response:
        del request
        return web.Response(
            text=self._document,
            content_type="text/html",
            headers={"Content-Security-Policy": self._policy},
        )

    async def plotly(self, request: web.Request) -> web.Response:
        del request
        library = await anyio.to_thread.run_sync(plotting)
        if library is None:
            raise web.HTTPNotFound(text=NO_PLOTTING)
        return web.Response(
            body=library.compressed,
            content_type="text/javascript",
            charset="utf-8",
            headers={"Content-Encoding": "gzip"},
        )

    async def states(self, request: web.Request) -> web.Response:
        del request
        return _json([run.state() for run in self._runs])

    async def figures(self, request: web.Request) -> web.Response:
        return _json(self._run(request).overview)

    async def entries(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        query.pop("token", None)
        filters = msgspec.convert(query, Filters, strict=False)
        which = msgspec.convert(query, PageQuery, strict=False)
        size = min(which.size, LARGEST_PAGE)
        page: Page | None = await self._run(request).read(
            partial(Snapshot.page, filters=filters, after=which.after, size=size)
        )
        return _json(page)

    async def transcript(self, request: web.Request) -> web.Response:
        key = msgspec.convert(request.match_info["key"], Key, strict=False)
        transcript: Transcript | None = await self._run(request).read(
            partial(Snapshot.transcript, key=key)
        )
        if transcript is None:
            raise web.HTTPNotFound(text="the run has no such entry")
        return _json(transcript)

    def _run(self, request: web.Request) -> LiveRun:
        number = msgspec.convert(request.match_info["run"], int, strict=False)
        if not 0 <= number < len(self._runs):
            raise web.HTTPNotFound(text=f"there are {len(self._runs)} runs, counted from 0")
        return self._runs[number]


def _json(value: Any) -> web.Response:
    return web.Response(body=json_codec.dumps(value), content_type="application/json")
