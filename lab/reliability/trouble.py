"""Measures the pace of the worker's core while TIMPush fails in part, in virtual time.

    python -m reliability.trouble [--users 1000000] [--batch 100000] [--seed 1]

Four workers of 25 calls a second each remove one tag of every user, in invocations of 110 s, with
the application's own decisions; a reply takes 100 ms unless said otherwise. Users that an
invocation returns are part of a later one. Exit code 0 only if each pace reaches its goal, at most
`MOST_RETURNED` users are returned, and none is rejected.
"""

import argparse
import math
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass

from support.scene import Reply, Scene, Script, failing, listing, succeed
from timpush.messages import UserTags
from timpush.outcomes import Wanted

WORKERS = 4
SHARE = 25
SECONDS = 110.0
LATENCY = 0.1
MOST_RETURNED = 5
"""Users that may be returned though nothing is wrong with them: where half of the calls fail, all
22 attempts at a lone user fail by chance for 0.15 of 1,000,000 (see `plan.PART_FAILURES`)."""


@dataclass(frozen=True)
class Trouble:
    """What goes wrong; `left` is the part of the pace that it leaves, `goal` the part of that."""

    name: str
    left: float
    goal: float
    make: Callable[[random.Random], Script]


@dataclass
class Pace:
    """What four workers did with all the users."""

    users_per_second: float
    calls: int
    returned: int
    rejected: int


def some_calls_fail(code: int, part: float) -> Callable[[random.Random], Script]:
    """This part of the calls fails as a whole with the code."""

    def make(rng: random.Random) -> Script:
        def script(*_: object) -> Reply:
            return failing(code, latency=LATENCY) if rng.random() < part else Reply(latency=LATENCY)

        return script

    return make


def some_users_listed(code: int, part: float) -> Callable[[random.Random], Script]:
    """This part of the users of each call is listed with the code."""

    def make(rng: random.Random) -> Script:
        def script(users: list[UserTags], _: object) -> Reply:
            listed = [account for account, _ in users if rng.random() < part]
            return listing(listed, code, latency=LATENCY)

        return script

    return make


def every_reply_takes(seconds: float) -> Callable[[random.Random], Script]:
    """Slow, but without failures."""
    return lambda _: lambda *_: Reply(latency=seconds)


TROUBLES = (
    Trouble("none", 1.0, 0.97, every_reply_takes(LATENCY)),
    Trouble("5 % of calls 91000", 0.95, 0.90 / 0.95, some_calls_fail(91000, 0.05)),
    Trouble("20 % of calls 91000", 0.80, 0.80, some_calls_fail(91000, 0.20)),
    Trouble("50 % of calls 91000", 0.50, 0.80, some_calls_fail(91000, 0.50)),
    Trouble("5 % of calls 60011", 0.95, 0.80, some_calls_fail(60011, 0.05)),
    Trouble("50 % of calls 60011", 0.50, 0.40, some_calls_fail(60011, 0.50)),
    Trouble("1 % of users 60018", 0.99, 0.80, some_users_listed(60018, 0.01)),
    Trouble("every reply 2.9 s", 1.0, 0.80, every_reply_takes(2.9)),
)
"""Goals for 91000 are of the error-free pace: above 90 % at 5 %, above 40 % at 50 %."""


HEAD = (
    f"{'trouble':<22}{'users/s':>9}{'of error-free':>15}{'of what is left':>17}{'goal':>7}"
    f"{'calls':>9}{'returned':>10}{'rejected':>10}"
)


def measure(trouble: Trouble, users: int, batch: int, seed: int) -> Pace:
    """Remove the tags of so many users; each worker has a quarter of them."""
    pace = Pace(0.0, 0, 0, 0)
    for worker in range(WORKERS):
        rng = random.Random(f"{seed} {worker}")
        scene = Scene(succeed, SHARE, rng.random)
        scene.invoke({"first": {"tag": math.inf}})  # its UserSig has proved good
        earlier, began = len(scene.client.started), scene.time.clock()
        scene.client.script = trouble.make(rng)
        _drain(scene, users // WORKERS, batch, pace)
        pace.calls += len(scene.client.started) - earlier
        pace.users_per_second += users / WORKERS / (scene.time.clock() - began)
    return pace


def _drain(scene: Scene, users: int, batch: int, pace: Pace) -> None:
    left: Wanted = {f"user-{number}": {"tag": math.inf} for number in range(users)}
    while left:
        wanted = {account: left.pop(account) for account in list(left)[:batch]}
        removal = scene.invoke(wanted, SECONDS)
        for account, _, outcome in removal.ledger.outcomes((a, list(t)) for a, t in wanted.items()):
            if outcome.state == "rejected":
                pace.rejected += 1
            else:
                pace.returned += outcome.code != "deadline"
                left[account] = wanted[account]


def main() -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(
        f"{given.users:,} users in batches of {given.batch:,}, {WORKERS} workers x {SHARE} calls/s"
    )
    print(HEAD)
    free, reached = 0.0, True
    for trouble in TROUBLES:
        pace = measure(trouble, given.users, given.batch, given.seed)
        free = free or pace.users_per_second
        part = pace.users_per_second / free
        of_left = part / trouble.left
        reached &= of_left >= trouble.goal and pace.returned <= MOST_RETURNED and not pace.rejected
        print(
            f"{trouble.name:<22}{pace.users_per_second:>9,.0f}{part:>15.1%}{of_left:>17.1%}"
            f"{trouble.goal:>7.0%}{pace.calls:>9,}{pace.returned:>10,}{pace.rejected:>10,}"
        )
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
