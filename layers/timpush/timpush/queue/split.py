"""Users and their tags -> messages for the queue: at most 100 users, at most 1 MiB."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace

from timpush.messages import UserTags
from timpush.queue.sender import MAX_BYTES, Message
from timpush.removal.packing import MAX_USERS

MAX_TAGS = 1_000  # of one user in a message, so that any number of tags fits

_encode = json.JSONEncoder(separators=(",", ":")).encode


def queue_messages(
    users: Iterable[UserTags], not_after: float | None, attributes: dict[str, str]
) -> Iterator[tuple[Message, list[str]]]:
    """Cut users into messages; with each, the accounts that it holds.

    A user with very many tags may be in several messages. A message is larger than SQS takes only
    when its one user's account is hundreds of kilobytes long.
    """
    empty = Message(_body([], not_after), attributes)
    room = MAX_BYTES - empty.size()
    rows: list[str] = []
    accounts: list[str] = []
    size = 0
    for account, row in _rows(users):
        if rows and (len(rows) == MAX_USERS or size + len(row) + 1 > room):
            yield replace(empty, body=_body(rows, not_after)), accounts
            rows, accounts, size = [], [], 0
        rows.append(row)
        accounts.append(account)
        size += len(row) + 1  # and its comma
    if rows:
        yield replace(empty, body=_body(rows, not_after)), accounts


def _rows(users: Iterable[UserTags]) -> Iterator[tuple[str, str]]:
    """Each account and its row as JSON in ASCII, in which characters and bytes are one."""
    for account, tags in users:
        for start in range(0, len(tags), MAX_TAGS):
            row = {"To_Account": account, "Tags": tags[start : start + MAX_TAGS]}
            yield account, _encode(row)


def _body(rows: list[str], not_after: float | None) -> str:
    limit = "" if not_after is None else f',"NotAfter":{json.dumps(not_after)}'
    return f'{{"UserTags":[{",".join(rows)}]{limit}}}'
