"""Batches of messages, as strategies; each message says what it asks for."""

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from support.scene import UNIX_START

Pair = tuple[str, str]
"""An account and one of its tags."""

JUNK = (
    "no JSON",
    "null",
    "[]",
    "{}",
    " ",
    '{"UserTags": []}',
    '{"UserTags": [{"To_Account": "", "Tags": ["x"]}]}',
    '{"UserTags": [{"To_Account": "a", "Tags": []}]}',
    '{"UserTags": [{"To_Account": "account-0", "Tags": ["tag-0"]}, 7]}',
    '{"UserTags": [{"To_Account": "account-0", "Tags": ["' + "x" * 51 + '"]}]}',
    '{"UserTags": [{"To_Account": "account-0", "Tags": ["tag-0"]}], "NotAfter": "soon"}',
    '{"UserTags": [{"To_Account": "account-0", "Tags": ["tag-0"]}], "UserTags": []}',
    '{"UserTags": [{"To_Account": "account-0", "Tags": ["\\ud800"]}]}',
    "x" * 300_000,
)


@dataclass(frozen=True)
class Message:
    """A body, and the pairs it asks to remove: None when it is malformed."""

    body: str
    pairs: frozenset[Pair] | None
    not_after: float | None = None

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        """Short enough to be read in a failing example."""
        printer.text(f"Message({self.body[:300]!r}, {len(self.body)} characters)")


def message(rows: list[tuple[str, list[str]]], not_after: float | None = None) -> Message:
    """The message that asks for these tags of these accounts."""
    users = [{"To_Account": account, "Tags": tags} for account, tags in rows]
    document: dict[str, Any] = {"UserTags": users, "Extra": [{}]}
    if not_after is not None:
        document["NotAfter"] = not_after
    pairs = frozenset((account, tag) for account, tags in rows for tag in tags)
    return Message(json.dumps(document), pairs, not_after)


def crowd(users: int, tags: int = 1, prefix: str = "crowd") -> Message:
    """A message of so many users with so many tags each."""
    names = [f"tag-{number}" for number in range(tags)]
    return message([(f"{prefix}-{number}", names) for number in range(users)])


ACCOUNTS = st.one_of(
    st.integers(0, 12).map("account-{}".format),
    st.sampled_from(["379C2F0D-290D-47AE-94D1-919058C39C77", "é" * 40, "a b\n\"'\\", "x" * 1_100]),
)
TAGS = st.one_of(st.integers(0, 12).map("tag-{}".format), st.sampled_from(["é" * 25, "\x01", " "]))
ROWS = st.lists(st.tuples(ACCOUNTS, st.lists(TAGS, min_size=1, max_size=4)), min_size=1, max_size=4)
MANY_TAGS = st.tuples(ACCOUNTS, st.integers(11, 35)).map(
    lambda one: [(one[0], [f"tag-{number}" for number in range(one[1])])]
)
TIMES = st.none() | st.sampled_from([UNIX_START - 1, UNIX_START + 1, UNIX_START + 30, 0])
MALFORMED = st.integers(0, len(JUNK) - 1).map(lambda number: Message(JUNK[number], None))
MESSAGES = st.one_of(
    st.builds(message, ROWS, TIMES),
    st.builds(message, ROWS | MANY_TAGS),
    MALFORMED,
    st.builds(crowd, st.sampled_from([99, 101, 250]), st.sampled_from([1, 2, 11])),
)


@st.composite
def batches(draw: st.DrawFn, most: int = 8) -> list[tuple[str, Message]]:
    """Messages with their ids, in any order; a message may be there twice, as SQS may do."""
    messages = draw(st.lists(MESSAGES, max_size=most))
    entries = [(f"id-{number}", one) for number, one in enumerate(messages)]
    again = draw(st.lists(st.sampled_from(entries), max_size=2)) if entries else []
    return draw(st.permutations(entries + again))


def latest_by_pair(batch: list[tuple[str, Message]]) -> dict[Pair, float]:
    """Each pair and the latest time at which any of the messages wants it removed."""
    latest: dict[Pair, float] = {}
    for _, one in batch:
        until = float("inf") if one.not_after is None else float(one.not_after)
        for pair in one.pairs or ():
            latest[pair] = max(until, latest.get(pair, until))
    return latest
