"""One invocation of the worker: threads that wait for replies, and one that does as `plan` decides.

Nothing is decided here. One thread asks the plan what to do, reads the secret, starts calls and
waits; the others each send one call and wait for its reply.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from timpush.errors import CallError, SecretError
from timpush.messages import UserTags
from timpush.outcomes import Ledger, Outcome, Wanted
from timpush.removal.backlog import Call
from timpush.removal.health import Health
from timpush.removal.pace import Now, Pace
from timpush.removal.plan import Plan, ReadSecret, StartAt, Stop, Wait
from timpush.removal.results import Results
from timpush.removal.signing import Signing, Standing
from timpush.removal.verdict import Reply
from timpush.tencent.client import CALL_SECONDS, TimPushClient
from timpush.tencent.credentials import Credential, Credentials

BEGIN_SECONDS = 1.0
"""The longest to wait until a thread has taken up its call: there is always one that is free."""


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
    health: Health = field(default_factory=Health)
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    rest: Callable[[Collection[Future[Any]], float], None] = rest
    random: Callable[[], float] = random.random
    executor: Callable[[int], Executor] = ThreadPoolExecutor


def calls_in_flight(calls_per_second: int) -> int:
    """Calls in flight that fill the share while a reply takes 3.5 s, more than the backend's 3 s.

    88 at 25 calls a second. A thread is made only when no other is free: at 0.3 s a reply there are
    8. With its connection a thread takes some 0.2 MB, so that 88 of them take 18 MB.
    """
    return max(4, ceil(calls_per_second * CALL_SECONDS))


class Removal:
    """One invocation's removals: `run` it once, then read what became of each user's tags.

    `wanted` is what to remove; `deadline` (of the clock) is when the last call must have ended,
    `began` when the invocation did (None: now).
    `ledger` holds the outcomes, `counts` the calls by metric name, `faults` each distinct error
    with the number of calls and users it struck, `stopped` why no further call was started,
    `down` whether TIMPush was found down, `users_per_call` and `latencies` (seconds) a value for
    each call that started or ended.
    """

    def __init__(
        self,
        wanted: Wanted,
        environment: Environment,
        deadline: float,
        began: float | None = None,
    ) -> None:
        self.ledger = Ledger(wanted)
        self.stopped = ""
        self.users_per_call: list[int] = []
        self.latencies: list[float] = []
        self._env = environment
        self._deadline = deadline
        self._most_in_flight = calls_in_flight(environment.calls_per_second)
        self._flying: dict[Future[tuple[Reply, float]], Call] = {}
        began = environment.clock() if began is None else began
        self._results = Results(self.ledger)
        self._plan = Plan(
            self._results,
            Pace(environment.calls_per_second, began),
            Signing(environment.standing),
            environment.health,
            last_start=deadline - CALL_SECONDS,
            most_in_flight=self._most_in_flight,
            now=self._now(),
            random=environment.random,
        )

    @property
    def counts(self) -> Counter[str]:
        """Calls by metric name."""
        return self._results.counts

    @property
    def faults(self) -> Counter[tuple[str, int | str, str]]:
        """(class, code, text) of each error, and how many calls and users it struck."""
        return self._results.faults

    @property
    def down(self) -> bool:
        """Whether TIMPush was found down."""
        return self._env.health.down

    def run(self) -> None:
        """Send what is wanted until all is settled or time is up."""
        executor = self._env.executor(self._most_in_flight)
        try:
            self._follow_plan(executor)
        finally:
            executor.shutdown(wait=False, cancel_futures=True)

    def _follow_plan(self, executor: Executor) -> None:
        while True:
            match self._plan.next(self._now()):
                case Stop() as stop if not self._flying:
                    self._stop(stop)
                    return
                case Stop():
                    self._rest_until(self._deadline)
                case ReadSecret(how):
                    self._plan.secret_read(self._read_secret(how), how, self._now())
                case StartAt(at) if at <= self._env.clock():
                    self._start(executor)
                case StartAt(at) | Wait(at):
                    self._rest_until(at)
            if self._flying and not self._collect() and self._env.clock() >= self._deadline:
                self.counts["CallsFailed"] += len(self._flying)
                self._stop(Stop("deadline", "no reply came in time"))
                return

    def _start(self, executor: Executor) -> None:
        if not self._flying:
            self._env.client.drop_idle_connections()
        started = self._plan.start(self._now())
        if started is None:
            return
        call, credential = started
        self.users_per_call.append(len(call.users))
        begun = threading.Event()
        future = executor.submit(self._call, begun, call.users, credential)
        begun.wait(BEGIN_SECONDS)  # the next start is measured from this one's actual time
        self._plan.started(self._env.clock())
        self._flying[future] = call

    def _call(
        self, begun: threading.Event, users: list[UserTags], credential: Credential
    ) -> tuple[Reply, float]:
        """One call, in a thread of its own: the reply, and how many seconds it took."""
        begun.set()
        reply: Reply
        started = self._env.clock()
        try:
            reply = self._env.client.remove_tag(users, credential, self._deadline)
        except CallError as error:
            reply = error
        return reply, self._env.clock() - started

    def _collect(self) -> bool:
        """Tell the plan of the replies that came; whether any did."""
        done = [future for future in self._flying if future.done()]
        for future in done:
            call = self._flying.pop(future)
            reply, seconds = future.result()
            self.latencies.append(seconds)
            self._plan.ended(call, reply, self._now())
        return bool(done)

    def _read_secret(self, how: str) -> Credential | SecretError:
        credentials = self._env.credentials
        try:
            return credentials.get() if how == "kept" else credentials.refresh()
        except SecretError as error:
            return error

    def _rest_until(self, at: float) -> None:
        seconds = min(at, self._deadline) - self._env.clock()
        self._env.rest(self._flying.keys(), max(0.0, seconds))

    def _stop(self, stop: Stop) -> None:
        """Whatever has no outcome by now is to be tried again, for this reason."""
        if stop.reason:
            self.stopped = f"{stop.reason}: {stop.text}"
            self.ledger.unsent = Outcome("retry", stop.reason, stop.text)

    def _now(self) -> Now:
        return Now(self._env.clock(), self._env.now())
