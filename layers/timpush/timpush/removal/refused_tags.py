"""Tags that TIMPush refuses for every user: found on a few users, then known for all. Pure."""

from collections import Counter

from timpush.messages import UserTags
from timpush.outcomes import REMOVED, Ledger, Outcome

SAMPLES = 8
"""A tag counts as refused when TIMPush refuses it for the user on whom it was found and for this
many others, each tried alone, spread over all users who have it, and no user has lost it. If it
were the accounts that are refused, in truth half of them, 8 of 8 would have a chance of 0.4 %."""


class RefusedTags:
    """What one invocation knows of tags. `refused` holds the outcome of each that is refused."""

    def __init__(self, ledger: Ledger) -> None:
        self.refused: dict[str, Outcome] = {}
        self._ledger = ledger
        self._awaited: dict[str, set[str]] = {}
        self._known: set[str] = set()
        self._holders: Counter[str] | None = None

    def is_suspect(self, tag: str) -> bool:
        """Whether other users are worth a test, once the tag was refused for a user alone."""
        if tag in self._known or self._count_holders()[tag] <= SAMPLES:
            return False
        if self._was_lost(tag):
            self._known.add(tag)
            return False
        return True

    def _was_lost(self, tag: str) -> bool:
        """Whether any user lost the tag."""
        return any(
            tag in tags and self._ledger.outcome(account, tag) is REMOVED
            for account, tags in self._ledger.wanted.items()
        )

    def test(self, tag: str, accounts: list[str]) -> None:
        """The tag is tried alone on these accounts; on none: it was too late to test it."""
        if accounts:
            self._known.add(tag)
            self._awaited[tag] = set(accounts)

    def was_refused(self, account: str, tag: str, outcome: Outcome) -> None:
        """The tag was refused for this account alone."""
        awaited = self._awaited.get(tag)
        if awaited is None:
            return
        awaited.discard(account)
        if not awaited:
            del self._awaited[tag]
            self.refused[tag] = outcome

    def were_removed(self, users: list[UserTags]) -> None:
        """Tags that were taken off a user are not refused for every user."""
        if self._awaited:
            for _, tags in users:
                for tag in tags:
                    self._awaited.pop(tag, None)

    def _count_holders(self) -> Counter[str]:
        if self._holders is None:
            self._holders = Counter(t for tags in self._ledger.wanted.values() for t in tags)
        return self._holders
