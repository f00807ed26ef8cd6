"""What models write in German."""

from typing import Final

from .language import Language

GERMAN: Final = Language(
    text=(
        r"anweisung|aufgabe(?:nstellung)?|prompt|version|fassung|instruktion|frage|aufforderung"
        r"|text|variante|formulierung"
    ),
    changed=(
        r"neue?[nrs]?\b|verbessert|überarbeitet|anspruchsvoll|schwierig|schwerer|umgeschrieben"
        r"|umformuliert|erweitert|geändert|komplex|optimiert|herausfordernd"
    ),
    plain_text=r"anweisung",
    old_text=r"(?:ursprüngliche|originale) (?:anweisung|aufgabe)",
    interjections=r"natürlich|gerne?|klar|selbstverständlich|sicher",
    announces=(
        r"hier (?:ist|sind|kommt|eine?)|hier\b(?=[^\n]{0,60}(?:fassung|version|anweisung))"
        r"|nachfolgend|das ist|im folgenden|mein vorschlag"
    ),
    explains=(r"ich (?:habe|werde|würde|schlage)|um die (?:aufgabe|anweisung)"),
    about_rewrite=(
        r"diese[rs]? (?:neue |überarbeitete |verbesserte )?(?:fassung|version|anweisung|variante"
        r"|formulierung)"
        r"|anspruchsvoller|schwieriger|komplexer|herausfordernder|schwierigkeitsgrad"
        r"|komplexität der"
        r"|(?:die|der) (?:ursprüngliche|originale?)n? (?:anweisung|aufgabe|prompt)"
        r"|(?:zusätzliche|neue|weitere|hinzugefügte) (?:anforderung|einschränkung|bedingung"
        r"|vorgabe)"
        r"|ich habe [^.\n]{0,80}(?:hinzugefügt|ergänzt|eingebaut|erhöht|verschärft|beibehalten)"
        r"|(?:wurden?|habe) [^.\n]{0,60}(?:hinzugefügt|ergänzt|erhöht|verschärft)"
        r"|handlungsschritt|die maßnahme"
    ),
    remarks=(
        r"(?:diese|die) (?:neue |überarbeitete |verbesserte |zusätzliche )?(?:fassung|version"
        r"|anweisung|variante|anforderung|einschränkung|bedingung)|ich habe|hier wurde|damit"
        r"|dadurch|so wird"
    ),
    closes=(
        r"lassen sie (?:es )?mich (?:gerne? )?wissen|lass(?:t)? (?:es )?mich (?:gerne? )?wissen"
        r"|sag(?:en sie)? mir (?:gerne |bitte )?bescheid|ich hoffe,? (?:das|dies|die|diese|es)"
        r"|möchte(?:n sie|st du)|soll ich|gib(?: mir)? (?:gerne )?bescheid"
        r"|wenn (?:du|sie) (?:möchte|willst|wollen|noch|weitere)[^\n]{0,80}(?:fassung|version"
        r"|anweisung|variante|änderung|anpass)"
        r"|viel (?:erfolg|spaß)(?: damit| dabei)?!"
    ),
    changes=(
        r"(?:die |wichtigste |vorgenommene )?(?:änderungen|anpassungen|verbesserungen|ergänzungen)"
        r"|was (?:ist neu|sich geändert hat|wurde geändert|neu ist)|begründung"
        r"|warum (?:das|dies|diese|sie|es)[^\n]{1,60}"
        r"|(?:was|wieso) [^\n]{0,30}(?:schwieriger|anspruchsvoller)[^\n]{0,30}"
        r"|umgesetzte maßnahme|wortzahl|schwierigkeitsgrad"
    ),
    notes=(
        r"(?:kurze )?(?:erklärung|hinweis|anmerkung|erläuterung|kommentar|notiz|warum|grund"
        r"|begründung)e?n?"
    ),
    refuses=r"(?:es )?tut mir leid|ich kann (?:das|dabei|diese|dir|ihnen)\b.{0,40}\bnicht",
    item=r"anweisung|aufgabe|frage",
    all_items=(
        r"(?:alle|jede) (?:dieser |diese |der )?(?:anweisung|aufgabe|frage)"
        r"|diese (?:anweisungen|aufgaben|fragen)"
    ),
    use_case=r"anwendungsfall|einsatzzweck",
    skills=r"fähigkeiten|kompetenzen|fertigkeiten",
    rubric=r"kriterium|kriterien|bewertungskriterien|bewertungskriterium|rubrik(?:en)?",
    action=r"aktion(?:en)?|maßnahmen?|handlung(?:en)?|schritte?",
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
    suspect=(
        r"schwierig|anspruchsvoll|komplex|anforderung|einschränkung|hinzugefügt|verbesser"
        r"|überarbeit|\\bversion"
    ),
    asks=(
        r"bitte (?:geben|teilen|senden|schicken) sie[^\n]{0,40}(?:anweisung|aufgabe|prompt|text)"
        r"|(?:kannst du|könnten sie)[^\n]{0,40}(?:anweisung|prompt)"
        r"|die (?:eingegebene |ursprüngliche )?anweisung (?:fehlt|scheint)"
    ),
    points_back=(
        r"das\b|dies\w{0,2}\b|damit\b|dadurch\b|so\b|nun\b|jetzt\b|hoffentlich|ich hoffe"
        r"|alle (?:anderen|übrigen)"
        r"|die (?:neue|zusätzliche|überarbeitete)"
    ),
    material=(
        r"text|satz|sätze|absatz|artikel|mail|brief|aussage|folgend|gegeben|unten|gedicht|code"
        r"|nachricht|zitat|entwurf|dokument|beschreibung|rezept|produkt|liste|dialog|gespräch"
        r"|protokoll|auszug|tabelle|daten|rede"
    ),
    in_the_text=(
        r"(?:die(?:se[rs]?)?|der) (?:\w+ ){0,2}(?:anweisung|fassung|version|prompt|variante)\b"
    ),
    language_label=r"sprache",
    given_text_label=r"(?:vor)?gegebener text|text gegeben|gegebenes material",
    offers=(r"möchte(?:n sie|st du)|soll ich|wollen sie|willst du|brauch(?:st du|en sie)|darf ich"),
    tasks=(
        r"(?:bitte )?(?:schreibe?|erkläre?|übersetze?|löse?|beschreibe?|korrigiere?|verbessere?"
        r"|formuliere?|ordne|nenne|gib|berechne|vergleiche?|fasse?|prüfe?|finde?|bestimme?"
        r"|ergänze?|kürze?|wie|was|welche[rsn]?|warum|wer)\b"
    ),
)
