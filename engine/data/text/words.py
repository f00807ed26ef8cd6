"""Words of a text, as every rule of quality counts and compares them."""

import re

_IDEOGRAPH = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_IDEOGRAPH}]|[^\W{_IDEOGRAPH}]+")


def words(text: str) -> list[str]:
    """Letters and digits without case; where a script has no spaces, each character is a word."""
    return _WORD.findall(text.casefold())


def runs(said: list[str], length: int) -> list[str]:
    """Every *length* words in a row; what is shorter is one run, what is empty none."""
    if len(said) <= length:
        return [" ".join(said)] if said else []
    return [" ".join(said[n : n + length]) for n in range(len(said) - length + 1)]
