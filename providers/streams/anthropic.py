"""The stream of a message (https://platform.claude.com/docs/en/build-with-claude/streaming)."""

from typing import Any

from .body import BodyAssembly


class MessageEvents(BodyAssembly):
    """Events of a message, up to ``message_stop``. Unknown ones are ignored, as the vendor asks."""

    def __init__(self) -> None:
        super().__init__()
        self._blocks: dict[int, dict[str, Any]] = {}

    def _merge(self, members: dict[str, Any]) -> None:
        match members.get("type"):
            case "message_start":
                self._body |= members["message"]
            case "content_block_start":
                self._merge_block(members["index"], members["content_block"])
            case "content_block_delta":
                delta = {name: value for name, value in members["delta"].items() if name != "type"}
                self._merge_block(members["index"], delta)
            case "message_delta":
                self._body |= members.get("delta") or {}
                usage: dict[str, Any] = members.get("usage") or {}
                counts = {name: count for name, count in usage.items() if count is not None}
                self._body["usage"] = (self._body.get("usage") or {}) | counts
            case "message_stop":
                self._end()
            case _:
                return

    def _merge_block(self, index: int, delta: dict[str, Any]) -> None:
        block = self._blocks.setdefault(index, {})
        self._tree.merge(block, delta)

    def _finished(self) -> dict[str, Any]:
        self._body["content"] = [block for _, block in sorted(self._blocks.items())]
        return super()._finished()
