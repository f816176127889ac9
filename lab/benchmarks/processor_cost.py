"""Processor time of the handling process a record, for batches of several sizes."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from benchmarks.events import most_messages
from benchmarks.fleet import BATCH_PROCESSOR, OURS, PACKED, PARSING, THREADS, Servers, fleet
from benchmarks.plan import Plan
from benchmarks.progress import report
from reliability.processes import control

WAYS = (OURS, PARSING, PACKED, BATCH_PROCESSOR, THREADS)
CALLING = (OURS, BATCH_PROCESSOR, THREADS)
SMALL = 100
"""Batches up to this size are repeated more often: they are short."""
MORE = 5
LONG_USERS = 50_000
"""Batches of more users take ten seconds and more, so they are repeated"""
LONG_TIMES = 2
"""so often only."""


@dataclass(frozen=True)
class Fit:
    """Seconds of a batch = fixed + per_user x users; by least squares of relative errors."""

    fixed: float
    per_user: float


@dataclass(frozen=True)
class ProcessorCost:
    """Median processor seconds of a batch by way, users a message and messages.

    `waiting` has them by way alone, with TIMPush taking a while for a reply.
    """

    seconds: dict[tuple[str, int, int], float]
    waiting: dict[str, float]
    fit: Fit

    def per_record(self, way: str, messages: int, users: int = 1) -> float:
        """Seconds a record."""
        return self.seconds[way, users, messages] / messages

    def sizes(self, users: int) -> list[int]:
        """The sizes measured with so many users a message."""
        return sorted({messages for _, one, messages in self.seconds if one == users})


def measure(plan: Plan, servers: Servers) -> ProcessorCost:
    """Let one environment of each way work on batches of every size in turn, repeatedly."""
    batches = [(1, one) for one in plan.sizes]
    batches += [(100, one or most_messages(100)) for one in plan.packed_sizes]
    found: dict[tuple[str, int, int], list[float]] = {}
    waiting: dict[str, list[float]] = {}
    variables = servers.variables | {"WORKER_CONCURRENCY": "1"}
    with fleet(dict.fromkeys(WAYS, 1), variables) as workers:
        for repetition in range(plan.repetitions):
            for users, messages in batches:
                report(f"round {repetition + 1} of {plan.repetitions}, {users * messages:,} users")
                if repetition >= LONG_TIMES and users * messages > LONG_USERS:
                    continue
                for _ in range(MORE if messages <= SMALL else 1):
                    for way in WAYS:
                        seconds = workers.batch(way, messages, users).processor_seconds
                        found.setdefault((way, users, messages), []).append(seconds)
            control(servers.timpush, "PUT", "settings", {"latency": plan.waiting_latency})
            for way in CALLING:
                seconds = workers.batch(way, plan.waiting_messages, 1).processor_seconds
                waiting.setdefault(way, []).append(seconds)
            control(servers.timpush, "PUT", "settings", {"latency": 0.0})
    medians = {key: median(mine) for key, mine in found.items()}
    ours = [(size, medians[OURS, 1, size]) for size in plan.sizes]
    return ProcessorCost(medians, {way: median(mine) for way, mine in waiting.items()}, fit(ours))


def fit(points: Sequence[tuple[int, float]]) -> Fit:
    """Fit a line to (users, seconds)."""
    users, seconds = np.array(points).T
    per_user, fixed = np.polyfit(users, seconds, 1, w=1 / seconds)
    return Fit(float(fixed), float(per_user))
