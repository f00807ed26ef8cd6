"""Improve: ask for one instruction, made harder by one action (paper §4.2)."""

import re

from .prompt import (
    TYPICAL_SKILLS,
    TYPICAL_USE_CASE,
    JsonSchema,
    Priority,
    Prompt,
    RawReply,
    Sizes,
    Typical,
    filler,
)
from .reading import (
    ParseError,
    check_complete,
    excerpt,
    is_refusal,
    normalise,
    parse_json,
    reply_body,
    strip_fence,
    strip_quotes,
)
from .schemas import instruction as instruction_schema

_KIND = r"(?:improved|input|original|given|revised|rewritten|new|enhanced|modified|updated)"
_LABEL = re.compile(
    rf"(?:#++[ \t]*+)?[*_]{{0,3}}{_KIND} instructions?[*_]{{0,3}}[ \t]*+(?::[*_]{{0,3}}|$)\s*+",
    re.IGNORECASE | re.MULTILINE,
)
_CUE = re.compile(
    rf"^[ \t]*+(?:#++[ \t]*+)?[*_]{{0,3}}(?:{_KIND} instruction|action item)[*_]{{0,3}}[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)
_LEAD = re.compile(
    r"[^\n]{0,100}\b(?:improved|challenging|revised|rewritten|enhanced|harder|updated|modified) "
    r"(?:instruction|version|prompt)\b[^\n]{0,100}:[*_]{0,3}[ \t]*+\n\s*",
    re.IGNORECASE,
)
_LEAD_WORD = re.compile(
    r"^\W*(?:sure|certainly|of course|here(?:['\u2019]s| is)|absolutely|okay|ok)\b", re.IGNORECASE
)


class Improve(Prompt[str], frozen=True, kw_only=True):
    """Ask for *instruction* to be made more challenging by *action*."""

    name = "improve"
    priority = Priority.REWRITE

    instruction: str
    action: str
    use_case: str = ""
    skills: tuple[str, ...] = ()

    def read(self, reply: RawReply) -> str:
        check_complete(reply, "the new instruction")
        return read_improved(reply.text, original=self.instruction)

    def schema(self) -> JsonSchema:
        return instruction_schema(self.instruction)

    @classmethod
    def typical(cls, sizes: Sizes) -> Typical:
        prompt = cls(
            instruction=filler(sizes.instruction),
            action=filler(15),
            use_case=TYPICAL_USE_CASE,
            skills=TYPICAL_SKILLS,
        )
        return Typical(prompt, 120)


def read_improved(text: str, *, original: str) -> str:
    """Read the improved instruction, without an echoed label, quotes or fence around it.

    Raises:
        ParseError: it is empty, a refusal, the same as *original*, or holds the prompt's labels.
    """
    reply = reply_body(text)
    fields = parse_json(reply) or {}
    field = fields.get("instruction", fields.get("improved_instruction"))
    instruction = _unwrapped(field if isinstance(field, str) else reply)

    if not instruction:
        raise ParseError("the improved instruction is empty")
    if _CUE.search(instruction) and not _CUE.search(original):
        raise ParseError(f"it holds the prompt's own labels: {excerpt(instruction)}")
    if is_refusal(instruction) and not is_refusal(original):
        raise ParseError(f"a refusal: {excerpt(instruction)}")
    if normalise(instruction) == normalise(original):
        raise ParseError("the instruction is unchanged")
    return instruction


def _unwrapped(text: str) -> str:
    text = text.strip()
    if _LEAD_WORD.match(text) and (lead := _LEAD.match(text)):
        text = text[lead.end() :]
    if label := _LABEL.match(text):
        text = text[label.end() :]
    return strip_quotes(strip_fence(text.strip()))
