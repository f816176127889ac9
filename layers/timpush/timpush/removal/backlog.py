"""The calls still to be made: fresh ones, retries with a due time, and searches. Pure."""

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import count

from timpush.errors import CallError
from timpush.messages import UserTags
from timpush.removal.packing import fit_together

PART_STEP = 37
"""No divisor of 100: users at the same place of each message are not met again and again."""


@dataclass(slots=True)
class Call:
    """Users to send together.

    `failures` counts its attempts that failed. `cause` is why its users are sent apart from others,
    None if they are not. `answers` is how many calls TIMPush had answered when it first failed.
    `epoch` is set at its start: see `plan`.
    """

    users: list[UserTags]
    failures: int = 0
    cause: CallError | None = None
    answers: int = 0
    repeated: bool = False
    epoch: int = 0


class Backlog:
    """Calls in the order in which they are worth making.

    A retry that is due goes first. Searches and fresh calls take turns, so that bad input never
    holds up the rest; among searches the narrowest is first, so that some come to their end in
    every invocation.
    """

    def __init__(self, calls: Iterable[list[UserTags]]) -> None:
        self._fresh = deque(Call(users) for users in calls)
        self._retries: list[tuple[float, int, Call]] = []
        self._searches: list[tuple[int, int, int, Call]] = []
        self._shared: dict[int, Call] = {}
        self._order = count()
        self._searched = False
        self._parts = 0

    def __bool__(self) -> bool:
        return bool(self._fresh or self._searches or self._retries)

    def has_fresh(self) -> bool:
        """Whether calls wait that were not made yet."""
        return bool(self._fresh)

    def earliest(self, clock: float) -> float:
        """When (of the clock) a call is due, of a backlog that is not empty."""
        return clock if self._fresh or self._searches else max(clock, self._retries[0][0])

    def take(self, clock: float, most_users: int) -> Call:
        """Take the next call; of one with more users than that, so many of them.

        They are taken from another place of the call each time, so that several such calls meet
        users at random.
        """
        call = self._take(clock)
        if len(call.users) > most_users:
            self._parts += 1
            first = PART_STEP * self._parts % len(call.users)
            users = call.users[first:] + call.users[:first]
            self.put_first(replace(call, users=users[most_users:]))
            call = replace(call, users=users[:most_users], failures=0)
        return call

    def _take(self, clock: float) -> Call:
        if self._retries and (self._retries[0][0] <= clock or not (self._fresh or self._searches)):
            call = heapq.heappop(self._retries)[2]
            if self._shared.get(call.failures) is call:
                del self._shared[call.failures]
            return call
        self._searched = bool(self._searches) and not (self._searched and self._fresh)
        return heapq.heappop(self._searches)[-1] if self._searched else self._fresh.popleft()

    def retry(self, call: Call, due: float) -> None:
        """Make the call again when it is due."""
        heapq.heappush(self._retries, (due, next(self._order), call))

    def retry_together(self, call: Call, due: float) -> None:
        """Make the call again, together with others that failed as often, as far as they fit."""
        shared = self._shared.get(call.failures)
        if shared is not None and fit_together(shared.users, call.users):
            shared.users.extend(call.users)
            return
        self._shared[call.failures] = call
        self.retry(call, due)

    def search(self, call: Call) -> None:
        """Make the call apart from others."""
        tags = sum(len(tags) for _, tags in call.users)
        heapq.heappush(self._searches, (len(call.users), tags, next(self._order), call))

    def put_first(self, call: Call) -> None:
        """Make the call before all that is fresh."""
        if call.cause:
            self.search(call)
        else:
            self._fresh.appendleft(call)

    def put_last(self, call: Call) -> None:
        """Make the call after all that is fresh, so that another one probes."""
        self._fresh.append(call)

    def split_off(self, tag: str, most: int) -> list[UserTags]:
        """Take the tag off this many users, spread over all that have it and others beside it.

        Returns these users with the tag alone; none when there are too few.
        """
        retries, searches = (one[-1] for one in self._retries), (one[-1] for one in self._searches)
        calls: list[Call] = [*self._fresh, *retries, *searches]
        holders = [
            (call, position)
            for call in calls
            for position, (_, tags) in enumerate(call.users)
            if tag in tags and len(call.users) + len(tags) > 2
        ]
        chosen = holders[:: max(1, len(holders) // most)][:most] if len(holders) >= most else []
        alone: list[UserTags] = [(call.users[position][0], [tag]) for call, position in chosen]
        for call, position in chosen:
            account, tags = call.users[position]
            call.users[position] = account, [one for one in tags if one != tag]
        for call in calls if chosen else ():
            call.users = [(account, tags) for account, tags in call.users if tags]
        return alone
