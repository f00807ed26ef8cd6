"""The recipes: CodecLM, its ablations, and the baselines of the paper. A table, and nothing else.

What a recipe is made of: where its orders come from, what writes basic instructions, what ends
them. `crew` makes the stages; specification §8 and the paper's §5.2 and A.2 say what each must do.
"""

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

RoleName = Literal["strong", "target", "judge"]
Start = Literal["metadata", "seeds", "pool"]
End = Literal["refine", "filter", "harden", "answer", "grow", "evolve", "rate"]


class Recipe(Struct, frozen=True):
    """How a seed becomes rows.

    ``start``: orders come from ``metadata`` (seeds encoded, perhaps augmented), from the ``seeds``
    as they are, or are requests that show some seeds of a ``pool``. ``end`` is the stage that
    follows the basic instruction. ``line`` says it all in words.
    """

    start: Start
    end: End
    line: str
    source: str
    """Where it comes from: paper, or ours."""
    roles: tuple[RoleName, ...] = ("strong",)

    @property
    def stages(self) -> Mapping[RoleName, frozenset[str]]:
        """What each role is asked, by the names of the prompts."""
        judged = frozenset({"score", "rate"})
        asked = _STARTING[self.start] | _ENDING[self.end] | {"respond"}
        each = {"strong": asked - judged, "target": {"respond"}, "judge": asked & judged}
        return {role: frozenset(each[role]) for role in self.roles}


_STARTING: Final[Mapping[Start, frozenset[str]]] = {
    "metadata": frozenset({"encode", "decode"}),
    "seeds": frozenset(),
    "pool": frozenset({"invent"}),
}
_ENDING: Final[Mapping[End, frozenset[str]]] = {
    "refine": frozenset({"rubrics", "improve", "score"}),
    "filter": frozenset({"score"}),
    "harden": frozenset({"rubrics", "improve"}),
    "answer": frozenset(),
    "grow": frozenset({"grow"}),
    "evolve": frozenset({"deepen", "broaden", "complicate", "equal"}),
    "rate": frozenset({"rate"}),
}

RECIPES: Final[Mapping[str, Recipe]] = {
    "codeclm": Recipe(
        "metadata",
        "refine",
        "encode, decode + rubrics, refine",
        "paper §4",
        ("strong", "target", "judge"),
    ),
    "codeclm-metadata": Recipe(
        "metadata", "answer", "encode, decode, answer", "paper Table 3, row 2"
    ),
    "codeclm-rubrics": Recipe(
        "metadata",
        "harden",
        "encode, decode + rubrics, 3 rewrites, answer",
        "paper Table 3, row 3",
    ),
    "codeclm-filter": Recipe(
        "metadata",
        "filter",
        "encode, decode, filter once",
        "ours, not in the paper",
        ("strong", "target", "judge"),
    ),
    "self-instruct": Recipe(
        "pool", "answer", "invent from 3 seeds, answer", "paper A.2; Table 3, row 1"
    ),
    "alpagasus": Recipe(
        "pool", "rate", "invent from 3 seeds, answer, rate", "paper A.2", ("strong", "judge")
    ),
    "tree-instruct": Recipe("seeds", "grow", "grow by 10 nodes, answer", "paper A.2"),
    "wizardlm": Recipe("seeds", "evolve", "4 rounds of evolve, compare, answer", "paper A.2"),
    "wizardlm-plus": Recipe(
        "metadata", "evolve", "encode, decode, 4 rounds of evolve, compare, answer", "paper §5.2"
    ),
}

ALIASES: Final[Mapping[str, str]] = {"wizardlm+": "wizardlm-plus"}
