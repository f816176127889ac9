"""Time that passes only when someone waits, with calls that overlap in it.

`VirtualTime` has the clock, the wait and the executor that `removal.engine.Environment` asks for.
A job runs when it is submitted; what it says it took (`spend`) is how much later it is done. So
jobs overlap, end in the order of their ends, and an hour passes in no time, the same way each run.
"""

import heapq
import math
from collections.abc import Callable, Collection
from concurrent.futures import Executor, Future
from itertools import count
from typing import Any

MAX_STILL_RESTS = 1_000


class VirtualTime:
    """A clock in seconds from `start`, and Unix time from `unix` at the same moment."""

    def __init__(self, start: float = 1_000.0, unix: float = 1_800_000_000.0) -> None:
        self._clock = start
        self._unix = unix - start
        self._ends: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._job_seconds: float | None = None
        self._still_rests = 0

    def clock(self) -> float:
        return self._clock

    def now(self) -> float:
        return self._unix + self._clock

    def rest(self, futures: Collection[Future[Any]], seconds: float) -> None:
        """Pass the time until one of the futures is done, at most so long."""
        before, until = self._clock, self._clock + seconds
        while not any(map(Future.done, futures)) and self._ends and self._ends[0][0] <= until:
            self._end_next()
        if not any(map(Future.done, futures)):
            self._clock = max(self._clock, until)
        self._still_rests = 0 if self._clock > before else self._still_rests + 1
        assert self._still_rests < MAX_STILL_RESTS, "rests over and over, and no time passes"

    def spend(self, seconds: float) -> None:
        """Called in a job: it takes so much longer. Called elsewhere: so much time passes."""
        if self._job_seconds is not None:
            self._job_seconds += seconds
            return
        until = self._clock + seconds
        while self._ends and self._ends[0][0] <= until:
            self._end_next()
        self._clock = until

    def executor(self, max_workers: int) -> "VirtualExecutor":
        return VirtualExecutor(self, max_workers)

    def run_job(self, job: Callable[[], Callable[[], None]]) -> None:
        """Run `job` now; call what it returns when the time that it spent has passed."""
        self._job_seconds = 0.0
        try:
            end = job()
            seconds = self._job_seconds
        finally:
            self._job_seconds = None
        if math.isfinite(seconds):
            heapq.heappush(self._ends, (self._clock + seconds, next(self._order), end))

    def _end_next(self) -> None:
        due, _, end = heapq.heappop(self._ends)
        self._clock = max(self._clock, due)
        end()


class VirtualExecutor(Executor):
    """Runs at most `max_workers` jobs at a time; more at once is the caller's fault."""

    def __init__(self, time: VirtualTime, max_workers: int) -> None:
        self._time = time
        self._free = max_workers
        self._open = True

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        assert self._open, "submitted after the shutdown"
        assert self._free, "more jobs in flight than workers"
        self._free -= 1
        future: Future[Any] = Future()

        def job() -> Callable[[], None]:
            try:
                result = fn(*args, **kwargs)
            except Exception as error:
                failure = error
                return lambda: self._settle(lambda: future.set_exception(failure))
            return lambda: self._settle(lambda: future.set_result(result))

        self._time.run_job(job)
        return future

    def _settle(self, settle: Callable[[], None]) -> None:
        self._free += 1
        settle()

    def shutdown(self, wait: bool = True, **_: Any) -> None:
        assert not wait, "waiting for jobs would outlast the deadline"
        self._open = False
