"""What became of each tag in one invocation, and what is counted of it. Pure."""

import math
from collections import Counter
from collections.abc import Collection, Mapping
from itertools import chain

from timpush.errors import CallError, ConfigurationError, CredentialsError, RateLimitError
from timpush.messages import UserTags
from timpush.outcomes import EXPIRED, REMOVED, Ledger, Outcome
from timpush.removal.pace import Now
from timpush.removal.refused_tags import RefusedTags
from timpush.removal.verdict import ODD_REPLY, outcome_of

COUNTED: dict[type[CallError], str] = {
    RateLimitError: "RateLimited",
    CredentialsError: "CredentialErrors",
    ConfigurationError: "ConfigurationErrors",
}


class Results:
    """The ledger of an invocation, and the counts that come of filling it.

    `counts` holds the calls by metric name, `faults` how many calls and users each error (class,
    code, text) struck, `tags` what is known of refused tags.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.tags = RefusedTags(ledger)
        self.counts: Counter[str] = Counter()
        self.faults: Counter[tuple[str, int | str, str]] = Counter()
        until = set(chain.from_iterable(map(dict.values, ledger.wanted.values())))
        self._expires = not until <= {math.inf}

    def all_live(self, now: Now) -> Mapping[str, Collection[str]]:
        """All tags that are wanted and have not expired, by account."""
        if not self._expires:
            return self.ledger.wanted
        return dict(self.live([(a, list(tags)) for a, tags in self.ledger.wanted.items()], now))

    def live(self, users: list[UserTags], now: Now) -> list[UserTags]:
        """The users with the tags that are still to be removed; the others are settled here.

        A tag is not if its `NotAfter` has passed, or if TIMPush refuses it for every user.
        """
        if not (self._expires or self.tags.refused):
            return users
        checked = [(account, self._live_tags(account, tags, now)) for account, tags in users]
        return [(account, tags) for account, tags in checked if tags]

    def _live_tags(self, account: str, tags: list[str], now: Now) -> list[str]:
        until, refused = self.ledger.wanted[account], self.tags.refused
        live: list[str] = []
        for tag in tags:
            if until[tag] < now.unix:
                self.ledger.record(account, [tag], EXPIRED)
            elif tag in refused:
                self.ledger.record(account, [tag], refused[tag])
            else:
                live.append(tag)
        return live

    def remove(self, users: list[UserTags]) -> None:
        """These users lost these tags."""
        for account, tags in users:
            self.ledger.record(account, tags, REMOVED)
        self.tags.were_removed(users)

    def settle(self, users: list[UserTags], error: CallError, rejected: bool = False) -> None:
        """These users were struck by an error that is theirs alone.

        `rejected`: they can never succeed, though the error's class alone does not say so.
        """
        outcome = Outcome("rejected", error.code, error.message) if rejected else outcome_of(error)
        for account, tags in users:
            self.note(error)
            self.ledger.record(account, tags, outcome)

    def note(self, error: CallError) -> None:
        """An error struck a call or a user."""
        self.faults[error.label, error.code, error.message] += 1

    def count(self, errors: list[CallError]) -> None:
        """Count the errors that a reply names, by metric name."""
        kinds = Counter(name for one in errors if (name := COUNTED.get(type(one))))
        kinds["RateLimited"] = min(1, kinds["RateLimited"])
        kinds["OddReplies"] = int(any(one.code == ODD_REPLY for one in errors))
        self.counts += kinds
