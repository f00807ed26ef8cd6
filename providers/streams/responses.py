"""The stream of a response (https://platform.openai.com/docs/api-reference/responses-streaming)."""

from typing import Any

from .body import BodyAssembly

_TERMINATORS = frozenset({"response.completed", "response.incomplete", "response.failed"})


class ResponseEvents(BodyAssembly):
    """Events of a response; the last one repeats it whole, so the others only show progress."""

    def _merge(self, members: dict[str, Any]) -> None:
        kind = members.get("type")
        if kind == "error":
            self._fail(members)
        elif kind in _TERMINATORS:
            self._body = dict(members["response"])
            self._end()
        elif isinstance(delta := members.get("delta"), str):
            self._tree.size += len(delta)
