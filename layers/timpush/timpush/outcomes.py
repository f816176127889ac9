"""What became of each tag of each user: removed, rejected, or to be retried."""

from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

from timpush.messages import UserTags


class Outcome(NamedTuple):
    """The end of one user's tag in this invocation.

    `rejected` can never succeed: `code` and `text` say why. `retry` is to be tried again: `code` is
    the reason. What becomes of either, such as the dead-letter queue, is the caller's business.
    """

    state: Literal["removed", "rejected", "retry"]
    code: int | str = ""
    text: str = ""


REMOVED = Outcome("removed")
EXPIRED = Outcome("rejected", "Expired", "expired: NotAfter has passed")

Wanted = dict[str, dict[str, float]]
"""Account -> tag -> the latest time (Unix seconds) at which its removal is wanted."""


class Ledger:
    """The outcome of each wanted tag. A tag without a recorded outcome is to be retried."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.unsent = Outcome("retry", "unsent")
        self._accounts: dict[str, Outcome] = {}
        self._tags: dict[str, dict[str, Outcome]] = {}

    def record(self, account: str, tags: Collection[str], outcome: Outcome) -> None:
        """Write down what became of these tags of the account."""
        if len(tags) == len(self.wanted[account]):
            self._accounts[account] = outcome
        else:
            self._tags.setdefault(account, {}).update(dict.fromkeys(tags, outcome))

    def outcome(self, account: str, tag: str) -> Outcome:
        """What became of the account's tag."""
        whole = self._accounts.get(account)
        return whole or self._tags.get(account, {}).get(tag, self.unsent)

    def outcomes(self, users: Iterable[UserTags]) -> list[tuple[str, str, Outcome]]:
        """(account, tag, outcome) for each of these users' tags that was not removed."""
        return [
            (account, tag, outcome)
            for account, tags in users
            if self._accounts.get(account) is not REMOVED
            for tag in tags
            if (outcome := self.outcome(account, tag)) is not REMOVED
        ]

    def removed(self) -> int:
        """How many accounts lost every tag that was wanted off them."""
        return sum(
            self._accounts.get(account) is REMOVED
            or all(self.outcome(account, tag) is REMOVED for tag in tags)
            for account, tags in self.wanted.items()
        )
