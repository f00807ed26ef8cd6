"""The words that models write around what was asked for: one row for each language.

Every field is a regular expression without anchors, matched without case. A reader combines one
field of all rows with `words`.
"""

import re
from typing import Final

from msgspec import Struct


class Language(Struct, frozen=True, kw_only=True):
    """What models write in one language."""

    new_text: str
    """A name of the rewritten text: "improved instruction"."""
    plain_text: str
    """A name that leaves open whether the text is the old or the new one."""
    old_text: str
    """A name of what the prompt gave."""
    interjections: str
    """What a chat model begins with: "Certainly"."""
    announces: str
    """How a line begins that announces a text: "here is"."""
    explains: str
    """How a paragraph begins in which the model says what it is going to do, or did."""
    about_rewrite: str
    """Words in a remark about the rewrite, not in a rewrite."""
    remarks: str
    """How a remark about the rewrite begins."""
    closes: str
    """How the last line of a chat begins: "let me know"."""
    changes: str
    """A heading of a list of what was changed."""
    notes: str
    """A heading of a remark, which may be the instruction's own."""
    refuses: str
    """How a refusal begins."""
    item: str
    """What one of the instructions of a list is called."""
    all_items: str
    """How a remark about all instructions of a list begins."""
    use_case: str
    skills: str
    rubric: str
    action: str
    assistant: str
    """What the author of one of two answers is called, or the answer."""
    first: str
    second: str
    score: str
    """What a score is called, and other words that lines of scores hold."""
    overall: str
    """What tells a total from the scores for single criteria."""
    out_of: str
    """What stands between a score and the highest one."""
    equal: str
    not_equal: str


_CAN_DO = (
    r"(?:help|assist|fulfil|comply|creat|writ|rewrit|provid|generat|produc|continu|support|"
    r"discuss|answer|engag|complet|improv|mak|do (?:that|this|it)|evaluat|rat|judg|analy[sz]|"
    r"respond|modify|proceed)"
)
_CHANGED = (
    r"(?:final|new|newly|more|improved|enhanced|revised|rewritten|updated|modified|refined|harder|"
    r"tougher|challenging|complex|difficult|advanced|demanding|created|evolved|reworked|rephrased|"
    r"reworded|adapted|complicated)"
)

ENGLISH: Final = Language(
    new_text=(
        rf"(?:{_CHANGED}[ -]{{1,2}}){{1,4}}"
        r"(?:instruction|prompt|task|question|version|request|query|challenge|take)"
    ),
    plain_text=r"instruction|prompt",
    old_text=(
        r"(?:original|old|input|given|basic|initial)[ -](?:instruction|prompt|task|question)"
        r"|action item"
    ),
    interjections=(
        r"certainly|sure(?: thing)?|of course|absolutely|okay|ok|alright|understood|got it"
        r"|no problem|definitely|gladly|great|i['\u2019](?:d be|m) happy to(?: help)?"
    ),
    announces=(
        r"here(?:['\u2019]s| is| are)|this is|below is|the following is|my|i['\u2019](?:ve|ll)"
        r"|i (?:have|will|would)"
    ),
    explains=(
        r"i['\u2019](?:ve|ll|m)|i (?:have|will|am|made|added|would)|let me|let['\u2019]s"
        r"|to make (?:this|it|the)|based on|following|as requested|applying"
    ),
    about_rewrite=(
        r"th(?:is|e|ese|at) (?:\w+ )?(?:version|rewrit\w+|revision|variant|changes?)"
        r"|th(?:is|e) (?:improved|revised|rewritten|updated|enhanced|modified)"
        r"|the original|the action item|(?:instruction|prompt|task) now|core of the|\bharder"
        r"|(?:more|increas\w+|rais\w+|higher|add\w*)[^.\n]{0,60}"
        r"\b(?:challenging|difficult\w*|complex\w*)"
    ),
    remarks=(
        r"this (?:\w+ )?(?:version|rewrite|revision|variant|improved|revised|rewritten|updated|new"
        r"|instruction|prompt|task|adds?|keeps?|makes?|requires?|forces|raises|introduces)\b"
        r"|the (?:improved|revised|rewritten|new|updated|enhanced|modified)\b|by \w+ing\b|note\b"
        r"|these changes\b|i(?:['\u2019]ve| have)? (?:also )?(?:added|made|included|introduced"
        r"|incorporated|changed|replaced|rewrote|kept|increased)\b"
    ),
    closes=(
        r"(?:please )?let me know|i hope|hope th(?:is|ese)|feel free|would you like|do you want"
        r"|if you(?:['\u2019]d| would) like"
    ),
    changes=(
        r"(?:the |key |main |list of |explanation of (?:the )?|summary of (?:the )?)?"
        r"(?:changes?|improvements?|modifications?|enhancements?)(?: made| explained)?"
        r"|what (?:has |i )?(?:changed|improved|added)|what['\u2019]s (?:new|changed|different)"
        r"|(?:why|how) (?:this|it) [^\n]{1,60}|rationale|word count|added(?: words)?"
    ),
    notes=r"explanation|notes?|reasoning|reason|comment|remark|justification",
    refuses=(
        r"(?:i['\u2019]?m |i am |we are )?(?:very |so )?(?:sorry|afraid)\b.{0,40}?\b(?:can|unable)"
        r"|(?:i|we) (?:can(?: ?not|['\u2019]t)|won['\u2019]t|will not|could not)\s+(?:\w+ )?"
        rf"{_CAN_DO}|(?:i am|i['\u2019]m|we are) (?:unable to|not able to|not going to)\s+{_CAN_DO}"
        r"|(?:i|we) must decline\b|i apologi[sz]e\b|(?:i am|i['\u2019]m) not comfortable\b"
        r"|i(?:['\u2019]d| would) (?:rather|prefer) not\b"
        r"|i don['\u2019]t (?:think i (?:should|can)|feel comfortable)\b"
        r"|i don['\u2019]t (?:see|have) (?:an?|the|any) (?:instruction|prompt|task|question)\b"
        r"|i notice\b.{0,120}\b(?:rather not|can(?:not|['\u2019]t)|won['\u2019]t)"
        r"|as an? (?:ai|artificial|large language|language model)\b"
        r"|unfortunately,? (?:i|we) (?:can|am|are)"
    ),
    item=r"instruction|task|prompt|question|item",
    all_items=(
        r"(?:all|each|both|every one) (?:of )?(?:the(?:se|m)? )?(?:\w+ )?"
        r"(?:instructions?|tasks?|prompts?|questions?)\b|(?:all|each(?: one)?) of the(?:se|m)\b"
        r"|each (?:one )?(?:can|is|requires?|draws|adheres|meets)\b"
        r"|these (?:instructions|tasks|prompts|questions)|(?:the )?above (?:instructions|tasks)"
        r"|notes?: (?:these|the|all|each|i)\b"
    ),
    use_case=r"use[ _-]?case|task",
    skills=r"skills?",
    rubric=r"rubric",
    action=r"action",
    assistant=r"assistant|answer|response|ai|model",
    first=r"first|1st",
    second=r"second|2nd",
    score=(
        r"scores?|ratings?|rated?|grades?|points?|output|result|tuple|json|text|plaintext|i|would|"
        r"give|gets?|receives?|deserves?|earns?|scored|an?|of|for|is|are|and|the|to|vs|versus|"
        r"while|whereas|with"
    ),
    overall=r"overall|final|total",
    out_of=r"out of|of",
    equal=r"\bequal\b",
    not_equal=(
        r"\b(?:not|non|never|neither|nor|hardly|far from|isn['\u2019]t|aren['\u2019]t|don['\u2019]t"
        r"|doesn['\u2019]t|can['\u2019]t|cannot|wouldn['\u2019]t|won['\u2019]t)\b(?:(?!differ)[^.;:\n]){0,40}?"
        r"\bequal\b|\b(?:not|un|non)[\s_-]{0,9}equal"
    ),
)

GERMAN: Final = Language(
    new_text=(
        r"(?:(?:neu|verbessert|überarbeitet|anspruchsvoller|schwieriger|schwerer|umgeschrieben|"
        r"umformuliert|erweitert|geändert|komplexer|optimiert|herausfordernder)(?:e[nrs]?)? )"
        r"{1,2}(?:anweisung|aufgabe|aufgabenstellung|prompt|version|fassung|instruktion|frage)"
    ),
    plain_text=r"anweisung",
    old_text=r"(?:ursprüngliche|originale) (?:anweisung|aufgabe)",
    interjections=r"natürlich|gerne?|klar|selbstverständlich|sicher",
    announces=r"hier (?:ist|sind|kommt)|nachfolgend|das ist",
    explains=r"ich (?:habe|werde)",
    about_rewrite=r"diese (?:fassung|version|anweisung)|anspruchsvoller|schwieriger",
    remarks=r"diese (?:fassung|version|anweisung)|ich habe",
    closes=r"lassen sie mich|lass mich wissen|ich hoffe|möchte(?:n sie|st du)",
    changes=r"änderungen|was (?:ist neu|sich geändert hat)|begründung",
    notes=r"erklärung|hinweis|anmerkung|erläuterung",
    refuses=r"(?:es )?tut mir leid|ich kann (?:das|dabei|diese|dir|ihnen)\b.{0,40}\bnicht",
    item=r"anweisung|aufgabe|frage",
    all_items=(
        r"(?:alle|jede) (?:dieser |diese |der )?(?:anweisung|aufgabe|frage)"
        r"|diese (?:anweisungen|aufgaben|fragen)"
    ),
    use_case=r"anwendungsfall|einsatzzweck",
    skills=r"fähigkeiten|kompetenzen|fertigkeiten",
    rubric=r"kriterium|kriterien|bewertungskriterien|bewertungskriterium|rubrik(?:en)?",
    action=r"aktion(?:en)?|maßnahmen?",
    assistant=r"assistent|antwort",
    first=r"erste[rs]?",
    second=r"zweite[rs]?",
    score=r"bewertung(?:en)?|note|punkte?|punktzahl|der|die|das|und|für|von",
    overall=r"gesamt|insgesamt|gesamtnote",
    out_of=r"von",
    equal=r"\bgleich\b|\bidentisch\b",
    not_equal=r"\bnicht\b.{0,20}?\bgleich\b|\bungleich\b",
)

FRENCH: Final = Language(
    new_text=(
        r"(?:nouvelle |nouveau )(?:instruction|consigne|invite|prompt|version|question|tâche)"
        r"|(?:instruction|consigne|invite|prompt|version|question|tâche) (?:(?:amélioré|révisé|"
        r"réécrit|modifié|reformulé|enrichi|final)e?|plus (?:difficile|complexe|exigeante?))"
    ),
    plain_text=r"consigne",
    old_text=r"(?:instruction|consigne) (?:originale|initiale)",
    interjections=r"bien sûr|certainement|absolument|d['\u2019]accord|avec plaisir",
    announces=r"voici|voilà",
    explains=r"j['\u2019]ai|je vais",
    about_rewrite=r"cette (?:version|consigne|instruction)|plus (?:difficile|complexe|exigeante?)",
    remarks=r"cette (?:version|consigne|instruction)|j['\u2019]ai ajouté",
    closes=r"n['\u2019]hésitez|dites-moi|j['\u2019]espère",
    changes=r"modifications(?: apportées)?|changements",
    notes=r"explication|remarque",
    refuses=r"(?:je suis )?désolée?\b|je ne (?:peux|suis) pas\b",
    item=r"consigne|tâche",
    all_items=r"toutes (?:ces|les) (?:instructions|consignes)|ces (?:instructions|consignes)",
    use_case=r"cas d['\u2019](?:utilisation|usage)",
    skills=r"compétences?",
    rubric=r"rubriques?|critères?",
    action=r"actions?",
    assistant=r"réponse",
    first=r"premier|première",
    second=r"deuxième|seconde?",
    score=r"notes?|points?|et|pour|de|l['\u2019]|la|le|les",
    overall=r"globale?",
    out_of=r"sur",
    equal=r"\bégale?s\b|\bidentiques\b",
    not_equal=r"\b(?:non|pas|in)[\s-]{0,3}(?:égale?s|identiques)\b",
)

SPANISH: Final = Language(
    new_text=(
        r"nuev[oa] (?:instrucción|prompt|versión|tarea|consigna)"
        r"|(?:instrucción|prompt|versión|tarea|consigna|pregunta) (?:(?:mejorad|revisad|reescrit|"
        r"modificad)[oa]|final|más (?:difícil|complej[oa]|desafiante|exigente))"
    ),
    plain_text=r"instrucción",
    old_text=r"(?:instrucción|tarea) original",
    interjections=r"claro(?: que sí)?|por supuesto|desde luego|con gusto|de acuerdo",
    announces=r"aquí (?:está|tienes|te|va)|a continuación|esta es",
    explains=r"he (?:añadido|hecho)|voy a",
    about_rewrite=r"esta (?:versión|instrucción)|más (?:difícil|complej|desafiante)",
    remarks=r"esta (?:versión|instrucción)|he añadido",
    closes=r"avísame|espero que|¿(?:quieres|te gustaría)",
    changes=r"cambios(?: realizados)?|modificaciones",
    notes=r"explicación|nota",
    refuses=r"lo siento\b|no puedo (?:ayudar|cumplir|escribir|reescribir)",
    item=r"instrucción|tarea|pregunta",
    all_items=r"todas (?:estas|las) instrucciones|estas instrucciones",
    use_case=r"caso de uso",
    skills=r"habilidades|competencias",
    rubric=r"rúbricas?|criterios?",
    action=r"acci(?:ón|ones)",
    assistant=r"asistente|respuesta",
    first=r"primer[ao]?",
    second=r"segund[ao]",
    score=r"puntuación|puntos|nota|y|para|del?|la|el",
    overall=r"total|general",
    out_of=r"de",
    equal=r"\biguales\b",
    not_equal=r"\b(?:no|des)[\s-]{0,3}(?:son )?iguales\b",
)

CHINESE: Final = Language(
    new_text=(
        r"(?:(?:改进|改写|重写|修改|优化|更新|升级|增强|修订|新|最终|更具挑战性|更难|更复杂)"
        r"(?:版|后)?的?){1,2}(?:指令|提示词|提示|版本|任务|问题|题目)"
    ),
    plain_text=r"指令",
    old_text=r"(?:原始?|原来的?|原有的?)(?:指令|提示|任务)",
    interjections=r"好的|当然(?:可以)?|没问题|可以的",
    announces=r"以下|下面|这是|这里是|[^\n]{0,20}如下",
    explains=r"我(?:将|会|把|已|增加)",
    about_rewrite=r"(?:这个|此|该|本)(?:版本|指令|提示)|挑战性|难度",
    remarks=r"(?:这个|此|该|本)(?:版本|指令|提示)|我增加了",
    closes=r"希望|如果您?需要|如有|请告诉我",
    changes=r"(?:主要)?(?:改动|修改说明|改进说明|改进之处|变化)",
    notes=r"说明|解释|注(?:意|释)?|备注",
    refuses=r"(?:很)?抱歉|对不起|我(?:无法|不能)",
    item=r"指令|任务|问题|题目",
    all_items=r"(?:以上|这些|上述|所有)(?:\w{0,4})?(?:指令|任务|问题|题目)",
    use_case=r"用例|使用场景|应用场景|使用案例|用途|任务类型",
    skills=r"(?:所需)?(?:技能|能力)",
    rubric=r"评分标准|评估标准|评价标准|标准|评分准则|准则",
    action=r"(?:对应的?|相应的?)?(?:行动|动作|操作)",
    assistant=r"助手|回答|回复",
    first=r"第一个?",
    second=r"第二个?",
    score=r"评分|得分|分数|打分|的|为|是|和|与",
    overall=r"总体|总分|综合|最终",
    out_of=r"满分",
    equal=r"相等|相同|等同",
    not_equal=r"不(?:完全)?(?:相等|相同|等同|同)",
)

ARABIC: Final = Language(
    new_text=(
        r"(?:ال)?(?:تعليمات|تعليمة|نسخة|صيغة|مهمة|سؤال|طلب|توجيه|أمر|موجه) "
        r"(?:(?:ال)?(?:محسن|معدل|جديد|معاد|مطور|منقح)ة?|أكثر|(?:ال)?أصعب)"
        r"(?: [\u0621-\u064a]{1,12})?"
    ),
    plain_text=r"التعليمات|التعليمة",
    old_text=r"التعليمات الأصلية",
    interjections=r"بالتأكيد|بالطبع|حسنا|طبعا",
    announces=r"إليك|إليكم|فيما يلي|هذه|هذا",
    explains=r"لقد|قمت",
    about_rewrite=r"هذه (?:النسخة|الصيغة)|أكثر (?:تحديا|صعوبة|تعقيدا)",
    remarks=r"هذه (?:النسخة|الصيغة)|لقد أضفت",
    closes=r"أتمنى|آمل|هل تريد",
    changes=r"التغييرات|التعديلات",
    notes=r"ملاحظة|شرح",
    refuses=r"عذرا|آسف|لا (?:أستطيع|يمكنني)",
    item=r"(?:ال)?(?:تعليمة|تعليمات|مهمة|سؤال)",
    all_items=r"(?:جميع|كل) (?:هذه )?التعليمات|تتطلب هذه",
    use_case=r"حالة الاستخدام",
    skills=r"المهارات",
    rubric=r"(?:ال)?(?:معيار|معايير)",
    action=r"(?:ال)?(?:إجراء|إجراءات)",
    assistant=r"المساعد|الإجابة",
    first=r"(?:ال)?أولى?",
    second=r"(?:ال)?ثانية?",
    score=r"(?:ال)?درجة|(?:ال)?نتيجة|(?:ال)?تقييم|و",
    overall=r"(?:ال)?إجمالي(?:ة)?|(?:ال)?نهائي(?:ة)?",
    out_of=r"من",
    equal=r"متساوي(?:تان|تين|ان|ين)",
    not_equal=r"(?:غير|ليس\w*) متساوي(?:تان|تين|ان|ين)",
)

LANGUAGES: Final = (ENGLISH, GERMAN, FRENCH, SPANISH, CHINESE, ARABIC)

_WITH_SIGNS: Final = "(?:\\1[\u064b-\u0652]*)"
_ARABIC_LETTER: Final = re.compile("([\u0621-\u064a])")


def words(field: str) -> str:
    """Return a pattern for *field* in any of the languages.

    Arabic vowel signs may stand after any letter: writers set them as they please.
    """
    alternatives = "|".join(getattr(language, field) for language in LANGUAGES)
    return f"(?:{_ARABIC_LETTER.sub(_WITH_SIGNS, alternatives)})"
