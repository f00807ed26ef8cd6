"""What models write in other European languages."""

from typing import Final

from .language import Language

GERMAN: Final = Language(
    text=r"anweisung|aufgabe(?:nstellung)?|prompt|version|fassung|instruktion|frage|aufforderung",
    changed=(
        r"neue?[nrs]?\b|verbessert|überarbeitet|anspruchsvoll|schwierig|schwerer|umgeschrieben"
        r"|umformuliert|erweitert|geändert|komplex|optimiert|herausfordernd"
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
    yes=r"ja",
    no=r"nein",
)

FRENCH: Final = Language(
    text=r"instruction|consigne|invite|prompt|version|question|tâche|requête",
    changed=(
        r"nouvel?(?:le)?|nouveau|amélioré|révisé|réécrit|modifié|reformulé|enrichi|final"
        r"|plus (?:difficile|complexe|exigeante?|ambitieu[sx]e?)"
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
    yes=r"oui",
    no=r"non",
)

SPANISH: Final = Language(
    text=r"instrucción|prompt|versión|tarea|consigna|pregunta|indicación",
    changed=(
        r"nuev[oa]|mejorad[oa]|revisad[oa]|reescrit[oa]|modificad[oa]|final"
        r"|más (?:difícil|complej[oa]|desafiante|exigente)"
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
    yes=r"sí",
    no=r"no",
)

PORTUGUESE: Final = Language(
    text=r"instrução|prompt|versão|tarefa",
    changed=(
        r"nov[oa]|melhorad[oa]|aprimorad[oa]|revisad[oa]|reescrit[oa]|modificad[oa]"
        r"|mais (?:difícil|complex[oa]|desafiador)"
    ),
    plain_text=r"instrução",
    old_text=r"instrução original",
    interjections=r"com certeza|certamente",
    announces=r"aqui está|segue|eis",
    about_rewrite=r"esta (?:versão|instrução)|mais (?:difícil|complex[oa]|desafiador)",
    remarks=r"esta (?:versão|instrução)",
    closes=r"espero que|me avise",
    changes=r"mudanças|alterações",
    notes=r"explicação|observação",
    refuses=r"desculpe|não posso (?:ajudar|escrever|reescrever)",
    item=r"instrução|tarefa",
    all_items=r"todas (?:as|estas) instruções",
    use_case=r"caso de uso",
    skills=r"habilidades|competências",
    rubric=r"rubricas?|critérios?",
    action=r"aç(?:ão|ões)",
    assistant=r"assistente|resposta",
    equal=r"\biguais\b",
    not_equal=r"\bnão (?:são )?iguais\b|\bdesiguais\b",
    yes=r"sim",
    no=r"não",
)

ITALIAN: Final = Language(
    text=r"istruzione|prompt|versione",
    changed=(
        r"nuov[oa]|migliorat[oa]|rivist[oa]|riscritt[oa]|modificat[oa]"
        r"|più (?:difficile|compless[oa])"
    ),
    plain_text=r"istruzione",
    old_text=r"istruzione originale",
    interjections=r"certo|certamente|volentieri",
    announces=r"ecco",
    about_rewrite=r"questa (?:versione|istruzione)|più (?:difficile|compless[oa])",
    remarks=r"questa (?:versione|istruzione)",
    closes=r"fammi sapere|spero che",
    changes=r"modifiche",
    notes=r"spiegazione",
    refuses=r"mi dispiace|non posso (?:aiutare|scrivere|riscrivere)",
    item=r"istruzione|compito",
    all_items=r"tutte (?:le|queste) istruzioni",
    use_case=r"caso d['\u2019]uso",
    skills=r"competenze|abilità",
    rubric=r"rubric[ah]e?|criteri[o]?",
    action=r"azion[ei]",
    assistant=r"assistente|risposta",
    equal=r"\buguali\b",
    not_equal=r"\bnon (?:sono )?uguali\b|\bdisuguali\b",
    yes=r"sì",
    no=r"no",
)
