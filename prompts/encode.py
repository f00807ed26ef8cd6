"""Encode: ask for the metadata of a seed, a use case and skills (paper §4.1)."""

import re
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any, Final

from msgspec import Struct

from .languages import phrase
from .prompt import JsonSchema, Priority, Prompt, RawReply, Sizes, Typical, filler
from .reading import (
    ParseError,
    excerpt,
    is_list,
    parse_json,
    reply_body,
    strip_marks,
    tags_as_labels,
)
from .schemas import BOOLEAN, list_of, object_of, one_of, string
from .tables import column, rows_of
from .traits import Traits, credible, read_traits, without_traits

# Possessive and bounded throughout: a line of dashes or blanks must not make them backtrack.
_MARKS = r"[ \t]*+(?:[-+•>#]++[ \t]*+|\*[ \t]++|\(?[0-9]{1,3}[.)][ \t]*+)*+[*_`\"']{0,3}"
_COLON = (
    r"[ \t]{0,9}[*_`\"']{0,3}[ \t]{0,9}(?:[:=\uff1a]|(?<=[ \t])[-\u2013\u2014](?=[ \t]))"
    r"[ \t]{0,9}[*_]{0,3}"
)
_FLAGS = re.IGNORECASE | re.MULTILINE
_THE, _IS = r"(?:the[ ])?", r"(?:[ ](?:is|are)(?=[ ]?:))?"
_USE_CASE = re.compile(rf"^{_MARKS}{_THE}{phrase('use_case')}{_IS}{_COLON}", _FLAGS)
_SKILLS = re.compile(
    rf"(?:^{_MARKS}{_THE}|[^\w\n][*_`\"']{{0,3}}){phrase('skills')}{_IS}{_COLON}", _FLAGS
)
_HEADING = re.compile(
    rf"^(?:#++[ \t]*+|\*\*)({phrase('use_case')}|{phrase('skills')})\*{{0,2}}[ \t]*+$",
    _FLAGS,
)
_USE_CASE_HEAD, _SKILLS_HEAD = (
    re.compile(rf"[*_]{{0,3}}{phrase(field)}[*_]{{0,3}}", _FLAGS)
    for field in ("use_case", "skills")
)
_SEPARATOR = re.compile(r"[,;\uff0c\uff1b\u3001\u060c\u061b\n](?![^()\n]{0,80}\))")
_LISTED = re.compile(r"\s*(?:[-*+•]|\(?[0-9]{1,2}[.)])[ \t]")
_SHORT = re.compile(r"[ \t]*+(?:[^\s.!?]{1,40}[ \t]*+){1,5}\Z")
_INLINE_COUNT = re.compile(r"(?<=[ \t])\(?[2-9][.)][ \t]+")
_NONE = frozenset({"none", "n/a", "na", "nil", "-", "—", "(none)", "none in particular"})

_LONGEST_NAME: Final = 200
_LONGEST_LIST: Final = 2_000
_MOST_SKILLS: Final = 3


class Vocabulary(Struct, frozen=True):
    """The only use cases and skills that metadata may name; empty: any."""

    use_cases: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the sentences that tell a model so; empty if it may name any."""
        lines: list[str] = []
        if self.use_cases:
            lines.append(f"Allowed use cases (choose one): {'; '.join(self.use_cases)}")
        if self.skills:
            lines.append(f"Allowed skills (choose at most 3): {'; '.join(self.skills)}")
        return "\n".join(lines)


class Description(Struct, frozen=True):
    """What a seed is for, what its answer takes, and what its instructions share with it."""

    use_case: str
    skills: tuple[str, ...]
    traits: Traits = Traits()


class Encode(Prompt[Description], frozen=True, kw_only=True):
    """Ask for the use case, the skills and the traits of an instruction."""

    name = "encode"
    priority = Priority.ENCODE

    instruction: str
    vocabulary: Vocabulary = Vocabulary()

    def read(self, reply: RawReply) -> Description:
        use_case, skills = read_metadata(
            reply.text, use_cases=self.vocabulary.use_cases, skills=self.vocabulary.skills
        )
        traits = credible(read_traits(reply.text), self.instruction)
        return Description(use_case, skills, traits)

    def schema(self) -> JsonSchema:
        use_cases, skills = self.vocabulary.use_cases, self.vocabulary.skills
        return object_of(
            use_case=one_of(use_cases) if use_cases else string(60),
            skills=list_of(one_of(skills) if skills else string(40), 1, _MOST_SKILLS),
            language=string(20),
            given_text=BOOLEAN,
        )

    @classmethod
    def typical(cls, sizes: Sizes) -> Typical:
        return Typical(cls(instruction=filler(sizes.seed)), 30)


def read_metadata(
    text: str, *, use_cases: Sequence[str] = (), skills: Sequence[str] = ()
) -> tuple[str, tuple[str, ...]]:
    """Read one use case and at most three skills; ``Skills: none`` gives no skills.

    *use_cases* and *skills* are the only names allowed, unless empty. They are compared without
    case and returned in the spelling given here.

    Raises:
        ParseError: a line is missing, a name is too long or not allowed.
    """
    reply = reply_body(text)
    fields = parse_json(reply)
    use_case, names = (
        (_from_json(fields) if fields else None)
        or _from_table(reply)
        or _from_lines(without_traits(tags_as_labels(reply)))
    )
    _check_length(use_case, *names)
    if use_case.casefold() in _NONE:
        raise ParseError(f"no use case: {excerpt(reply)}")

    use_case = _allowed(use_case, use_cases, "use case")
    distinct = dict.fromkeys(_allowed(name, skills, "skill") for name in _distinct(names))
    return use_case, tuple(distinct)


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


def _from_table(text: str) -> tuple[str, list[str]] | None:
    rows = rows_of(text.split("\n"))
    if rows and len(rows[0]) == 2 and not column(rows, _USE_CASE_HEAD):
        rows = list(map(list, zip(*rows, strict=True)))  # one row for each label
    use_cases, skills = column(rows, _USE_CASE_HEAD), column(rows, _SKILLS_HEAD)
    return (_name(use_cases[0]), _listed(skills[0])) if use_cases and skills else None


def _from_lines(text: str) -> tuple[str, list[str]]:
    text = _HEADING.sub(r"\1:", text)
    label = _USE_CASE.search(text)
    if not label:
        raise ParseError("no use case line")
    # A model that goes on to write examples of its own adds further pairs: the first one counts.
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
    """Return the list after the label: the rest of its line, or the lines below it."""
    lines = rest[:_LONGEST_LIST].split("\n")
    if lines[0].strip():
        return lines[0]
    below = [line for line in lines[1:] if line.strip()]
    if not below:
        raise ParseError("the skills line is empty")
    if _SEPARATOR.search(below[0]):
        return below[0]
    begins = _LISTED if _LISTED.match(below[0]) else _SHORT
    return "\n".join(takewhile(begins.match, below))


def _listed(text: str) -> list[str]:
    if re.match(r"\s*\(?1[.)][ \t]", text):
        text = _INLINE_COUNT.sub("\n", text)
    text = text.strip().removeprefix("[").removesuffix("]")
    return [_name(part).removeprefix("and ") for part in _SEPARATOR.split(text)]


def _name(text: str) -> str:
    text = strip_marks(text.strip(" \t\r\n,;|/\u2192").rstrip("."))
    return " ".join(strip_marks(text.rstrip(" .,;:-\u2013\u2014")).rstrip(" .").split())


def _distinct(names: Iterable[str]) -> list[str]:
    by_fold: dict[str, str] = {}
    for name in names:
        if name and name.casefold() not in _NONE:
            by_fold.setdefault(name.casefold(), name)
    return list(by_fold.values())[:_MOST_SKILLS]


def _check_length(*names: str) -> None:
    longest = max(names, key=len)
    if len(longest) > _LONGEST_NAME:
        raise ParseError(f"the name is longer than {_LONGEST_NAME} characters: {excerpt(longest)}")


def _allowed(name: str, names: Sequence[str], kind: str) -> str:
    if not names:
        return name
    for allowed in names:
        if allowed.casefold() == name.casefold():
            return allowed
    raise ParseError(f"{kind} {excerpt(name)} is not allowed")
