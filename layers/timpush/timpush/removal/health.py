"""Whether TIMPush does what it is asked; while it does not, when the next call probes it.

Pure. One `Health` lives as long as its environment, so that an invocation that follows a failed one
starts with a single, late call.
"""

from typing import NamedTuple

from timpush.errors import CallError, TransientError
from timpush.removal.pace import Now
from timpush.tencent.codes import explain

DOWN_CALLS = 30
DOWN_SECONDS = 3.0
"""TIMPush counts as down when this many calls, over this time at least, have failed without one
that succeeded. Where half of the calls fail, 30 failures in a row have a chance of 0.5 ** 30, one
in 1,000,000,000, at each of the 2,750 calls that a worker starts in 110 s at 25 a second; where
80 % fail, the 75 calls of 3 s at that rate have 0.8 ** 75, one in 19,000,000. An outage costs each
worker about these 75 calls and those in flight; then it probes."""
FIRST_PROBES = (1.0, 2.0, 4.0, 8.0, 16.0)
SLOW_PROBE_SECONDS = 20.0
PROBE_JITTER = 0.5
"""Seconds before each probe: these, then 20 to 30 at random, 25 on average. In an outage of 4 hours
a worker makes 576 slow probes, some 100 calls until it is down and 5 first probes: fewer than the
720 of one in 20 s."""
PROBE_USERS = (100, 25, 6)
"""The most users in the first probes, then 1: one user whose calls always fail must not make a
TIMPush that works look as if it were down."""
DOWN_PROBES = 3
"""So many probes in a row have failed before a service that no call has reached yet is called down:
1 + 2 + 4 s after the first failure."""
SAME_CODE_CALLS = 10
"""So many calls in a row that fail as a whole with the same undocumented code are the service's
fault, and no longer searched for a user or tag that causes it."""


class Trouble(NamedTuple):
    """Why calls are held back: the reason that users get who were not sent, and a text."""

    reason: str
    text: str


class Health:
    """The state of TIMPush as one environment sees it.

    `answers` counts the calls that did something for a user; `trouble` is None while calls may be
    made at full pace; `down` whether TIMPush was found down in this invocation.
    """

    def __init__(self) -> None:
        self.answers = 0
        self.trouble: Trouble | None = None
        self.down = False
        self._probes = 0
        self._probe_at = 0.0
        self._failures = 0
        self._failing_since = 0.0
        self._same_code: tuple[int | str, int] = ("", 0)

    def begin(self) -> None:
        """An invocation begins. Trouble of the one before is remembered."""
        self.down = False
        self._forget_failures()

    def answered(self) -> None:
        """A call did something: there is no trouble."""
        self.answers += 1
        self.end_trouble()

    def end_trouble(self) -> None:
        """TIMPush answers, if only with a refusal that has rules of its own."""
        self.trouble, self._probes = None, 0
        self._forget_failures()

    def failed(self, error: CallError, now: Now) -> bool:
        """A call failed for a reason that may pass; whether so many have that calls are held."""
        if not self._failures:
            self._failing_since = now.clock
        self._failures += 1
        long = now.clock - self._failing_since >= DOWN_SECONDS
        nothing_succeeds = long and self._failures >= DOWN_CALLS
        self.down = self.down or (nothing_succeeds and isinstance(error, TransientError))
        return nothing_succeeds

    def failed_oddly(self, error: CallError) -> bool:
        """A call failed with a code that is searched for its cause; whether it is the service."""
        code, times = self._same_code
        self._same_code = error.code, times + 1 if error.code == code else 1
        return self._same_code[1] >= SAME_CODE_CALLS

    def hold(self, error: CallError, now: Now) -> None:
        """Hold calls back for this error from now on; the first probe follows soon."""
        self._probes = 0
        self._set_trouble(error)
        self._probe_at = now.unix + FIRST_PROBES[0]

    def probe_failed(self, error: CallError, now: Now, random: float) -> None:
        """A probe failed; `random` is from 0 up to 1."""
        self._probes += 1
        trouble = self._set_trouble(error)
        self.down = self.down or (trouble.reason == "down" and self._probes >= DOWN_PROBES)
        seconds = SLOW_PROBE_SECONDS * (1 + PROBE_JITTER * random)
        if self._probes < len(FIRST_PROBES):
            seconds = FIRST_PROBES[self._probes]
        self._probe_at = now.unix + seconds

    def next_call(self, now: Now) -> float:
        """When (of the clock) the next call may start; bounded, should the wall clock jump."""
        if self.trouble is None:
            return now.clock
        most = SLOW_PROBE_SECONDS * (1 + PROBE_JITTER)
        return now.clock + min(max(0.0, self._probe_at - now.unix), most)

    def most_users(self) -> int:
        """The most users that the next call may hold."""
        if self.trouble is None:
            return PROBE_USERS[0]
        return PROBE_USERS[self._probes] if self._probes < len(PROBE_USERS) else 1

    def _set_trouble(self, error: CallError) -> Trouble:
        reason = "down" if isinstance(error, TransientError) else error.label
        self.trouble = Trouble(reason, explain(error))
        return self.trouble

    def _forget_failures(self) -> None:
        self._failures, self._same_code = 0, ("", 0)
