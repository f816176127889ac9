"""SQS batch -> batchItemFailures: parse each message, remove its users' tags, settle it."""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from remove_tags_worker import report
from remove_tags_worker.batch import Batch, read_batch, uncollected
from remove_tags_worker.jobs import JobsTable, drop_stopped, record_jobs
from timpush.aws import make_secrets_manager, make_sqs
from timpush.queue.attributes import Record
from timpush.queue.delays import set_delays
from timpush.queue.sender import send_groups
from timpush.removal.engine import Environment, Removal, calls_in_flight
from timpush.removal.packing import merge
from timpush.settings import Settings, read_settings
from timpush.tencent.client import TimPushClient
from timpush.tencent.credentials import Credentials
from timpush.tencent.redaction import guard_logs

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

SETTLE_SECONDS = 4.0
"""Kept free at the end, to send dead letters and rests, to set delays, and to reply."""
REPLY_SECONDS = 0.5
DELAY_SECONDS = 3.5
"""The most spent on visibility timeouts: what does not get one has the queue's own.

5,000 messages (the most of BatchSize) are 500 requests, which take 0.44 s of a processor. At 512 MB
Lambda gives 512/1769 = 0.29 of one: 1.5 s. The bound is SETTLE_SECONDS - REPLY_SECONDS."""

logger = Logger()


@dataclass
class Worker:
    """What this environment keeps between invocations; `cold` until the first has ended."""

    settings: Settings
    environment: Environment
    cold: bool = True

    @cached_property
    def sqs(self) -> "SQSClient":
        """Made when something fails: a start in which all goes well does without."""
        return make_sqs()

    @cached_property
    def jobs(self) -> JobsTable:
        """The table of jobs, and what is remembered of it."""
        return JobsTable(self.settings.jobs_table, self.environment.clock)


@lru_cache(maxsize=1)
def make_worker(settings: Settings) -> Worker:
    """Build what the environment keeps."""
    guard_logs()
    secrets = Credentials(make_secrets_manager(), settings.secret_id)
    client = TimPushClient(settings.endpoint_url, calls_in_flight(settings.share))
    return Worker(settings, Environment(client, secrets, settings.share))


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, list[dict[str, str]]]:
    """Remove the tags that the event's messages name; report the messages to be tried again.

    Raises:
        SettingsError: a variable is missing or impossible; SQS keeps every message.
    """
    began = time.monotonic()
    deadline = began + context.get_remaining_time_in_millis() / 1000
    logger.append_keys(function_request_id=getattr(context, "aws_request_id", None))
    worker = make_worker(read_settings(os.environ))
    return handle(event["Records"], worker, deadline, began)


def handle(
    records: Iterable[Record], worker: Worker, deadline: float, began: float | None = None
) -> dict[str, list[dict[str, str]]]:
    """Do the records' removals and settle each message by `deadline` (of the worker's clock).

    `began` is when the invocation did, by default now.
    """
    began = worker.environment.clock() if began is None else began
    with uncollected():
        batch = read_batch(records)
        jobs = drop_stopped(batch, worker.jobs)
        wanted = merge(batch.documents.values())
        removal = Removal(wanted, worker.environment, deadline - SETTLE_SECONDS, began)
    removal.run()
    batch.settle(removal.ledger)
    send_dead_letters(batch, worker, deadline - REPLY_SECONDS)
    send_rests(batch, worker, deadline - REPLY_SECONDS)
    record_jobs(batch, jobs, worker.jobs, deadline - REPLY_SECONDS)
    delay_returned(batch, worker, deadline - REPLY_SECONDS)
    report.report(batch, removal, worker, worker.environment.clock() - began)
    return {"batchItemFailures": [{"itemIdentifier": one} for one in batch.failures()]}


def send_dead_letters(batch: Batch, worker: Worker, deadline: float) -> None:
    """Send what can never succeed to the dead-letter queue; what does not get there returns.

    `deadline` is a time of the worker's clock.
    """
    letters = batch.dead_letters()
    if letters:
        url, clock = worker.settings.dead_letter_queue_url, worker.environment.clock
        for key in sorted(send_groups(worker.sqs, url, letters, deadline, clock)):
            batch.give_back(key, "parking")


def send_rests(batch: Batch, worker: Worker, deadline: float) -> None:
    """Put what remains of split messages back on the queue; without that a message returns whole.

    Comes after the dead letters: a message is acknowledged only when SQS confirmed both.
    """
    rests = batch.write_rests(worker.settings)
    if rests:
        url, clock = worker.settings.queue_url, worker.environment.clock
        unsent = sorted(send_groups(worker.sqs, url, rests, deadline, clock))
        for key in unsent:
            batch.give_back(key)
        report.log_unsent_rests(len(unsent))


def delay_returned(batch: Batch, worker: Worker, deadline: float) -> None:
    """Keep what returns to the queue invisible for its backoff, as far as time allows."""
    clock = worker.environment.clock
    delays = batch.delays(worker.settings)
    if delays:
        until = min(deadline, clock() + DELAY_SECONDS)
        set_delays(worker.sqs, worker.settings.queue_url, delays, until, clock)
