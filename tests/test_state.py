"""How a session ends, whatever happens while it is stopping."""

from collections.abc import Callable

import pytest

from codeclm.engine.data.errors import RunStopped
from codeclm.engine.disk.sqlite import StorageError
from codeclm.engine.pipeline.state import SessionState, Verdict


@pytest.mark.parametrize("end", [SessionState.finish, SessionState.stop, SessionState.cancel])
def test_rows_lost_while_stopping_fail_the_session(end: Callable[[SessionState], None]) -> None:
    state = SessionState(lambda: None)
    end(state)
    state.halt(StorageError("ledger.sqlite: disk is full"))

    assert state.verdict() == Verdict("failed", "ledger.sqlite: disk is full")


def test_an_endpoint_that_fails_while_stopping_changes_nothing() -> None:
    finished, stopped = SessionState(lambda: None), SessionState(lambda: None)
    finished.finish()
    stopped.stop()
    for state in (finished, stopped):
        state.halt(RunStopped("no server"))

    assert finished.verdict() == Verdict("finished")
    assert stopped.verdict() == Verdict("stopped", "stopped on request")
