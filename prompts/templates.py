"""Templates: a prompt's messages as a file, checked when loaded, filled in one pass.

A template holds messages under header lines ``--- system``, ``--- user``, ``--- assistant``;
without a header it is one user message. ``{{name}}`` marks a placeholder. Filled text is never
scanned again, so values may hold anything, braces included.
"""

import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, cast

from .prompt import AnyPrompt, Prompt

MessageRole = Literal["system", "user", "assistant"]
Messages = tuple[tuple[MessageRole, str], ...]

_LARGEST = 1 << 20
"""Bytes of a template: far more than any model reads of one prompt."""

SETS: Final = ("default", "small", "self_contained")
"""The sets of templates. A set that lacks a prompt's template takes that of ``default``."""

_HEADER = re.compile(r"^---[ \t]*(system|user|assistant)[ \t]*$", re.MULTILINE)
_PLACEHOLDER = re.compile(r"\{\{([^{}\n]*)\}\}")


class PromptError(Exception):
    """A template that cannot be used. The message names the file and what to do."""


class _Placeholder(NamedTuple):
    position: int
    """The index of its value in the message's parts."""
    name: str
    before: str
    after: str
    """Line breaks around an optional value in a paragraph of its own; left out if it is empty."""


class _Message(NamedTuple):
    role: MessageRole
    parts: tuple[str, ...]
    placeholders: tuple[_Placeholder, ...]


class PromptSet:
    """The compiled templates of some prompts.

    Attributes:
        digests: A hash of each template by its prompt's name, for manifests.
    """

    def __init__(self, texts: Mapping[AnyPrompt, str], *, where: str = "prompts") -> None:
        """Compile *texts*; *where* names them in messages.

        Raises:
            PromptError: a template or placeholder is invalid.
        """
        self._messages: dict[str, tuple[_Message, ...]] = {}
        self.digests: dict[str, str] = {}
        for prompt, text in texts.items():
            if prompt.name in self._messages:
                raise PromptError(
                    f"{where}: two prompts have the name {prompt.name!r}: rename {prompt.__name__}"
                    f" of {prompt.__module__}"
                )
            self._messages[prompt.name] = _compile(prompt, text, f"{where}/{prompt.name}.txt")
            data = text.encode("utf-8", "surrogatepass")
            self.digests[prompt.name] = blake2b(data, digest_size=16).hexdigest()

    @classmethod
    def load(
        cls,
        source: str | Path,
        prompts: Collection[AnyPrompt],
        *,
        names: Iterable[str] = (),
        fixed: Mapping[str, str] = {},
    ) -> "PromptSet":
        """Read the templates of *prompts* from *source*, the name of one of `SETS` or a folder.

        A folder holds ``NAME.txt`` files; other templates are those of ``default``.

        Args:
            source: where to read from.
            prompts: those to load.
            names: of further prompts, whose templates a folder may hold too.
            fixed: the templates of some prompts by name, whatever *source* has for them.

        Raises:
            PromptError: the folder, a file or a placeholder is invalid.
        """
        available = dict.fromkeys([*(prompt.name for prompt in prompts), *names])
        own = {} if source in SETS else _folder(Path(source), list(available))
        fallback = str(source) if source in SETS else "default"
        overrides = {**own, **fixed}
        texts = {
            prompt: overrides[prompt.name]
            if prompt.name in overrides
            else template_text(prompt, fallback)
            for prompt in prompts
        }
        return cls(texts, where=str(source))

    @property
    def examples(self) -> Iterator[str]:
        """The texts that the templates' examples hold: their lines, or the strings of their JSON.

        An example is whatever stands before the last message, instructions of the system apart.
        """
        for messages in self._messages.values():
            for message in messages[:-1]:
                if message.role != "system":
                    yield from filter(str.strip, re.split(r'["\n]', "".join(message.parts)))

    def render(self, prompt: Prompt[Any], /) -> Messages:
        """Fill the template of *prompt* with its values.

        Raises:
            PromptError: its template was not loaded.
        """
        messages = self._messages.get(prompt.name)
        if messages is None:
            raise PromptError(
                f"prompt {prompt.name!r} was not loaded: add {type(prompt).__name__} to the"
                f" prompts of the recipe's step, under the role that is asked"
            )
        return tuple(
            (role, _fill(parts, placeholders, prompt) if placeholders else parts[0])
            for role, parts, placeholders in messages
        )


def _fill(
    parts: tuple[str, ...], placeholders: tuple[_Placeholder, ...], prompt: Prompt[Any]
) -> str:
    texts = list(parts)
    for position, name, before, after in placeholders:
        value = getattr(prompt, name)
        text = value if isinstance(value, str) else _as_text(value)
        texts[position] = f"{before}{text}{after}" if text else ""
    return "".join(texts)


def _as_text(value: object) -> str:
    if isinstance(value, Sequence):
        return ", ".join(cast("Sequence[str]", value)) or "none in particular"
    return str(value)


def _compile(prompt: AnyPrompt, text: str, name: str) -> tuple[_Message, ...]:
    messages = tuple(_split(prompt, role, body, name) for role, body in _bodies(text, name))
    present = {place.name for message in messages for place in message.placeholders}
    if missing := prompt.required() - present:
        raise PromptError(f"{name}: {_braced(missing)} is missing; put it where the value belongs")
    if messages[-1].role != "user":
        raise PromptError(f"{name}: the last message must be the user's; end with '--- user'")
    return messages


def _bodies(text: str, name: str) -> Iterable[tuple[MessageRole, str]]:
    before, *rest = _HEADER.split(text)
    if not rest:
        rest = ["user", before]
    elif before.strip():
        raise PromptError(f"{name}: text above the first header; put '--- user' above it")
    for role, body in zip(rest[::2], rest[1::2], strict=True):
        if not body.strip():
            raise PromptError(f"{name}: empty {role} message; fill it or remove its header")
        yield cast("MessageRole", role), body.strip()


def _split(prompt: AnyPrompt, role: MessageRole, body: str, name: str) -> _Message:
    names, required = prompt.placeholders(), prompt.required()
    parts = _PLACEHOLDER.split(body)
    placeholders: list[_Placeholder] = []
    for position in range(1, len(parts), 2):
        key, parts[position] = parts[position].strip(), ""
        if key not in names:
            raise PromptError(
                f"{name}: unknown placeholder {{{{{key}}}}}; {prompt.name} has {_braced(names)}"
            )
        before = after = ""
        if key not in required:
            before, after = _take_breaks(parts, position)
        placeholders.append(_Placeholder(position, key, before, after))
    return _Message(role, tuple(parts), tuple(placeholders))


def _take_breaks(parts: list[str], position: int) -> tuple[str, str]:
    """Remove from *parts* the line breaks before or after a paragraph of one placeholder."""
    before, after = parts[position - 1], parts[position + 1]
    if before.endswith("\n") and (not after or after.startswith("\n")):
        parts[position - 1] = before.rstrip("\n")
        return before[len(parts[position - 1]) :], ""
    if not before and after.startswith("\n"):
        parts[position + 1] = after.lstrip("\n")
        return "", after[: len(after) - len(parts[position + 1])]
    return "", ""


def _braced(names: Iterable[str]) -> str:
    return ", ".join(f"{{{{{name}}}}}" for name in sorted(names))


def template_text(prompt: AnyPrompt, source: str) -> str:
    """Return the text of *prompt*'s template in the set *source*, else of its default one.

    Raises:
        PromptError: it has none.
    """
    package = sys.modules[prompt.__module__].__package__
    if package:
        for folder in dict.fromkeys((source, "default")):
            file = files(package) / folder / f"{prompt.name}.txt"
            if file.is_file():
                return _read(file, f"{folder}/{prompt.name}.txt")
    if prompt.template is None:
        raise PromptError(
            f"prompt {prompt.name!r} of {prompt.__module__} has no template:"
            f" add default/{prompt.name}.txt beside the module"
        )
    return prompt.template


def _folder(folder: Path, names: Sequence[str]) -> dict[str, str]:
    if not folder.is_dir():
        raise PromptError(
            f"{folder}: no such folder of prompts; give one, or one of {', '.join(SETS)}"
        )
    texts: dict[str, str] = {}
    for file in sorted(folder.iterdir()):
        if file.name.startswith((".", "README")):
            continue
        if file.suffix != ".txt" or file.stem not in names:
            raise PromptError(
                f"{file}: no prompt has this name; available: {', '.join(names)}, each with .txt"
            )
        texts[file.stem] = _read(file, str(file))
    return texts


def _read(file: Traversable, name: str) -> str:
    try:
        if isinstance(file, Path) and not (file.is_file() and file.stat().st_size <= _LARGEST):
            raise PromptError(f"{name}: not a regular file of at most {_LARGEST:,} bytes")
        text = file.read_text("utf-8")
    except OSError as error:
        raise PromptError(f"{name}: {error.strerror}; make it readable") from error
    except UnicodeDecodeError as error:
        raise PromptError(f"{name}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    return text.removeprefix("\ufeff")
