"""The logic: calls in flight, retry, isolate the guilty, stop, keep the deadline.

One thread decides everything; worker threads do nothing but wait for replies. What each class of
error leads to stands in `Removal._failed`; what a listed user's error leads to in `_settle_user`.
"""

import heapq
import math
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any

from timpush.errors import (
    CallError,
    ConfigurationError,
    ConnectionReuseError,
    CredentialsError,
    InputError,
    RateLimitError,
    SecretError,
    TransientError,
)
from timpush.messages import UserTags
from timpush.outcomes import EXPIRED, REMOVED, Ledger, Outcome, Wanted
from timpush.removal.pace import Budget
from timpush.removal.packing import cut
from timpush.tencent.client import CALL_SECONDS, TimPushClient
from timpush.tencent.codes import ACCOUNT_CODES, explain
from timpush.tencent.credentials import Credential, Credentials
from timpush.tencent.replies import Failures

MAX_ATTEMPTS = 4
BACKOFF_BASE_SECONDS = 0.25
BACKOFF_CAP_SECONDS = 4.0
RATE_LIMIT_PAUSE_SECONDS = 1.0  # Tencent's limit is per second
BEGIN_SECONDS = 1.0
"""The longest to wait until a thread has taken up its call: there is always one that is free."""
DOWN_AFTER = 5
"""Transient failures in a row after which TIMPush counts as down."""
ISOLATION_CALLS = 200
"""Extra calls an invocation may spend on finding guilty users: at least 8 x (14 + 8), the most
that `ISOLATIONS_IN_FLIGHT` searches among 100 users and 10 tags need to find one each."""
ISOLATIONS_IN_FLIGHT = 8
PROBE_SECONDS = 60.0
"""A refused UserSig is tried again this seldom: repeated failures lock the app out (70050,
https://trtc.io/document/34348, n.d.)."""


@dataclass(slots=True)
class Call:
    """Users to send together; `attempt` counts from 1; `isolating` is why they are tried apart."""

    users: list[UserTags]
    attempt: int = 1
    isolating: CallError | None = None
    repeated: bool = False


@dataclass(slots=True)
class Standing:
    """What an environment remembers of TIMPush between invocations.

    `tried_at` is when the refused UserSig was last sent or refused, in Unix seconds.
    """

    proven: Credential | None = None
    refused: Credential | None = None
    tried_at: float = 0.0
    down: bool = False


def rest(futures: Collection[Future[Any]], seconds: float) -> None:
    """Wait until one of the futures is done, at most so long."""
    if futures:
        wait(futures, seconds, FIRST_COMPLETED)
    else:
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Environment:
    """What the invocations of one environment share. `calls_per_second` is its share."""

    client: TimPushClient
    credentials: Credentials
    calls_per_second: int
    standing: Standing = field(default_factory=Standing)
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    rest: Callable[[Collection[Future[Any]], float], None] = rest
    random: Callable[[], float] = random.random
    executor: Callable[[int], Executor] = ThreadPoolExecutor


def calls_in_flight(calls_per_second: int) -> int:
    """Calls in flight that fill the share even when a reply takes a second."""
    return max(4, calls_per_second)


class Removal:
    """One invocation's removals: `run` it once, then read what became of each user's tags.

    `wanted` is what to remove; `deadline` (of the clock) is when the last call must have ended,
    `began` when the invocation did (None: now).
    `ledger` holds the outcomes, `counts` the calls by metric name, `faults` each distinct error
    with the number of calls and users it struck, `stopped` why no further call was started,
    `users_per_call` and `latencies` (seconds) a value for each call that started or ended.
    """

    def __init__(
        self,
        wanted: Wanted,
        environment: Environment,
        deadline: float,
        began: float | None = None,
    ) -> None:
        self.ledger = Ledger(wanted)
        self.counts: Counter[str] = Counter()
        self.faults: Counter[tuple[str, int | str, str]] = Counter()
        self.stopped = ""
        self.users_per_call: list[int] = []
        self.latencies: list[float] = []
        until = chain.from_iterable(map(dict.values, wanted.values()))
        self._expires = not set(until) <= {math.inf}
        self._env = environment
        self._standing = environment.standing
        self._deadline = deadline
        self._budget = Budget(environment.calls_per_second, environment.clock, began)
        self._limit = calls_in_flight(environment.calls_per_second)
        self._credential: Credential | None = None
        self._reread = False
        self._failures_in_row = 0
        self._isolation_calls = ISOLATION_CALLS
        self._order = count()
        self._flying: dict[Future[Failures], tuple[Call, Credential]] = {}
        self._waiting: list[tuple[float, int, Call]] = []
        self._isolating: list[tuple[int, int, int, Call]] = []
        self._ready = deque(Call(users) for users in cut(self._unexpired_wanted()))

    @property
    def down(self) -> bool:
        """Whether TIMPush was found down."""
        return self.stopped.startswith("down")

    def run(self) -> None:
        """Send what is wanted until all is settled, time is up, or going on makes no sense."""
        if self._ready and self._has_time(self._budget.earliest()):
            self._sign_in()
            self._env.client.drop_idle_connections()
        executor = self._env.executor(self._limit)
        try:
            self._send_all(executor)
        finally:
            executor.shutdown(wait=False, cancel_futures=True)

    def _send_all(self, executor: Executor) -> None:
        while True:
            start_at = self._next_start()
            if start_at is None and not self._flying:
                return
            if start_at is not None and start_at <= self._env.clock():
                self._start(executor)
            else:
                self._rest_until(start_at)
            self._collect()

    # What may start, and when

    def _next_start(self) -> float | None:
        """When the next call may start; None while none may."""
        probing = self._standing.down or self._credential != self._standing.proven
        if self.stopped or len(self._flying) >= (1 if probing else self._limit):
            return None
        if self._ready or self._may_isolate():
            start_at = self._budget.earliest()
        elif self._waiting:
            start_at = max(self._budget.earliest(), self._waiting[0][0])
        else:
            return None
        return start_at if self._may_sign() and self._has_time(start_at) else None

    def _has_time(self, start_at: float) -> bool:
        """Whether a call that starts then can be finished; if not, none is started any more."""
        enough = max(start_at, self._env.clock()) + CALL_SECONDS <= self._deadline
        if not enough:
            self._stop("deadline", "no time was left to call")
        return enough

    def _may_isolate(self) -> bool:
        flying = sum(call.isolating is not None for call, _ in self._flying.values())
        return bool(self._isolating) and flying < ISOLATIONS_IN_FLIGHT

    def _next_call(self) -> Call:
        """The narrowest search first, so that each invocation finds some of the guilty."""
        if self._may_isolate():
            call = heapq.heappop(self._isolating)[-1]
            self._isolation_calls -= 1
            if not self._isolation_calls:
                self._end_isolation()
            return call
        if self._waiting and (not self._ready or self._waiting[0][0] <= self._env.clock()):
            return heapq.heappop(self._waiting)[2]
        return self._ready.popleft()

    def _start(self, executor: Executor) -> None:
        if self._credential and self._env.now() > self._credential.expires_at:
            self._sign_in()  # an expired UserSig is never sent; a new one goes by one call first
            return
        call = self._next_call()
        if self._expires:
            call.users = [
                (account, alive)
                for account, tags in call.users
                if (alive := self._unexpired(account, tags))
            ]
        if call.users and self._credential:
            self.counts["Calls"] += 1
            self.users_per_call.append(len(call.users))
            if self._credential == self._standing.refused:
                self._standing.tried_at = self._env.now()
            begun = threading.Event()
            future = executor.submit(self._call, begun, call.users, self._credential)
            begun.wait(BEGIN_SECONDS)  # the next start is spaced from this one, not from its wish
            self._budget.start()
            self._flying[future] = call, self._credential

    def _call(
        self, begun: threading.Event, users: list[UserTags], credential: Credential
    ) -> Failures:
        begun.set()
        started = self._env.clock()
        try:
            return self._env.client.remove_tag(users, credential, self._deadline)
        finally:
            self.latencies.append(self._env.clock() - started)

    def _unexpired_wanted(self) -> Mapping[str, Collection[str]]:
        if not self._expires:
            return self.ledger.wanted
        return {
            account: alive
            for account, tags in self.ledger.wanted.items()
            if (alive := self._unexpired(account, list(tags)))
        }

    def _unexpired(self, account: str, tags: list[str]) -> list[str]:
        until, now = self.ledger.wanted[account], self._env.now()
        expired = [tag for tag in tags if until[tag] < now]
        if not expired:
            return tags
        self.ledger.record(account, expired, EXPIRED)
        return [tag for tag in tags if until[tag] >= now]

    def _rest_until(self, start_at: float | None) -> None:
        until = self._deadline if start_at is None else min(start_at, self._deadline)
        self._env.rest(self._flying.keys(), max(0.0, until - self._env.clock()))
        if self._env.clock() >= self._deadline and not any(map(Future.done, self._flying)):
            self._stop("deadline", "no reply came in time")
            self.counts["CallsFailed"] += len(self._flying)
            self._flying.clear()

    # What a reply leads to

    def _collect(self) -> None:
        for future in [future for future in self._flying if future.done()]:
            call, credential = self._flying.pop(future)
            error = future.exception()
            if error is None:
                self._succeeded(call, credential, future.result())
            elif isinstance(error, CallError):
                self._failed(call, credential, error)
            else:
                raise error

    def _succeeded(self, call: Call, credential: Credential, failures: Failures) -> None:
        self._prove(credential)
        again: list[UserTags] = []
        for account, tags in call.users:
            error = failures.get(account)
            if error is None:
                self.ledger.record(account, tags, REMOVED)
            elif isinstance(error, TransientError | RateLimitError):
                again.append((account, tags))
            else:
                self._settle_user(account, tags, error)
        if again:
            errors = [failures[account] for account, _ in again]
            worst = next((e for e in errors if isinstance(e, RateLimitError)), errors[0])
            self._retry(Call(again, call.attempt, call.isolating), worst)

    def _settle_user(self, account: str, tags: list[str], error: CallError) -> None:
        """A listed user: parked when hopeless, its tags tried apart when one may be guilty."""
        if not isinstance(error, InputError):
            self.counts["CredentialErrors"] += isinstance(error, CredentialsError)
            self.counts["ConfigurationErrors"] += isinstance(error, ConfigurationError)
            self._hand_back([(account, tags)], error)
        elif len(tags) > 1 and error.code not in ACCOUNT_CODES:
            self._isolate([(account, tags)], error)
        else:
            self._park(account, tags, error)

    def _failed(self, call: Call, credential: Credential, error: CallError) -> None:
        """A call that failed as a whole, by class."""
        if isinstance(error, ConnectionReuseError) and not call.repeated:
            call.repeated = True
            self._repeat(call)
            return
        self.counts["CallsFailed"] += 1
        if not isinstance(error, TransientError | RateLimitError):
            self._failures_in_row = 0
        match error:
            case TransientError():
                self._count_towards_down(error)
                self._retry(call, error)
            case RateLimitError():
                self._retry(call, error)
            case CredentialsError():
                self._refused(call, credential, error)
            case ConfigurationError():
                self.counts["ConfigurationErrors"] += 1
                self._standing.down = True
                self._stop("configuration", explain(error))
            case InputError():
                self._prove(credential)
                self._isolate(call.users, error)
            case _:
                self._isolate(call.users, error)

    def _prove(self, credential: Credential) -> None:
        """TIMPush answers and takes the UserSig. A late reply, after a stop, proves nothing."""
        self._failures_in_row = 0
        if not self.stopped and credential == self._credential:
            self._standing.proven, self._standing.down = credential, False
            self._standing.refused = None

    def _count_towards_down(self, error: TransientError) -> None:
        self._failures_in_row += 1
        if self._failures_in_row >= DOWN_AFTER:
            self._standing.down = True
            self._stop("down", f"{DOWN_AFTER} calls in a row failed, the last with {error}")

    def _retry(self, call: Call, error: CallError) -> None:
        if isinstance(error, RateLimitError):
            self.counts["RateLimited"] += 1
            self._budget.pause(RATE_LIMIT_PAUSE_SECONDS)
        if call.attempt >= MAX_ATTEMPTS:
            self._hand_back(call.users, error)
            return
        ceiling = min(BACKOFF_CAP_SECONDS, BACKOFF_BASE_SECONDS * 2**call.attempt)
        due = self._env.clock() + ceiling * self._env.random()
        again = Call(call.users, call.attempt + 1, call.isolating)
        heapq.heappush(self._waiting, (due, next(self._order), again))

    def _repeat(self, call: Call) -> None:
        if call.isolating:
            self._search(call)
        else:
            self._ready.appendleft(call)

    def _isolate(self, users: list[UserTags], error: CallError) -> None:
        """Try the halves apart; what cannot be halved is guilty."""
        halves = _halves(users, isinstance(error, InputError))
        if not halves:
            self._settle_guilty(users, error)
        for half in halves:
            self._search(Call(half, isolating=error))

    def _search(self, call: Call) -> None:
        tags = sum(len(tags) for _, tags in call.users)
        entry = (len(call.users), tags, next(self._order), call)
        heapq.heappush(self._isolating, entry)
        if not self._isolation_calls:
            self._end_isolation()

    def _end_isolation(self) -> None:
        """The extra calls are used up: who is left in a search is handed back."""
        for *_, call in self._isolating:
            if call.isolating:
                self._hand_back(call.users, call.isolating, "isolation")
        self._isolating.clear()

    def _settle_guilty(self, users: list[UserTags], error: CallError) -> None:
        for account, tags in users:
            if isinstance(error, InputError):
                self._park(account, tags, error)
            else:
                self._hand_back([(account, tags)], error)

    def _park(self, account: str, tags: list[str], error: CallError) -> None:
        self._note(error)
        self.ledger.record(account, tags, Outcome("rejected", error.code, error.message))

    def _hand_back(self, users: list[UserTags], error: CallError, reason: str = "") -> None:
        self._note(error)
        for account, tags in users:
            outcome = Outcome("retry", reason or error.label, str(error))
            self.ledger.record(account, tags, outcome)

    def _note(self, error: CallError) -> None:
        self.faults[error.label, error.code, error.message] += 1

    # The UserSig

    def _sign_in(self) -> None:
        try:
            credential = self._env.credentials.get()
            if credential == self._standing.refused:
                credential = self._env.credentials.refresh()
        except SecretError as error:
            self._refuse_credentials(error)
            return
        self._credential = credential

    def _may_sign(self) -> bool:
        """Whether the UserSig may be sent: one that was refused goes by one call a minute."""
        if self._credential != self._standing.refused:
            return True
        waited = self._env.now() - self._standing.tried_at
        if not 0 <= waited < PROBE_SECONDS:
            return True
        self.counts["CredentialErrors"] += not self.stopped
        self._stop("credentials", "the UserSig was refused; it is tried once a minute")
        return False

    def _refused(self, call: Call, credential: Credential, error: CallError) -> None:
        """Go on with a new UserSig if there is one; the secret is read once for that."""
        self.counts["CredentialErrors"] += 1
        if credential != self._credential:  # a late reply: the secret was read again already
            self._repeat(call)
            return
        self._standing.refused, self._standing.tried_at = credential, self._env.now()
        self._standing.proven = None
        late = self._env.clock() + CALL_SECONDS > self._deadline
        if self._reread or self.stopped or late:  # late: no call could use a new one
            self._stop("credentials", explain(error))
            return
        self._reread = True
        try:
            self._credential = self._env.credentials.refresh()
        except SecretError as fault:
            self._refuse_credentials(fault)
            return
        if self._credential == credential:
            self._stop("credentials", explain(error))
        self._repeat(call)

    def _refuse_credentials(self, error: SecretError) -> None:
        self.counts["CredentialErrors"] += 1
        self._stop("credentials", error.message)

    def _stop(self, reason: str, text: str) -> None:
        """Start no further call; the first reason stays."""
        if not self.stopped:
            self.stopped = f"{reason}: {text}"
            self.ledger.unsent = Outcome("retry", reason, text)


def _halves(users: list[UserTags], split_tags: bool) -> list[list[UserTags]]:
    if len(users) > 1:
        middle = (len(users) + 1) // 2
        return [users[:middle], users[middle:]]
    account, tags = users[0]
    if split_tags and len(tags) > 1:
        middle = (len(tags) + 1) // 2
        return [[(account, tags[:middle])], [(account, tags[middle:])]]
    return []
