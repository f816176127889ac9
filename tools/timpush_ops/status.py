"""How far a job is, from the worker's summary lines.

A message that SQS delivers twice is counted twice, and so are users that were parked, sent back
and settled again: `removed` and `parked` may together exceed what was sent.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

SUMMARY = "batch settled"
COUNTED = ("messages", "removed", "parked", "handed_back")


@dataclass(slots=True)
class Status:
    """The sums over all summary lines that name the job.

    `sent` is the users of the job as its messages say, 0 when none did. `left_out` counts lines
    that held too many jobs to show this one's figures.
    """

    sent: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    lines: int = 0
    left_out: int = 0

    @property
    def settled(self) -> int:
        return self.counts["removed"] + self.counts["parked"]


def read_status(
    logs: "CloudWatchLogsClient", log_group_name: str, job: str, since: float
) -> Status:
    """Add up the lines since a time in Unix seconds."""
    status = Status()
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=log_group_name, filterPattern=f'"{job}"', startTime=round(since * 1000)
    )
    for page in pages:
        for event in page.get("events", []):
            add_line(status, job, event.get("message", ""))
    return status


def add_line(status: Status, job: str, message: str) -> None:
    """Add one log line, if it is a summary line that names the job."""
    line = _load(message)
    if line.get("message") != SUMMARY or not isinstance(line.get("jobs"), dict):
        return
    figures = line["jobs"].get(job)
    if isinstance(figures, dict):
        status.lines += 1
        status.sent = max(status.sent, figures.get("sent", 0))
        status.counts.update({name: figures.get(name, 0) for name in COUNTED})
    elif job in line.get("job_ids", []):
        status.left_out += 1


def _load(message: str) -> dict[str, Any]:
    try:
        line = json.loads(message)
    except ValueError:
        return {}
    return line if isinstance(line, dict) else {}
