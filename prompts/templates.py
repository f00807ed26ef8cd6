"""Prompts as files: read once, checked, filled in one pass.

A template holds messages under header lines ``--- system``, ``--- user``, ``--- assistant``;
without a header it is one user message. ``{{name}}`` is where a value goes. Filled text is never
looked at again, so values may hold anything, braces included.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, Literal, NamedTuple, cast, get_args

Stage = Literal[
    "encode", "decode", "rubrics", "improve", "respond", "score", "judge", "plausible",
    "invent", "rate", "grow", "deepen", "complicate", "broaden", "equal",
]  # fmt: skip
Role = Literal["system", "user", "assistant"]
Messages = tuple[tuple[Role, str], ...]
Value = str | int | Sequence[str]

STAGES: Final = cast("tuple[Stage, ...]", get_args(Stage))
BUILT_IN: Final = ("default", "small", "self_contained")

_PAIR = frozenset({"use_case", "skills"})
_CONTEST = frozenset({"instruction", "first", "second"})
_REQUIRED: Final[Mapping[Stage, frozenset[str]]] = {
    "encode": frozenset({"instruction"}),
    "decode": _PAIR | {"number"},
    "rubrics": _PAIR | {"number"},
    "improve": frozenset({"instruction", "action"}),
    "respond": frozenset({"instruction"}),
    "score": _CONTEST,
    "judge": _CONTEST,
    "plausible": _PAIR,
    "invent": frozenset({"number", "demonstrations"}),
    "rate": frozenset({"instruction", "answer"}),
    "grow": frozenset({"instruction", "nodes", "fewest", "most"}),
    "deepen": frozenset({"instruction", "method"}),
    "complicate": frozenset({"instruction"}),
    "broaden": frozenset({"instruction"}),
    "equal": frozenset({"first", "second"}),
}
_OPTIONAL: Final[Mapping[Stage, frozenset[str]]] = {
    "encode": frozenset({"vocabulary"}),
    "improve": _PAIR,
}
_NOTHING: Final[frozenset[str]] = frozenset()

_HEADER = re.compile(r"^---[ \t]*(system|user|assistant)[ \t]*$", re.MULTILINE)
_PLACEHOLDER = re.compile(r"\{\{([^{}\n]*)\}\}")


class PromptError(Exception):
    """A template that cannot be used. The message names the file and what to do."""


class _Hole(NamedTuple):
    place: int
    name: str
    before: str
    after: str
    """Line breaks around a value that fills its paragraph alone; gone where the value is empty."""


class _Message(NamedTuple):
    role: Role
    parts: tuple[str, ...]
    holes: tuple[_Hole, ...]


class Prompts:
    """The templates of all stages.

    Attributes:
        digests: A hash of each stage's template, for manifests.
    """

    def __init__(self, texts: Mapping[Stage, str], *, where: str = "prompts") -> None:
        """Check and split *texts*, one for each stage; *where* names them in complaints."""
        self._messages: dict[Stage, tuple[_Message, ...]] = {
            stage: _compile(stage, texts[stage], f"{where}/{stage}.txt") for stage in STAGES
        }
        self.digests: dict[str, str] = {
            stage: blake2b(_encoded(texts[stage]), digest_size=16).hexdigest() for stage in STAGES
        }

    @classmethod
    def load(cls, source: str | Path = "default") -> "Prompts":
        """Read the prompts named *source*: ``default``, ``small``, ``self_contained`` or a folder.

        A folder holds ``STAGE.txt`` files; stages it does not name are taken from ``default``.

        Raises:
            PromptError: a file, a placeholder or the folder is not as it should be.
        """
        texts = _built_in("default")
        if isinstance(source, str) and source in BUILT_IN:
            return cls(texts | _built_in(source), where=source)

        return cls(texts | _folder(Path(source)), where=str(source))

    def render(self, stage: Stage, /, **values: Value) -> Messages:
        """Fill *stage*'s template.

        ========== =====================================================
        encode     instruction, vocabulary (see `vocabulary`; may be "")
        decode     number, use_case, skills
        rubrics    number, use_case, skills
        improve    instruction, action; a template may use use_case, skills
        respond    instruction
        score      instruction, first, second
        judge      instruction, first, second
        plausible  use_case, skills
        invent     number, demonstrations
        rate       instruction, answer
        grow       instruction, nodes, fewest, most (words)
        deepen     instruction, method
        complicate instruction
        broaden    instruction
        equal      first, second
        ========== =====================================================

        Raises:
            TypeError: a value is missing, or is none of this stage's.
        """
        unknown = values.keys() - _REQUIRED[stage] - _OPTIONAL.get(stage, _NOTHING)
        if unknown:
            raise TypeError(f"{stage} takes no {', '.join(sorted(unknown))}")
        return tuple(
            (role, _fill(parts, holes, values, stage) if holes else parts[0])
            for role, parts, holes in self._messages[stage]
        )


def vocabulary(use_cases: Sequence[str] = (), skills: Sequence[str] = ()) -> str:
    """Say which use cases and skills are allowed, for `encode`; empty where all are."""
    lines: list[str] = []
    if use_cases:
        lines.append(f"Allowed use cases (choose one): {'; '.join(use_cases)}")
    if skills:
        lines.append(f"Allowed skills (choose at most 3): {'; '.join(skills)}")
    return "\n".join(lines)


def _fill(
    parts: tuple[str, ...], holes: tuple[_Hole, ...], values: Mapping[str, Value], stage: Stage
) -> str:
    texts = list(parts)
    for place, name, before, after in holes:
        value = values.get(name)
        if isinstance(value, str):
            texts[place] = f"{before}{value}{after}" if value else ""
        elif value is None:
            if name in _REQUIRED[stage]:
                raise TypeError(f"{stage} needs {name}")
        elif isinstance(value, int):
            texts[place] = str(value)
        else:
            texts[place] = ", ".join(value) or "none in particular"
    return "".join(texts)


def _compile(stage: Stage, text: str, name: str) -> tuple[_Message, ...]:
    messages = tuple(_split(stage, role, body, name) for role, body in _bodies(text, name))
    found = {hole.name for message in messages for hole in message.holes}
    missing = _REQUIRED[stage] - found
    if missing:
        raise PromptError(f"{name}: {_braced(missing)} is missing; put it where the value belongs")
    if messages[-1].role != "user":
        raise PromptError(f"{name}: the last message must be the user's; end with '--- user'")
    return messages


def _bodies(text: str, name: str) -> Iterable[tuple[Role, str]]:
    before, *rest = _HEADER.split(text)
    if not rest:
        rest = ["user", before]
    elif before.strip():
        raise PromptError(f"{name}: text above the first header; put '--- user' above it")
    for role, body in zip(rest[::2], rest[1::2], strict=True):
        if not body.strip():
            raise PromptError(f"{name}: an empty {role} message; fill it or remove its header")
        yield cast("Role", role), body.strip()


def _split(stage: Stage, role: Role, body: str, name: str) -> _Message:
    required, optional = _REQUIRED[stage], _OPTIONAL.get(stage, _NOTHING)
    parts = _PLACEHOLDER.split(body)
    holes: list[_Hole] = []
    for place in range(1, len(parts), 2):
        key, parts[place] = parts[place].strip(), ""
        if key not in required | optional:
            raise PromptError(
                f"{name}: {{{{{key}}}}} is unknown; {stage} has {_braced(required | optional)}"
            )
        before = after = ""
        if key in optional:
            before, after = _take_breaks(parts, place)
        holes.append(_Hole(place, key, before, after))
    return _Message(role, tuple(parts), tuple(holes))


def _take_breaks(parts: list[str], place: int) -> tuple[str, str]:
    left, right = parts[place - 1], parts[place + 1]
    if left.endswith("\n") and (not right or right.startswith("\n")):
        parts[place - 1] = left.rstrip("\n")
        return left[len(parts[place - 1]) :], ""
    if not left and right.startswith("\n"):
        parts[place + 1] = right.lstrip("\n")
        return "", right[: len(right) - len(parts[place + 1])]
    return "", ""


def _braced(names: Iterable[str]) -> str:
    return ", ".join(f"{{{{{name}}}}}" for name in sorted(names))


def _built_in(name: str) -> dict[Stage, str]:
    folder = files(__name__.rpartition(".")[0]) / name
    return {
        stage: _read(folder / f"{stage}.txt", f"{name}/{stage}.txt")
        for stage in STAGES
        if (folder / f"{stage}.txt").is_file()
    }


def _folder(folder: Path) -> dict[Stage, str]:
    if not folder.is_dir():
        raise PromptError(
            f"{folder}: no such folder of prompts; give one, or one of {', '.join(BUILT_IN)}"
        )
    texts: dict[Stage, str] = {}
    for file in sorted(folder.iterdir()):
        if file.name.startswith((".", "README")):
            continue
        if file.suffix != ".txt" or file.stem not in STAGES:
            raise PromptError(
                f"{file}: no stage has this name; known are {', '.join(STAGES)}, each with .txt"
            )
        texts[file.stem] = _read(file, str(file))
    return texts


def _read(file: Traversable, name: str) -> str:
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise PromptError(f"{name}: {error.strerror}; make it readable") from error
    except UnicodeDecodeError as error:
        raise PromptError(f"{name}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    return text.removeprefix("\ufeff")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
