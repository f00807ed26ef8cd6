"""What models write in English."""

from typing import Final

from .language import Language

_CAN_DO = (
    r"(?:help|assist|fulfil|comply|creat|writ|rewrit|provid|generat|produc|continu|support|"
    r"discuss|answer|engag|complet|improv|mak|do (?:that|this|it)|evaluat|rat|judg|analy[sz]|"
    r"respond|modify|proceed)"
)

_REWRITE = (
    r"(?:\w+ )?(?:version|rewrite|revision|instruction|prompt|task|change|addition|requirement) "
)
_DOES = (
    r"(?:now |also )?(?:adds|requires|forces|raises|introduces|challenges|pushes|encourages|demands"
    r"|tests|increases|deepens|complicates|elevates|asks for)"
)

_ADJUST = (
    r"(?:dial|adjust|tweak|tune|make|refine|revise|change|go|add|raise|push|tone|simplify|rework"
    r"|iterate|try|crank|tighten|turn)"
)
_HARD = r"(?:challenging|hard|difficult|complex|tough|demanding|specific)"

_ACTION_ASKS = (
    r"\b(?:the|this|your) action item (?:(?:here|now) )?(?:asks|requires|requests|says|calls"
    r"|wants|suggests|demands|specifies|instructs|tells)\b"
)
_MEETS_ACTION = (
    r"\b(?:satisfy(?:ing)?|satisf(?:ies|ied)|apply(?:ing)?|appli(?:es|ed)|follow(?:s|ed|ing)?"
    r"|address(?:es|ed|ing)?|implement(?:s|ed|ing)?|fulfil(?:l?s|led|ling)?|meets?|meeting|met"
    r"|per|honou?r(?:s|ed|ing)?|according to|based on|in line with)"
    r" (?:the|this|your|given) action item\b"
)

ENGLISH: Final = Language(
    text=(
        r"\b(?:instruction|prompt|task|question|version|request|query|challenge|take|variant|text"
        r"|attempt|rewrite|suggestion)\b"
    ),
    changed=(
        r"\b(?:final|new|newly|improved?|improvement|enhanced|revis(?:ed|ion)|rewritten|updated"
        r"|upgraded|modified|refined|polished|harder|tougher|more \w{4,20}|challenging|complex"
        r"|difficult|advanced|demanding|created|evolved|reworked|rephrased|reworded|adapted)\b"
    ),
    plain_text=(
        r"(?:instruction|prompt)(?: v?\d(?:\.\d)?)?"
        r"(?: \((?:improved|revised|rewritten|new|updated)\))?"
    ),
    old_text=(
        r"(?:original|old|input|given|basic|initial)[ -](?:instruction|prompt|task|question)"
        r"|action item"
    ),
    interjections=(
        r"certainly|sure(?: thing)?|of course|absolutely|okay|ok|alright|understood|got it"
        r"|no problem|definitely|gladly|great|i['\u2019](?:d be|m) (?:happy|glad|pleased) to\b"
        r"[^.!?\n]{0,80}"
    ),
    announces=(
        r"here(?:['\u2019]s| is| are| you go)|this is|below(?: is| you)|the following is|my"
        r"|i['\u2019](?:ve|ll)|i (?:have|will|would|can|could|suggest|propose)"
    ),
    explains=(
        r"i['\u2019](?:ve|ll|m)|i (?:have|will|am|made|added|would)|let me|let['\u2019]s"
        r"|to make (?:this|it|the)|based on|following|as requested|applying"
    ),
    about_rewrite=(
        r"th(?:is|e|ese|at) (?:\w+ )?(?:version|rewrit\w+|revision|variant|changes?)"
        r"|th(?:is|e) (?:improved|revised|rewritten|updated|enhanced|modified)"
        rf"|\Athis {_REWRITE}{_DOES}\b|\A(?:this|it) {_DOES}\b"
        r"|\Athe added (?:\w+ ){1,3}(?:means|makes|raises|forces|ensures|increases|adds)\b"
        r"|(?:challenge|constraint|requirement|difficulty)s? (?:was |were |has been "
        r"|have been )?added"
        r"|(?:constraints?|requirements?|details|rest|parts) of the original\b"
        r"|the (?:original|input|given) (?:instruction|prompt|task|version|question|intent|subject)"
        r"|\bi(?:['\u2019]ve| have) (?:also )?(?:added|made|changed|included|kept|incorporated)\b"
        r"|\bi (?:also )?(?:added|introduced|incorporated|increased) (?:an?|the|two|more|some)\b"
        r"|\badded (?:an?|the|two|three|several) [^.\n]{0,40}"
        r"(?:constraints?|requirements?|conditions?|dimension|layer)\b"
        r"|the action item|(?:instruction|prompt|task) now|core of the|\bharder"
        r"|(?:more|increas\w+|rais\w+|higher|add\w*)[^.\n]{0,60}"
        r"\b(?:challenging|difficult\w*|complex\w*)"
    ),
    remarks=(
        rf"(?:this|it) (?:{_REWRITE})?(?:{_DOES}|makes?|keeps?|is|becomes)\b"
        r"|this (?:\w+ )?(?:version|rewrite|revision|variant|improved|revised|rewritten|updated)\b"
        r"|the (?:improved|revised|rewritten|new|updated|enhanced|modified|added|additional)\b"
        r"|by (?:add|requir|ask|introduc|limit|fix|forc|includ|incorporat|specify|mak|demand|impos|"
        r"restrict)ing\b|notes?\b|these (?:changes|additions|constraints)\b"
        r"|i(?:['\u2019]ve| have| tried| made| kept| rewrote| also)\b|i \w+ed\b"
    ),
    closes=(
        r"(?:would you (?:like|prefer)|do you want|want|need|should i|shall i)\b[^\n?]{0,80}"
        r"\b(?:me to|another|a different|more|adjust|tailor|tweak)\b[^\n?]{0,60}\?|"
        r"(?:please )?let me know (?:if|whether|how|what you think)\b"
        r"|(?:please )?let me know[.!]?\Z|(?:please )?tell me if i should\b"
        r"|i hope (?:th(?:is|at|ese|ose)|it)\b|hope th(?:is|ese)\b|is there anything"
        r"|feel free to (?:ask|let|reach|request|adjust|modify|tweak|change|contact)\b"
        r"|(?:would you like|do you want) (?:me|another|more|any|it|this|to|these)\b"
        r"|if you(?:['\u2019]d| would) like (?:me|another|more|any|a different)\b"
        rf"|(?:how(?:['\u2019]s| is) (?:this|that)\?\s+)?(?:i(?:['\u2019]d be|['\u2019]m| am) )?"
        rf"(?:happy|glad) to {_ADJUST}\b"
        rf"|is (?:this|that|it) (?:now )?{_HARD} enough\b"
        r"|how(?:['\u2019]s| is) (?:this|that)(?: for (?:a|an)\b[^\n?]{0,40})?\?\Z"
        r"|shall i (?:make|try|add|refine)\b"
        r"|please (?:provide|share|send) (?:me )?(?:the|your) (?:next|instruction|prompt)"
    ),
    last_offers=(
        rf"(?:would you like|do you want|want) me to\b|(?:shall|should) i {_ADJUST}\b"
        rf"|is (?:this|that|it) (?:now )?{_HARD} enough\b"
        rf"|(?:how(?:['\u2019]s| is) (?:this|that)\? )?(?:i(?:['\u2019]d be|['\u2019]m| am) )?"
        rf"(?:happy|glad) to {_ADJUST}\b|let me know if you(?:['\u2019]d| would) (?:like|prefer)\b"
    ),
    names_action=r"\b(?:the|this|your|given) action item\b(?! for\b| on\b| of\b)",
    works_on_action=(
        rf"\bi\b[^\n]{{0,200}}(?:{_ACTION_ASKS}|{_MEETS_ACTION})"
        rf"|(?:{_ACTION_ASKS}|{_MEETS_ACTION})[^\n]{{0,300}}\bi\b"
    ),
    changes=(
        r"(?:the |key |main |added |list of |explanation of (?:the )?|summary of (?:the )?)?"
        r"(?:changes?|additions?|complexity|improvements?|modifications?|enhancements?)"
        r"(?: made| explained| rationale)?"
        r"|what (?:has |i )?(?:changed|improved|added)|what['\u2019]s (?:new|changed|different)"
        r"|what makes (?:this|it) [^\n]{1,40}|rationale"
        r"|(?:here['\u2019]s |here is )?(?:why|how) (?:this|it)(?:['\u2019]s)? [^\n]{1,60}"
        r"|difficulty increase|added constraints?|word count|added(?: words)?"
        r"|action(?: item)?(?: (?:followed|applied|taken|used|addressed))?"
        r"|how (?:the )?(?:instruction|action item|it|this) [^\n]{1,60}"
    ),
    suspect=(
        r"\b(?:harder|tougher|(?:more )?challenging|improve(?:d|ments?)|enhance(?:d|ments?)"
        r"|rewrit\w+|add(?:ed|itions?)|rationale|reasoning|justification|why it|why this|how it"
        r"|how this|difficulty|complexity|action (?:item|taken|followed|applied))\b"
    ),
    asks=(
        r"(?:i['\u2019](?:d|m|ll)|i (?:need|don['\u2019]t|do not|can|am|notice|think|would|see)"
        r"|it (?:seems|looks|appears)|could you|can you|please (?:provide|share|send|paste)"
        r"|before i|the (?:input|given|original|provided)|unfortunately"
        r"|there(?:['\u2019]s| is| isn['\u2019]t| seems))\b"
        r"[^\n]{0,200}\b(?:(?:an?|no|the) (?:instruction|prompt) in (?:your|the)|(?:input|given"
        r"|original|provided|action) (?:instruction|prompt|item)"
        r"|instruction (?:seems|appears|(?:is|was) (?:missing|blank|empty|incomplete)|you)"
        r"|no (?:instruction|prompt) (?:is|was|has been)\b|(?:which|what) (?:instruction|prompt))"
        r"|(?:the|your) (?:instruction|prompt)(?: (?:that )?you(?:['\u2019]ve| have)? \w+)? "
        r"(?:\w+ ){0,4}(?:missing|incomplete|empty|cut off|truncated|unclear|blank)\b"
        r"|(?:could|can) you (?:please )?(?:share|provide|send|paste) (?:me )?(?:the|your) "
        r"(?:\w+ )?(?:instruction|prompt)\b"
    ),
    notes=(
        r"(?:brief |short )?(?:explanation|notes?|reasoning|reason|comment|remark|justification"
        r"|why)"
    ),
    refuses=(
        r"(?:i['\u2019]?m |i am |we are )?(?:very |so )?(?:sorry|afraid)\b.{0,40}?\b(?:can|unable)"
        r"|(?:i|we) (?:can(?: ?not|['\u2019]t)|won['\u2019]t|will not|could not)\s+(?:\w+ )?"
        rf"{_CAN_DO}|(?:i am|i['\u2019]m|we are) (?:unable to|not able to|not going to)\s+{_CAN_DO}"
        r"|(?:i|we) must decline\b|i apologi[sz]e\b|(?:i am|i['\u2019]m) not comfortable\b"
        r"|i(?:['\u2019]d| would) (?:rather|prefer) not\b"
        r"|i don['\u2019]t (?:think i (?:should|can)|feel comfortable)\b"
        r"|i don['\u2019]t (?:see|have) (?:an?|the|any) (?:instruction|prompt|task|question)\b"
        r"|i (?:appreciate|understand|need to|have to|must|want to|notice|should|recogni[sz]e)\b"
        r".{0,250}\b(?:won['\u2019]t|can['\u2019]?t|cannot|not going to|unable|rather not|not able"
        r"|not comfortable)\b|as an? (?:ai|artificial|large language|language model)\b"
        r"|unfortunately,? (?:i|we) (?:can|am|are)|i['\u2019]m (?:just |only )?an? (?:ai"
        r"|language model)\b"
        r"|i am (?:just |only )?an? (?:ai|language model)\b"
    ),
    item=r"instruction|task|prompt|question|item",
    all_items=(
        r"(?:all|each|both|every one) (?:of )?(?:the(?:se|m)? )?(?:\w+ )?"
        r"(?:instructions?|tasks?|prompts?|questions?)\b|(?:all|each(?: one)?) of the(?:se|m)\b"
        r"|each (?:one )?(?:can|is|requires?|draws|adheres|meets)\b"
        r"|these (?:\w+ )?(?:instructions|tasks|prompts|questions|cover|vary|range|span|test|ask"
        r"|require|draw|all|should|were)\b|(?:the )?above (?:instructions|tasks)"
        r"|notes?: (?:these|the|all|each|i)\b"
    ),
    use_case=r"use[ _-]?case|task",
    skills=r"skills?(?:[/ ](?:and |or |& )?(?:fields of )?knowledge)?",
    rubric=r"rubric",
    action=r"action",
    assistant=r"assistant|answer|response|ai|model",
    first=r"first|1st",
    second=r"second|2nd",
    score=(
        r"scores?|ratings?|rated?|grades?|points?|output|result|tuple|json|text|plaintext|"
        r"i['\u2019]d|i|would|"
        r"give|gets?|receives?|deserves?|earns?|scored|an?|of|for|is|are|and|the|to|as|vs|versus|"
        r"while|whereas|with|respectively|these|them"
    ),
    overall=r"overall|final|total",
    out_of=r"out of|of",
    equal=r"\bequal\b",
    not_equal=(
        r"\b(?:not|non|never|neither|nor|hardly|far from|isn['\u2019]t|aren['\u2019]t|don['\u2019]t"
        r"|doesn['\u2019]t|can['\u2019]t|cannot|wouldn['\u2019]t"
        r"|won['\u2019]t)\b(?:(?!differ)[^.;:\n]){0,40}?"
        r"\bequal\b|\b(?:not|un|non|in)[\s_-]{0,9}equal"
    ),
    yes=r"yes|true",
    no=r"no|false",
    points_back=(
        r"(?:this|that|these|it|now|here)(?:['\u2019]s)?\b"
        r"|the (?:revised|added|updated)\b|(?:i )?hope\b"
        r"|all (?:other|else)|with this"
        r"|i(?:['\u2019]ve| have)? (?:also )?(?:replaced|swapped|narrowed|tightened|widened|turned"
        r"|combined|layered|expanded|extended|sharpened|reframed|restructured|specified|raised)\b"
    ),
    material=(
        r"\b(?:text|sentence|paragraph|passage|article|e?-?mail|review|statement|following|given"
        r"|below|input|quot|story|poem|code|phrase|message|claim|headline|tweet|draft|document"
        r"|abstract|excerpt|description|provided|news|recipe|product|event|equation|idiom|blank"
        r"|dialogue"
        r"|conversation|transcript|note|letter|function|script|table|data|log|minutes|lyrics"
        r"|instruction)"
    ),
    in_the_text=(
        r"(?:this|the|that|such a|my|your) (?:\w+ ){0,2}(?:instruction|prompt|rewrite|version)\b"
        r"|the (?:\w+ )?(?:challenge|difficulty|complexity|twist) (?:(?:here|now) (?:is|lies|comes)"
        r"|lies in|comes from|stems from|arises from)\b"
    ),
    language_label=r"(?:the )?language(?: of the instruction)?",
    given_text_label=(
        r"(?:the |has a |works on a )?(?:given|provided|input) (?:text|material|data)|input"
    ),
    offers=(
        r"would you (?:like|prefer)|do you want|want|shall i|should i|need (?:me|another|a|any)"
        r"|can i|what do you think[?]|is (?:this|that|it) what you\b"
        r"|does (?:this|that|it) (?:meet|match|fit|work (?:for|better)|look (?:good|right|ok))\b"
    ),
    tasks=(
        r"(?:please |now |first,? |then )?(?:write|explain|translate|solve|describe|fix|find|sort"
        r"|classify|rewrite|rephrase|edit|correct|convert|compute|calculate|compare|analy[sz]e"
        r"|evaluate|summari[sz]e|determine|decide|identify|list|name|give|create|design|draft"
        r"|generate|compose|complete|continue|fill|answer|arrange|rank|order|group|extract|prove"
        r"|show|debug|refactor|implement|read|use|using|given|consider|turn|make|tell|add|remove"
        r"|replace|choose|pick|match|paraphrase|simplify|proofread|review|critique|formulate"
        r"|say|state|mark|tick|put|count|propose|suggest|recommend|rate|judge|predict|imagine"
        r"|argue|defend|discuss|outline|provide|produce|build|interpret|reply|respond|select|split"
        r"|check|test|advise|point|work out|draw|assess|justify|reword|shorten|expand"
        r"|format|parse|reconcile|estimate|plan|help|how|what|which|why|who|when|where|is|are|do"
        r"|does|can)\b"
    ),
)
