"""Score: the judges compare two answers in both orders (paper §4.3)."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from msgspec import Struct

from ....prompts import Score, ScoreByLogprobs
from ...calls.model import Model, ParsedReply, PendingCall
from ...config import Config
from ...data.records import Call, Judgement

Scores = tuple[float, float]
Reply = ParsedReply[Scores]


class AnswerPair(NamedTuple):
    """Two answers to one instruction."""

    instruction: str
    strong: str
    target: str

    def prompts(self, prompt: type[Score]) -> tuple[Score, Score]:
        """Return both orders: the strong answer first, then second."""
        return (
            prompt(instruction=self.instruction, first=self.strong, second=self.target),
            prompt(instruction=self.instruction, first=self.target, second=self.strong),
        )


class ScoredPair(NamedTuple):
    """The judgements of both orders, and the calls that they took."""

    judgements: tuple[Judgement, Judgement]
    calls: list[Call]


class PairScorer(Struct, frozen=True):
    """Lets every judge score both orders, each *samples* times; the mean counts."""

    judges: tuple[Model, ...]
    samples: int = 1

    async def __call__(self, pair: AnswerPair, item: str, sample: str = "") -> ScoredPair:
        """Score *pair*.

        Args:
            pair: the answers.
            item: id of the draft they are for.
            sample: tells a second scoring of the same answers from the first.

        Raises:
            ItemError, Stopping, RunStopped: as `Model.ask`; without one judge's scores there is no
                mean.
        """
        pending = [self._begin(judge, pair, item, sample) for judge in self.judges]
        replies = {
            judge.role.removeprefix("judges."): [await judge.finish(one) for one in of_judge]
            for judge, of_judge in zip(self.judges, pending, strict=True)
        }
        by_judge = {name: self._judgements(of_judge) for name, of_judge in replies.items()}
        calls = [reply.call for of_judge in replies.values() for reply in of_judge]
        return ScoredPair(
            (
                mean_of_judges({name: both[0] for name, both in by_judge.items()}),
                mean_of_judges({name: both[1] for name, both in by_judge.items()}),
            ),
            calls,
        )

    def _begin(
        self, judge: Model, pair: AnswerPair, item: str, sample: str
    ) -> list[PendingCall[Scores]]:
        """Ask for the samples of one order, then for those of the other."""
        kind = ScoreByLogprobs if judge.sampling.logprobs else Score
        samples = [f"{sample}/{n}" if n else sample for n in range(self.samples)]
        return [
            judge.begin(prompt, item=item, sample=one)
            for prompt in pair.prompts(kind)
            for one in samples
        ]

    def _judgements(self, replies: Sequence[Reply]) -> tuple[Judgement, Judgement]:
        there, back = replies[: self.samples], replies[self.samples :]
        return (
            mean_of_samples(Judgement(r.value[0], r.value[1], r.reply.text) for r in there),
            mean_of_samples(Judgement(r.value[1], r.value[0], r.reply.text) for r in back),
        )


def calls_per_scoring(config: Config) -> int:
    """Return the calls that score two answers once: both orders, by each judge."""
    return 2 * config.filter.samples * len(config.judge_roles)


def mean_of_samples(samples: Iterable[Judgement]) -> Judgement:
    """Return the mean scores of one judge's judgements of one order, with all their texts."""
    judgements = list(samples)
    if len(judgements) == 1:
        return judgements[0]
    return Judgement(*_means(judgements), "\n\n".join(one.text for one in judgements))


def mean_of_judges(by_judge: Mapping[str, Judgement]) -> Judgement:
    """Return the mean scores of several judges' judgements of one order, and each one's own."""
    judgements = list(by_judge.values())
    if len(judgements) == 1:
        return judgements[0]
    text = "\n\n".join(f"{name}: {one.text}" for name, one in by_judge.items())
    own = {name: (one.strong, one.target) for name, one in by_judge.items()}
    return Judgement(*_means(judgements), text, own)


def _means(judgements: Sequence[Judgement]) -> Scores:
    return fmean(one.strong for one in judgements), fmean(one.target for one in judgements)
