"""What models write in Romance languages."""

from typing import Final

from .language import Language

FRENCH: Final = Language(
    text=r"instruction|consigne|invite|prompt|version|question|tâche|requête|texte|énoncé",
    changed=(
        r"nouvel?(?:le)?|nouveau|amélioré|révisé|réécrit|modifié|reformulé|enrichi|final"
        r"|plus (?:difficile|complexe|exigeante?|ambitieu[sx]e?)"
    ),
    plain_text=r"consigne",
    old_text=r"(?:instruction|consigne) (?:originale|initiale)",
    interjections=r"bien sûr|certainement|absolument|d['\u2019]accord|avec plaisir",
    announces=r"voici|voilà|ci-dessous|ma proposition",
    explains=r"j['\u2019]ai|je vais|je propose|pour (?:rendre|complexifier)",
    about_rewrite=(
        r"cette (?:nouvelle )?(?:version|consigne|instruction|variante|formulation|reformulation)"
        r"|plus (?:difficile|complexe|exigeante?|ambitieu|ardu)|(?:niveau de|la) difficulté"
        r"|complexité de la"
        r"|(?:consigne|instruction) (?:originale|initiale|d['\u2019]origine)|exige désormais"
        r"|l['\u2019]action demandée"
        r"|j['\u2019]ai (?:ajouté|renforcé|introduit|conservé|intégré|gardé)|(?:a"
        r"|ont) été (?:ajouté|renforcé|introduit)"
    ),
    remarks=(
        r"cette (?:version|consigne|instruction|variante|formulation|contrainte)"
        r"|l['\u2019](?:instruction|ajout)|j['\u2019]ai|la (?:consigne|contrainte|nouvelle)"
        r"|on (?:ajoute|demande)"
    ),
    closes=(
        r"n['\u2019]hésite[zs]?|dis[ -]?(?:tes)?-moi (?:si|ce)"
        r"|j['\u2019]espère que (?:cela|ça|ce|cette|ces|vous)"
        r"|(?:souhaite[zs]?|veux|voulez|aimeri?e[zs]?)[ -](?:vous|tu)[^\n]{0,60}(?:version|modifi"
        r"|autre|ajust|consigne|instruction|rend)"
        r"|si (?:vous|tu) (?:souhaite|veu|voule)[^\n]{0,60}(?:version|modifi|autre|ajust)"
        r"|besoin d['\u2019]une autre"
    ),
    changes=(
        r"(?:principa(?:les|ux) )?(?:modifications?|changements?|améliorations?"
        r"|ajouts?)(?: (?:apporté|effectué|clé)e?s?)?"
        r"|pourquoi (?:c['\u2019]est|elle|cette|cela|ça)[^\n]{1,60}"
        r"|ce qui (?:change|rend)[^\n]{0,60}|justification|nombre de mots|niveau de difficulté"
    ),
    notes=r"pourquoi|raison|explications?|remarques?|note|commentaire|précision",
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
    suspect=(
        r"difficil|difficulté|complexe|exigeant|contrainte|ajout|amélior|réécri|reformul|\\bversion"
    ),
    asks=(
        r"(?:pouvez-vous|peux-tu|pourriez-vous|veuillez)[^\n]{0,30}(?:fournir|partager|préciser"
        r"|envoyer|donner)[^\n]{0,30}(?:instruction|consigne|texte|prompt)"
        r"|il semble que (?:l['\u2019]|la |votre |ton )(?:instruction|consigne)"
    ),
    points_back=(
        r"cel[al]|ça\b|ce(?:tte|ci|s)?\b|c['\u2019]est|ainsi\b|désormais|la nouvelle"
        r"|toutes les autres|j['\u2019]espère"
    ),
    material=(
        r"texte|phrase|paragraphe|article|mail|lettre|suivant|ci-dessous|donné|poème|code|message"
        r"|citation|brouillon|document|description|recette|produit|liste|dialogue|conversation"
        r"|extrait|tableau|données"
    ),
    in_the_text=(
        r"(?:cette|la|l['\u2019]) ?(?:\w+ ){0,2}(?:instruction|consigne|version|variante)\b"
    ),
    language_label=r"langue",
    given_text_label=r"texte (?:donné|fourni)",
    offers=(
        r"(?:veux|souhaites|aimerais|désires)[ -]tu|(?:voulez|souhaitez|désirez)[ -]vous|tu veux"
        r"|vous voulez|dois-je|puis-je"
    ),
    tasks=(
        r"(?:écri[st]|explique|tradui[st]|résou[ds]|décri[st]|corrige|réécri[st]|reformule|class"
        r"|compare|résume|calcule|trouve|donne|propose|complète|comment|quel|pourquoi|quels)\w*"
    ),
)

SPANISH: Final = Language(
    text=(r"instrucción|prompt|versión|tarea|consigna|pregunta|indicación|texto|petición|variante"),
    changed=(
        r"nuev[oa]|mejorad[oa]|revisad[oa]|reescrit[oa]|modificad[oa]|final"
        r"|más (?:difícil|complej[oa]|desafiante|exigente)"
    ),
    plain_text=r"instrucción",
    old_text=r"(?:instrucción|tarea) original",
    interjections=r"claro(?: que sí)?|por supuesto|desde luego|con gusto|de acuerdo",
    announces=(
        r"aquí (?:está|tienes|te|va|le|tiene|hay)|a continuación|esta es|mi propuesta|este es"
    ),
    explains=(
        r"he (?:añadido|hecho|modificado|reescrito|incorporado)|voy a|para hacer(?:la|lo)?\b"
    ),
    about_rewrite=(
        r"est[ae] (?:nueva )?(?:versión|instrucción|variante|consigna|reformulación)"
        r"|más (?:difícil|complej|desafiante|exigente)|(?:nivel de|la) dificultad|complejidad de la"
        r"|(?:instrucción|tarea|consigna) original|ahora (?:exige|requiere|pide)"
        r"|(?:he|se ha|se han) (?:añadido|incorporado|introducido|mantenido|agregado|aumentado)"
        r"|la acción (?:indicada|solicitada)"
    ),
    remarks=(
        r"est[ae] (?:versión|instrucción|variante|restricción|cambio|consigna)|he |se ha"
        r"|la (?:instrucción|restricción|nueva)|ahora"
    ),
    closes=(
        r"avísame|avíseme|(?:hága|ház)(?:me)?(?:lo)? saber|dime si|espero que (?:te|le|les|esto"
        r"|esta|sea|cumpl|sirva|est)[^\n]{0,80}"
        r"|¡espero que"
        r"|¿(?:quieres|te gustaría|quiere|le gustaría|deseas|desea"
        r"|necesitas)[^\n]{0,80}(?:versión|otra|otro|modific|ajust|cambi|instrucción|más)"
        r"|si (?:quieres|necesitas|deseas|desea|quiere)[^\n]{0,60}(?:versión|otra|ajust|modific"
        r"|cambi)"
        r"|no dudes en"
    ),
    changes=(
        r"(?:principales |los )?(?:cambios|modificaciones|mejoras|añadidos)(?: (?:realizad|clave"
        r"|introducid)[^\n]{0,6})?"
        r"|por qué (?:es|esta|esto)[^\n]{1,60}"
        r"|qué (?:ha cambiado|cambió|cambia|la hace)[^\n]{0,40}|justificación"
        r"|recuento de palabras|nivel de dificultad"
    ),
    notes=r"por qué|motivo|razón|explicación|nota|observación|aclaración|comentario",
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
    suspect=(
        r"difícil|dificultad|complej|desafi|exigente|restricci|añadi|agreg|mejor|reescri|\\bversión"
    ),
    asks=(
        r"(?:puedes|podrías|podría|puede)[^\n]{0,30}(?:proporcionar|compartir|enviar|indicar"
        r"|aclarar)[^\n]{0,30}(?:instrucción|texto|prompt)"
        r"|parece que (?:la|falta la|tu|su) instrucción"
        r"|por favor,? (?:proporcion|compart|envía)[^\n]{0,40}(?:instrucción|texto|prompt)"
    ),
    points_back=r"est[aeo]s?\b|es[ao]\b|así\b|ahora\b|la nueva|todas las demás|espero",
    material=(
        r"texto|frase|oración|párrafo|artículo|correo|carta|siguiente|abajo|dad[oa]\b|poema"
        r"|código|mensaje|cita|borrador|documento|descripción|receta|producto|lista|diálogo"
        r"|conversación|fragmento|tabla|datos|reseña"
    ),
    in_the_text=r"(?:esta|la) (?:\w+ ){0,2}(?:instrucción|versión|consigna|variante)\b",
    language_label=r"idioma|lengua",
    given_text_label=r"texto (?:dado|proporcionado)",
    offers=(r"[¿ ]{0,2}(?:quieres|quiere|te gustaría|le gustaría|deseas|desea|necesitas|puedo)"),
    tasks=(
        r"[¿ ]{0,2}(?:escrib|explic|traduc|resuelv|describ|corrig|reescrib|clasific|compar|resum"
        r"|calcul|encuentr|da\b|propón|complet|cómo|qué|cuál|por qué)\w*"
    ),
)

PORTUGUESE: Final = Language(
    text=r"instrução|prompt|versão|tarefa|texto|pergunta",
    changed=(
        r"nov[oa]|melhorad[oa]|aprimorad[oa]|revisad[oa]|reescrit[oa]|modificad[oa]"
        r"|mais (?:difícil|complex[oa]|desafiador)"
    ),
    plain_text=r"instrução",
    old_text=r"instrução original",
    interjections=r"com certeza|certamente|claro|é claro|perfeito",
    announces=r"aqui (?:está|vai|tem)|segue|eis|esta é",
    about_rewrite=(
        r"est[ae] (?:nova )?(?:versão|instrução|variante)|mais (?:difícil|complex[oa]|desafiador"
        r"|exigente)|(?:nível de|a) dificuldade"
        r"|instrução original|agora exige|(?:foi|foram) (?:adicionad|acrescentad)|(?:adicionei"
        r"|acrescentei|incluí) "
    ),
    remarks=(r"est[ae] (?:versão|instrução|restrição)|adicionei|acrescentei|a (?:nova|instrução)"),
    closes=(
        r"espero que|me avise|avise-me|(?:gostaria|quer|deseja) (?:que eu|de|uma|outra)[^\n]{0,60}"
        r"|se (?:quiser|precisar)[^\n]{0,60}(?:versão|outr|ajust)|fique à vontade"
    ),
    changes=(
        r"(?:principais )?(?:mudanças|alterações|melhorias|modificações)(?: (?:realizadas"
        r"|feitas))?|por que (?:é|esta|isso)[^\n]{1,60}|justificativa"
    ),
    notes=r"explicação|observação|nota|comentário",
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
    explains=r"adicionei|acrescentei|vou|para tornar",
    suspect=(r"difícil|dificuldade|complex|desafi|restriç|adicion|acrescent|melhor|reescri"),
    points_back=r"est[ae]s?\b|iss?to?\b|isso\b|assim\b|agora\b|a nova|espero",
    material=(
        r"texto|frase|parágrafo|artigo|e-?mail|carta|seguinte|abaixo|dad[oa]\b|poema|código"
        r"|mensagem|citação|rascunho|documento|descrição|receita|produto|lista|diálogo|tabela"
        r"|dados"
    ),
    language_label=r"idioma|língua",
    given_text_label=r"texto (?:dado|fornecido)",
    offers=r"(?:você )?(?:quer|gostaria|deseja|precisa)|posso",
)

ITALIAN: Final = Language(
    text=r"istruzione|prompt|testo|compito|richiesta|domanda",
    changed=(
        r"nuov[oa]|migliorat[oa]|rivist[oa]|riscritt[oa]|modificat[oa]"
        r"|più (?:difficile|compless[oa])"
    ),
    plain_text=r"istruzione",
    old_text=r"istruzione originale",
    interjections=r"certo|certamente|volentieri|assolutamente|va bene",
    announces=r"ecco|di seguito|questa è",
    about_rewrite=(
        r"quest[ao] (?:nuova )?(?:versione|istruzione|variante)|più (?:difficile|compless[oa]"
        r"|impegnativ|stimolante)|(?:livello di|la) difficoltà"
        r"|istruzione originale|ora richiede|(?:è stat|sono stat)[aoei] aggiunt|ho (?:aggiunto"
        r"|inserito|mantenuto)"
    ),
    remarks=(
        r"quest[ao] (?:versione|istruzione|vincolo|aggiunta)|ho |l['\u2019]istruzione|la nuova"
    ),
    closes=(
        r"fammi sapere|mi faccia sapere|spero che|(?:vuoi|desideri"
        r"|vorresti)[^\n]{0,60}(?:versione|altr|modific)|se (?:vuoi"
        r"|desideri)[^\n]{0,60}(?:versione|altr|modific)"
    ),
    changes=(
        r"(?:principali )?(?:modifiche|cambiamenti|miglioramenti)(?: (?:apportat|effettuat)[ie])?"
        r"|perché (?:è|questa)[^\n]{1,60}|motivazione"
    ),
    notes=r"spiegazione|nota|commento|osservazione",
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
    explains=r"ho (?:aggiunto|reso|modificato|inserito)|per rendere",
    suspect=r"difficil|difficoltà|compless|impegnativ|vincol|aggiunt|miglior|riscri",
    points_back=r"quest[aoei]\b|ciò\b|così\b|ora\b|adesso\b|la nuova|spero",
    material=(
        r"testo|frase|paragrafo|articolo|mail|lettera|seguente|sotto|dat[oa]\b|poesia|codice"
        r"|messaggio|citazione|bozza|documento|descrizione|ricetta|prodotto|elenco|dialogo"
        r"|tabella|dati"
    ),
    language_label=r"lingua",
    given_text_label=r"testo (?:dato|fornito)",
    offers=r"vuoi|vorresti|desideri|posso|devo",
)
