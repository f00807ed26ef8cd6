"""Read the encoder's reply: a use case and skills."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from .reading import ParseError, bare, is_list, json_reply, opened, quoted

# Possessive and bounded throughout: a line of dashes or blanks must not be tried in every way.
_MARKS = r"[ \t]*+(?:[-+•>#]++[ \t]*+|\*[ \t]++|\(?[0-9]{1,3}[.)][ \t]*+)*+[*_`\"']{0,3}"
_COLON = r"[ \t]{0,9}[*_`\"']{0,3}[ \t]{0,9}[:=\uff1a][ \t]{0,9}[*_]{0,3}"
_FLAGS = re.IGNORECASE | re.MULTILINE
_USE_CASE = re.compile(rf"^{_MARKS}(?:use[ _-]?case|task){_COLON}", _FLAGS)
_SKILLS = re.compile(rf"(?:^{_MARKS}|[^\w\n][*_`\"']{{0,3}})skills?{_COLON}", _FLAGS)
_HEADING = re.compile(r"^(?:#++[ \t]*+|\*\*)(use[ _-]?case|task|skills?)\*{0,2}[ \t]*+$", _FLAGS)
_SEPARATOR = re.compile(r"[,;\uff0c\uff1b\u3001\n](?![^()\n]{0,80}\))")
_LISTED = re.compile(r"\s*(?:[-*+•]|\(?[0-9]{1,2}[.)])[ \t]")
_INLINE_COUNT = re.compile(r"(?<=[ \t])\(?[2-9][.)][ \t]+")
_NONE = frozenset({"none", "n/a", "na", "nil", "-", "—", "(none)", "none in particular"})

_LONGEST_NAME: Final = 200
_LONGEST_LIST: Final = 2_000
_MOST_SKILLS: Final = 3


def read_metadata(
    text: str, *, use_cases: Sequence[str] = (), skills: Sequence[str] = ()
) -> tuple[str, tuple[str, ...]]:
    """Read one use case and at most three skills; ``Skills: none`` gives no skills.

    *use_cases* and *skills*, where given, are all that is allowed; case is not looked at, and the
    spelling given here is returned.

    Raises:
        ParseError: a line is missing, too long, or outside of what is allowed.
    """
    reply = opened(text)
    fields = json_reply(reply)
    use_case, names = (_from_json(fields) if fields else None) or _from_lines(reply)
    _check_length(use_case, *names)

    use_case = _allowed(use_case, use_cases, "use case")
    found = dict.fromkeys(_allowed(name, skills, "skill") for name in _distinct(names))
    return use_case, tuple(found)


def _from_json(fields: dict[str, Any]) -> tuple[str, list[str]] | None:
    use_case = fields.get("use_case", fields.get("usecase", fields.get("task")))
    if use_case is None:
        return None
    names = fields.get("skills", fields.get("skill"))
    if not isinstance(use_case, str) or not use_case.strip():
        raise ParseError("the JSON has no use_case")
    if isinstance(names, str):
        return _name(use_case), _listed(names)
    if not is_list(names) or not all(isinstance(name, str) for name in names):
        raise ParseError("the JSON has no list of skills")
    return _name(use_case), [_name(name) for name in names]


def _from_lines(text: str) -> tuple[str, list[str]]:
    text = _HEADING.sub(r"\1:", text)
    label = _USE_CASE.search(text)
    if not label:
        raise ParseError("no use case line")
    # A model that goes on with examples of its own writes further pairs: the first one counts.
    skills_label = _SKILLS.search(text, label.end()) or _SKILLS.search(text)
    if not skills_label:
        raise ParseError("no skills line")

    end = skills_label.start() if skills_label.start() >= label.end() else len(text)
    use_case = _name(text[label.end() : end].strip().split("\n", 1)[0])
    if not use_case:
        raise ParseError("the use case line is empty")
    rest = text[skills_label.end() :]
    if stop := _USE_CASE.search(rest):
        rest = rest[: stop.start()]
    return use_case, _listed(_paragraph(rest))


def _paragraph(rest: str) -> str:
    """The list after the label: the rest of its line, or the lines below it."""
    lines = rest[:_LONGEST_LIST].split("\n")
    if lines[0].strip():
        return lines[0]
    below = [line for line in lines[1:] if line.strip()]
    if not below:
        raise ParseError("the skills line is empty")
    if not _LISTED.match(below[0]):
        return below[0]
    items: list[str] = []
    for line in below:
        if not _LISTED.match(line):
            break
        items.append(line)
    return "\n".join(items)


def _listed(text: str) -> list[str]:
    if re.match(r"\s*\(?1[.)][ \t]", text):
        text = _INLINE_COUNT.sub("\n", text)
    text = text.strip().removeprefix("[").removesuffix("]")
    return [_name(part).removeprefix("and ") for part in _SEPARATOR.split(text)]


def _name(text: str) -> str:
    text = bare(text.strip(" \t\r\n.,;|/"))
    return " ".join(bare(text.rstrip(" .,;:-\u2013\u2014")).rstrip(" .").split())


def _distinct(names: Iterable[str]) -> list[str]:
    found: dict[str, str] = {}
    for name in names:
        if name and name.casefold() not in _NONE:
            found.setdefault(name.casefold(), name)
    return list(found.values())[:_MOST_SKILLS]


def _check_length(*names: str) -> None:
    longest = max(names, key=len)
    if len(longest) > _LONGEST_NAME:
        raise ParseError(f"no name is that long: {quoted(longest)}")


def _allowed(name: str, names: Sequence[str], kind: str) -> str:
    if not names:
        return name
    for known in names:
        if known.casefold() == name.casefold():
            return known
    raise ParseError(f"{kind} {quoted(name)} is not among those allowed")
