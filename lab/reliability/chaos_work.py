"""The messages of a chaos run, and how each user's tags must end."""

import json
import random
from dataclasses import dataclass, field
from typing import Any

SIZES = ((100, 0.70), (20, 0.28), (1, 0.02))
"""Users in a message, and the part of all users that come in such messages."""
TAG = "campaign-2026"
KEPT = "kept"
REFUSED_TAG, REFUSED_CODE = "refused-tag", 90034
UNKNOWN_CODE = 70107
MALFORMED = ('{"UserTags": []}', "not JSON", '{"UserTags": [{"To_Account": 1, "Tags": ["a"]}]}')

Tag = tuple[str, str]
"""An account and a tag."""


@dataclass
class Work:
    """Message bodies, the tags that TIMPush holds before, and the tags that must be dead-lettered.

    `wanted` holds the tags that each body names, by its position; none of a malformed body.
    `dead_letters` gives the code of each tag that can never be removed.
    """

    bodies: list[str] = field(default_factory=list)
    wanted: list[set[Tag]] = field(default_factory=list)
    tags: dict[str, set[str]] = field(default_factory=dict)
    dead_letters: dict[Tag, str] = field(default_factory=dict)

    def send(self, users: dict[str, list[str]], **extra: Any) -> None:
        """Add a message."""
        rows = [{"To_Account": account, "Tags": tags} for account, tags in users.items()]
        self.bodies.append(json.dumps({"UserTags": rows} | extra))
        self.wanted.append({(account, tag) for account, tags in users.items() for tag in tags})


def make_work(users: int, rng: random.Random) -> Work:
    """Messages of 100, 20 and 1 users, in random order, with each kind of trouble among them."""
    work = Work()
    accounts = [f"user-{number:06d}" for number in range(users)]
    work.tags = {account: {TAG, KEPT} for account in accounts}
    refused = set(rng.sample(accounts, max(1, users // 5_000)))
    first = 0
    for size, part in SIZES:
        last = min(users, first + round(users * part))
        for start in range(first, last, size):
            chunk = accounts[start : min(start + size, last)]
            work.send({one: [TAG, REFUSED_TAG] if one in refused else [TAG] for one in chunk})
        first = last
    # accounts that a rounding left over
    for account in accounts[first:]:
        work.send({account: [TAG]})
    work.dead_letters = {
        (account, REFUSED_TAG): str(REFUSED_CODE)
        for wanted in work.wanted
        for account, tag in wanted
        if tag == REFUSED_TAG
    }
    _add_troubles(work, accounts, rng)
    order = rng.sample(range(len(work.bodies)), len(work.bodies))
    work.bodies = [work.bodies[one] for one in order]
    work.wanted = [work.wanted[one] for one in order]
    return work


def _add_troubles(work: Work, accounts: list[str], rng: random.Random) -> None:
    some = max(1, len(accounts) // 1_000)
    for number in range(2 * some):  # unknown to TIMPush, each beside a user that is known
        stranger = f"stranger-{number:04d}"
        work.send({stranger: [TAG], rng.choice(accounts): [TAG]})
        work.dead_letters[stranger, TAG] = str(UNKNOWN_CODE)
    for number in range(some):  # too late
        account = f"late-{number:04d}"
        work.tags[account] = {TAG, KEPT}
        work.send({account: [TAG]}, NotAfter=1)
        work.dead_letters[account, TAG] = "Expired"
    for _ in range(some):  # the same users once more, with more tags than a call takes
        account = rng.choice(accounts)
        tags = [f"tag-{number}" for number in range(15)]
        work.tags[account].update(tags)
        work.send({account: tags})
    for number in range(some):
        work.bodies.append(MALFORMED[number % len(MALFORMED)])
        work.wanted.append(set())
