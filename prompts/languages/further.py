"""What models write in further languages: what labels and announces a text, and little else."""

from typing import Final

from .language import Language

DUTCH: Final = Language(
    text=r"instructie|opdracht|prompt|versie|taak|vraag|tekst",
    changed=(
        r"nieuwe?|verbeterde?|herziene?|herschreven|aangepaste?|moeilijkere?|uitdagender\w*"
        r"|complexere?|lastigere?"
    ),
    plain_text=r"instructie",
    old_text=r"(?:oorspronkelijke|originele) (?:instructie|opdracht)",
    interjections=r"natuurlijk|zeker|prima|graag(?: gedaan)?",
    announces=r"hier (?:is|zijn|volgt)|hieronder|dit is",
    explains=r"ik heb",
    about_rewrite=(
        r"(?:deze|de nieuwe) (?:versie|instructie|opdracht)|moeilijker|uitdagender|complexer"
        r"|moeilijkheidsgraad|toegevoegd"
    ),
    remarks=r"(?:deze|de nieuwe) (?:versie|instructie|opdracht)|ik heb",
    points_back=r"dit\b|deze\b|dat\b|zo\b|nu\b|hopelijk|ik hoop",
    material=(
        r"tekst|zin\b|zinnen|alinea|artikel|mail|brief|volgende|onderstaande|gedicht|code|lijst"
    ),
    in_the_text=r"(?:deze|de) (?:\w+ ){0,2}(?:instructie|opdracht|versie|prompt)\b",
    closes=r"laat (?:het )?me weten|ik hoop dat|wil je (?:dat|nog|een)|zal ik",
    changes=r"(?:belangrijkste )?(?:wijzigingen|aanpassingen|verbeteringen)|wat er is veranderd",
    notes=r"toelichting|opmerking|uitleg",
    suspect=r"moeilijk|uitdag|complex|toegevoegd|verbeter|herschr",
    refuses=r"(?:het )?spijt me|sorry,? (?:maar )?ik kan|ik kan (?:dit|dat|je) [^.\n]{0,40}niet",
    item=r"instructie|opdracht|taak|vraag",
    use_case=r"gebruikssituatie|toepassing|use[ -]?case",
    skills=r"vaardigheden",
    language_label=r"taal",
    given_text_label=r"gegeven tekst",
    rubric=r"criteri(?:um|a)|rubriek(?:en)?",
    action=r"acties?",
    yes=r"ja",
    no=r"nee",
    offers=r"wil je|wilt u|zal ik|heb je",
)

KOREAN: Final = Language(
    text=r"지시문?|지시 ?사항|명령어?|프롬프트|버전|과제|질문|문제",
    changed=r"개선|수정|향상|새로운|다시 쓴|재작성|더 (?:어려운|복잡한|도전적)|변경|최종",
    plain_text=r"지시문|프롬프트",
    old_text=r"(?:원래|기존|원본)(?:의)? ?(?:지시문?|프롬프트)",
    interjections=r"물론(?:입니다|이죠)?|네|알겠습니다|좋습니다",
    announces=r"다음은|아래는|여기|이것은",
    explains=r"저는",
    about_rewrite=(
        r"이 (?:버전|지시문?|프롬프트)|난이도|더 (?:어렵|복잡|도전적)|(?:추가|강화)(?:했|하여)"
    ),
    remarks=r"이 (?:버전|지시문?|프롬프트|수정)|(?:제약|조건)",
    points_back=r"이 |이렇게|이로써|이제|위의|새로운",
    material=r"문장|글|텍스트|단락|기사|이메일|편지|다음|아래|코드|시\b|목록|표|대화",
    in_the_text=r"(?:이|위) (?:지시문?|버전|프롬프트)",
    closes=r"도움이 되|필요하시면|원하시면|더 [^\n]{0,20}(?:드릴까요|필요하|원하)",
    changes=r"(?:주요 )?(?:변경|수정|개선)(?: ?사항| ?점| ?내용)?",
    notes=r"설명|참고|해설|비고",
    suspect=r"난이도|개선|수정|추가|어렵|복잡",
    refuses=r"죄송(?:합니다|하지만)|할 수 없습니다",
    item=r"지시문?|과제|질문|문제",
    use_case=r"사용 ?사례|용도",
    skills=r"(?:필요한 )?(?:기술|능력|스킬)",
    language_label=r"언어",
    given_text_label=r"주어진 (?:텍스트|글)",
    rubric=r"(?:평가 )?기준|루브릭",
    action=r"행동|조치|액션",
    yes=r"예|네",
    no=r"아니[요오]",
    offers=r"[^\n]{0,60}(?:드릴까요|원하시나요|필요하신가요)",
)
