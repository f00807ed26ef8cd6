"""The provider that replies by a function: of messages, or of an instruction and its answer.

Texts are passed as they are; nothing in them is evaluated.
"""

import inspect
from functools import partial
from hashlib import blake2b
from math import isfinite
from typing import Any, Final

import anyio.to_thread

from ..base import Denied, Rejected, Reply, Request, ResponseFormat
from .function import load_function, takes_sample
from .naming import SCORING, find_function

LOWEST: Final = 0
HIGHEST: Final = 10
"""Of the scale of scores (docs/algorithm.md §4.5)."""
_LONGEST_VALUE: Final = 60
"""Characters of a wrong value that a message shows."""
_LONGEST_ERROR: Final = 500
"""The same of an exception."""


async def open_function(model: str) -> "PythonFunction":
    """Import the function that *model* names, in a thread.

    Raises:
        FileNotFoundError, ValueError: see `PythonFunction`.
    """
    return await anyio.to_thread.run_sync(PythonFunction, model)


class PythonFunction:
    """Replies by a function, which may be a coroutine function.

    A judge's is called with an instruction and an answer, once for each answer. It returns a number
    from 0 to 10, True (10), False (0), or None if it cannot tell. Any other is called with the
    messages, a list of ``{"role": …, "content": …}``, and returns the text of the reply, or None if
    it cannot reply. A parameter ``sample`` gets what tells repeated calls with one prompt apart: a
    random seed. What is no coroutine function runs in threads, several at once.
    """

    kind: str = "python"
    structured: ResponseFormat = "text"

    def __init__(self, model: str) -> None:
        """Import the function that *model*, ``MODULE:FUNCTION``, names.

        Raises:
            FileNotFoundError: see `find_function`.
            ValueError: the module cannot be imported, or has no such function.
        """
        path = find_function(model)
        digest = blake2b(path.read_bytes(), digest_size=8).hexdigest()
        self.identity = f"python:{model}@{digest}"
        self._model = model
        self._function = load_function(model)
        self._takes_sample = takes_sample(self._function)

    async def complete(self, request: Request, /) -> Reply:
        """Reply to *request*; a judge's was written by `TEMPLATE`.

        Raises:
            Denied: the function raised an exception, or returned what is no reply.
            Rejected: it cannot tell.
        """
        if request.purpose in SCORING:
            instruction, *answers = (message.content for message in request.messages)
            scores = [await self._score(request, instruction, answer) for answer in answers]
            return Reply(text=" ".join(f"{score:g}" for score in scores), model=request.model)
        messages = [{"role": m.role, "content": m.content} for m in request.messages]
        return Reply(text=await self._write(request, messages), model=request.model)

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""

    async def _score(self, request: Request, instruction: str, answer: str) -> float:
        score = await self._call(request, instruction, answer)
        if score is None:
            raise Rejected(f"python/{self._model} returned None: it cannot score this answer")
        if isinstance(score, bool):
            return HIGHEST if score else LOWEST
        number = _number(score)
        if number is None or not LOWEST <= number <= HIGHEST:
            raise Denied(
                f"python/{self._model} returned {_shown(score)}: it must return a number from"
                f" {LOWEST} to {HIGHEST}, True, False or None"
            )
        return number

    async def _write(self, request: Request, messages: list[dict[str, str]]) -> str:
        text = await self._call(request, messages)
        if text is None:
            raise Rejected(f"python/{self._model} returned None: it cannot reply to this")
        if not isinstance(text, str):
            raise Denied(
                f"python/{self._model} returned {_shown(text)}: it must return text or None"
            )
        return text

    async def _call(self, request: Request, *values: Any) -> Any:
        settings = {"sample": request.sample} if self._takes_sample else {}
        function = partial(self._function, *values, **settings)
        try:
            if inspect.iscoroutinefunction(self._function):
                return await function()
            return await anyio.to_thread.run_sync(function)
        except Exception as error:
            raise Denied(f"python/{self._model} raised {_shown(error, _LONGEST_ERROR)}") from error


def _shown(value: object, longest: int = _LONGEST_VALUE) -> str:
    """Return the beginning of *value* as Python writes it; its type's name if Python cannot."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  (the user's own, or an integer of too many digits)
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= longest else f"{text[:longest]}…"


def _number(score: Any) -> float | None:
    """Return *score* as a float, NumPy's numbers too; None if it is none, or not finite."""
    try:
        number = float(score) if not isinstance(score, str | bytes) else float("nan")
    except (TypeError, ValueError, OverflowError):
        return None
    return number if isfinite(number) else None
