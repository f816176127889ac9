"""Follows a job until it has ended."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from timpush.jobs.state import Document

POLL_SECONDS = 1.0
SENT = ("sending", "settling")
"""States in which users wait for the worker."""
START_SECONDS = 90.0
"""From the upload until the job is there; EventBridge takes about a second."""
STALL_SECONDS = 30.0
"""Without progress, until the follower says so."""


class FollowError(Exception):
    """The job cannot be followed; says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Follower:
    """Looks at one job again and again. `read` returns its document, or None while there is none.

    `clock` and `sleep` are in seconds.
    """

    job_id: str
    read: Callable[[str], Document | None]
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def wait_for_start(self) -> Document:
        """The job's first document.

        Raises:
            FollowError: there is none within 90 seconds.
        """
        until = self.clock() + START_SECONDS
        while (job := self.read(self.job_id)) is None:
            if self.clock() >= until:
                raise FollowError(
                    f"the file was uploaded, but job {self.job_id} has not begun after "
                    f"{START_SECONDS:.0f} s: look at the log of the function that starts jobs, "
                    "and whether the EventBridge rule on the bucket is enabled"
                )
            self.sleep(POLL_SECONDS)
        return job

    def states(self, job: Document) -> Iterator[Document]:
        """The job's document, then as it is at each further look; the last one has ended.

        Raises:
            FollowError: the job is gone from the table.
        """
        yield job
        while not job["EndedAt"]:
            self.sleep(POLL_SECONDS)
            found = self.read(self.job_id)
            if found is None:
                raise FollowError(f"job {self.job_id} is no longer in the table")
            job = found
            yield job


@dataclass(slots=True)
class Stall:
    """Notices when users wait, and no more of them are settled for 30 seconds."""

    clock: Callable[[], float]
    _settled: int = -1
    _since: float = 0.0
    _told: bool = False

    def begins(self, job: Document) -> bool:
        """Whether this look at the job is the first to find it stalled."""
        waiting = job["State"] in SENT and job["Settled"] < job["Users"]
        if not waiting or job["Settled"] != self._settled:
            self._settled, self._since, self._told = job["Settled"], self.clock(), False
        begins = not self._told and self.clock() - self._since >= STALL_SECONDS
        self._told |= begins
        return begins
