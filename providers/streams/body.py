"""What all dialects' streams share: events of JSON, errors among them, a body at the end."""

from abc import ABC, abstractmethod
from typing import Any, cast

import msgspec

from .. import json_codec
from ..http.events import Event, GarbledError
from .tree import GrowingTree, finished

_DECODER = msgspec.json.Decoder()


class BodyAssembly(ABC):
    """An `Assembly` of events that hold JSON objects.

    An error among the events becomes the body, ``{"error": …}``, as in a 200 that holds one.
    """

    def __init__(self) -> None:
        self.is_complete = False
        self.is_over = False
        self._tree = GrowingTree()
        self._body: dict[str, Any] = {}
        self._has_failed = False

    @property
    def size(self) -> int:
        return self._tree.size

    def add(self, event: Event) -> None:
        """Add *event*.

        Raises:
            GarbledError: its data is not a JSON object, or one of another shape.
        """
        if event.type == "error":
            self._fail(_error_in(event.data))
            return
        tree = _loads(event.data)
        if not isinstance(tree, dict):
            raise GarbledError("an event is no JSON object")
        members = cast("dict[str, Any]", tree)
        if error := members.get("error"):
            self._fail(error)
        elif members.get("object") == "error":  # as vLLM before 0.10 words it
            self._fail(members)
        else:
            try:
                self._merge(members)
            except (AttributeError, KeyError, RecursionError, TypeError) as error:
                raise GarbledError("an event has another shape") from error

    def body(self) -> bytes:
        """Return the body.

        Raises:
            GarbledError: it is nested too deep.
        """
        try:
            return json_codec.dumps(self._body if self._has_failed else self._finished())
        except RecursionError as error:
            raise GarbledError("it is nested too deep") from error

    @abstractmethod
    def _merge(self, members: dict[str, Any]) -> None:
        """Add one event's members. May raise `TypeError` and the like for another shape."""

    def _finished(self) -> dict[str, Any]:
        members: dict[str, Any] = finished(self._body)
        return members

    def _end(self) -> None:
        self.is_complete = self.is_over = True

    def _fail(self, error: Any) -> None:
        self._body, self._has_failed = {"error": error}, True
        self._end()


def _error_in(data: bytes) -> Any:
    """Return what an event of the type "error" says; some are no JSON."""
    try:
        tree = _loads(data)
    except GarbledError:
        return data.decode("utf-8", "replace") or "an error without a word"
    if not isinstance(tree, dict):
        return str(tree)
    members = cast("dict[str, Any]", tree)
    return members.get("error") or members


def _loads(data: bytes) -> Any:
    try:
        return json_codec.loads(data, _DECODER)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise GarbledError("an event is no JSON") from error
