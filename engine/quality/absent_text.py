"""The check for instructions that work on a text which is not there: "Proofread the following"."""

import re
from typing import Final

from .checks import Part, Violation

_MATERIAL = (
    r"(?:text|passage|paragraph|sentences?|article|e-?mail|letter|poem|story|essay|speech|quote|"
    r"excerpt|abstract|review|conversation|dialogue|transcript|code|snippet|function|script|query|"
    r"table|dataset|data|list|message|document|report|statements?|paper|news|headline|tweet)"
)
_GIVEN_BY = r"(?:following(?! (?:days?|weeks?|months?|years?|morning)\b)|given|provided|attached)"
_REFERS: Final = re.compile(
    rf"\b(?:the|this|these) (?:{_GIVEN_BY}|below|above) (?:\w+ ){{0,2}}{_MATERIAL}\b"
    rf"|\b(?:the|this) (?:\w+ )?{_MATERIAL} (?:(?:that (?:is|follows)|{_GIVEN_BY}|shown|pasted) )?"
    r"(?:below|above)\b"
    r"|\b(?:proofread|translate|summari[sz]e|paraphrase|rewrite|edit|correct) the following\b"
    rf"|\b(?:the|this|these) (?:\w+ )?{_GIVEN_BY} (?:\w+[ -]){{0,3}}\w+\W*\Z"
    r"|\b(?:folgende[nrsm]?|(?:unten|oben)stehende[nrsm]?) (?:\w+ )?(?:text|satz|sätze|absatz"
    r"|artikel|brief|gedicht|e-?mail|code|abschnitt)\b"
    r"|\b(?:le|la|les|ce) (?:texte|phrase|paragraphe|article|lettre|poème|code)"
    r" (?:suivante?|ci-dessous)\b"
    r"|\b(?:el|la|los|este|esta) siguiente (?:texto|frase|párrafo|artículo|carta|código)\b"
    r"|(?:以下|下面|下列|上述)的?(?:这[段篇首封])?(?:文本|文字|句子|段落|文章|代码|邮件|诗|内容|材料)"
    r"|\b(?:следующ|данн|приведённ|приведенн)\w{2,3} "
    r"(?:текст|предложени|абзац|стать|письм|отрывок|стих|код)\w*"
    r"|(?:текст|предложение|абзац|письмо|код) ниже\b"
    r"|(?:次|以下|下記|上記)の(?:文章?|文|段落|記事|メール|手紙|詩|コード|会話|テキスト|一節)"
    r"|\b(?:o|a) (?:texto|frase|parágrafo|artigo|carta|código) (?:a seguir|abaixo|seguinte)\b"
    r"|\b(?:il|la|questo|questa) (?:seguente (?:testo|frase|paragrafo|articolo|lettera|codice)"
    r"|(?:testo|frase|paragrafo|articolo|lettera|codice) (?:seguente|qui sotto))\b"
    r"|\b(?:de|het) (?:volgende|onderstaande) (?:tekst|zin|alinea|brief|artikel|code)\b"
    r"|(?:다음|아래)(?:의)? (?:문장|글|텍스트|단락|기사|이메일|편지|코드)"
    r"|(?:النص|الفقرة|الجملة|المقال|الرسالة) (?:التالية?|أدناه)"
    r"|\b(?:the following|below)\b[^:]{0,60}:\s*\Z",
    re.IGNORECASE,
)
_GIVEN: Final = re.compile(
    r"\n|```|[\"\u201c\u201e\u00ab\u300c][^\"\u201d\u201c\u00bb\u300d]{8,}|'[^']{15,}'|[:\uff1a]\s*\S"
    r"|\b(?:following|given)\b[^?]{0,80}\?\s+\w|\byour (?:own )?choice\b|\b(?:imagine|suppose)\b",
    re.IGNORECASE,
)
"""Signs that the material is there: more lines, a fence, a quotation, something after a colon or a
question, or that none is needed."""


_HINTS: Final = (
    *("follow", "given", "provided", "attached", "below", "above"),
    *("folgende", "stehende", "suivant", "dessous", "siguiente"),
    *("следующ", "данн", "привед", "ниже", "次の", "下記", "上記", "seguir", "abaixo", "seguinte"),
    *("seguente", "qui sotto", "volgende", "onderstaande", "다음", "아래"),
    *("以下", "下面", "下列", "上述", "التالي", "أدناه"),
)
"""One of them, in lower case, is in whatever `_REFERS` finds. Most instructions have none, and
looking for them takes a tenth of the time."""


class AbsentTextCheck:
    """An instruction must bring along the text, code or data that it says it works on."""

    def __call__(self, text: str, part: Part, /) -> Violation | None:
        if part != "instruction":
            return None
        lower = text.lower()
        if not any(hint in lower for hint in _HINTS) or _GIVEN.search(text):
            return None
        reference = _REFERS.search(text)
        if reference is None:
            return None
        return Violation("absent_text", f"instruction: {reference[0]!r}, and it is not there")
