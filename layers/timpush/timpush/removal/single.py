"""Exactly one call, now, for somebody who waits: no retry, no search for the guilty.

What the call does not settle is handed back, for the queue, where the worker has all the time.
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
from timpush.outcomes import EXPIRED, REMOVED, Outcome
from timpush.removal.engine import PROBE_SECONDS, Standing
from timpush.tencent.client import CALL_SECONDS, TimPushClient
from timpush.tencent.credentials import Credential, Credentials
from timpush.tencent.replies import Failures

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


@dataclass(frozen=True, slots=True)
class Removed:
    """What became of each account, why the call as a whole failed, and the calls by metric name.

    A parked account can never succeed; nothing was sent to a dead-letter queue. `seconds` is how
    long the call took, None without one.
    """

    outcomes: dict[str, Outcome]
    error: TimPushError | None = None
    counts: Counter[str] = field(default_factory=Counter)
    seconds: float | None = None


def remove_now(
    users: list[UserTags], not_after: float | None, caller: Caller, deadline: float
) -> Removed:
    """Remove the tags of at most 100 users, each with at most 10 tags, by at most one call.

    Ends by `deadline` (of the clock), but for the time Secrets Manager takes. No call is made
    after `not_after` (Unix seconds), with a UserSig known to be refused, or without time for it.
    """
    counts: Counter[str] = Counter()
    started: float | None = None
    if not_after is not None and not_after < caller.now():
        return Removed(dict.fromkeys((account for account, _ in users), EXPIRED))
    try:
        credential = _sign_in(caller)
        if caller.clock() + CALL_SECONDS > deadline:
            raise TransientError("Deadline", "no time was left to call")
        counts["Calls"] += 1
        started = caller.clock()
        failures = _call(users, credential, caller, deadline)
    except TimPushError as error:
        _count(error, counts)
        seconds = None if started is None else caller.clock() - started
        return Removed(_whole(users, error), error, counts, seconds)
    for kind, name in LISTED.items():
        counts[name] += any(isinstance(error, kind) for error in failures.values())
    outcomes = {account: _settle(failures.get(account)) for account, _ in users}
    return Removed(outcomes, counts=counts, seconds=caller.clock() - started)


def _sign_in(caller: Caller) -> Credential:
    """The UserSig to send. One that was refused is read anew, and else sent once a minute."""
    standing, now = caller.standing, caller.now()
    credential = caller.credentials.get()
    if credential != standing.refused:
        return credential
    credential = caller.credentials.refresh()
    if credential == standing.refused:
        if 0 <= now - standing.tried_at < PROBE_SECONDS:
            raise SecretError("the UserSig was refused; it is tried once a minute")
        standing.tried_at = now
    return credential


def _call(
    users: list[UserTags], credential: Credential, caller: Caller, deadline: float
) -> Failures:
    """The call, in a thread: a reply that trickles in must not keep the caller past `deadline`."""
    caller.client.drop_idle_connections()
    executor = ThreadPoolExecutor(1)
    future = executor.submit(caller.client.remove_tag, users, credential, deadline)
    try:
        failures = future.result(max(0.0, deadline - caller.clock()))
    except CredentialsError:
        caller.standing.refused, caller.standing.tried_at = credential, caller.now()
        raise
    except InputError:  # the UserSig was taken
        caller.standing.refused = None
        raise
    except TimeoutError:
        raise TransientError("Deadline", "no reply came in time") from None
    finally:
        executor.shutdown(wait=False)
    caller.standing.refused = None
    return failures


def _whole(users: list[UserTags], error: TimPushError) -> dict[str, Outcome]:
    """The call as a whole failed; only of a user who was alone in it the guilt is known."""
    if isinstance(error, CallError):
        if len(users) == 1:
            return {account: _settle(error) for account, _ in users}
        label = error.label
    else:
        label = "credentials"
    handed_back = Outcome("retry", label, str(error))
    return dict.fromkeys((account for account, _ in users), handed_back)


def _settle(error: CallError | None) -> Outcome:
    """One user. Input that was refused is told at once: the caller can mend it."""
    if error is None:
        return REMOVED
    if isinstance(error, InputError):
        return Outcome("rejected", error.code, error.message)
    return Outcome("retry", error.label, str(error))


def _count(error: TimPushError, counts: Counter[str]) -> None:
    counts["CallsFailed"] += counts["Calls"]
    counts["RateLimited"] += isinstance(error, RateLimitError)
    counts["CredentialErrors"] += isinstance(error, SecretError | CredentialsError)
    counts["ConfigurationErrors"] += isinstance(error, ConfigurationError)
