"""How many examples a property is tried with: fewer where one takes long, more at night."""

import os

from hypothesis import HealthCheck, settings

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "quick")
_NUMBERS = {"quick": 100, "thorough": 5000}


def load_profile() -> None:
    """Choose the profile that HYPOTHESIS_PROFILE names; no example has a deadline."""
    for name, number in _NUMBERS.items():
        settings.register_profile(
            name, deadline=None, max_examples=number, suppress_health_check=[HealthCheck.too_slow]
        )
    settings.load_profile(PROFILE)


def examples(number: int) -> settings:
    """Try so many examples, and as many times more as the profile has of all others."""
    return settings(max_examples=number * _NUMBERS[PROFILE] // _NUMBERS["quick"])
