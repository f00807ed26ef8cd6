"""A few damaged inputs of each family; ``scripts/fuzz`` tries them for as long as asked."""

from pathlib import Path

import pytest

from .fuzz.cases import fuzzer

pytestmark = pytest.mark.slow

SEED, CASES = 1, 25


def test_no_damaged_input_does_what_no_command_may(tmp_path: Path) -> None:
    with fuzzer(tmp_path, seed=SEED) as fuzz:
        findings = [finding for number in range(CASES) for finding in fuzz.case(number)]

    assert findings == [], f"seed {SEED}"
    assert set(fuzz.statuses) >= {0, 1, 2}
