"""Many messages -> few calls: users merged by account, cut into calls of at most 100."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from heapq import heapify, heappop, heappush

from timpush.messages import Document, UserTags
from timpush.outcomes import Wanted

MAX_USERS = 100  # a call; https://trtc.io/document/67822 (n.d.)
MAX_TAGS = 10
"""Tags of one user in a call.

Documented for adding tags (https://cloud.tencent.com/document/product/269/100641, 2025-07-23),
not documented for removing them: the safe reading.
"""
LONG_ACCOUNT = 1024
"""Characters from which an account gets calls of its own: a request that is refused for its size
must not take 99 other users with it."""


def merge(documents: Iterable[Document]) -> Wanted:
    """The tags wanted off each account over all documents, in the order of arrival.

    A tag that several documents hold is wanted until the latest of their `NotAfter`.
    """
    wanted: Wanted = {}
    for document in documents:
        until = math.inf if document.not_after is None else document.not_after
        for account, tags in document.users:
            known = wanted.get(account)
            if known is None:
                wanted[account] = dict.fromkeys(tags, until)
            else:
                for tag in tags:
                    known[tag] = max(until, known.get(tag, until))
    return wanted


def cut(wanted: Mapping[str, Collection[str]]) -> Iterator[list[UserTags]]:
    """Cut into calls: at most 100 users, each account once, at most 10 tags a user.

    The users with the most tags left come first, so the number of calls is the least there can be;
    among equals the order is kept, so users of one message stay together.
    """
    if max(map(len, wanted.values()), default=0) <= MAX_TAGS:
        users = [(account, list(tags)) for account, tags in wanted.items()]
        for start in range(0, len(users), MAX_USERS):
            yield from _long_accounts_apart(users[start : start + MAX_USERS])
        return
    queue = []  # (minus the chunks left, order, account, chunks)
    for order, (account, tags) in enumerate(wanted.items()):
        chunks = _chunks(tags)
        queue.append((-len(chunks), order, account, chunks))
    heapify(queue)
    while queue:
        taken = [heappop(queue) for _ in range(min(MAX_USERS, len(queue)))]
        call = [(account, chunks[left]) for left, _, account, chunks in taken]
        yield from _long_accounts_apart(call)
        for left, order, account, chunks in taken:
            if left < -1:
                heappush(queue, (left + 1, order, account, chunks))


def fit_together(some: list[UserTags], others: list[UserTags]) -> bool:
    """Whether one call may hold all of these users."""
    accounts = {account for account, _ in (*some, *others)}
    full = len(some) + len(others)
    return full == len(accounts) <= MAX_USERS and not any(map(_is_long, accounts))


def _is_long(account: str) -> bool:
    return len(account) >= LONG_ACCOUNT


def _chunks(tags: Iterable[str]) -> list[list[str]]:
    rest = list(tags)
    return [rest[start : start + MAX_TAGS] for start in range(0, len(rest), MAX_TAGS)]


def _long_accounts_apart(call: list[UserTags]) -> Iterator[list[UserTags]]:
    long = [user for user in call if len(user[0]) >= LONG_ACCOUNT]
    if not long:
        yield call
    elif len(call) > len(long):
        yield [user for user in call if len(user[0]) < LONG_ACCOUNT]
    for user in long:
        yield [user]
