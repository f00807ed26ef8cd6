"""The vocabulary of scripted replies."""

from typing import Final

USE_CASES: Final = (
    "creative writing", "code generation", "code debugging", "trip planning", "recipe development",
    "science explanation", "history tutoring", "legal drafting", "business plan development",
    "marketing copywriting", "data analysis", "text editing", "translation", "product comparison",
    "interview preparation", "email writing", "lesson planning", "mathematical reasoning",
    "game design", "speech writing", "poetry", "technical documentation", "customer support",
    "medical information", "fitness coaching", "financial planning", "news summarization",
    "character dialogue", "logic puzzles", "survey design", "event organization", "grant writing",
    "resume review", "language practice", "gardening advice", "home repair", "music theory",
    "film criticism", "database design", "scientific writing", "debate preparation",
    "project management", "user research", "ethical reasoning", "negotiation advice",
    "text classification", "story outlining", "job description writing", "test design", "role-play",
)  # fmt: skip
SKILLS: Final = (
    "story-telling", "role-play", "Python", "SQL databases", "world history", "organic chemistry",
    "market research", "statistics", "plain language", "persuasive writing", "contract law",
    "nutrition", "Spanish grammar", "music harmony", "linear algebra", "probability", "ethics",
    "botany", "astronomy", "public speaking", "budgeting", "graphic design", "critical thinking",
    "machine learning", "anatomy", "geography", "empathy", "time management", "data visualization",
    "journalism", "macroeconomics", "climate science", "sports", "film history", "woodworking",
    "electrical safety", "child psychology", "web development", "logic", "academic writing",
    "negotiation", "brand strategy", "algorithms", "poetic form", "fact checking", "cooking",
    "travel logistics", "risk assessment", "game mechanics", "architecture", "philosophy",
    "summarization", "humor", "genetics", "tax rules", "Japanese culture", "computer networks",
    "cryptography", "epidemiology", "typography", "urban planning",
)  # fmt: skip
VERBS: Final = (
    "Write", "Draft", "Outline", "Compose", "Prepare", "Design", "Sketch", "Put together", "Revise",
    "Suggest", "Work out", "Plan", "Summarize", "Develop", "Describe", "Lay out", "Phrase",
)  # fmt: skip
THINGS: Final = (
    "a short guide", "a dialogue", "a checklist", "an opening paragraph", "a comparison table",
    "a letter", "a quiz", "a step-by-step plan", "a summary", "an argument", "a story", "a poster",
    "a set of questions", "a script", "a memo", "a proposal", "a worked example", "a schedule",
    "a list of mistakes", "an interview", "a review", "a thought experiment", "a glossary",
    "a decision tree", "a press note", "a diary entry", "a lesson", "a pitch", "a rebuttal",
    "a case study", "an explanation", "a set of rules", "a toast", "an estimate", "a critique",
)  # fmt: skip
TOPICS: Final = (
    "night trains", "a leaking roof", "urban bees", "a lost passport", "solar panels", "sourdough",
    "a failing backup", "medieval guilds", "tidal power", "a shared kitchen", "first-time voters",
    "a slow website", "rare orchids", "school lunches", "a chess club", "library fines", "coral",
    "remote teams", "a broken budget", "street music", "a mountain rescue", "old photographs",
    "electric buses", "a rainy festival", "language apps", "whale songs", "a small museum",
    "insomnia", "a bakery's opening week", "desert farming", "the printing press", "video calls",
    "a neighbourhood garden", "lost luggage", "public fountains", "a marathon", "glass making",
    "a power cut", "spreadsheet errors", "migrating birds", "a hasty wedding", "volcanoes",
    "a noisy office", "recycled clothing", "space debris", "a family archive", "river floods",
    "board games", "allergy labels", "a theatre rehearsal", "password habits", "ancient roads",
    "a second-hand bicycle", "fermented tea", "ice cores", "a city without cars", "lighthouses",
    "a delayed parcel", "ballroom dancing", "the night sky", "a coding retreat", "wild mushrooms",
    "school exchange", "a flooded cellar", "honest advertising", "wind instruments", "archaeology",
)  # fmt: skip
PEOPLE: Final = (
    "a busy nurse", "a group of teenagers", "a new manager", "retired engineers", "a curious child",
    "a small charity", "first-year students", "a sceptical client", "night workers", "tourists",
    "a local council", "an amateur choir", "young parents", "a start-up founder", "a book club",
    "a farmer", "volunteers", "a visually impaired reader", "a sports team", "an exchange student",
    "a village school", "a touring band", "shop owners", "a panel of judges", "a support team",
    "beginners", "an impatient boss", "two rival experts", "a pen friend", "commuters",
)  # fmt: skip
LIMITS: Final = (
    "without any jargon", "with one surprising example", "in a friendly tone", "citing two causes",
    "ending with a question", "as a numbered list", "with a cost estimate", "in the present tense",
    "with a counterargument", "avoiding clichés", "using an analogy", "for reading aloud",
    "with exact quantities", "mentioning a common mistake", "in formal language", "with a timeline",
    "from two points of view", "with a short title", "as if it were 1920", "without adjectives",
    "naming the trade-offs", "with a fallback plan", "in plain words", "with a touch of humour",
)  # fmt: skip
ASPECTS: Final = (
    "several steps of reasoning", "knowledge of special cases", "a balance between opposing goals",
    "precise quantities", "an understanding of the audience", "knowledge from a second field",
    "consistency over a long answer", "awareness of what is not said", "a fixed form",
    "comparison of alternatives", "judgement of evidence", "originality under constraints",
)  # fmt: skip
ACTIONS: Final = (
    "Add a second goal that conflicts with the first",
    "Require a comparison of at least two alternatives with their trade-offs",
    "Introduce a constraint on form, such as a strict length or structure",
    "Ask for the reasoning behind every choice",
    "Bring in a rare special case that needs separate treatment",
    "Demand figures and an estimate of their uncertainty",
    "Combine the task with knowledge from a neighbouring field",
    "Address two audiences with different prior knowledge at once",
    "Ask for a critique of the answer and a revised version",
    "Set the task in a particular place and time with consequences for the answer",
    "Require that common misconceptions are named and corrected",
    "Add a dependency between the parts of the answer",
)  # fmt: skip
HARDER: Final = (
    "Weigh at least two options against each other, also in the light of",
    "Show how each choice would change in the case of",
    "Keep every part consistent with an example taken from",
    "Give numbers for each claim and relate them to",
    "Treat separately the exception that arises from",
    "Before concluding, test the result against a scenario involving",
    "Do this in exactly three parts, the second of which deals with",
    "Name a widespread error and correct it with evidence from",
)  # fmt: skip
FURTHER: Final = (
    "justify the result to", "add a version suited to", "answer one objection raised by",
    "adapt the wording for", "rank the outcomes by their use to", "point out what would mislead",
)  # fmt: skip
OPENINGS: Final = (
    "There are several things to consider here, beginning with",
    "A good way to approach this is to start from what is known about",
    "The short answer depends on the situation; a helpful comparison is",
    "Let us take this step by step, keeping in mind",
    "The essential point is easily illustrated by",
)  # fmt: skip
CLOSINGS: Final = (
    "Taken together, these points should settle the matter.",
    "Adjust the details to your own situation.",
    "If one thing has to be left out, keep the first point.",
    "This covers what was asked.",
)  # fmt: skip
POINTS: Final = tuple(
    f"{start} {topic}, {reason}."
    for start in ("Begin with", "Take into account", "Leave time for", "Compare this with")
    for topic in TOPICS
    for reason in (
        "because the first step decides what is possible later",
        "which keeps the result accurate and easy to check",
        "since the details differ from one case to the next",
    )
)
REASONS: Final = (
    "is more helpful and goes into more detail", "is more accurate and stays relevant",
    "covers the question more completely", "explains its points more clearly",
)  # fmt: skip
