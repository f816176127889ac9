"""Simulates outages of TIMPush with the application's own decisions, in virtual time.

    python -m reliability.outage [--messages N ...] [--hours H ...] [--seed 1]

Real: every invocation's calls, waits and probes (`timpush.removal`), and how long a message stays
invisible after it was returned (`timpush.queue.delays`). Modelled: the queue, and workers that
start a batch as soon as messages are visible. Prints a table with a row for each number of messages
and each length, then how soon users are removed after a UserSig that was refused is replaced. Exit
code 0 only if no message ends on the dead-letter queue and every limit of `broken_limits` holds.
"""

import argparse
import heapq
import os
import random
import sys
from collections import defaultdict, deque
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import product, repeat

from support.environment import worker_environment
from support.scene import Reply, Scene, secret, usersig, want
from timpush.errors import TransientError
from timpush.queue.delays import backoff_seconds
from timpush.removal.engine import Removal
from timpush.settings import Settings, read_settings
from timpush.tencent.codes import call_error
from timpush.tencent.credentials import Credential

BATCH_SIZE = 1_000
TIMEOUT_SECONDS = 120.0
SETTLE_SECONDS = 4.0
"""The worker keeps this long to settle its batch; its own constant has the same number."""
MEMORY_GB = 0.5
DOLLARS_PER_GB_SECOND = 0.0000133334
"""Lambda on arm64, first tier; https://aws.amazon.com/lambda/pricing/ (2026-11)."""
MAX_RECEIVE_COUNT = 400
"""That of the template."""
DEFAULTS = worker_environment(
    TIMPUSH_CALLS_PER_SECOND=None,
    APP_CALLS_PER_SECOND=100,
    API_CALLS_PER_SECOND=10,
    WORKER_CONCURRENCY=3,
)
"""Budget and workers as the template's defaults give them."""
DOWN_REPLY_SECONDS = 3.0
CODE_REFUSED = 70009

MESSAGES = (1_000, 100_000, 1_000_000)
HOURS = (4.0, 24.0, 60.0)
FIXES = 20
"""UserSigs that are replaced, each at another moment of a worker's hold."""
FIXED_SECONDS = 75


@dataclass(frozen=True)
class Outage:
    """TIMPush is down, or refuses the UserSig, from 0 to `seconds`; a user a message."""

    messages: int = 100_000
    seconds: float = 4 * 3_600.0
    refused: bool = False
    settings: Settings = field(default_factory=lambda: read_settings(DEFAULTS))
    max_receive_count: int = MAX_RECEIVE_COUNT


@dataclass
class Result:
    """What became of it. `removed` maps seconds after the end to messages removed by then."""

    dead: int = 0
    most_receives: int = 0
    most_in_flight: int = 0
    calls: int = 0
    busy_seconds: float = 0.0
    removed: dict[int, int] = field(default_factory=dict)

    def removed_within(self, part: float) -> int:
        """Seconds after the end by which this part of all messages was removed."""
        total, wanted = 0, part * sum(self.removed.values())
        for second in sorted(self.removed):
            total += self.removed[second]
            if total >= wanted:
                return second
        return 0


class Simulation:
    """One outage; `run` it once. Each worker has an environment and a virtual time of its own."""

    def __init__(self, outage: Outage, rng: random.Random) -> None:
        self.result = Result()
        self._outage = outage
        self._rng = rng
        self._receives = bytearray(2 * outage.messages)
        self._due: defaultdict[int, list[int]] = defaultdict(list)
        self._seconds: list[int] = []
        self._ready = deque(range(outage.messages))
        self._left = outage.messages
        self._workers = [self._worker() for _ in range(outage.settings.concurrency)]

    def run(self) -> Result:
        """Invoke the workers in the order of their starts until the queue is empty."""
        free = [(worker.time.clock(), number) for number, worker in enumerate(self._workers)]
        heapq.heapify(free)
        begin = free[0][0]
        while self._left:
            at, number = heapq.heappop(free)
            at = max(at, begin + (self._next_visible(at - begin) or 0))
            self._invoke(self._workers[number], at, begin)
            heapq.heappush(free, (self._workers[number].time.clock(), number))
        return self.result

    def _worker(self) -> Scene:
        scene = Scene(share=self._outage.settings.share, chance=self._rng.random())
        end = scene.time.clock() + self._outage.seconds
        good, bad = usersig("good"), usersig("bad")
        if self._outage.refused:
            scene.secrets.value, scene.secrets.later = secret(bad), (end, secret(good))

        def script(_users: object, credential: Credential) -> Reply:
            if self._outage.refused:
                return Reply() if credential.usersig == good else REFUSED
            return Reply() if scene.time.clock() >= end else DOWN

        scene.client.script = script
        return scene

    def _next_visible(self, at: float) -> float | None:
        """Make visible what is due by `at`; when nothing is, pass on to the next that is."""
        while self._seconds and (self._seconds[0] <= at or not self._ready):
            second = heapq.heappop(self._seconds)
            self._ready.extend(self._due.pop(second))
            at = max(at, second)
        return at

    def _invoke(self, worker: Scene, at: float, begin: float) -> None:
        worker.time.spend(at - worker.time.clock())
        batch = self._take()
        if not batch:
            worker.time.spend(1.0)  # what is left is held by other workers
            return
        self._watch()
        worker.client.started.clear()  # it would grow for hours
        deadline = at + TIMEOUT_SECONDS - SETTLE_SECONDS
        removal = Removal(want(len(batch)), worker.environment, deadline, at)
        removal.run()
        end = worker.time.clock() - begin
        if at - begin < self._outage.seconds:
            self.result.calls += len(worker.client.started)
            self.result.busy_seconds += worker.time.clock() - at
        self._settle(batch, removal, end)

    def _take(self) -> list[int]:
        batch: list[int] = []
        while self._ready and len(batch) < BATCH_SIZE:
            message = self._ready.popleft()
            if self._receive(message) > self._outage.max_receive_count:
                self.result.dead += 1
                self._left -= 1
            else:
                batch.append(message)
        return batch

    def _receive(self, message: int) -> int:
        """Count a receive of the message; two bytes hold each count."""
        low, high = 2 * message, 2 * message + 1
        count = self._receives[low] + 256 * self._receives[high] + 1
        self._receives[low], self._receives[high] = count % 256, count // 256
        self.result.most_receives = max(self.result.most_receives, count)
        return count

    def _settle(self, batch: list[int], removal: Removal, end: float) -> None:
        """Every user of a batch fares alike but for lack of time: the first ones are removed."""
        removed = removal.ledger.removed()
        after = max(0, round(end - self._outage.seconds))
        if removed:
            self.result.removed[after] = self.result.removed.get(after, 0) + removed
            self._left -= removed
        settings, reason = self._outage.settings, str(removal.ledger.unsent.code)
        for message in batch[removed:]:
            count = self._receives[2 * message] + 256 * self._receives[2 * message + 1]
            wait = backoff_seconds(
                reason, count, settings.retry_base_seconds, settings.retry_cap_seconds,
                self._rng.uniform,
            )  # fmt: skip
            second = round(end + wait)
            if second not in self._due:
                heapq.heappush(self._seconds, second)
            self._due[second].append(message)

    def _watch(self) -> None:
        in_flight = self._left - len(self._ready)
        self.result.most_in_flight = max(self.result.most_in_flight, in_flight)


DOWN = Reply(TransientError("ConnectTimeoutError", "no reply"), latency=DOWN_REPLY_SECONDS)
REFUSED = Reply(call_error(CODE_REFUSED, ""), latency=0.1)


def simulate(outage: Outage, seed: int) -> Result:
    """Run one outage to the empty queue."""
    return Simulation(outage, random.Random(seed)).run()


def replace_usersig(seed: int) -> int:
    """Seconds from the storing of a UserSig that works to the first removal after it."""
    return min(simulate(Outage(1_000, 1_800.0 + 13 * seed, refused=True), seed).removed)


COLUMNS = (
    "messages", "hours", "dead-letter", "most receives", "most in flight",
    "s between calls", "90 % after s", "all after s", "$ an hour",
)  # fmt: skip


def row(outage: Outage, result: Result) -> list[str]:
    """The figures of one outage, as `COLUMNS` names them."""
    worker_seconds = outage.settings.concurrency * outage.seconds
    dollars = result.busy_seconds * MEMORY_GB * DOLLARS_PER_GB_SECOND
    return [
        f"{outage.messages:,}",
        f"{outage.seconds / 3600:g}",
        f"{result.dead:,}",
        f"{result.most_receives}",
        f"{result.most_in_flight:,}",
        f"{worker_seconds / max(1, result.calls):.0f}",
        f"{result.removed_within(0.9)}",
        f"{result.removed_within(1.0)}",
        f"{dollars / (outage.seconds / 3600):.3f}",
    ]


def broken_limits(outage: Outage, result: Result) -> list[str]:
    """What must hold and does not, in words; time to call for a million users is on top."""
    calling = outage.messages / 100 / outage.settings.share / outage.settings.concurrency
    within = (300 if outage.seconds <= 4 * 3_600 else 900) + calling
    checks = {
        "a message ended on the dead-letter queue": result.dead == 0,
        "more than 20,000 messages in flight": result.most_in_flight <= 20_000,
        f"not all removed within {within:.0f} s": result.removed_within(1.0) <= within,
    }
    return [f"{row(outage, result)[:2]}: {text}" for text, holds in checks.items() if not holds]


def show(rows: list[list[str]]) -> str:
    """Rows below their columns' names, aligned."""
    every = [list(COLUMNS), *rows]
    widths = [max(len(one[column]) for one in every) for column in range(len(COLUMNS))]
    return "\n".join("  ".join(map(str.rjust, one, widths)) for one in every)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--messages", type=int, nargs="+", default=MESSAGES)
    parser.add_argument("--hours", type=float, nargs="+", default=HOURS)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    sizes = product(options.hours, options.messages)
    outages = [Outage(messages, hours * 3_600) for hours, messages in sizes]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(simulate, outages, repeat(options.seed)))
        fixed = list(pool.map(replace_usersig, range(FIXES)))
    print(show([row(*one) for one in zip(outages, results, strict=True)]))
    print(f"\nA refused UserSig is replaced: the first removal follows within {max(fixed)} s")
    broken = [text for one in zip(outages, results, strict=True) for text in broken_limits(*one)]
    if max(fixed) > FIXED_SECONDS:
        broken.append(f"the first removal follows {max(fixed)} s after a UserSig was replaced")
    for text in broken:
        print(f"NOT AS EXPECTED: {text}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
