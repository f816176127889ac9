"""What the messages of a job cost the worker's processor, beside the same messages without a job.

    python -m benchmarks.job_overhead

One environment of the worker takes batches of 1,000 messages of 100 users, in turn without and with
a job. Each message of a job is a new chunk, recorded in an emulated table. Ends with 1 when a user
of a job takes more than 5 % more of a processor.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from unittest.mock import patch

from benchmarks.fleet import OURS, Batch, Servers, fleet, servers
from support.job_store import JobStore, job_store
from timpush.jobs.table import read_records

JOB_ID = "20261125T080000Z-0123abcd"
MESSAGES = 1_000
USERS = 100
ROUNDS = 15
AIM = 0.05


@contextmanager
def emulated_job(aws: Servers) -> Iterator[JobStore]:
    """The table of jobs, emulated, with one job that was sent."""
    with patch.dict(os.environ, aws.variables), job_store() as store:
        store.put_job(JOB_ID, State="settling")
        yield store


def measure(messages: int, rounds: int) -> tuple[float, float]:
    """Median processor seconds a user, without a job and with one.

    Raises:
        RuntimeError: a message was not acknowledged, or not recorded.
    """
    found: dict[str, list[float]] = {"": [], JOB_ID: []}
    with servers(messages * USERS, calls_per_second=0) as aws, emulated_job(aws) as job:
        variables = aws.variables | {"WORKER_CONCURRENCY": "1", "JOBS_TABLE": job.table.name}
        with fleet({OURS: 1}, variables) as workers:
            for number in range(rounds + 1):
                for job_id, seconds in found.items():
                    order = {"messages": messages, "users": USERS, "most": 1, "job": job_id}
                    [[batch]] = workers.order(OURS, [order | {"range": number}])
                    if number:  # the first round makes the clients
                        seconds.append(per_user(batch))
        recorded = len(read_records(job.table, JOB_ID).done)
    if recorded != messages * (rounds + 1):
        raise RuntimeError(f"{recorded} messages are recorded, not {messages * (rounds + 1)}")
    return median(found[""]), median(found[JOB_ID])


def per_user(batch: Batch) -> float:
    """Processor seconds a user."""
    if batch.failed:
        raise RuntimeError(f"{batch.failed} of {batch.messages} messages failed")
    return batch.processor_seconds / batch.messages / USERS


def main() -> int:
    """The program; returns its exit code."""
    without, with_job = measure(MESSAGES, ROUNDS)
    more = with_job / without - 1
    print(f"processor of the worker a user, messages of {USERS} users in batches of {MESSAGES:,}")
    print(f"{'without a job':<14} {without * 1e6:6.2f} us")
    print(f"{'of a job':<14} {with_job * 1e6:6.2f} us  {more:+.1%}")
    return 0 if more <= AIM else 1


if __name__ == "__main__":
    sys.exit(main())
