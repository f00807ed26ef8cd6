"""Labels of a rewritten text: "Improved instruction:", and those of what was to be rewritten."""

import re
from typing import Final

from .languages import phrase
from .reading import SIGNS

_FLAGS: Final = re.IGNORECASE
_ARTICLE = r"(?:the |your |my |an? |die |der |la |le |el |l['\u2019]|o |il )?"
_TEXT = re.compile(phrase("text"), _FLAGS)
_CHANGED = re.compile(phrase("changed"), _FLAGS)
_BEGINS_LABEL = re.compile(rf"{_ARTICLE}(?:{phrase('text')}|{phrase('changed')})", _FLAGS)
_BARE_LABEL = re.compile(
    r"improved|revised|rewritten|enhanced|improvement|revision|verbessert|überarbeitet|améliorée?"
    r"|réécrite?|mejorad[ao]|改进后|改写后|改善後|улучшенн\w\w",
    _FLAGS,
)
_LINKS = re.compile(
    r"\([^()]*\)|\uff08[^\uff08\uff09]*\uff09"
    r"|\b(?:the|an?|of|for|your|my|is|reads|would be|could be|as|follows|than|slightly|even|still"
    r"|much|with|and|l|la|le|el|de|del|que|die|der|und|noch|plus)\b",
    _FLAGS,
)
_WORD = re.compile(r"[^\W\d_]+")
_QUALIFIED_LABEL = re.compile(
    rf"{_ARTICLE}(?:{phrase('text')}) ?[(\uff08][^()\n]{{1,40}}[)\uff09]", _FLAGS
)
_ITEM_LABEL = re.compile(rf"{_ARTICLE}{phrase('item')}", _FLAGS)
_PLAIN_LABEL = re.compile(rf"{_ARTICLE}{phrase('plain_text')}", _FLAGS)
_OLD_LABEL = re.compile(phrase("old_text"), _FLAGS)
_BARE_OLD_LABEL = re.compile(r"original|before|vorher|avant|antes|原文|原始?|元|до", _FLAGS)
_NOT_OURS = re.compile(r"\bs? of (?:my|our|his|her|their)\b", _FLAGS)
_THE_TEXT = re.compile(
    rf"\b(?:one|an?|une?|una|eine) {phrase('plain_text')}\b"
    r"|\b(?:the|this|that) (?:instruction|prompt)\b|\baction item\b",
    _FLAGS,
)
_NOUN = re.compile(rf"{phrase('plain_text')}|version|rewrite", _FLAGS)
_DETERMINER = re.compile(r"this|that|the|an?|my|these|following|given|your|every|each", _FLAGS)
_LONGEST: Final = 60


def _is_headed_by_noun(label: str) -> bool:
    """Return whether *label* is "Brand new prompt": a few words that end in what the text is."""
    words = label.split()
    if not 1 < len(words) <= 4 or not _NOUN.fullmatch(words[-1]) or is_old_label(label):
        return False
    return not any(_DETERMINER.fullmatch(word) for word in words[1:])


def is_label(label: str, original: str) -> bool:
    """Return whether *label* names the text itself, and *original* does not begin with it."""
    if not label or original.lstrip(SIGNS).lower().startswith(label.lower()):
        return False
    is_plain = _PLAIN_LABEL.fullmatch(label) or _QUALIFIED_LABEL.fullmatch(label)
    return is_new_label(label) or is_plain is not None or _is_headed_by_noun(label)


def is_item_label(label: str) -> bool:
    """Return whether *label* is "Task" or the like, which may be the text's own."""
    return _ITEM_LABEL.fullmatch(label) is not None


def is_new_label(label: str) -> bool:
    """Return whether *label* names a changed text, such as "Final improved prompt (harder)"."""
    if not label or len(label) > _LONGEST:
        return False
    if _BARE_LABEL.fullmatch(label):
        return True
    rest = _LINKS.sub(" ", _CHANGED.sub(" ", _TEXT.sub(" ", label)))
    begins = _BEGINS_LABEL.match(label) is not None
    return begins and names_new_text(label) and len(_WORD.findall(rest)) <= 1


def is_old_label(label: str) -> bool:
    """Return whether *label* names what was to be rewritten."""
    return _OLD_LABEL.fullmatch(label) is not None


def begins_with_old_label(label: str) -> bool:
    """Return whether *label*, the first of a reply, may name what was to be rewritten."""
    return is_old_label(label) or _BARE_OLD_LABEL.fullmatch(label) is not None


def names_new_text(line: str) -> bool:
    """Return whether *line* speaks of a changed text, or of "the instruction"."""
    return _THE_TEXT.search(line) is not None or names_changed_text(line)


def names_changed_text(line: str) -> bool:
    """Return whether *line* speaks of a changed text."""
    return bool(_CHANGED.search(line) and _TEXT.search(line) and not _NOT_OURS.search(line))
