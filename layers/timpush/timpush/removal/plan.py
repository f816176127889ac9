"""The decisions of one invocation: which call next, when, with which UserSig; what a reply means.

Pure: it starts no call, reads no secret and no clock. `engine` asks `next`, does as it is told and
reports with `start`, `ended` and `secret_read`. Asking changes nothing.

An epoch ends when the UserSig is refused or replaced, and when calls are held back. The reply to a
call of an earlier epoch is still recorded for its users, but it says nothing any more of the
UserSig or of TIMPush, and a failure counts for nothing: the call is made again.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
from timpush.removal.backlog import Backlog, Call
from timpush.removal.health import Health
from timpush.removal.pace import Now, Pace
from timpush.removal.packing import cut
from timpush.removal.refused_tags import SAMPLES
from timpush.removal.results import Results
from timpush.removal.signing import Signing
from timpush.removal.verdict import (
    Reply,
    Verdict,
    halves,
    judge,
    outcome_of,
)
from timpush.tencent.codes import ACCOUNT_CODES, SEARCHED_CODES

if TYPE_CHECKING:
    from timpush.tencent.credentials import Credential

MAX_FAILURES = 4
"""A call that has failed so often, while others succeeded, is split; of one user, given back."""
MAX_REFUSALS = 8
"""The same for a call that was refused by rate: that is seldom the fault of its users."""
PART_FAILURES = 3
"""A part of a call that was split is split again, or given back, after so many failures of its own.
Where half of all calls fail, one call in 16 is split, then one part in 8 of twice as many: of
10,000 calls, 10,000 / 16 x (2 / 8) ** 6 = 0.15 users are given back. A user whose calls always fail
costs at most 4 calls for each of the 7 halvings of a call."""
TOGETHER_SECONDS = 1.0
"""While other calls wait, listed users wait this long for others to share a call with: where 1 % of
users are listed, 25 calls a second list 25 of them."""
BACKOFF_BASE_SECONDS = 0.1
BACKOFF_CAP_SECONDS = 2.0
"""A retry waits a random part of 0.2, 0.4, 0.8 s: a batch must not wait for its last retry while
other batches wait for the worker. An outage has its own, longer waits: see `health`."""


@dataclass(frozen=True, slots=True)
class StartAt:
    """Start a call at this time (of the clock)."""

    time: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for a reply, at most until this time (of the clock), and ask again."""

    until: float


@dataclass(frozen=True, slots=True)
class ReadSecret:
    """Read the secret: `how` is "kept" if the environment's copy does, "fresh" if not."""

    how: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Start no call any more, unless a reply changes that. Without a reason: all is settled."""

    reason: str = ""
    text: str = ""


class Plan:
    """What is still to do in one invocation, and what was learned.

    `last_start` is the latest time (of the clock) at which a call may start, `most_in_flight` the
    most calls at a time.
    """

    def __init__(
        self,
        results: Results,
        pace: Pace,
        signing: Signing,
        health: Health,
        *,
        last_start: float,
        most_in_flight: int,
        now: Now,
        random: Callable[[], float],
    ) -> None:
        self._results = results
        self._pace = pace
        self._signing = signing
        self._health = health
        self._last_start = last_start
        self._most_in_flight = most_in_flight
        self._random = random
        self._in_flight = 0
        self._epoch = 0
        self._backlog = Backlog(cut(results.all_live(now)))
        health.begin()

    # Questions

    def next(self, now: Now) -> StartAt | Wait | ReadSecret | Stop:
        """What to do now."""
        if not self._backlog:
            return Wait(math.inf) if self._in_flight else Stop()
        if max(now.clock, self._pace.earliest) > self._last_start:
            return self._stop(now)
        if how := self._signing.must_read(now):
            return ReadSecret(how)
        if self._in_flight >= self._limit():
            return Wait(math.inf)
        start_at = self._start_at(now)
        ask_at = min(self._signing.next_read(now), self._last_start)
        if start_at <= ask_at:
            return StartAt(start_at)
        if self._is_held(now) and now.clock < ask_at:
            return Wait(ask_at)
        return self._stop(now)

    def _start_at(self, now: Now) -> float:
        return max(
            self._pace.earliest,
            self._backlog.earliest(now.clock),
            self._health.next_call(now),
            self._signing.send_at(now),
        )

    def _limit(self) -> int:
        """Calls in flight: one while it is not known that calls succeed."""
        return self._most_in_flight if self._signing.proven and not self._health.trouble else 1

    def _is_held(self, now: Now) -> bool:
        return bool(self._health.trouble or self._signing.why_not(now))

    def _stop(self, now: Now) -> Stop:
        if fault := self._signing.why_not(now):
            return Stop("credentials", fault)
        if self._health.trouble:
            return Stop(*self._health.trouble)
        return Stop("deadline", "no time was left to call")

    # Steps

    def secret_read(self, found: "Credential | SecretError", how: str, now: Now) -> None:
        """The secret was read."""
        self._epoch += self._signing.take(found, how, now)
        counts, refused = self._results.counts, bool(self._signing.fault)
        if isinstance(found, SecretError) or (refused and not counts["CredentialErrors"]):
            counts["CredentialErrors"] += 1

    def start(self, now: Now) -> "tuple[Call, Credential] | None":
        """Take the call that starts now; None when none of it is wanted any more."""
        credential = self._signing.credential
        if credential is None or self._signing.send_at(now) > now.clock:
            return None
        call = self._backlog.take(now.clock, self._health.most_users())
        call.users = self._results.live(call.users, now)
        if not call.users:
            return None
        call.epoch = self._epoch
        self._in_flight += 1
        self._signing.sent(now)
        self._results.counts["Calls"] += 1
        return call, credential

    def started(self, clock: float) -> None:
        """The call has started: the next start is measured from now."""
        self._pace.start(clock)

    def ended(self, call: Call, reply: Reply, now: Now) -> None:
        """A reply has come: record what it settles, and decide what becomes of the rest."""
        self._in_flight -= 1
        verdict = judge(call.users, reply)
        self._results.count(verdict.errors)
        late = call.epoch != self._epoch
        if verdict.failed is None:
            self._answered(call, verdict, late, now)
        elif isinstance(verdict.failed, ConnectionReuseError) and not call.repeated:
            call.repeated = True
            self._backlog.put_first(call)
        else:
            self._results.counts["CallsFailed"] += 1
            self._failed(call, verdict, verdict.failed, late, now)

    # What a reply leads to

    def _answered(self, call: Call, verdict: Verdict, late: bool, now: Now) -> None:
        """The call went through, but for the users that it lists."""
        did_something = bool(verdict.removed or verdict.settled or verdict.apart)
        self._took(late, now, answered=did_something)
        self._results.remove(verdict.removed)
        for user, error in verdict.settled:
            self._results.settle([user], error)
        for users in verdict.apart:
            self._backlog.search(Call(users, cause=verdict.errors[0]))
        if verdict.again:
            self._send_again(call, verdict.again, verdict.errors, now)
        if not (late or did_something):
            self._did_nothing(verdict.errors[0], now)

    def _took(self, late: bool, now: Now, answered: bool) -> None:
        """TIMPush took the call, and the UserSig with it."""
        self._pace.took(now.clock)
        if not late:
            self._signing.prove()
        if answered and not late:
            self._health.answered()

    def _did_nothing(self, error: CallError, now: Now) -> None:
        """Every user was listed with an error that may pass: this counts as a failure."""
        if self._health.trouble or self._health.failed(error, now):
            self._hold(error, now)

    def _failed(self, call: Call, verdict: Verdict, error: CallError, late: bool, now: Now) -> None:
        """The call failed as a whole."""
        if isinstance(error, RateLimitError):
            self._pace.refused(now.clock)
        if late and not isinstance(error, InputError):
            self._backlog.put_first(call)
            return
        match error:
            case TransientError() | RateLimitError():
                self._failed_for_now(call, error, now)
            case CredentialsError():
                self._refused(call, error, now)
            case InputError():
                self._took(late, now, answered=True)
                self._look_for_cause(call, verdict, error)
            case ConfigurationError() if error.code not in SEARCHED_CODES:
                self._hold_call(call, error, now)
            case _:
                self._failed_oddly(call, verdict, error, now)

    def _failed_for_now(self, call: Call, error: CallError, now: Now) -> None:
        if self._health.trouble or not self._signing.proven or self._health.failed(error, now):
            self._hold_call(call, error, now)
            return
        call.answers = call.answers if call.failures else self._health.answers
        call.failures += 1
        most = MAX_REFUSALS if isinstance(error, RateLimitError) else MAX_FAILURES
        if call.failures < most:
            self._backlog.retry(call, self._due(call.failures, now))
        elif self._health.answers == call.answers:
            self._hold_call(call, error, now)
        else:
            self._split(call, error, most)

    def _split(self, call: Call, error: CallError, most: int) -> None:
        """Others succeed and this call does not: one of its users makes it fail."""
        groups = halves(call.users, split_tags=False)
        for users in groups:
            self._backlog.search(Call(users, most - PART_FAILURES, error, self._health.answers))
        if not groups:
            self._results.settle(call.users, error)

    def _send_again(
        self, call: Call, users: list[UserTags], errors: list[CallError], now: Now
    ) -> None:
        """Users who were listed with an error that may pass."""
        error = next((one for one in errors if isinstance(one, RateLimitError)), errors[0])
        again = Call(users, call.failures + 1, call.cause, call.answers)
        if again.failures >= MAX_FAILURES:
            self._results.settle(users, error)
        elif again.cause:
            self._backlog.retry(again, self._due(again.failures, now))
        elif self._backlog.has_fresh():
            self._backlog.retry_together(again, now.clock + TOGETHER_SECONDS)
        else:
            self._backlog.retry_together(again, self._due(again.failures, now))

    def _failed_oddly(self, call: Call, verdict: Verdict, error: CallError, now: Now) -> None:
        """An undocumented code, or one that may come of a user's data or of the set-up."""
        others_succeed = bool(call.cause) and self._health.answers > call.answers
        setup = isinstance(error, ConfigurationError) and not verdict.apart and not others_succeed
        if self._health.trouble or self._health.failed_oddly(error) or setup:
            self._hold_call(call, error, now)
        else:
            self._look_for_cause(call, verdict, error)

    def _look_for_cause(self, call: Call, verdict: Verdict, error: CallError) -> None:
        """Send the halves apart; what cannot be halved is what makes the call fail."""
        answers = call.answers if call.cause else self._health.answers
        for users in verdict.apart:
            self._backlog.search(Call(users, cause=error, answers=answers))
        for user, _ in verdict.settled:
            self._results.settle([user], error, rejected=error.code in SEARCHED_CODES)
            if isinstance(error, InputError) and error.code not in ACCOUNT_CODES:
                self._suspect(user, error)

    def _suspect(self, user: UserTags, error: CallError) -> None:
        """The tag was refused for this user alone: test it on a few others who have it."""
        account, (tag,) = user
        self._results.tags.was_refused(account, tag, outcome_of(error))
        if self._results.tags.is_suspect(tag):
            alone = self._backlog.split_off(tag, SAMPLES)
            self._results.tags.test(tag, [one for one, _ in alone])
            for one in alone:
                self._backlog.search(Call([one], cause=error, answers=self._health.answers))

    def _refused(self, call: Call, error: CallError, now: Now) -> None:
        self._health.end_trouble()
        self._signing.refuse(error, now)
        self._epoch += 1
        self._backlog.put_first(call)

    def _hold_call(self, call: Call, error: CallError, now: Now) -> None:
        self._hold(error, now)
        self._backlog.put_last(call)  # another one probes

    def _hold(self, error: CallError, now: Now) -> None:
        """Keep all calls until a probe succeeds."""
        if self._health.trouble:
            self._health.probe_failed(error, now, self._random())
        else:
            self._health.hold(error, now)
            self._results.note(error)
        self._epoch += 1

    def _due(self, failures: int, now: Now) -> float:
        ceiling = min(BACKOFF_CAP_SECONDS, BACKOFF_BASE_SECONDS * 2**failures)
        wait: float = ceiling * self._random()
        return now.clock + wait
