"""Rubrics: ask what makes instructions hard, and for actions that make them harder (paper §4.2)."""

import re
from typing import Any, NamedTuple

from .languages import phrase
from .numbering import uncounted
from .prompt import (
    TYPICAL_SKILLS,
    TYPICAL_USE_CASE,
    JsonSchema,
    Priority,
    Prompt,
    RawReply,
    Sizes,
    Typical,
)
from .reading import (
    ParseError,
    excerpt,
    is_list,
    is_object,
    parse_json,
    reply_body,
    strip_quotes,
)
from .schemas import list_of, object_of, string
from .tables import column, rows_of
from .traits import InLanguage

_MARKS = r"[ \t]*+(?:#++[ \t]*+)?(?:[-+•][ \t]++|\*[ \t]++)?+"
_COUNTER = (
    r"(?:\*\*|__)?(?:[(\uff08]?(?P<number>[0-9]{1,3})[.):\u3001\uff0e\uff09](?:\*\*|__)?[ \t]*+)?+"
)
_ADJECTIVE = r"(?:(?:corresponding|associated|matching|related|difficulty|evaluation)[ \t])?"
_KIND = rf"(?:(?P<rubric>{phrase('rubric')}|r(?=[0-9]))|(?P<action>{phrase('action')}|a(?=[0-9])))"
_LABELLED = re.compile(
    rf"{_MARKS}{_COUNTER}[*_]{{0,3}}{_ADJECTIVE}{_KIND}s?(?:[ \t]{{1,3}}item)?"
    r"(?:[ \t]{1,3}for rubric)?(?:[ \t]{1,3}\([^()\n:]{1,40}\))?"
    r"[ \t]{0,3}#?(?P<count>[0-9]{0,3})(?P<bold>[*_]{0,3})"
    r"(?:[ \t]{0,3}[:\uff1a.)](?P<unbold>[*_]{0,3})|[ \t]{1,3}[-\u2013\u2014][ \t]"
    r"|(?<=[0-9*_])(?=[ \t]*+\Z))[ \t]*+(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_HEADING = re.compile(
    r"[ \t]*+(?P<hash>#++)?[ \t]*+[*_]{0,3}(?:[^\n]{0,60}?(?:\b|(?<=[\u3400-\u9fff])))?"
    rf"{_KIND}s?(?:\b|(?=[\u3400-\u9fff]))"
    r"[^\n]{0,60}?(?P<colon>[:\uff1a]?)[*_]{0,3}(?P<end>[:\uff1a]?)[ \t]*+\Z",
    re.IGNORECASE,
)
_NUMBERED = re.compile(rf"(?P<indent>{_MARKS}){_COUNTER}(?P<rest>.*)", re.DOTALL)
_INLINE = re.compile(
    rf"[\s;,→|(-]{{1,6}}[*_]{{0,3}}{phrase('action')}[ \t]{{0,3}}#?[0-9]{{0,3}}[*_]{{0,3}}"
    r"[ \t]{0,3}[:\uff1a]",
    re.IGNORECASE,
)
_BULLETED = re.compile(r"[ \t]*[-+•*][ \t]")
_RULE = re.compile(r"[ \t]*+[-*_]{3,}[ \t]*+")
_EMPHASIS = re.compile(r"(?<![\w*`])(\*\*|\*)(?![\s*])([^*\n]{1,300})(?<![\s*])\1(?![\w*`])")
_OPEN_BOLD = re.compile(r"\*\*(?!\s)|(?<!\s)\*\*")
_RUBRIC_HEAD, _ACTION_HEAD = (
    re.compile(rf"[*_]{{0,3}}{phrase(field)}s?[*_]{{0,3}}", re.IGNORECASE)
    for field in ("rubric", "action")
)
_TAG = re.compile(r"<(?P<close>/?)(?P<name>(?:rubric|action)s?)>", re.IGNORECASE)
_COLUMNS = {"rubric": 0, "action": 1}


class RubricsAndActions(NamedTuple):
    """Each action follows from the rubric at its index; the lists may differ in length."""

    rubrics: tuple[str, ...]
    actions: tuple[str, ...]


class WriteRubrics(Prompt[RubricsAndActions], frozen=True, kw_only=True):
    """Ask for *number* rubrics, and an action for each, of instructions of one kind."""

    name = "rubrics"
    priority = Priority.WRITE

    number: int
    use_case: str
    skills: tuple[str, ...]
    language: InLanguage = InLanguage()

    def read(self, reply: RawReply) -> RubricsAndActions:
        return read_rubrics(reply.text)

    def schema(self) -> JsonSchema:
        lines = list_of(string(240), self.number, self.number)
        return object_of(rubrics=lines, actions=lines)

    @classmethod
    def typical(cls, sizes: Sizes) -> Typical:
        del sizes  # metadata has one length
        return Typical(cls(number=4, use_case=TYPICAL_USE_CASE, skills=TYPICAL_SKILLS), 200)


def read_rubrics(text: str) -> RubricsAndActions:
    """Read rubrics and actions, listed one after the other or in turn.

    Raises:
        ParseError: the reply holds no action.
    """
    reply = reply_body(text)
    fields = parse_json(reply)
    pairs = (_from_json(fields) if fields else None) or _from_table(reply) or _from_lines(reply)
    if not pairs.actions:
        raise ParseError(f"no actions: {excerpt(reply)}")
    return pairs


def _from_json(fields: dict[str, Any]) -> RubricsAndActions | None:
    pairs = fields.get("rubrics", fields.get(""))
    actions = fields.get("actions")
    if actions is None and is_list(pairs):
        parts = [part for part in pairs if is_object(part)]
        return RubricsAndActions(
            _strings([part.get("rubric") for part in parts]),
            _strings([part.get("action") for part in parts]),
        )
    if is_list(actions):
        return RubricsAndActions(_strings(pairs) if is_list(pairs) else (), _strings(actions))
    return None


def _strings(values: list[Any]) -> tuple[str, ...]:
    texts = (_joined([_unlabelled(value)]) for value in values if isinstance(value, str))
    return tuple(text for text in texts if text)


def _unlabelled(text: str) -> str:
    text = text.strip()
    label = _LABELLED.match(text)
    return label["rest"] if label else uncounted(text)[1]


def _from_table(text: str) -> RubricsAndActions | None:
    rows = rows_of(text.split("\n"))
    actions = column(rows, _ACTION_HEAD)
    return (
        RubricsAndActions(_strings(column(rows, _RUBRIC_HEAD)), _strings(actions))
        if actions
        else None
    )


def _from_lines(text: str) -> RubricsAndActions:
    reader = _Reader()
    for line in _TAG.sub(lambda tag: "" if tag["close"] else f"{tag['name']}: ", text).split("\n"):
        reader.read(line)
    return reader.result()


class _Reader:
    """Reads line by line and keeps track of which list it is in, rubrics or actions."""

    def __init__(self) -> None:
        self._columns: tuple[list[list[str]], list[list[str]]] = ([], [])
        self._kind: str | None = None
        self._item: list[str] | None = None
        self._headed = False
        self._counted: tuple[int, str] | None = None
        self._indent = 0
        self._after_blank = False

    def read(self, line: str) -> None:
        if not line.strip() or _RULE.fullmatch(line):
            self._after_blank = True
            return
        if label := _LABELLED.match(line):
            self._label(label)
        elif heading := self._heading(line):
            self._kind, self._item, self._headed = heading, None, True
        else:
            self._plain(line)
        self._after_blank = False

    def result(self) -> RubricsAndActions:
        rubrics, actions = (
            tuple(text for parts in items if (text := _joined(parts))) for items in self._columns
        )
        return RubricsAndActions(rubrics, actions)

    def _label(self, label: re.Match[str]) -> None:
        """Begin an item; a label without a number and without text is the heading of a list."""
        self._kind = _kind(label)
        if not label["rest"].strip() and not label["number"] and not label["count"]:
            self._item, self._headed = None, True
            return
        self._begin(label["rest"])

    def _heading(self, line: str) -> str | None:
        match = _HEADING.match(line)
        numbered = _NUMBERED.match(line)
        if not match or (numbered and numbered["number"]):
            return None
        bold = line.strip().startswith("**") and line.strip().rstrip(":").endswith("**")
        marked = match["hash"] or match["colon"] or match["end"] or bold
        return _kind(match) if marked and not _BULLETED.match(line) else None

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
        """Return the kind of an item without a label: its list's; a second list holds actions."""
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
            self._columns[0].append([text[: inline.start()]])
            kind, text = "action", text[inline.end() :]
            self._item = [text.strip()]
            self._columns[1].append(self._item)
            return
        self._item = [text.strip()]
        self._columns[_COLUMNS[kind]].append(self._item)


def _kind(match: re.Match[str]) -> str:
    return "action" if match["action"] else "rubric"


def _joined(parts: list[str]) -> str:
    """Return the text of an item without emphasis, which sets off its title or all of it."""
    text = _EMPHASIS.sub(r"\2", "\n".join(part for part in parts if part).strip())
    if text.count("**") == 1:  # the label's, which was taken off
        text = _OPEN_BOLD.sub("", text)
    return strip_quotes(text.strip())
