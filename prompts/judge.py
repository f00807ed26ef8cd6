"""Judge: ask for two scores and a reason, for evaluation (paper §5.3)."""

from .prompt import JsonSchema, Priority, Prompt, RawReply, Sizes, Typical, filler
from .reading import reply_body
from .schemas import object_of, scores, string
from .score import check_scores, read_pair, read_scores


class Judge(Prompt[tuple[float, float]], frozen=True, kw_only=True):
    """Ask for two scores from 1 to 10, that of the *first* answer first, and an explanation."""

    name = "judge"
    priority = Priority.SCORE

    instruction: str
    first: str
    second: str

    def read(self, reply: RawReply) -> tuple[float, float]:
        return read_verdict(reply.text)

    def schema(self) -> JsonSchema:
        return object_of(
            assistant_1=scores(1, 10), assistant_2=scores(1, 10), explanation=string(1_200)
        )

    @classmethod
    def typical(cls, sizes: Sizes) -> Typical:
        answer = filler(sizes.answer)
        prompt = cls(instruction=filler(sizes.instruction), first=answer, second=answer)
        return Typical(prompt, 150)


def read_verdict(text: str) -> tuple[float, float]:
    """Read two scores, from 0 to 10, from the first line; the other lines explain them.

    Raises:
        ParseError: as `read_scores`, which reads what is not in the strict form.
    """
    pair = read_pair(reply_body(text).split("\n", 1)[0])
    return check_scores(*pair) if pair else read_scores(text)
