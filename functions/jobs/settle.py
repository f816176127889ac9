"""Fifth step, repeated: has a worker recorded the end of every message?"""

import os
import time
from typing import Any, NamedTuple

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from jobs.job import Clients, clients
from timpush.jobs.progress import count, is_settled
from timpush.jobs.state import RUNNING
from timpush.jobs.table import JOB, change_state, read_ranges, read_records, read_stored
from timpush.metrics import JOB_IDLE_SECONDS, NAMESPACE

RETENTION_SECONDS = 345_600
"""The queue's. What made no progress for as long cannot be on the queue any more."""
QUIET_SECONDS = 3_600
"""A queue that was empty for so long, without progress, holds nothing of the job: SQS's counts are
approximate, and settle within minutes."""
MIN_WAIT, MAX_WAIT = 2, 300
"""Seconds between two calls: a tenth of what the job has waited. In the four days of the longest
outage these are about 1,200 rounds, of 9 events each; an execution can have 25,000."""
DEPTHS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
logger = Logger()
metrics = Metrics(namespace=NAMESPACE)


class Marks(NamedTuple):
    """What is remembered between two looks, as attributes of the job. Times are Unix seconds.

    `EmptySince` is 0 while the queue holds messages.
    """

    SettlingSince: int
    ProgressAt: int
    SettledThen: int
    EmptySince: int

    def is_lost(self, now: int) -> bool:
        """Whether what is not settled yet never will be."""
        idle = now - self.ProgressAt
        empty = now - self.EmptySince if self.EmptySince else 0
        return idle > RETENTION_SECONDS or min(idle, empty) > QUIET_SECONDS

    def wait_seconds(self, now: int) -> int:
        """How long to wait until the next look."""
        return min(max((now - self.SettlingSince) // 10, MIN_WAIT), MAX_WAIT)


def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Look at the job `JobId`; `Settled`, or `WaitSeconds` until the next look."""
    return settle(event, clients(), int(time.time()))


def settle(event: dict[str, Any], aws: Clients, now: int) -> dict[str, Any]:
    """Compare what was sent with what is recorded."""
    job_id: str = event["JobId"]
    item = read_stored(aws.table, job_id) or {}
    if item.get("State") in RUNNING:
        change_state(aws.table, job_id, "settling", {})
    ranges, records = read_ranges(aws.table, job_id), read_records(aws.table, job_id)
    if all(is_settled(one, records) for one in ranges):
        return {"Settled": True, "WaitSeconds": 0}
    settled = count(ranges, records).Settled
    marks = read_marks(item, settled, is_queue_empty(aws), now)
    aws.table.update(job_id, JOB, marks._asdict())
    metrics.add_metric(JOB_IDLE_SECONDS, MetricUnit.Seconds, now - marks.ProgressAt)
    metrics.flush_metrics()
    if marks.is_lost(now):
        logger.error("messages of the job are lost", extra={"job_id": job_id, "settled": settled})
        return {"Settled": True, "WaitSeconds": 0}
    return {"Settled": False, "WaitSeconds": marks.wait_seconds(now)}


def read_marks(item: dict[str, Any], settled: int, is_empty: bool, now: int) -> Marks:
    """The marks of this look, from those of the last one."""
    progressed = item.get("SettledThen", -1) != settled
    return Marks(
        SettlingSince=item.get("SettlingSince", now),
        ProgressAt=now if progressed else item["ProgressAt"],
        SettledThen=settled,
        EmptySince=(item.get("EmptySince") or now) if is_empty else 0,
    )


def is_queue_empty(aws: Clients) -> bool:
    """Whether SQS counts no message on the queue, in whatever state."""
    names: Any = DEPTHS
    reply = aws.sqs.get_queue_attributes(QueueUrl=os.environ["QUEUE_URL"], AttributeNames=names)
    return not any(int(value) for value in reply["Attributes"].values())
