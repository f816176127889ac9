"""How many examples the properties are tried with.

Few, always the same, in a run of all tests; many, new each time, in `make prove`, which sets
HYPOTHESIS_PROFILE=many. Properties name `EXAMPLES` themselves: the profile that is loaded may be
another folder's.
"""

import os

from hypothesis import HealthCheck, settings

# No example is timed: how long one takes says more of the machine than of the code.
_UNTIMED = settings(deadline=None, suppress_health_check=list(HealthCheck))
settings.register_profile("few", _UNTIMED, max_examples=40, derandomize=True)
settings.register_profile("many", _UNTIMED, max_examples=1_000, print_blob=True)

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "few")
EXAMPLES = settings.get_profile(PROFILE)
"""Decorates a property, or is given to a state machine."""
