"""The prompts behind a row's calls, rendered again from the run's templates.

A run keeps no prompts, but the key of every call is a hash of what was sent. With the cache at hand
a prompt that is rendered again is therefore known to be the one that was sent, or not to be.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from msgspec import Struct

from ...prompts import Encode, Messages, Prompt, PromptSet, Vocabulary
from ...providers.base import Message
from ..calls.keys import KeyHasher
from ..calls.model import json_demand, with_demand
from ..calls.prompts import load_prompts
from ..calls.replies import StoredReply
from ..calls.reply_lookup import ReplyLookup
from ..config import Config
from ..data.errors import UserError
from ..data.records import Call, Example
from ..pipeline.recipes import RECIPES
from ..store.manifest import Manifest
from .row_prompts import ROW_PROMPTS

Certainty = Literal["sent", "rendered", "unknown"]
"""``sent``: the call's key proves it. ``rendered``: the cache lacks the reply, so nothing does.
``unknown``: no prompt that can be rendered from this row has the call's key."""


class SentPrompt(Struct, frozen=True):
    """A call of a row with its prompt.

    Attributes:
        messages: pairs of role and content; empty if unknown.
        reply: what the model answered; None if the cache lacks it.
        seconds: how long it took; None likewise.
    """

    stage: str
    role: str
    key: str
    prompt_tokens: int
    completion_tokens: int
    cached: bool
    attempts: int
    certainty: Certainty
    messages: Messages = ()
    reply: str | None = None
    seconds: float | None = None


class PromptRenderer:
    """Renders the prompts of a run's calls from those templates that are still the run's.

    Attributes:
        problems: why some prompts cannot be rendered.
    """

    def __init__(self, config: Config, manifest: Manifest | None) -> None:
        """Load the templates that *config* names. Blocks."""
        self._config = config
        self._sets: dict[str, PromptSet] = {}
        self._unchanged = set[tuple[str, str]]()
        """Pairs of role and prompt whose template is the run's."""
        self.problems: list[str] = []
        recipe = RECIPES[config.recipe]
        roles = recipe.role_configs(config)
        for name, prompts in recipe.prompts(config).items():
            try:
                templates = load_prompts(config, name, roles[name], prompts, "config.toml")
            except UserError as error:
                self.problems.append(str(error))
            else:
                self._sets[name] = templates
                self._compare(name, {} if manifest is None else manifest.prompts.get(name, {}))

    def _compare(self, role: str, digests: Mapping[str, str]) -> None:
        for prompt, digest in self._sets[role].digests.items():
            if digests.get(prompt) == digest:
                self._unchanged.add((role, prompt))
            else:
                self.problems.append(f"{role}: the template of {prompt} is not the run's any more")

    def of_example(self, example: Example, replies: ReplyLookup) -> list[SentPrompt]:
        """Return the calls of *example* with their prompts. Blocks.

        Raises:
            StorageError: the cache cannot be read.
        """
        counts = Counter((call.stage, call.role) for call in example.calls)
        in_order = {
            (stage, role): prompts if len(prompts) == count else []
            for (stage, role), count in counts.items()
            for prompts in [list(self._in_order(stage, role, example))]
        }
        return [
            self._of_call(call, example, in_order[call.stage, call.role], replies.get(call.key))
            for call in example.calls
        ]

    def of_encode(self, instruction: str) -> Messages:
        """Return the prompt that asked for the metadata of a seed; empty if it is not known."""
        if ("strong", "encode") not in self._unchanged:
            return ()
        metadata = self._config.metadata
        vocabulary = Vocabulary(metadata.use_cases, metadata.skills)
        return self._sets["strong"].render(Encode(instruction=instruction, vocabulary=vocabulary))

    def _of_call(
        self,
        call: Call,
        example: Example,
        in_order: list[Prompt[Any]],
        reply: StoredReply | None,
    ) -> SentPrompt:
        likely = self._render(call.role, in_order.pop(0)) if in_order else ()
        if reply is None:
            return _sent(call, "rendered" if likely else "unknown", likely)
        for messages in self._candidates(call, example, likely):
            if _has_key(messages, call, reply):
                return _sent(call, "sent", messages, reply)
        return _sent(call, "unknown", (), reply)

    def _candidates(self, call: Call, example: Example, likely: Messages) -> Iterator[Messages]:
        """Yield what may have been sent, the likely first."""
        if likely:
            yield likely
        prompts = [
            *self._in_order(call.stage, call.role, example),
            *self._others(call.stage, call.role, example),
        ]
        for prompt in prompts:
            yield (messages := self._render(call.role, prompt))
            if (schema := prompt.schema()) is not None:
                yield with_demand(messages, json_demand(schema))

    def _render(self, role: str, prompt: Prompt[Any]) -> Messages:
        return self._sets[role].render(prompt)

    def _in_order(self, stage: str, role: str, example: Example) -> Iterator[Prompt[Any]]:
        row = ROW_PROMPTS.get(stage)
        if row is not None and (role, stage) in self._unchanged:
            yield from row.in_order(example, self._config)

    def _others(self, stage: str, role: str, example: Example) -> Iterator[Prompt[Any]]:
        row = ROW_PROMPTS.get(stage)
        if row is not None and row.others is not None and (role, stage) in self._unchanged:
            yield from row.others(example, self._config)


def _sent(
    call: Call, certainty: Certainty, messages: Messages, reply: StoredReply | None = None
) -> SentPrompt:
    return SentPrompt(
        call.stage,
        call.role,
        call.key,
        call.prompt_tokens,
        call.completion_tokens,
        call.cached,
        call.attempts,
        certainty,
        messages,
        None if reply is None else reply.text,
        None if reply is None else reply.seconds,
    )


def _has_key(messages: Messages, call: Call, reply: StoredReply) -> bool:
    """Whether *call* sent *messages*, by its key."""
    sent = [Message(role, content) for role, content in messages]
    return KeyHasher(reply.about).key(sent, reply.sample).hex() == call.key
