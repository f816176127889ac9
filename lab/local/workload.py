"""What the local run sends, and what must have become of it afterwards."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EVENTS = Path(__file__).parents[2] / "events"
POISON_TAG = "refused-tag"
POISON_CODE = 90034
UNKNOWN_CODE = 70107


@dataclass
class Workload:
    """Message bodies to send, the tags that TIMPush holds before, and the outcome expected.

    `dead_letters` counts (account, tag, code) expected on the dead-letter queue; `malformed` holds
    the bodies expected there as they are. `load_users` counts the users of the plain load, without
    the cases that go wrong and the sample events.
    """

    bodies: list[str] = field(default_factory=list)
    tags: dict[str, set[str]] = field(default_factory=dict)
    removed: dict[str, set[str]] = field(default_factory=dict)
    dead_letters: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    malformed: list[str] = field(default_factory=list)
    load_users: int = 0

    def send(self, users: dict[str, list[str]], **extra: Any) -> None:
        """Add a message whose users are known to TIMPush and lose these tags, no others."""
        for account, tags in users.items():
            self.tags.setdefault(account, {"kept"}).update(tags)
            self.removed.setdefault(account, set()).update(tags)
        self.bodies.append(body(users, **extra))

    def send_rejected(self, users: dict[str, list[str]], code: int | str, **extra: Any) -> None:
        """Add a message all of whose tags end on the dead-letter queue with this code."""
        self.bodies.append(body(users, **extra))
        self.dead_letters.update(
            (account, tag, str(code)) for account, tags in users.items() for tag in tags
        )


def body(users: dict[str, list[str]], **extra: Any) -> str:
    """A message body."""
    rows = [{"To_Account": account, "Tags": tags} for account, tags in users.items()]
    return json.dumps({"UserTags": rows} | extra, ensure_ascii=False)


def make_workload(users: int) -> Workload:
    """About `users` users: in messages of 50, of 5 and of 1, and the cases that go wrong."""
    work = Workload()
    accounts = [f"user-{number:06d}" for number in range(users)]
    start = 0
    for size, share in ((50, 0.75), (5, 0.2), (1, 0.05)):
        end = start + int(users * share)
        for first in range(start, end, size):
            chunk = accounts[first : min(first + size, end)]
            work.send({account: ["campaign-2026", f"tier-{size}"] for account in chunk})
        start = end
    work.load_users = len(work.removed)
    _add_troubles(work)
    _add_events(work)
    return work


def _add_troubles(work: Workload) -> None:
    for number in range(20):
        work.send_rejected({f"not-imported-{number:02d}": ["campaign-2026"]}, UNKNOWN_CODE)
    work.malformed.append('{"UserTags": [{"To_Account": "user-000000", "Tags": "no-array"}]}')
    work.bodies.append(work.malformed[-1])
    work.send_rejected({"late-user": ["campaign-2025"]}, "Expired", NotAfter=1)
    # One user whose tag fails whole calls; the same user's other tag can be removed.
    work.tags["poisoned-user"] = {"kept", "good"}
    work.removed["poisoned-user"] = {"good"}
    work.dead_letters["poisoned-user", POISON_TAG, str(POISON_CODE)] += 1
    work.bodies.append(body({"poisoned-user": ["good", POISON_TAG]}))


def _add_events(work: Workload) -> None:
    """The messages of the sample event with many users."""
    event = json.loads((EVENTS / "sqs-many-users.json").read_text())
    for record in event["Records"]:
        rows = json.loads(record["body"])["UserTags"]
        work.send({row["To_Account"]: row["Tags"] for row in rows})
