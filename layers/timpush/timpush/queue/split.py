"""Cuts what is too large for one message: the only cutter, for messages and for dead letters."""

import json
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from timpush.messages import UserTags
from timpush.queue.attributes import MAX_BYTES, Message
from timpush.removal.packing import MAX_USERS

MAX_ROW_TAGS = 1_000
"""Tags of one user in one row, so that a user with any number of tags can be cut."""

T = TypeVar("T")

encode = json.JSONEncoder(separators=(",", ":")).encode
"""JSON in ASCII, in which characters and bytes are the same number."""


def cut(
    sized: Iterable[tuple[T, int]], max_size: int, max_items: int = sys.maxsize
) -> Iterator[list[T]]:
    """Cut items, each with its size, into runs of at most `max_size` and `max_items`.

    An item that is larger than `max_size` is a run of its own.
    """
    run: list[T] = []
    total = 0
    for item, size in sized:
        if run and (len(run) == max_items or total + size > max_size):
            yield run
            run, total = [], 0
        run.append(item)
        total += size
    if run:
        yield run


def cut_tags(users: Iterable[UserTags]) -> Iterator[UserTags]:
    """Each user with at most 1,000 tags at a time."""
    for account, tags in users:
        for start in range(0, len(tags), MAX_ROW_TAGS):
            yield account, tags[start : start + MAX_ROW_TAGS]


def queue_messages(
    users: Iterable[UserTags],
    not_after: float | None,
    attributes: dict[str, str],
    group_id: str = "",
    max_users: int = MAX_USERS,
) -> Iterator[tuple[Message, list[str]]]:
    """Cut users into messages for the queue; with each, the accounts that it holds.

    A user with very many tags may be in several messages. A message is larger than SQS takes only
    when its one user's account is hundreds of kilobytes long.
    """
    empty = Message(_body([], not_after), attributes)
    rows = (
        (account, encode({"To_Account": account, "Tags": tags}))
        for account, tags in cut_tags(users)
    )
    sized = ((row, len(row[1]) + 1) for row in rows)  # and its comma
    for run in cut(sized, MAX_BYTES - empty.size(), max_users):
        body = _body([row for _, row in run], not_after)
        yield Message(body, attributes, group_id), [account for account, _ in run]


def _body(rows: list[str], not_after: float | None) -> str:
    limit = "" if not_after is None else f',"NotAfter":{json.dumps(not_after)}'
    return f'{{"UserTags":[{",".join(rows)}]{limit}}}'
