"""The stream of a chat completion (https://platform.openai.com/docs/api-reference/chat-streaming)."""

from typing import Any, cast

from ..http.events import Event
from .body import BodyAssembly
from .tree import NODE_SIZE


class ChatCompletion(BodyAssembly):
    """Chunks of a chat completion, up to ``[DONE]``.

    Some servers leave ``[DONE]`` out: the reply is complete once every choice has a reason to end.
    The usage may come after it, so only ``[DONE]`` ends the stream.
    """

    def __init__(self) -> None:
        super().__init__()
        self._choices: dict[int, dict[str, Any]] = {}

    def add(self, event: Event) -> None:
        if event.data.strip() == b"[DONE]":
            self._end()
        else:
            super().add(event)

    def _merge(self, members: dict[str, Any]) -> None:
        for name, value in members.items():
            if name == "choices":
                for choice in value or ():
                    self._merge_choice(choice)
            elif value is not None or name not in self._body:
                self._body[name] = value
        choices = self._choices.values()
        self.is_complete = bool(choices) and all(map(_has_ended, choices))

    def _merge_choice(self, delta: dict[str, Any]) -> None:
        choice = self._choices.setdefault(delta.get("index") or 0, {"message": {}})
        for name, value in delta.items():
            if name == "delta":
                self._tree.merge(choice["message"], value or {})
            elif name == "logprobs":
                self._add_logprobs(choice, value)
            elif name == "message":  # the whole of it, from a server that sends one event
                choice["message"] = choice["message"] or self._read_message(value)
            elif value is not None or name not in choice:
                choice[name] = value

    def _add_logprobs(self, choice: dict[str, Any], value: Any) -> None:
        """Append the tokens of one chunk; what has another shape is passed over, as elsewhere."""
        content = cast("dict[str, Any]", value).get("content") if isinstance(value, dict) else None
        if isinstance(content, list):
            tokens = cast("list[dict[str, Any]]", content)
            choice.setdefault("logprobs", {"content": []})["content"] += tokens
            self._tree.size += NODE_SIZE * sum(
                1 + len(one.get("top_logprobs") or ()) for one in tokens
            )

    def _read_message(self, message: dict[str, Any]) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        self._tree.merge(tree, message)
        return tree

    def _finished(self) -> dict[str, Any]:
        self._body["object"] = "chat.completion"
        self._body["choices"] = [choice for _, choice in sorted(self._choices.items())]
        body = super()._finished()
        for choice in body["choices"]:
            message = choice["message"]
            if message.get("refusal") and not message.get("content"):
                message["content"] = None  # the first chunk says "" before anything is known
        return body


def _has_ended(choice: dict[str, Any]) -> bool:
    return choice.get("finish_reason") is not None
