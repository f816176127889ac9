"""Exactly one call, now, for a waiting caller: no retry, no search, no waiting for better times.

What the call does not settle is to be retried: the queue's worker has all the time.
"""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from timpush.errors import (
    CallError,
    ConfigurationError,
    CredentialsError,
    InputError,
    RateLimitError,
    SecretError,
    TimPushError,
    TransientError,
)
from timpush.messages import UserTags
from timpush.outcomes import EXPIRED, Outcome
from timpush.removal.pace import Now
from timpush.removal.signing import Signing, Standing
from timpush.removal.verdict import ODD_REPLY, Reply, outcome_of
from timpush.tencent.client import CALL_SECONDS, TimPushClient
from timpush.tencent.credentials import Credential, Credentials

LISTED = {
    RateLimitError: "RateLimited",
    CredentialsError: "CredentialErrors",
    ConfigurationError: "ConfigurationErrors",
}
"""What is counted once of a call that went through, when it lists users with such an error."""


@dataclass(frozen=True, slots=True)
class Caller:
    """What the requests of one environment share. It serves one request at a time."""

    client: TimPushClient
    credentials: Credentials
    standing: Standing = field(default_factory=Standing)
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time

    def moment(self) -> Now:
        """The time by both clocks."""
        return Now(self.clock(), self.now())


@dataclass(frozen=True, slots=True)
class Removed:
    """What became of each account, why the call as a whole failed, and the calls by metric name.

    A rejected account can never succeed; nothing was sent to a dead-letter queue. `seconds` is how
    long the call took, None without one.
    """

    outcomes: dict[str, Outcome]
    error: TimPushError | None = None
    counts: Counter[str] = field(default_factory=Counter)
    seconds: float | None = None


def remove_now(
    users: list[UserTags], not_after: float | None, caller: Caller, deadline: float
) -> Removed:
    """Remove the tags of at most 100 users with at most 10 tags each, by one call at most.

    No call is made after `not_after` (Unix seconds). Returns by `deadline` (of the clock).
    """
    signing = Signing(caller.standing)
    if _is_late(not_after, caller):
        return _every(users, EXPIRED)
    try:
        credential = _sign_in(signing, caller)
    except SecretError as error:
        return _failed(users, error, Counter())
    if _is_late(not_after, caller):  # reading the secret may have taken seconds
        return _every(users, EXPIRED)
    if caller.clock() + CALL_SECONDS > deadline:
        return _failed(users, TransientError("Deadline", "no time was left to call"), Counter())
    started = caller.clock()
    signing.sent(caller.moment())
    reply = _call(users, credential, caller, deadline)
    _learn(signing, reply, caller.moment())
    seconds, counts = caller.clock() - started, Counter(Calls=1)
    if isinstance(reply, CallError):
        return _failed(users, reply, counts, seconds)
    for kind, name in LISTED.items():
        counts[name] += any(isinstance(error, kind) for error in reply.values())
    outcomes = {account: outcome_of(reply.get(account)) for account, _ in users}
    return Removed(outcomes, counts=counts, seconds=seconds)


def _is_late(not_after: float | None, caller: Caller) -> bool:
    return not_after is not None and not_after < caller.now()


def _sign_in(signing: Signing, caller: Caller) -> Credential:
    """The UserSig to send; the rules are those of `signing`.

    Raises:
        SecretError: there is none that may be sent now.
    """
    while how := signing.must_read(caller.moment()):
        read = caller.credentials.get if how == "kept" else caller.credentials.refresh
        found: Credential | SecretError
        try:
            found = read()
        except SecretError as error:
            found = error
        signing.take(found, how, caller.moment())
        if isinstance(found, SecretError):
            raise found
    now = caller.moment()
    if signing.credential is None or signing.send_at(now) > now.clock:
        raise SecretError(signing.why_not(now))
    return signing.credential


def _call(users: list[UserTags], credential: Credential, caller: Caller, deadline: float) -> Reply:
    """The call, in a thread: a reply that trickles in must not keep the caller past `deadline`."""
    caller.client.drop_idle_connections()
    executor = ThreadPoolExecutor(1)
    future = executor.submit(caller.client.remove_tag, users, credential, deadline)
    try:
        return future.result(max(0.0, deadline - caller.clock()))
    except CallError as error:
        return error
    except TimeoutError:
        return TransientError("Deadline", "no reply came in time")
    finally:
        executor.shutdown(wait=False)


def _learn(signing: Signing, reply: Reply, now: Now) -> None:
    """What the reply says of the UserSig: a refusal of the input means that it was taken."""
    if isinstance(reply, CredentialsError):
        signing.refuse(reply, now)
    elif not isinstance(reply, CallError) or isinstance(reply, InputError):
        signing.prove()


def _every(users: list[UserTags], outcome: Outcome) -> Removed:
    return Removed(dict.fromkeys((account for account, _ in users), outcome))


def _failed(
    users: list[UserTags],
    error: TimPushError,
    counts: Counter[str],
    seconds: float | None = None,
) -> Removed:
    """The call as a whole failed, or was not made; what one user caused is known of one alone."""
    counts["CallsFailed"] += counts["Calls"]
    counts["RateLimited"] += isinstance(error, RateLimitError)
    counts["CredentialErrors"] += isinstance(error, SecretError | CredentialsError)
    counts["ConfigurationErrors"] += isinstance(error, ConfigurationError)
    counts["OddReplies"] += error.code == ODD_REPLY
    if isinstance(error, CallError):
        alone = len(users) == 1
        outcome = outcome_of(error) if alone else Outcome("retry", error.label, str(error))
    else:
        outcome = Outcome("retry", "credentials", str(error))
    return Removed(
        dict.fromkeys((account for account, _ in users), outcome), error, counts, seconds
    )
