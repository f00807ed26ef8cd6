"""The one tokeniser: what a word is wherever texts are counted or compared."""

import re

_IDEOGRAPH = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_IDEOGRAPH}]|[^\W{_IDEOGRAPH}]+")


def words(text: str) -> list[str]:
    """Return the words of *text*: runs of letters, digits and ``_``, with case folded.

    Chinese characters and Japanese kana are written without spaces: each is a word.
    """
    return _WORD.findall(text.casefold())
