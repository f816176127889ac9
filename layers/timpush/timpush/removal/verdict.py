"""A reply -> what it says of each user. Pure: nothing here remembers or changes anything."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from timpush.errors import (
    CallError,
    ConfigurationError,
    InputError,
    RateLimitError,
    TransientError,
    UnknownError,
)
from timpush.messages import UserTags
from timpush.outcomes import REMOVED, Outcome
from timpush.tencent.codes import ACCOUNT_CODES, SEARCHED_CODES

Reply = Mapping[str, CallError] | CallError
"""The accounts that a call failed for, with their errors; or the error of the call as a whole."""

ODD_REPLY = "OddReply"
"""The code of a reply that is not as documented."""


@dataclass(slots=True)
class Verdict:
    """What a reply leads to.

    `removed` users succeeded; `settled` holds others with the error that is theirs alone. `again`
    are to be sent once more. Each group in `apart` is to be sent by itself, because one of its
    users or tags made the call fail. `errors` are all that the reply names, `failed` is the one of
    the call as a whole.
    """

    removed: list[UserTags] = field(default_factory=list)
    settled: list[tuple[UserTags, CallError]] = field(default_factory=list)
    again: list[UserTags] = field(default_factory=list)
    apart: list[list[UserTags]] = field(default_factory=list)
    errors: list[CallError] = field(default_factory=list)
    failed: CallError | None = None


def judge(users: list[UserTags], reply: Reply) -> Verdict:
    """What a reply to a call with these users says of each."""
    if not isinstance(reply, CallError):
        return _judge_each(users, reply)
    verdict = Verdict(failed=reply, errors=[reply])
    if is_searched(reply):
        verdict.apart = halves(users, split_tags=not isinstance(reply, UnknownError))
        if not verdict.apart:
            verdict.settled = [(user, reply) for user in users]
    return verdict


def is_searched(error: CallError) -> bool:
    """Whether one user or tag may have made the whole call fail with this error."""
    return isinstance(error, InputError | UnknownError) or (
        isinstance(error, ConfigurationError) and error.code in SEARCHED_CODES
    )


def _judge_each(users: list[UserTags], failures: Mapping[str, CallError]) -> Verdict:
    if not failures:
        return Verdict(removed=users)
    verdict = Verdict(errors=list(failures.values()))
    suspects: list[UserTags] = []
    for account, tags in users:
        error = failures.get(account)
        if error is None:
            verdict.removed.append((account, tags))
        elif isinstance(error, TransientError | RateLimitError):
            verdict.again.append((account, tags))
        elif isinstance(error, InputError) and len(tags) > 1 and error.code not in ACCOUNT_CODES:
            suspects.append((account, tags))
        else:
            verdict.settled.append(((account, tags), error))
    verdict.apart = _halve_tags(suspects)
    return verdict


def outcome_of(error: CallError | None) -> Outcome:
    """The outcome of a user who succeeded, or whom alone this error struck."""
    if error is None:
        return REMOVED
    if isinstance(error, InputError):
        return Outcome("rejected", error.code, error.message)
    return Outcome("retry", error.label, str(error))


def halves(users: list[UserTags], split_tags: bool) -> list[list[UserTags]]:
    """Two halves to be sent apart: of the users or, of one user alone, of the tags; else none."""
    if len(users) > 1:
        middle = (len(users) + 1) // 2
        return [users[:middle], users[middle:]]
    return _halve_tags(users) if split_tags and len(users[0][1]) > 1 else []


def _halve_tags(users: list[UserTags]) -> list[list[UserTags]]:
    """The first halves of all users' tags in one call, the second halves in another."""
    first = [(account, tags[: (len(tags) + 1) // 2]) for account, tags in users]
    second = [(account, tags[(len(tags) + 1) // 2 :]) for account, tags in users]
    return [first, second] if users else []
