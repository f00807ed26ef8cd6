"""Tracks which requests for instructions are open, and the fates of their instructions."""

from collections.abc import Callable
from typing import NamedTuple

from msgspec import Struct, structs

from ..data.errors import ItemError
from ..data.records import Example, Fate, InstructionRequest, RequestOutcome
from ..data.text.fingerprint import fingerprint
from ..store.schema import row_index
from .execution import Execution
from .line import Line, Stage, begin
from .stages.draft import Draft
from .steps import Tools

Closed = Callable[[InstructionRequest, RequestOutcome | None], None]
"""Called once for every request that is no longer in progress.

Without an outcome a transient failure has left it for the next session.
"""


class Finished(NamedTuple):
    """A draft's examples, and the request it was written for."""

    request: InstructionRequest
    examples: list[Example]


class _OpenRequest(Struct):
    """A request whose drafts are being finished."""

    request: InstructionRequest
    instructions: int
    remaining: int
    """Drafts that are not finished yet."""
    fingerprints: tuple[int, ...]
    """Of the instructions as they were first written."""
    kept: list[tuple[int, int]]
    """Number and fingerprint of every instruction kept."""
    incomplete: bool = False


class Book:
    """Follows requests from their first call to their outcome, and records both in the ledger.

    Args:
        execution: the session.
        closed: called for every request that is no longer in progress.
        tools: what the steps are built from, if the mode adds to the session's own.
    """

    def __init__(self, execution: Execution, closed: Closed, tools: Tools | None = None) -> None:
        tools = tools or execution.tools
        self._execution = execution
        self._ledger = execution.ledger
        self._state = execution.state
        self._acceptance = execution.acceptance
        self._writing, self._finishing = execution.writing, execution.finishing
        self._write = self._writing.build(tools)
        self._finish = self._finishing.build(tools)
        self._counters = tools.counters
        self._rows_per_draft = tools.rows_per_draft
        self._closed = closed
        self._open: dict[int, _OpenRequest] = {}

    def line(self) -> Line[InstructionRequest, Finished]:
        """Return the stages that every request runs through: write, then finish."""
        widths = self._execution.widths
        return begin(
            Stage(self._writing.stage, self._written, self._request_lost, widths.write, buffer=1)
        ).then(
            Stage(
                self._finishing.stage,
                self._draft_finished,
                self._draft_lost,
                widths.finish,
                buffer=widths.finish,
            )
        )

    async def keep(self, finished: Finished) -> None:
        """Record a draft's examples; the last one of a request closes it."""
        open_request = self._open[first_row(finished.request)]
        for example in finished.examples:
            self._ledger.example_finished(example)
            self._acceptance.record_overlap(example)
            if example.fate == "kept":
                self._counters.kept += 1
                open_request.kept.append((example.number, fingerprint(example.instruction)))
                self._acceptance.offer(example)
        self._draft_done(open_request)
        await self._ledger.room()
        for example in finished.examples:
            if example.fate == "kept":
                await self._execution.on_kept(example)

    # -- the steps ----------------------------------------------------------------------------

    async def _written(self, request: InstructionRequest) -> list[Draft]:
        drafts = await self._write(request)
        if not drafts:  # or nothing would ever close the request
            raise ItemError("no_instructions", "nothing was written")
        self._ledger.request_written(
            request, len(drafts) * self._rows_per_draft, self._rows_per_draft
        )
        self._open[first_row(request)] = _OpenRequest(
            request,
            instructions=sum(draft.rows for draft in drafts),
            remaining=len(drafts),
            fingerprints=tuple(fingerprint(draft.instruction) for draft in drafts),
            kept=[],
        )
        return drafts

    async def _draft_finished(self, draft: Draft) -> list[Finished]:
        """Finish *draft*; skip one that a rule already rejects."""
        objection = self._objection(draft)
        if objection is not None:
            return [Finished(draft.request, [self._end(draft, "filtered", *objection)])]
        examples = await self._finish(draft)
        return [Finished(draft.request, [self._acceptance.checked(one) for one in examples])]

    def _objection(self, draft: Draft) -> tuple[str, str] | None:
        """Return the violation of a basic instruction that no rewrite can fix."""
        if draft.refused:
            return draft.refused, ""
        if self._writing.material == "instruction":
            return None
        objection = self._acceptance.objection(draft.instruction)
        may_grow = self._finishing.rewrites
        return None if objection and objection[0] == "too_short" and may_grow else objection

    def _end(self, draft: Draft, fate: Fate, reason: str, detail: str = "") -> Example:
        """End *draft* before its first round, under the number of that round."""
        first = draft.number * self._rows_per_draft
        return structs.replace(draft.example(fate, reason, detail), number=first)

    # -- what cannot go on --------------------------------------------------------------------

    def _request_lost(self, request: InstructionRequest, error: ItemError) -> None:
        self._state.item_lost(self._writing.stage, error)
        self._ledger.request_failed(request, error)
        if error.transient:
            self._closed(request, None)
        else:
            self._close(request, RequestOutcome(0))

    def _draft_lost(self, draft: Draft, error: ItemError) -> None:
        self._state.item_lost(self._finishing.stage, error)
        example = self._end(draft, "failed", error.reason, error.detail)
        self._ledger.example_finished(example, transient=error.transient)
        open_request = self._open[first_row(draft.request)]
        open_request.incomplete |= error.transient
        self._draft_done(open_request)

    # -- closing ------------------------------------------------------------------------------

    def _draft_done(self, open_request: _OpenRequest) -> None:
        open_request.remaining -= 1
        if open_request.remaining:
            return
        request, count = open_request.request, open_request.instructions
        del self._open[first_row(request)]
        if open_request.incomplete:
            self._close(request, None)
            return
        self._ledger.request_done(request, count)
        kept, fingerprints = tuple(open_request.kept), open_request.fingerprints
        self._close(request, RequestOutcome(count, kept, fingerprints))

    def _close(self, request: InstructionRequest, outcome: RequestOutcome | None) -> None:
        self._counters.requests += 1
        self._closed(request, outcome)


def first_row(request: InstructionRequest) -> int:
    """Return the index of the first instruction of *request* in the run."""
    return row_index(request.metadata.position, request.start)
