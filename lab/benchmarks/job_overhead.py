"""What the messages of a job cost the worker's processor, beside the same messages without a job.

    python -m benchmarks.job_overhead

One environment of the worker takes batches of messages of 100 users, in turn without and with a
job. Each message of a job is a new chunk, recorded in an emulated table. Ends with 1 when, in
batches of 1,000 (the default of `BatchSize`), a user of a job takes more than 5 % more of a
processor.
"""

import sys
from itertools import count
from statistics import median

from benchmarks.fleet import OURS, Batch, Fleet, fleet, servers
from support.job_store import sent_job
from timpush.jobs.table import read_records

JOB_ID = "20261125T080000Z-0123abcd"
USERS = 100
SIZES = {10: 60, 100: 30, 1_000: 15}
"""Messages of a batch, and how often it is measured."""
LARGEST = max(SIZES)
AIM = 0.05


def measure(sizes: dict[int, int]) -> dict[int, tuple[float, float]]:
    """Median processor seconds a user by messages of a batch, without a job and with one.

    Raises:
        RuntimeError: a message was not acknowledged, or not recorded.
    """
    found: dict[int, tuple[float, float]] = {}
    with (
        servers(max(sizes) * USERS, calls_per_second=0) as aws,
        sent_job(aws.variables, JOB_ID) as job,
    ):
        variables = aws.variables | {"WORKER_CONCURRENCY": "1", "JOBS_TABLE": job.table.name}
        ranges = count()
        with fleet({OURS: 1}, variables) as workers:
            for messages, rounds in sizes.items():
                pairs = [compare(workers, messages, next(ranges)) for _ in range(rounds + 1)]
                without, with_job = zip(*pairs[1:], strict=True)  # the first makes the clients
                found[messages] = median(without), median(with_job)
        recorded = len(read_records(job.table, JOB_ID).done)
    sent = sum(messages * (rounds + 1) for messages, rounds in sizes.items())
    if recorded != sent:
        raise RuntimeError(f"{recorded} messages are recorded, not {sent}")
    return found


def compare(workers: Fleet, messages: int, range_number: int) -> tuple[float, float]:
    """Processor seconds a user of one batch without a job, and of the same as a range of a job."""
    order = {"messages": messages, "users": USERS, "most": 1, "range": range_number}
    batches = [workers.order(OURS, [order | {"job": job_id}])[0][0] for job_id in ("", JOB_ID)]
    return per_user(batches[0]), per_user(batches[1])


def per_user(batch: Batch) -> float:
    """Processor seconds a user."""
    if batch.failed:
        raise RuntimeError(f"{batch.failed} of {batch.messages} messages failed")
    return batch.processor_seconds / batch.messages / USERS


def main() -> int:
    """The program; returns its exit code."""
    found = measure(SIZES)
    print(f"processor of the worker a user, in microseconds; messages of {USERS} users")
    print(f"{'messages of a batch':>19} {'without a job':>14} {'of a job':>9} {'more':>6}")
    for messages, (without, with_job) in found.items():
        more = with_job / without - 1
        print(f"{messages:>19,} {without * 1e6:>14.2f} {with_job * 1e6:>9.2f} {more:>+6.1%}")
    without, with_job = found[LARGEST]
    return 0 if with_job / without - 1 <= AIM else 1


if __name__ == "__main__":
    sys.exit(main())
