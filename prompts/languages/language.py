"""What a language's row holds."""

from typing import Final

from msgspec import Struct

NONE: Final = r"(?!)"
"""Matches nothing: the words are not known in this language."""


class Language(Struct, frozen=True, kw_only=True):
    """What models write in one language."""

    text: str = NONE
    """What a rewritten text is called: "instruction"."""
    changed: str = NONE
    """What tells the new text from the old one: "improved"."""
    plain_text: str = NONE
    """A name that leaves open whether the text is the old or the new one."""
    old_text: str = NONE
    """A name of what the prompt gave."""
    interjections: str = NONE
    """What a chat model begins with: "Certainly"."""
    announces: str = NONE
    """How a line begins that announces a text: "here is"."""
    explains: str = NONE
    """How a paragraph begins in which the model says what it is going to do, or did."""
    about_rewrite: str = NONE
    """Words in a remark about the rewrite, not in a rewrite."""
    remarks: str = NONE
    """How a remark about the rewrite begins."""
    offers: str = NONE
    """How a question begins in which a model offers more."""
    last_offers: str = NONE
    """How an offer of more begins on the last line of an instruction."""
    names_action: str = NONE
    """What the prompt calls the action to apply: "the action item"."""
    works_on_action: str = NONE
    """Words of a remark on how the action was applied."""
    closes: str = NONE
    """How the last line of a chat begins: "let me know"."""
    suspect: str = NONE
    """Words in remarks on a rewrite that an instruction may hold, too."""
    points_back: str = NONE
    """How a sentence begins that speaks of what stands above it: "this"."""
    material: str = NONE
    """What an instruction may work on, or how it points to it: "sentence", "below"."""
    tasks: str = NONE
    """How instructions and questions usually begin."""
    in_the_text: str = NONE
    """How a sentence begins that speaks of the instruction: "the new version"."""
    asks: str = NONE
    """How a model begins that has no text to rewrite, or asks what is meant."""
    changes: str = NONE
    """A heading of a list of what was changed."""
    notes: str = NONE
    """A heading of a remark, which may be the instruction's own."""
    refuses: str = NONE
    """How a refusal begins."""
    item: str = NONE
    """What one of the instructions of a list is called."""
    all_items: str = NONE
    """How a remark about all instructions of a list begins."""
    use_case: str = NONE
    skills: str = NONE
    language_label: str = NONE
    """The label of the line that names a seed's language."""
    given_text_label: str = NONE
    """The label of the line that says whether a seed works on a given text."""
    rubric: str = NONE
    action: str = NONE
    assistant: str = NONE
    """What the author of one of two answers is called, or the answer."""
    first: str = NONE
    second: str = NONE
    score: str = NONE
    """What a score is called, and other words that lines of scores hold."""
    overall: str = NONE
    """What tells a total from the scores for single criteria."""
    out_of: str = NONE
    """What stands between a score and the highest one."""
    equal: str = NONE
    not_equal: str = NONE
    yes: str = NONE
    no: str = NONE
