"""The provider that scores by a function of an instruction and an answer.

Texts are passed as they are; nothing in them is evaluated.
"""

import inspect
from collections.abc import Callable
from hashlib import blake2b
from importlib import import_module
from math import isfinite
from typing import Any, Final, cast

import anyio.to_thread

from ..base import Denied, Rejected, Reply, Request, ResponseFormat
from .naming import find_function

LOWEST: Final = 0
HIGHEST: Final = 10
"""Of the scale of scores (docs/algorithm.md §4.5)."""


async def open_function(model: str) -> "PythonFunction":
    """Import the function that *model* names, in a thread.

    Raises:
        FileNotFoundError, ValueError: see `PythonFunction`.
    """
    return await anyio.to_thread.run_sync(PythonFunction, model)


class PythonFunction:
    """Scores by a function of an instruction and an answer.

    It returns a number from 0 to 10, True (10), False (0), or None if it cannot tell; it may be a
    coroutine function. Others run in threads, so it must bear being called several times at once.
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
        self._function = _load(*model.split(":"))

    async def complete(self, request: Request, /) -> Reply:
        """Score both answers of *request*, whose prompt was written by `TEMPLATE`.

        Raises:
            Denied: the function raised an exception, or returned what is no score.
            Rejected: it cannot tell.
        """
        instruction, first, second = (message.content for message in request.messages)
        scores = [await self._score(instruction, answer) for answer in (first, second)]
        return Reply(text=" ".join(f"{score:g}" for score in scores), model=request.model)

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""

    async def _score(self, instruction: str, answer: str) -> float:
        try:
            score = await _call(self._function, instruction, answer)
        except Exception as error:
            raise Denied(f"python/{self._model} raised {error!r}") from error
        if score is None:
            raise Rejected(f"python/{self._model} returned None: it cannot score this answer")
        if isinstance(score, bool):
            return HIGHEST if score else LOWEST
        number = _number(score)
        if number is None or not LOWEST <= number <= HIGHEST:
            raise Denied(
                f"python/{self._model} returned {score!r:.200}: it must return a number from"
                f" {LOWEST} to {HIGHEST}, True, False or None"
            )
        return number


def _load(module: str, function: str) -> Callable[[str, str], Any]:
    try:
        value = getattr(import_module(module), function, None)
    except Exception as error:
        raise ValueError(f"module {module!r} cannot be imported: {error!r}") from error
    if callable(value):
        return cast("Callable[[str, str], Any]", value)
    raise ValueError(f"module {module!r} has no function {function!r}")


async def _call(function: Callable[[str, str], Any], instruction: str, answer: str) -> Any:
    if inspect.iscoroutinefunction(function):
        return await function(instruction, answer)
    return await anyio.to_thread.run_sync(function, instruction, answer)


def _number(score: Any) -> float | None:
    """Return *score* as a float, NumPy's numbers too; None if it is none, or not finite."""
    try:
        number = float(score) if not isinstance(score, str | bytes) else float("nan")
    except (TypeError, ValueError, OverflowError):
        return None
    return number if isfinite(number) else None
