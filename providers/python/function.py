"""The function that ``python/MODULE:FUNCTION`` names: import it, and tell what it is for."""

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any, cast

from .naming import SCORING

Function = Callable[..., Any]


def load_function(model: str) -> Function:
    """Import the function that *model*, ``MODULE:FUNCTION``, names.

    Raises:
        ValueError: the module cannot be imported, or has no such function.
    """
    module, function = model.split(":")
    try:
        value = getattr(import_module(module), function, None)
    except Exception as error:
        raise ValueError(f"module {module!r} cannot be imported: {error!r}") from error
    if callable(value):
        return cast("Function", value)
    raise ValueError(f"module {module!r} has no function {function!r}")


def refusal(model: str, prompt: str) -> str:
    """Say why the function that *model* names cannot reply to *prompt*; empty: it can.

    Raises:
        ValueError: as `load_function`.
    """
    function, is_scored = load_function(model), prompt in SCORING
    if is_scored and not _takes(function, 2):
        return "it does not take (instruction, answer), so it cannot score"
    if not is_scored and not _takes(function, 1):
        return "it does not take (messages), so it can only score"
    return ""


def takes_sample(function: Function) -> bool:
    """Whether *function* has a parameter called ``sample``."""
    try:
        return "sample" in inspect.signature(function).parameters
    except ValueError:
        return False


def _takes(function: Function, number: int) -> bool:
    """Whether *function* can be called with *number* arguments, and ``sample``, if it says so."""
    named = {"sample": ""} if takes_sample(function) else {}
    try:
        inspect.signature(function).bind(*[None] * number, **named)
    except TypeError:
        return False
    except ValueError:  # written in C, without a signature
        pass
    return True
