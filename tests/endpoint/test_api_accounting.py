"""Every user of a request is accounted for once, whatever TIMPush and the queue do."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from support.api import Api, Reply, Tags, document, losing
from support.examples import EXAMPLES
from timpush.removal.packing import MAX_TAGS, MAX_USERS
from timpush_server import Fault

WHOLE_CODES = (70169, 60007, 70001, 60026, 90034, 90018, 70107, 99999)
LISTED_CODES = (70107, 90034, 90048, 70169, 60018, 99999, 60026, 70003)
FAULTS = [
    Fault("drop"),
    Fault("status"),
    Fault("garbage"),
    Fault("lost_reply"),
    Fault("body", body=b'{"ActionStatus":"OK","ErrorCode":0,"ErrorList":[{"To_Account":"?"}]}'),
    *(Fault("code", code=code, info="said TIMPush") for code in WHOLE_CODES),
]
ACCOUNTS = [*(f"user-{number}" for number in range(12)), "用户", "x" * 600_000]
TAGS = [f"tag-{number}" for number in range(14)]


@dataclass
class Request:
    """The rows of a body, what TIMPush does with it, and which messages the queue takes."""

    rows: list[tuple[str, list[str]]]
    crowd: int
    headers: dict[str, str]
    fault: Fault | None
    known: set[str]
    listed: dict[str, int]
    lost: str
    taken_later: bool

    def body(self) -> dict[str, Any]:
        rows = [*self.rows, *((f"crowd-{number}", ["tag-0"]) for number in range(self.crowd))]
        return {"UserTags": [{"To_Account": account, "Tags": tags} for account, tags in rows]}

    def wanted(self) -> dict[str, set[str]]:
        """Each account's distinct tags."""
        tags: dict[str, set[str]] = {}
        for row in self.body()["UserTags"]:
            tags.setdefault(row["To_Account"], set()).update(row["Tags"])
        return tags

    def direct(self) -> bool:
        """Whether one call can hold it, and the caller waits for that."""
        wanted = self.wanted()
        small = len(wanted) <= MAX_USERS and max(map(len, wanted.values())) <= MAX_TAGS
        return small and not self.headers


@st.composite
def requests(draw: st.DrawFn) -> Request:
    accounts = st.sampled_from(ACCOUNTS)
    tags = st.lists(st.sampled_from(TAGS), min_size=1, max_size=3)
    many = st.lists(st.sampled_from(TAGS), min_size=11, max_size=14)
    return Request(
        draw(st.lists(st.tuples(accounts, tags | tags | many), min_size=1, max_size=12)),
        draw(st.sampled_from([0, 0, 0, 88, 250])),
        draw(st.sampled_from([{}, {}, {"Prefer": "respond-async"}])),
        draw(st.none() | st.none() | st.sampled_from(FAULTS)),
        draw(st.sets(accounts)),
        draw(st.dictionaries(accounts, st.sampled_from(LISTED_CODES), max_size=4)),
        draw(st.sampled_from(["none", "none", "user-1", "crowd-7", '"Tags"'])),
        draw(st.booleans()),
    )


def perform(api: Api, request: Request, number: int) -> Reply:
    """Send the request; TIMPush and the queue behave as it says."""
    timpush = api.timpush
    timpush.received.clear()
    timpush.tags = {account: set(TAGS) for account in request.known}
    timpush.account_codes = dict(request.listed)
    if request.fault and request.direct():
        timpush.inject(request.fault)
    # A UserSig of its own: one that was refused before must not keep this request from a call.
    api.store_secret(timpush.secret(expire=15_000_000 + number))
    left = Counter[str]()

    def lost(entry: dict[str, Any]) -> bool:
        left[entry["Id"]] += 1
        again = request.taken_later and left[entry["Id"]] > 1
        return request.lost in entry["MessageBody"] and not again

    with api.queue_fault(losing(lost)):
        return api.post(request.body(), request.headers)


def test_each_user_is_removed_failed_queued_or_named(api: Api) -> None:
    number = iter(range(1_000_000))

    @EXAMPLES
    @given(request=requests())
    def each_user_ends_once(request: Request) -> None:
        reply = perform(api, request, next(number))
        queued, wanted = api.queued(), request.wanted()
        unaccounted = reply.content.get("unaccounted", [])
        event(f"status {reply.status}")

        # The identity, and the status that says so
        assert reply.counted == len(wanted)
        expected = 503 if unaccounted else 202 if reply.content["queued"] else 200
        assert reply.status == expected

        # What the reply says of each user is so
        assert len(set(unaccounted)) == len(unaccounted)
        ends = [set(queued) - set(unaccounted), set(reply.failed), set(unaccounted)]
        removed = set(wanted).difference(*ends)
        assert sum(map(len, ends)) + len(removed) == len(wanted)
        assert len(removed) == reply.content["removed"]
        for account in removed:
            assert not api.timpush.tags[account] & wanted[account]
        for account in set(queued) - set(unaccounted):
            assert Counter(queued[account]) == Counter(wanted[account])

        # Exactly one call, or none
        assert len(api.timpush.received) == (1 if request.direct() else 0)

    each_user_ends_once()


def test_a_request_is_done_when_it_is_sent_again_until_no_user_is_unaccounted(api: Api) -> None:
    asked: Tags = {f"user-{number}": ["gold"] for number in range(250)}
    refused = {"user-7", "user-120", "user-230"}
    done: list[str] = []

    def lost(entry: dict[str, Any]) -> bool:
        return any(f'"{account}"' in entry["MessageBody"] for account in refused)

    # Given a queue that refuses messages with some users, each request one fewer
    while refused:
        with api.queue_fault(losing(lost)):
            reply = api.post(document(asked), {"Prefer": "respond-async"})
        done += sorted(set(asked) - set(reply.content["unaccounted"]))
        asked = {account: asked[account] for account in reply.content["unaccounted"]}
        refused.pop()
    # When those that are named are sent again
    reply = api.post(document(asked), {"Prefer": "respond-async"})
    # Then everybody was queued once
    assert reply.status == 202
    assert sorted(done + list(asked)) == sorted(api.queued())
    assert json.dumps(reply.content["queued"]) == str(len(asked))
