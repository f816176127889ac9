"""Spaces the starts of calls, so that all environments together stay within the budget.

Pure: it is told the time and never asks for it.
"""

from typing import NamedTuple

MARGIN = 1.01
"""A gap is a little over 1/share, so that no second holds one start more than the share."""
CATCH_UP_SECONDS = 0.005
"""A start that is late by up to this much, as threads are, does not move the next one. Over any
number of starts that brings them this much closer once: half of what the margin is in a second."""
SLOTS_SKIPPED = 2
"""Starts given up for each call that is refused by rate. With a part f of the calls refused,
1 / (1 + 2 f) of the slots are used: 91 % at f = 5 %, 50 % at f = 50 %. Where TIMPush takes only L
of our S calls a second, S / 3 + 2 L / 3 are started."""
QUIET_SECONDS = 1.0
"""If no call was taken for this long, a refusal stops all starts for as long: Tencent's limits are
per second (https://trtc.io/document/34348, n.d.)."""


class Now(NamedTuple):
    """One moment: `clock` in seconds of a clock that never jumps, `unix` in Unix seconds."""

    clock: float
    unix: float


class Pace:
    """One invocation's share of the calls per second; all times are of the clock.

    The first start comes one gap after `began`, when the invocation did: the environment that
    served before may have started a call just then. Time without calls earns nothing. As at most
    `WORKER_CONCURRENCY` invocations run at once, the sum over all environments holds.
    """

    def __init__(self, calls_per_second: int, began: float) -> None:
        self._gap = MARGIN / calls_per_second
        self._taken_at = began
        self.earliest = began + self._gap

    def start(self, clock: float) -> None:
        """A call starts now."""
        late = max(0.0, clock - self.earliest)
        self.earliest = max(self.earliest, clock + self._gap - min(late, CATCH_UP_SECONDS))

    def took(self, clock: float) -> None:
        """A call was not refused by rate."""
        self._taken_at = clock

    def refused(self, clock: float) -> None:
        """A call was refused by rate: skip some starts, or pause when none gets through."""
        until = clock + QUIET_SECONDS
        if clock - self._taken_at < QUIET_SECONDS:
            until = min(until, max(self.earliest, clock) + SLOTS_SKIPPED * self._gap)
        self.earliest = max(self.earliest, until)
