"""Read one instruction out of a reply, without what models write around it.

Around it stand labels, preambles, remarks about the rewrite, and marks that enclose the whole text.
What the text itself holds (code, lists, quotes, headings, notes) stays as it is. Where the two
cannot be told apart, the reply is refused: asking again costs less than junk in a dataset.
"""

import re
from typing import Final

from .doubts import ANNOUNCES, OWN, TASKS, check_alone, offers_several
from .labels import (
    begins_with_old_label,
    is_item_label,
    is_label,
    is_new_label,
    names_changed_text,
    names_new_text,
)
from .languages import phrase
from .reading import SIGNS, ParseError, excerpt, is_refusal, outside_fences, split_label
from .remarks import (
    ABOUT_REWRITE,
    RULE,
    holds_later_task,
    is_about_action,
    names_action,
    without_remarks,
)
from .sections import check_last_section
from .wrapping import from_json, from_table, unwrapped

_FLAGS: Final = re.IGNORECASE
_DASH = re.compile(r" [-\u2013\u2014] ")
_INTERJECTION = re.compile(
    rf"[¡\s]{{0,3}}(?:{phrase('interjections')}"
    r"[ \t]{0,2}[!.,:\uff01\uff0c\u3002\u060c\u2014\u2013-]{1,2}\s{0,9}){1,3}",
    _FLAGS,
)
_HERE_IT_IS = re.compile(r"[^\n]{0,80}\b(?:version|result|attempt|it is|you go)\b", _FLAGS)
_MY_REWRITE = re.compile(
    r"here(?:['\u2019]s| is) (?:my|one|an?) (?:\w+ )?"
    r"(?:attempt|rewrite|take|suggestion|revision)\b",
    _FLAGS,
)
_HERE_IS_VERSION = re.compile(
    r"here(?:['\u2019]s| is) (?:the|an?|your) "
    r"(?:(?!original|first|current|old|draft|latest)[\w-]+ ){1,4}"
    r"(?:version|rewrite|variant|take)\b[^\n]{0,60}",
    _FLAGS,
)
_EXPLAINS = re.compile(phrase("explains"), _FLAGS)
_LEADING_RULE = re.compile(r"\A(?:[-*_]{3,}[ \t]*+\n)++")
_BLANK_LINE = re.compile(r"\n[ \t]*+(?=\n)")
_SENTENCE_END: Final = (".", "!", "\u3002", "\uff01")
_LONGEST: Final = 100_000
_LONGEST_LINE: Final = 300
_LONGEST_PREAMBLE: Final = 1_200
_LONGEST_TAIL: Final = 1_200
_OPENS: Final = f"{SIGNS}\n\"'`\u201c\u201e\u00ab\u00bf\u300c"
_MOST_LAYERS: Final = 6


def read_instruction(reply: str, *, original: str = "") -> str:
    """Return the instruction in *reply*, which may be a rewrite of *original*.

    Args:
        reply: The body of a reply.
        original: What was to be rewritten. A label that it begins with, too, belongs to the text.

    Raises:
        ParseError: it is empty, absurdly long or a refusal, it holds several versions or the
            prompt's labels, or what may be a remark.
    """
    text = from_json(reply) or from_table(reply) or reply
    if len(text) > _LONGEST:
        raise ParseError(f"the instruction has {len(text):,} characters")
    if offers_several(text) and not offers_several(original):
        raise ParseError(f"several versions: {excerpt(text)}")
    is_announced = False
    for _ in range(_MOST_LAYERS):
        before = text
        text = unwrapped(_without_rules(text)).strip()
        stripped = _without_label(_without_preamble(text, original).strip(), original)
        if stripped != text:
            is_announced = True
            check_last_section(text, without_remarks(stripped.strip(), original, is_announced=True))
        if is_announced:
            stripped = _without_item_label(stripped)
        text = without_remarks(stripped.strip(), original, is_announced=is_announced).strip()
        if text == before:
            break
    check_alone(text, original, is_announced=is_announced)
    if is_announced and _has_tail(text):
        raise ParseError(f"a remark may follow the instruction: {excerpt(text)}")
    return text


def _without_rules(text: str) -> str:
    """Remove a rule above the text, and what follows the only other one: it ends the text."""
    body = _LEADING_RULE.sub("", text)
    if body == text:
        return text
    lines = body.split("\n")
    rules = _rules(lines)
    return "\n".join(lines[: rules[0]]) if len(rules) == 1 else body


def _rules(lines: list[str]) -> list[int]:
    outside = outside_fences(lines)
    return [at for at, line in enumerate(lines) if outside[at] and RULE.fullmatch(line)]


def _has_tail(text: str) -> bool:
    """Return whether a single rule sets off the end of *text*."""
    lines = text.split("\n")
    rules = _rules(lines)
    return len(rules) == 1 and len("\n".join(lines[rules[0] :])) < _LONGEST_TAIL


def _without_preamble(text: str, original: str) -> str:
    """Remove what a model says before the text.

    Raises:
        ParseError: it begins like a reply to a user, and no text is announced.
    """
    paragraph = _first_paragraph(text)
    greeting = _INTERJECTION.match(paragraph)
    if not greeting or _INTERJECTION.match(original):
        return _without_announcement(text)
    body = text[greeting.end() :]
    if "\n" in greeting[0] or greeting[0] == paragraph:
        return body
    stripped = _without_announcement(body)
    if stripped != body:
        return stripped
    is_task = TASKS.match(body) is not None
    is_short = len(paragraph.split()) < 12
    if "!" not in paragraph and _ends_with_colon(paragraph) and is_short and not is_task:
        return text[len(paragraph) :]
    first, _, rest = body.partition("\n")
    is_announced = _HERE_IT_IS.match(first) or names_new_text(first[:_LONGEST_LINE])
    if is_announced and _ends_with_colon(first) and rest.strip() and not is_task:
        return rest
    if "!" in greeting[0] or "\uff01" in greeting[0]:
        raise ParseError(f"begins like a chat: {excerpt(text)}")
    return text


def _without_announcement(text: str) -> str:
    """Remove "Here is the new instruction:", or a paragraph on what is new in it."""
    first, _, rest = text.partition("\n")
    label, value = split_label(first, longest=_LONGEST_LINE)
    if ANNOUNCES.match(label) and names_new_text(label) and (value or rest.strip()):
        return f"{value}\n{rest}"
    is_rewrite = _MY_REWRITE.fullmatch(label) or _HERE_IS_VERSION.fullmatch(label)
    if is_rewrite and not value and rest.strip():
        return rest
    paragraph = _first_paragraph(text)
    below = text[len(paragraph) :]
    if not below.strip():
        return text
    if _is_announcing_sentence(paragraph):
        return below
    is_about = names_new_text(paragraph) or ABOUT_REWRITE.search(paragraph)
    is_remark = is_about_action(paragraph) or (is_about and _EXPLAINS.match(paragraph))
    return _below_remark(text, paragraph) if is_remark else text


def _below_remark(text: str, paragraph: str) -> str:
    """Return what follows *paragraph*, which begins *text*, or all if it is the instruction's.

    Raises:
        ParseError: it may be either: it holds a task, or what follows begins like none, or it
            speaks of "my" things and of a rewrite.
    """
    is_own = OWN.search(paragraph) is not None
    below = text[len(paragraph) :]
    is_complete = TASKS.match(below.lstrip(_OPENS)) or split_label(below.strip().split("\n")[0])[0]
    if is_complete and not (is_own or holds_later_task(paragraph, after_commas=True)):
        return below
    if is_own and not (names_new_text(paragraph) or names_action(paragraph)):
        return text
    raise ParseError(f"a remark may precede the instruction: {excerpt(text)}")


def _is_announcing_sentence(paragraph: str) -> bool:
    """Return whether *paragraph* is a sentence like "Here is the improved instruction."."""
    sentence = paragraph.strip(" *_")
    is_sentence = sum(map(sentence.count, _SENTENCE_END)) == 1 and sentence[-1] in _SENTENCE_END
    return bool(
        is_sentence
        and len(sentence) < _LONGEST_LINE // 2
        and ANNOUNCES.match(paragraph)
        and not OWN.search(paragraph)
        and names_changed_text(paragraph)
    )


def _ends_with_colon(paragraph: str) -> bool:
    return "\n" not in paragraph and paragraph.rstrip(" *_").endswith((":", "\uff1a"))


def reads_like_chat(text: str) -> bool:
    """Return whether *text* begins like a chat or a refusal."""
    return _INTERJECTION.match(text) is not None or is_refusal(text)


def _first_paragraph(text: str) -> str:
    return _BLANK_LINE.split(text[:_LONGEST_PREAMBLE], maxsplit=1)[0]


def _without_label(text: str, original: str) -> str:
    """Remove the label of the text, and the original before it if that was repeated."""
    first, _, rest = text.partition("\n")
    label, value = split_label(first)
    if not label:
        label, *dashed = _DASH.split(first.strip(SIGNS), maxsplit=1)
        value = dashed[0] if dashed else ""
    is_heading = not value and first.lstrip().startswith(("**", "#")) and names_changed_text(label)
    if is_label(label, original) or (is_heading and rest.strip()):
        return f"{value}\n{rest}"
    if not begins_with_old_label(label) or begins_with_old_label(split_label(original)[0]):
        return text
    lines = text.split("\n")
    starts = [at for at, line in enumerate(lines) if is_new_label(split_label(line)[0])]
    if len(starts) != 1:
        return text
    return "\n".join([split_label(lines[starts[0]])[1], *lines[starts[0] + 1 :]])


def _without_item_label(text: str) -> str:
    """Remove "Task:" from a text that was announced; elsewhere it may be the text's own."""
    first, _, rest = text.lstrip().partition("\n")
    label, value = split_label(first)
    return f"{value}\n{rest}" if value and is_item_label(label) else text
