"""Users a second, calls and refusals at TIMPush's documented limits, for each way."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.fleet import BATCH_PROCESSOR, OURS, RATE_LIMIT, THREADS, Fleet, Servers
from benchmarks.plan import Plan
from benchmarks.progress import report
from reliability.processes import control

LIMIT_USERS = 10_000
"""The most users a second: 100 calls of 100 users."""
LEAST_CALLS = 10
"""The least calls for 1,000 messages of one user."""
CASES = ((OURS, 1), (BATCH_PROCESSOR, 1), (THREADS, 1), (RATE_LIMIT, 1), (OURS, 100))
"""Way, users a message."""


@dataclass(frozen=True)
class Cell:
    """One measurement: a way at a latency (seconds), from `first` to `last`."""

    way: str
    users: int
    latency: float
    first: float
    last: float


@dataclass(frozen=True)
class Rate:
    """What the calls of a cell came to, counted at TIMPush."""

    users_a_second: float
    calls: float
    refused: float


@dataclass(frozen=True)
class Throughput:
    """Medians by (way, users a message, latency); calls and refusals are for 1,000 messages."""

    rates: dict[tuple[str, int, float], Rate]


def environments(plan: Plan) -> dict[str, int]:
    """How many environments of each way are needed. A rate limit over all is one place."""
    return {way: 1 if way == RATE_LIMIT else plan.environments for way, _ in CASES}


def measure(plan: Plan, servers: Servers, fleet: Fleet) -> Throughput:
    """Run every way at every latency in turn, repeatedly."""
    cells: list[Cell] = []
    for repetition in range(plan.repetitions):
        for latency in plan.latencies:
            control(servers.timpush, "PUT", "settings", {"latency": latency})
            turn = repetition % len(CASES)
            report(f"round {repetition + 1} of {plan.repetitions}, {latency * 1000:.0f} ms")
            for way, users in (*CASES[turn:], *CASES[:turn]):
                cells.append(run(plan, fleet, way, users, latency))
    received = control(servers.timpush, "GET", "received")
    rates: dict[tuple[str, int, float], list[Rate]] = {}
    for cell in cells:
        key = cell.way, cell.users, cell.latency
        rates.setdefault(key, []).append(rate(cell, received))
    return Throughput({key: medians(found) for key, found in rates.items()})


def run(plan: Plan, fleet: Fleet, way: str, users: int, latency: float) -> Cell:
    """Keep a way's environments busy for a while, back to back."""
    messages = plan.messages if users == 1 else plan.packed_messages
    begin = time.monotonic() + 0.1
    first = begin + plan.warm_up_seconds
    last = first + plan.window_seconds
    number = len(fleet.workers[way])
    # The first batches are parts of whole ones, so that they do not end at the same moment.
    orders: list[dict[str, Any]] = [
        {
            "messages": messages,
            "users": users,
            "first": -(-messages * (one + 1) // number),
            "begin": begin,
            "until": last,
        }
        for one in range(number)
    ]
    fleet.order(way, orders)
    return Cell(way, users, latency, first, last)


def rate(cell: Cell, received: Sequence[dict[str, Any]]) -> Rate:
    """Count the calls that arrived within a cell; those to come back are calls in vain."""
    calls = [call for call in received if cell.first <= call["at"] < cell.last]
    users = sum(len(call["users"]) for call in calls if call["code"] == 0)
    refused = sum(call["code"] != 0 for call in calls)
    thousands = users / cell.users / 1000 or float("nan")
    seconds = cell.last - cell.first
    return Rate(users / seconds, len(calls) / thousands, refused / thousands)


def medians(rates: Sequence[Rate]) -> Rate:
    """The median of each figure."""
    return Rate(
        median(one.users_a_second for one in rates),
        median(one.calls for one in rates),
        median(one.refused for one in rates),
    )
