"""Spaces the starts of calls, so that all environments together stay within the budget."""

import time
from collections.abc import Callable

MARGIN = 1.01
"""A gap is a little over 1/share, so that no second holds one start more than the share."""
CATCH_UP_SECONDS = 0.005
"""A start that is late by up to this much, as threads are, does not move the next one. Over any
number of starts that brings them this much closer once: half of what the margin is in a second."""


class Budget:
    """One invocation's share of the calls per second.

    The first start comes one gap after `began` (of the clock; None: now), when the invocation
    did: the environment that served before may have started a call just then. Time without calls
    earns nothing. As at most
    `WORKER_CONCURRENCY` invocations run at once, the sum over all environments holds.
    """

    def __init__(
        self,
        calls_per_second: int,
        clock: Callable[[], float] = time.monotonic,
        began: float | None = None,
    ) -> None:
        self._clock = clock
        self._gap = MARGIN / calls_per_second
        self._earliest = (clock() if began is None else began) + self._gap

    def earliest(self) -> float:
        """The time (of the clock) at which the next call may start."""
        return self._earliest

    def start(self) -> None:
        """A call starts now."""
        late = max(0.0, self._clock() - self._earliest)
        self.pause(self._gap - min(late, CATCH_UP_SECONDS))

    def pause(self, seconds: float) -> None:
        """No call starts for this long."""
        self._earliest = max(self._earliest, self._clock() + seconds)
