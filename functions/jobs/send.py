"""Fourth step, once a byte range: send its chunks to the queue."""

import os
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from aws_lambda_powertools import Logger

from jobs.job import Clients, Job, clients, read_planned, read_step
from jobs.reading import read_range_rows
from timpush.jobs.messages import Chunk, cut_chunks, make_message
from timpush.jobs.ranges import Range
from timpush.queue.sender import send

WAVE = 200
"""Chunks between two looks at the job's state: 20,000 users, some 2 s."""
REPLY_SECONDS = 5.0
logger = Logger()


class SendError(Exception):
    """SQS did not take every message; the step is to be repeated."""


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Send the range `Range` of the job `JobId`.

    Raises:
        SendError: SQS did not take every message; a repeated call goes on where this one was.
    """
    deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - REPLY_SECONDS
    return {"Chunks": send_range(event, clients(), deadline)}


def send_range(event: dict[str, Any], aws: Clients, deadline: float) -> int:
    """Send the chunks of a range, a wave at a time, while the job is to be sent.

    Before each wave the table is told how far it goes: what a crash leaves behind is known to be
    at most that much. Returns how many chunks may have been sent in all.
    """
    job, one = read_step(event, aws.table)
    if one.sent:
        return one.sent_to
    chunks = cut_chunks(read_range_rows(job, one, aws), job.options.not_after)
    confirmed = max(0, one.sent_to - WAVE)
    for wave in cut_waves(chunk for chunk in chunks if chunk.number >= confirmed):
        if read_planned(aws.table, job.job_id).state != "sending":
            return one.sent_to
        one.sent_to = max(one.sent_to, wave[-1].number + 1)
        aws.table.update(job.job_id, Range.key(one.number), {"sent_to": one.sent_to})
        send_wave(wave, job, one.number, aws, deadline)
    aws.table.update(job.job_id, Range.key(one.number), {"sent": True})
    return one.sent_to


def cut_waves(chunks: Iterator[Chunk]) -> Iterator[list[Chunk]]:
    """Chunks, 200 at a time."""
    while wave := list(islice(chunks, WAVE)):
        yield wave


def send_wave(
    wave: list[Chunk], job: Job, range_number: int, aws: Clients, deadline: float
) -> None:
    """Send chunks.

    Raises:
        SendError: SQS did not confirm each.
    """
    messages = [make_message(chunk, job.job_id, range_number, job.options) for chunk in wave]
    unsent = send(aws.sqs, os.environ["QUEUE_URL"], messages, deadline)
    if unsent:
        raise SendError(f"SQS did not take {len(unsent)} of {len(messages)} messages")
