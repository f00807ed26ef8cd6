"""Read the rubrics and the actions, in two blocks or in turn."""

import re
from typing import Any, NamedTuple

from .reading import ParseError, is_list, is_object, json_reply, opened, quoted, unquoted

_MARKS = r"[ \t]*+(?:#++[ \t]*+)?(?:[-+•][ \t]++|\*[ \t]++)?+"
_COUNTER = r"(?:\*\*|__)?(?:\(?(?P<number>[0-9]{1,3})[.):](?:\*\*|__)?[ \t]*+)?+"
_KIND = r"(?P<kind>rubric|action)(?P<many>s)?"
_LABELLED = re.compile(
    rf"{_MARKS}{_COUNTER}[*_]{{0,3}}{_KIND}(?:[ \t]{{1,3}}item)?(?:[ \t]{{1,3}}for rubric)?"
    r"[ \t]{0,3}#?[0-9]{0,3}[*_]{0,3}(?:[ \t]{0,3}[:\uff1a.)][*_]{0,3}|(?<=[0-9*_])(?=[ \t]*+\Z))"
    r"[ \t]*+(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_HEADING = re.compile(
    r"[ \t]*+(?P<hash>#++)?[ \t]*+[*_]{0,3}(?:[^\n]{0,60}?\b)?(?P<kind>rubric|action)s?\b"
    r"[^\n]{0,60}?(?P<colon>[:\uff1a]?)[*_]{0,3}(?P<end>[:\uff1a]?)[ \t]*+\Z",
    re.IGNORECASE,
)
_NUMBERED = re.compile(rf"(?P<indent>{_MARKS}){_COUNTER}(?P<rest>.*)", re.DOTALL)
_INLINE = re.compile(
    r"[\s;,→|(-]{1,6}[*_]{0,3}action[ \t]{0,3}#?[0-9]{0,3}[*_]{0,3}[ \t]{0,3}:", re.IGNORECASE
)
_BULLETED = re.compile(r"[ \t]*[-+•*][ \t]")
_PLACES = {"rubric": 0, "action": 1}


class RubricsRead(NamedTuple):
    """Rubrics and actions, belonging together by place; their counts may differ."""

    rubrics: tuple[str, ...]
    actions: tuple[str, ...]


def read_rubrics(text: str) -> RubricsRead:
    """Read rubrics and the actions that go with them; there is at least one action.

    Raises:
        ParseError: no action was found.
    """
    reply = opened(text)
    fields = json_reply(reply)
    read = (_from_json(fields) if fields else None) or _from_lines(reply)
    if not read.actions:
        raise ParseError(f"no actions: {quoted(reply)}")
    return read


def _from_json(fields: dict[str, Any]) -> RubricsRead | None:
    pairs = fields.get("rubrics", fields.get(""))
    actions = fields.get("actions")
    if actions is None and is_list(pairs):
        parts = [part for part in pairs if is_object(part)]
        return RubricsRead(
            _strings([part.get("rubric") for part in parts]),
            _strings([part.get("action") for part in parts]),
        )
    if is_list(actions):
        return RubricsRead(_strings(pairs) if is_list(pairs) else (), _strings(actions))
    return None


def _strings(values: list[Any]) -> tuple[str, ...]:
    texts = (value.strip() for value in values if isinstance(value, str))
    return tuple(text for text in texts if text)


def _from_lines(text: str) -> RubricsRead:
    reader = _Reader()
    for line in re.split(r"\r?\n", text):
        reader.take(line)
    return reader.result()


class _Reader:
    """Goes through the lines, knowing what it is among: rubrics or actions."""

    def __init__(self) -> None:
        self._found: tuple[list[list[str]], list[list[str]]] = ([], [])
        self._kind: str | None = None
        self._item: list[str] | None = None
        self._headed = False
        self._counted: tuple[int, str] | None = None
        self._indent = 0
        self._after_blank = False

    def take(self, line: str) -> None:
        if not line.strip():
            self._after_blank = True
            return
        if label := _LABELLED.match(line):
            self._label(label["kind"].lower(), label["rest"], many=label["many"] is not None)
        elif heading := self._heading(line):
            self._kind, self._item, self._headed = heading, None, True
        else:
            self._plain(line)
        self._after_blank = False

    def result(self) -> RubricsRead:
        rubrics, actions = (
            tuple(text for parts in items if (text := _joined(parts))) for items in self._found
        )
        return RubricsRead(rubrics, actions)

    def _label(self, kind: str, rest: str, *, many: bool) -> None:
        self._kind = kind
        if many and not rest.strip():
            self._item, self._headed = None, True
            return
        self._begin(rest)

    def _heading(self, line: str) -> str | None:
        match = _HEADING.match(line)
        numbered = _NUMBERED.match(line)
        if not match or (numbered and numbered["number"]):
            return None
        bold = line.strip().startswith("**") and line.strip().rstrip(":").endswith("**")
        marked = match["hash"] or match["colon"] or match["end"] or bold
        return match["kind"].lower() if marked and not _BULLETED.match(line) else None

    def _plain(self, line: str) -> None:
        match = _NUMBERED.match(line)
        indent = len(line) - len(line.lstrip())
        number = match["number"] if match else None
        begins = number is not None or _BULLETED.match(line) is not None
        if match and begins and (self._item is None or indent <= self._indent):
            self._indent = indent
            self._kind = self._kind_of(int(number) if number else None)
            if number:
                self._counted = int(number), self._kind
            self._begin(match["rest"])
        elif self._item is not None and (not self._after_blank or indent or not self._item[0]):
            self._item.append(line.strip())

    def _kind_of(self, number: int | None) -> str:
        """What an item without a label is: as the list it continues; a second list is actions."""
        if self._kind is None:
            return "rubric"
        if number and not self._headed:
            if self._counted and number == self._counted[0] + 1:
                return self._counted[1]
            if number == 1 and self._kind == "rubric" and self._item:
                return "action"
        return self._kind

    def _begin(self, text: str) -> None:
        kind = self._kind or "rubric"
        if kind == "rubric" and (inline := _INLINE.search(text)):
            self._found[0].append([text[: inline.start()]])
            kind, text = "action", text[inline.end() :]
            self._item = [text.strip()]
            self._found[1].append(self._item)
            return
        self._item = [text.strip()]
        self._found[_PLACES[kind]].append(self._item)


def _joined(parts: list[str]) -> str:
    text = "\n".join(part for part in parts if part).strip()
    if text.startswith("**") and text.endswith("**") and text.count("**") == 2:
        text = text[2:-2]
    return unquoted(text.strip())
