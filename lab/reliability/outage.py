"""Simulates an outage of TIMPush: what the backoff does to a full queue, in simulated time.

    python -m reliability.outage [--hours 4] [--messages 100000] [--seed 1]

The backoff is the application's own (`timpush.queue.delays`); queue and workers are a model: every
receive during the outage ends in "down" after `DOWN_SECONDS`. Exit code 0 only if no message ends
on the dead-letter queue and work resumes within the cap.
"""

import argparse
import random
import sys
from collections import defaultdict, deque
from dataclasses import dataclass
from statistics import median

from timpush.queue.delays import backoff_seconds

CONCURRENCY = 4
BATCH_SIZE = 1_000
DOWN_SECONDS = 25
"""The longest an invocation takes to see that TIMPush is down: 5 calls x 5 s without a reply."""
UP_SECONDS = 1
"""An invocation after the outage: 1,000 messages are at least 10 calls at 25 a second."""


@dataclass(frozen=True)
class Outage:
    """What is simulated; times in seconds."""

    messages: int = 100_000
    seconds: int = 4 * 3_600
    base: int = 30
    cap: int = 900
    max_receive_count: int = 100


@dataclass(frozen=True)
class Result:
    """What became of it. `resumed` and `drained` are seconds after the end of the outage."""

    dead: int
    receives: list[int]
    resumed: int
    drained: int
    most_in_flight: int


def simulate(outage: Outage, rng: random.Random) -> Result:
    """Run the queue, second by second, until it is empty."""
    receives = [0] * outage.messages
    due: defaultdict[int, list[int]] = defaultdict(list)
    ready = deque(range(outage.messages))
    workers = [0] * CONCURRENCY
    dead = most_in_flight = now = 0
    removed_at: list[int] = []
    left = outage.messages
    while left:
        ready.extend(due.pop(now, ()))
        for worker, free_at in enumerate(workers):
            if free_at > now or not ready:
                continue
            down = now < outage.seconds
            workers[worker] = now + (DOWN_SECONDS if down else UP_SECONDS)
            for message in [ready.popleft() for _ in range(min(BATCH_SIZE, len(ready)))]:
                receives[message] += 1
                if receives[message] > outage.max_receive_count:
                    dead, left = dead + 1, left - 1
                elif down:
                    wait = backoff_seconds(
                        "down", receives[message], outage.base, outage.cap, rng.uniform
                    )
                    due[workers[worker] + wait].append(message)
                else:
                    removed_at.append(now)
                    left -= 1
        most_in_flight = max(most_in_flight, left - len(ready))
        now += 1
    end = outage.seconds
    resumed, drained = min(removed_at, default=end) - end, max(removed_at, default=end) - end
    return Result(dead, receives, resumed, drained, most_in_flight)


def report(outage: Outage, result: Result) -> str:
    """The figures as a table."""
    rows = [
        ("messages in the queue", f"{outage.messages:,}"),
        ("outage, hours", f"{outage.seconds / 3600:g}"),
        ("backoff base and cap, seconds", f"{outage.base} and {outage.cap}"),
        ("receives a message, median", f"{median(result.receives):g}"),
        ("receives a message, most", f"{max(result.receives)}"),
        ("receives allowed (MaxReceiveCount)", f"{outage.max_receive_count}"),
        ("messages on the dead-letter queue", f"{result.dead:,}"),
        ("most messages in flight", f"{result.most_in_flight:,}"),
        ("seconds from its end to the first removal", f"{result.resumed}"),
        ("seconds from its end to an empty queue", f"{result.drained}"),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value:>12}" for name, value in rows)


def main() -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--hours", type=float, default=4.0)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    outage = Outage(arguments.messages, round(arguments.hours * 3_600))
    result = simulate(outage, random.Random(arguments.seed))
    print(report(outage, result))
    return 0 if result.dead == 0 and result.resumed <= outage.cap else 1


if __name__ == "__main__":
    sys.exit(main())
