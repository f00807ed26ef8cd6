"""A JSON tree that grows by the pieces that a stream's events bring."""

from collections.abc import Mapping
from io import StringIO
from typing import Any, TypeGuard

NODE_SIZE = 64
"""Characters that an element of a list counts as, besides its text: empty ones cost memory, too."""

_CONSTANT = frozenset({"format", "id", "index", "name", "object", "role", "type"})
"""Members that servers repeat; other texts are pieces to be joined."""

_TEXT_TYPES = frozenset({"text", "thinking", "reasoning.text", "reasoning.summary"})
"""Types of parts that continue the part before them."""


class GrowingText:
    """A text that is put together piece by piece, in time linear in its length."""

    __slots__ = ("_pieces",)

    def __init__(self, piece: str) -> None:
        self._pieces = StringIO(newline="")
        self._pieces.write(piece)

    def add(self, piece: str) -> None:
        self._pieces.write(piece)

    def __str__(self) -> str:
        """Return the text. Halves of a character that came in two pieces are joined."""
        text = self._pieces.getvalue()
        try:
            text.encode()
        except UnicodeEncodeError:
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        return text


class GrowingTree:
    """Joins deltas, whatever members a vendor gives them.

    Attributes:
        size: Characters of all texts, and `NODE_SIZE` for each element of a list.
    """

    def __init__(self) -> None:
        self.size = 0

    def merge(self, tree: dict[str, Any], delta: Mapping[str, Any]) -> None:
        """Add the members of *delta* to those of *tree*."""
        for name, value in delta.items():
            tree[name] = self._joined(tree.get(name), value, name)

    def _joined(self, old: object, new: object, name: str) -> object:
        if new is None:
            return old
        if name in _CONSTANT:
            return new
        if _is_list(old) and isinstance(new, str):
            new = [{"type": "text", "text": new}] if new else []
        elif isinstance(old, GrowingText) and _is_list(new):
            old = [{"type": "text", "text": old}] if str(old) else []
        if isinstance(old, GrowingText) and isinstance(new, str):
            self.size += len(new)
            old.add(new)
        elif _is_object(old) and _is_object(new):
            self.merge(old, new)
        elif _is_list(old) and _is_list(new):
            self._extend(old, new)
        else:
            return self._first(new)
        return old

    def _first(self, value: object) -> object:
        """Return *value* in the form in which it can grow."""
        if isinstance(value, str):
            self.size += len(value)
            return GrowingText(value)
        if _is_object(value):
            tree: dict[str, Any] = {}
            self.merge(tree, value)
            return tree
        if _is_list(value):
            elements: list[Any] = []
            self._extend(elements, value)
            return elements
        return value

    def _extend(self, elements: list[Any], new: list[Any]) -> None:
        for element in new:
            earlier = _continued(elements, element)
            if earlier is not None:
                self.merge(earlier, element)
            else:
                self.size += NODE_SIZE
                elements.append(self._first(element))


def _continued(elements: list[Any], part: object) -> dict[str, Any] | None:
    """Return the element that *part* continues: the one of its index, else the last of its type."""
    if not _is_object(part):
        return None
    if (index := part.get("index")) is not None:
        numbered = (element for element in elements if _is_object(element))
        return next((element for element in numbered if element.get("index") == index), None)
    last: object = elements[-1] if elements else None
    if not _is_object(last) or part.get("type") not in _TEXT_TYPES:
        return None
    return last if last.get("type") == part["type"] else None


def finished(value: Any) -> Any:
    """Return a tree with its texts as strings."""
    if isinstance(value, GrowingText):
        return str(value)
    if _is_object(value):
        return {name: finished(member) for name, member in value.items()}
    if _is_list(value):
        return [finished(element) for element in value]
    return value


def _is_object(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)
