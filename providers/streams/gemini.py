"""The stream of ``streamGenerateContent`` (https://ai.google.dev/api/generate-content)."""

from typing import Any

from .body import BodyAssembly


class Generation(BodyAssembly):
    """Parts of a generation. It has no terminator, but each candidate a reason to end."""

    def __init__(self) -> None:
        super().__init__()
        self._candidates: dict[int, dict[str, Any]] = {}

    def _merge(self, members: dict[str, Any]) -> None:
        for name, value in members.items():
            if name == "candidates":
                for candidate in value or ():
                    self._merge_candidate(candidate)
            elif name == "usageMetadata":
                self._body[name] = self._body.get(name, {}) | (value or {})
            elif value is not None:
                self._body[name] = value
        feedback: dict[str, Any] = self._body.get("promptFeedback") or {}
        candidates = self._candidates.values()
        has_ended = bool(candidates) and all(map(_has_ended, candidates))
        self.is_complete = has_ended or bool(feedback.get("blockReason"))

    def _merge_candidate(self, delta: dict[str, Any]) -> None:
        candidate = self._candidates.setdefault(delta.get("index") or 0, {})
        for name, value in delta.items():
            if name == "content":
                self._merge_content(candidate.setdefault("content", {}), value or {})
            elif value is not None:
                candidate[name] = value

    def _merge_content(self, content: dict[str, Any], delta: dict[str, Any]) -> None:
        parts: list[dict[str, Any]] = content.setdefault("parts", [])
        for part in delta.get("parts") or ():
            earlier = parts[-1] if parts and _continues(parts[-1], part) else None
            if earlier is None:
                parts.append(earlier := {})
            self._tree.merge(earlier, part)
        if role := delta.get("role"):
            content["role"] = role

    def _finished(self) -> dict[str, Any]:
        if self._candidates:
            self._body["candidates"] = [one for _, one in sorted(self._candidates.items())]
        return super()._finished()


def _continues(earlier: dict[str, Any], part: dict[str, Any]) -> bool:
    """Whether *part* is more of the text of *earlier*: thoughts and answers stay apart."""
    is_text = earlier.keys() <= {"text", "thought"} and part.keys() <= {"text", "thought"}
    return is_text and bool(earlier.get("thought")) == bool(part.get("thought"))


def _has_ended(candidate: dict[str, Any]) -> bool:
    return candidate.get("finishReason") is not None
